"""Times runs that share a new store: one alone, then some at once, and counts shards that were computed twice.

    python3 tests/bench/side_by_side.py [--pipeline PATH] [--runs N] [--rounds N] [--one-stage]
        [--share] [--without-locks]

Every run has one job and one thread, so that a second one can make up for it only by computing other shards.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import measure

ROOT = Path(__file__).resolve().parents[2]


ONE_STAGE = """stages:
  images: { kind: decode-images, params: { path: images.tsv } }
"""


def demo(folder):
    """The stages of the demo, most of them of one shard to three."""
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    return "pipelines/demo.yaml"


def one_stage(folder):
    """A single stage of 17 shards: the demo's images, each four times."""
    (folder / "spec.yaml").write_text(ONE_STAGE)
    images = (ROOT / "pipelines/demo/data/MR_train_imgs.tsv").read_text().splitlines()
    with open(folder / "images.tsv", "w", encoding="ascii") as tsv:
        tsv.writelines(f"{turn}-{image}\n" for turn in range(4) for image in images)
    return "spec.yaml"


def no_locks(folder):
    """A library with which no file can be locked."""
    library = Path(folder) / "no_locks.so"
    source = ROOT / "tests/it/no_locks.c"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library)}


def run_at_once(program, prepare, n_runs, has_shares, variables):
    """Starts runs on a new store; returns the wall time until all have ended, the events of each, and
    the number of results in the store."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        spec = prepare(folder)
        options = ["--json", "--jobs", "1", "--threads", "1", "--artifacts", "artifacts"]
        command = [program, "run", spec, *options]
        shares = [["--share", f"{idx}/{n_runs}"] if has_shares else [] for idx in range(n_runs)]
        environment = {**os.environ, **variables}
        began = time.perf_counter()
        runs = [
            subprocess.Popen(
                [*command, *share],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for share in shares
        ]
        outputs = [run.communicate()[0] for run in runs]
        wall_s = time.perf_counter() - began
        if any(run.returncode for run in runs):
            raise SystemExit(f"a run exited with {[run.returncode for run in runs]}")
        n_records = sum(1 for _ in folder.glob("artifacts/store-v1/actions/*/*.json"))
    return wall_s, [[json.loads(line) for line in output.splitlines()] for output in outputs], n_records


def count(events, *names):
    return sum(event.get("n_shards_computed", 0) for event in events if event["event"] in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipeline", default=str(ROOT / "target/release/pipeline"), help="the program")
    parser.add_argument("--runs", type=int, default=2, help="runs at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one-stage", action="store_true", help="decode 2,400 images instead of running the demo")
    parser.add_argument("--share", action="store_true", help="give each run a share")
    parser.add_argument("--without-locks", action="store_true", help="as on a file system without locks")
    options = parser.parse_args()
    libraries = tempfile.TemporaryDirectory()
    variables = no_locks(libraries.name) if options.without_locks else {}
    program = str(Path(options.pipeline).resolve())
    prepare = one_stage if options.one_stage else demo
    alone, together, n_twice, n_helped = [], [], 0, 0
    for _ in range(options.rounds):
        wall_s, [events], n_records = run_at_once(program, prepare, 1, False, variables)
        alone.append(wall_s)
        n_shards = count(events, "stage-finished")
        wall_s, runs, n_together = run_at_once(program, prepare, options.runs, options.share, variables)
        together.append(wall_s)
        events = [event for run in runs for event in run]
        n_helped += count(events, "stage-helped")
        n_twice += count(events, "stage-finished", "stage-helped") - n_shards
        assert n_together == n_records, f"{n_together} results, and {n_records} of one run"
    alone_s, together_s = statistics.median(alone), statistics.median(together)
    print(measure.machine())
    head = [
        "runs at once",
        "shards",
        "one alone",
        "all at once",
        "times as fast",
        "shards by helpers",
        "computed twice",
    ]
    seconds = [f"{alone_s:.2f} s", f"{together_s:.2f} s", f"{alone_s / together_s:.2f}"]
    cells = [options.runs, n_shards, *seconds, n_helped, n_twice]
    measure.table(head, [cells])


if __name__ == "__main__":
    main()
