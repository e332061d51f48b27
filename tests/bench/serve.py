"""Times searches through `pipeline serve`, and compares what they find with the rankings of the evaluation.

    make demo
    python3 tests/bench/serve.py demo pipelines/demo/data/MR_valid_queries.jsonl pipelines/demo/data/MR_valid_imgs.tsv

Asks for the texts of the evaluation's queries, one after the other over new connections, then sends images of the pool
as they are. Prints the medians; exits with 1 when a text finds other images than the evaluation has ranked, or an image
does not find itself. The program is $PIPELINE, else target/release/pipeline. Needs nothing but Python.
"""

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request


def timed(request):
    start = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        body = answer.read()
    return time.perf_counter() - start, [found["id"] for found in json.loads(body)["results"]]


def spaced(rows, n):
    return [rows[idx * len(rows) // min(n, len(rows))] for idx in range(min(n, len(rows)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec")
    parser.add_argument("queries", help="the file of the evaluation's queries")
    parser.add_argument("images", help="the file of the pool's images, a TSV")
    parser.add_argument("--texts", type=int, default=200, help="the number of texts to search for")
    parser.add_argument("--pictures", type=int, default=50, help="the number of images to search for")
    args = parser.parse_args()
    program = os.environ.get("PIPELINE", "target/release/pipeline")
    predict = subprocess.run([program, "predict", args.spec], stdout=subprocess.PIPE, text=True, check=True).stdout
    ranked = {row["query_id"]: list(map(str, row["item_ids"])) for row in map(json.loads, predict.splitlines())}
    with open(args.queries) as lines:
        queries = [query for query in map(json.loads, lines) if query["query_id"] in ranked]
    with open(args.images) as lines:
        images = [line.rstrip("\n").split("\t") for line in lines]
    server = subprocess.Popen(
        [program, "serve", args.spec, "--port", "0", "--quiet"], stdout=subprocess.PIPE, text=True
    )
    wrong, text_times, image_times = [], [], []
    try:
        address = server.stdout.readline().strip()
        for query in spaced(queries, args.texts):
            seconds, found = timed(f"{address}api/search?q={urllib.parse.quote(query['query_text'])}")
            text_times.append(seconds)
            wrong += [query["query_text"]] if found != ranked[query["query_id"]] else []
        for name, base in spaced(images, args.pictures):
            headers = {"Content-Type": "image/*"}
            request = urllib.request.Request(f"{address}api/search", base64.b64decode(base), headers)
            seconds, found = timed(request)
            image_times.append(seconds)
            wrong += [name] if name not in found else []
    finally:
        server.terminate()
        server.wait()
    for what, times in [("text", text_times), ("image", image_times)]:
        print(f"{len(times)} searches by {what}: median {statistics.median(times) * 1000:.1f} ms")
    if wrong:
        sys.exit(f"{len(wrong)} searches do not agree with the evaluation: {wrong[:5]}")
    print("all agree with the evaluation")


if __name__ == "__main__":
    main()
