"""Peak memory and seconds of `export` and `report` on features of any size, beside another program's.

    pip install numpy
    cargo build --release --locked --workspace
    python tests/bench/exporting.py [--program target/release/pipeline,OTHER] [--images 129380] [--texts 248786]

The features are made up: as many and as wide as those of all of MUGE. Programs are alternated. The peak is that of the
whole process.
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure
from streaming import write_split

SPEC = """name: exporting
stages:
  queries: { kind: load-queries, params: { path: all.jsonl } }
  text: { kind: import-text-features, inputs: { queries: queries }, params: { path: all-text.npy, ids: all-text.txt } }
  images: { kind: import-image-features, params: { path: all-images.npy, ids: all-images.txt } }
  heads: { kind: train-projection, inputs: { queries: queries, text: text, images: images }, params: { epochs: 0 } }
  few-queries: { kind: load-queries, params: { path: few.jsonl } }
  few-text: { kind: import-text-features, inputs: { queries: few-queries }, params: { path: few-text.npy, ids: few-text.txt } }
  evaluate: { kind: evaluate-recall, inputs: { queries: few-queries, text: few-text, images: images, projection: heads } }
"""

COMMANDS = {
    "export npy": ["export", "spec.yaml", "images"],
    "export safetensors": ["export", "spec.yaml", "images", "--format", "safetensors"],
    "export parquet-lists": ["export", "spec.yaml", "images", "--format", "parquet-lists"],
    "export --heads": ["export", "spec.yaml", "images", "--heads", "heads"],
    "report": ["report", "spec.yaml"],
}


def run(command: list[str], folder: Path) -> tuple[float, float]:
    """The peak in MB, and the seconds."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} exited with {os.waitstatus_to_exitcode(status)}: {errors.decode()}")
    return usage.ru_maxrss / 1024, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/pipeline", help="one or more, with commas between")
    parser.add_argument("--images", type=int, default=129380)
    parser.add_argument("--texts", type=int, default=248786)
    parser.add_argument("--few", type=int, default=500, help="queries of the evaluation")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=".", help="on the disk to be timed")
    args = parser.parse_args()
    programs = [str(Path(program).resolve()) for program in args.program.split(",")]
    rows = []
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name).resolve()
        for split in [("all", args.images, args.texts, (2048, 768), 1), ("few", 1, args.few, (2048, 768), 3)]:
            # In a process of its own: the peak of a program counts that of the process which starts it.
            writer = multiprocessing.Process(target=write_split, args=(folder, *split))
            writer.start()
            writer.join()
        (folder / "spec.yaml").write_text(SPEC)
        run([programs[0], "run", "spec.yaml"], folder)
        for what, command in COMMANDS.items():
            output = ["-o", "report.html"] if what == "report" else ["-o", "exports", "--force"]
            found = [[run([program, *command, *output], folder) for program in programs] for _ in range(args.rounds)]
            shutil.rmtree(folder / "exports", ignore_errors=True)
            for idx, program in enumerate(programs):
                peak = max(round_[idx][0] for round_ in found)
                seconds = statistics.median(round_[idx][1] for round_ in found)
                rows.append([what, Path(program).name, f"{peak:.0f}", f"{seconds:.2f}"])
    print(measure.machine())
    measure.table(["command", "program", "MB", "s"], rows)


if __name__ == "__main__":
    main()
