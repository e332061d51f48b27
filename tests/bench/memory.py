"""Peak memory of a run with both encoders, stage by stage, for more and more rows.

    cargo build --release --locked --workspace
    python tests/bench/memory.py BERT RESNET --images 500,2000 --queries 500,2000
    python tests/bench/memory.py BERT RESNET --images 500 --queries 500,200000

BERT and RESNET are folders with encoders. Images are those of the demo, again and again under other ids; queries are
its queries with a number behind, so that no two are equal. Stages run one after the other in one process, so that
each has a peak of its own: the kernel's high-water mark is set back when a stage ends.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import measure

DATA = Path("pipelines/demo/data")

SPEC = """name: memory
stages:
  queries: {{ kind: load-queries, params: {{ path: queries.jsonl }} }}
  images: {{ kind: decode-images, params: {{ path: images.tsv }}, retain: false }}
  text: {{ kind: extract-text, inputs: {{ queries: queries }}, params: {{ model: {bert} }} }}
  image: {{ kind: extract-image, inputs: {{ images: images }}, params: {{ model: {resnet} }} }}
  projection: {{ kind: train-projection, inputs: {{ queries: queries, text: text, images: image }}, params: {{ epochs: 1 }} }}
  evaluate: {{ kind: evaluate-recall, inputs: {{ queries: queries, text: text, images: image, projection: projection }} }}
"""


def write_data(folder: Path, n_images: int, n_queries: int) -> None:
    rows = [line.split("\t") for name in ("train", "valid") for line in (DATA / f"MR_{name}_imgs.tsv").open()]
    with (folder / "images.tsv").open("w") as file:
        for idx in range(n_images):
            file.write(f"{idx}\t{rows[idx % len(rows)][1]}")
    texts = [json.loads(line)["query_text"] for line in (DATA / "MR_valid_queries.jsonl").open()]
    with (folder / "queries.jsonl").open("w") as file:
        for idx in range(n_queries):
            text = texts[idx % len(texts)] + str(idx // len(texts) or "")
            query = {"query_id": idx, "query_text": text, "item_ids": [idx % n_images]}
            file.write(json.dumps(query, ensure_ascii=False) + "\n")


def high_water_mb(pid: int) -> float | None:
    """`None` of a process that has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)


def stages(program: str, folder: Path, more: list[str], limit_mb: int | None = None) -> dict[str, dict[str, float]]:
    """The peak in MB and the seconds of each stage of a run, whose address space `limit_mb` bounds."""
    command = [program, "run", "spec.yaml", "--json", "--jobs", "1", "--artifacts", "store", *more]
    limit = limit_mb and limit_mb << 20
    bound = (lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))) if limit else None
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, preexec_fn=bound)
    found = {}
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "stage-finished":
            found[event["stage"]] = {"peak_mb": high_water_mb(process.pid), "seconds": event["seconds"]}
            # Sets the high-water mark back.
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} exited with {os.waitstatus_to_exitcode(status)}")
    for run in found.values():
        # It had ended before the mark of its last stage was read.
        run["peak_mb"] = run["peak_mb"] or usage.ru_maxrss / 1024
    return found


def peaks(program: str, folder: Path, more: list[str]) -> dict[str, float]:
    """The peak of each stage in MB, that of the whole run under the empty name."""
    found = {stage: run["peak_mb"] for stage, run in stages(program, folder, more).items()}
    return {**found, "": max(found.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bert", type=Path)
    parser.add_argument("resnet", type=Path)
    parser.add_argument("--images", default="500,2000")
    parser.add_argument("--queries", default="500,2000")
    parser.add_argument("--program", type=Path, default=Path("target/release/pipeline"))
    parser.add_argument("--json", action="store_true", help="print one row for the table of all benchmarks")
    parser.add_argument("more", nargs="*", help="further arguments of `pipeline run`, after `--`")
    args = parser.parse_args()
    sizes = [[int(n) for n in list_.split(",")] for list_ in (args.images, args.queries)]
    length = max(map(len, sizes))
    runs = []
    for n_images, n_queries in zip(*([*size, *[size[-1]] * (length - len(size))] for size in sizes)):
        with tempfile.TemporaryDirectory(dir=".") as name:
            folder = Path(name).resolve()
            write_data(folder, n_images, n_queries)
            (folder / "spec.yaml").write_text(SPEC.format(bert=args.bert.resolve(), resnet=args.resnet.resolve()))
            runs.append((n_images, n_queries, peaks(str(args.program.resolve()), folder, args.more)))
    if args.json:
        peak = max(found[""] for _, _, found in runs)
        print(json.dumps({"work": "peak memory, both encoders", "peak_mb": peak, "goal_mb": 600}))
        return
    stages = [stage for stage in runs[0][2] if stage]
    rows = [
        [f"{i:,}", f"{q:,}", *(f"{found[stage]:.0f}" for stage in stages), f"{found['']:.0f}"] for i, q, found in runs
    ]
    measure.table(["images", "queries", *stages, "all, MB"], rows)


if __name__ == "__main__":
    main()
