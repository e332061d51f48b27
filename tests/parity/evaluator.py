"""Scores a predictions file with the public MUGE evaluator and prints what it says.

    pipeline predict demo -o /tmp/predictions.jsonl
    python evaluator.py pipelines/demo/data/MR_valid_queries.jsonl /tmp/predictions.jsonl

Needs cn_clip 1.6.0 (`pip install --no-deps cn_clip==1.6.0`) and numpy. Its evaluation script names the fields
`text_id` and `image_ids`, so both files are first rewritten to those. It exits with 0 whatever happens, so its result
file is read.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def rewrite(source: Path, target: Path) -> None:
    """Renames MUGE's fields to Chinese-CLIP's; queries without relevant images are left out."""
    rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    renamed = [
        {"text_id": row.get("query_id", row.get("text_id")), "image_ids": row.get("item_ids", row.get("image_ids"))}
        for row in rows
    ]
    target.write_text("\n".join(json.dumps(row) for row in renamed if row["image_ids"]), "utf-8")


def main() -> None:
    queries, predictions = map(Path, sys.argv[1:3])
    package = importlib.util.find_spec("cn_clip")  # found, not imported: importing it needs torch
    script = Path(package.submodule_search_locations[0]) / "eval" / "evaluation.py"
    with tempfile.TemporaryDirectory() as folder:
        gold, submitted, result = (Path(folder) / name for name in ("gold.jsonl", "submitted.jsonl", "result.json"))
        rewrite(queries, gold)
        rewrite(predictions, submitted)
        subprocess.run([sys.executable, script, gold, submitted, result], check=True, stdout=subprocess.DEVNULL)
        score = json.loads(result.read_text())
    print(json.dumps(score))
    sys.exit(not score["success"])


if __name__ == "__main__":
    main()
