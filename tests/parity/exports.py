"""Reads what `pipeline export` wrote with NumPy, pyarrow, safetensors and TensorBoard, and ranks with the embeddings.

    pipeline export demo evaluate -o target/exports --format npy   # and parquet-lists, safetensors, tensorboard
    python tests/parity/exports.py target/exports "$(pipeline path demo evaluate)"
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read(folder: Path, side: str) -> tuple[list[str], np.ndarray]:
    """The ids and vectors of one side, which must be the same bits in all three formats."""
    vectors = np.load(folder / f"{side}.npy")
    ids = (folder / f"{side}.ids.txt").read_text(encoding="utf-8").split("\n")[:-1]
    table = pq.read_table(folder / f"{side}.parquet")
    lists = np.array(table["vector"].to_pylist(), np.float32)
    tensor = load_file(folder / f"{side}.safetensors")["vectors"]
    assert vectors.dtype == np.float32 and vectors.shape == (len(ids), lists.shape[1])
    assert (vectors == lists).all() and (vectors == tensor).all() and table["id"].to_pylist() == ids
    return ids, vectors


def main(folder: Path, evaluation: Path) -> int:
    _, text = read(folder, "text")
    image_ids, images = read(folder, "images")
    rankings = pq.read_table(evaluation / "rankings.parquet")["top_ids"].to_pylist()
    best = np.argsort(-(text @ images.T), axis=1, kind="stable")[:, :10]
    n_same = sum([image_ids[row] for row in rows] == top[:10] for rows, top in zip(best, rankings, strict=True))
    print(f"{n_same} of {len(rankings)} top tens are those of the evaluation")

    (events,) = folder.glob("*tfevents*")
    accumulator = EventAccumulator(str(events))
    accumulator.Reload()
    found = {tag.split("/")[1]: accumulator.Scalars(tag)[-1].value for tag in accumulator.Tags()["scalars"]}
    metrics = json.loads((evaluation / "metrics.json").read_text())
    same_metrics = found.keys() == metrics.keys() and all(abs(found[name] - metrics[name]) < 1e-6 for name in metrics)
    print(f"{len(found)} scalars in {events.name}, {'as' if same_metrics else 'not as'} in metrics.json")
    return 0 if same_metrics and n_same >= 0.99 * len(rankings) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
