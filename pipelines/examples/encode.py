"""Encodes the texts of a MUGE query file as bags of characters and their pairs, into `vectors.jsonl`.

A toy that needs the standard library alone. Replace `encode` by a model of your own.
"""

import json
import math
import sys
import zlib
from pathlib import Path

DIM = 512


def encode(text):
    vector = [0.0] * DIM
    pairs = [text[idx : idx + 2] for idx in range(len(text) - 1)]
    for piece in [*text, *pairs]:
        # Not hash(): it is another in each process, and the same text must have the same vector.
        vector[zlib.crc32(piece.encode()) % DIM] += 1.0
    norm = math.sqrt(sum(value * value for value in vector))
    return [value / norm if norm else 0.0 for value in vector]


# The program runs in an empty folder: outputs are left there, and sources lie beside this file.
queries = Path(__file__).parent / sys.argv[1]
with open(queries, encoding="utf-8") as lines, open("vectors.jsonl", "w", encoding="utf-8") as vectors:
    for line in lines:
        query = json.loads(line)
        row = {"text_id": query["query_id"], "feature": encode(query["query_text"])}
        vectors.write(json.dumps(row) + "\n")
