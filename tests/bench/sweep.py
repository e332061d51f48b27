"""Times a sweep of 24 points on the demo, from an empty store, beside one run of a peer, alternately.

    python tests/bench/sweep.py [--rounds 5] [--peer 'python train.py --data DATA …'] [--json FILE]

The sweep is pipelines/experiments/grid.yaml: 4 temperatures × 2 widths × 3 seeds. `--peer` is a command that trains and
evaluates one point on the same data, features extracted by itself; 24 points cost it 24 times that. Also told: how
often each stage of features ran in a sweep, and what a second sweep and one more temperature cost.
"""

import argparse
import json
import shlex
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

import measure

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = ROOT / "target/release/pipeline"
N_POINTS = 24


def sweep(program, artifacts, *more):
    command = [
        str(program),
        "sweep",
        str(ROOT / "pipelines/experiments/grid.yaml"),
        "--artifacts",
        artifacts,
        "--quiet",
    ]
    return measure.run([*command, *more], ROOT)["wall_s"]


def starts(artifacts):
    """How often each stage that does not depend on the point began to run, over all runs of the store."""
    events = (json.loads(line) for path in Path(artifacts).glob("runs/*/events.jsonl") for line in path.open())
    return Counter(
        event["stage"] for event in events if event["event"] == "stage-started" and "." not in event["stage"]
    )


def round_of(args, at):
    with tempfile.TemporaryDirectory() as artifacts:
        times = {"sweep": sweep(args.program, artifacts)}
        times["again"] = sweep(args.program, artifacts)
        times["one more"] = sweep(
            args.program, artifacts, "--axis", "projection.params.temperature=[0.03, 0.05, 0.07, 0.1, 0.2]"
        )
        counts = starts(artifacts)
    if set(counts.values()) != {1} or len(counts) != 8:
        sys.exit(f"a stage of features ran more than once, or not at all: {dict(counts)}")
    if args.peer:
        times["peer"] = measure.run(shlex.split(args.peer), ROOT)["wall_s"]
    print(f"round {at}: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in times.items()), flush=True)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=PIPELINE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", help="a command that runs one point")
    parser.add_argument("--json", type=Path, help="write the row for the table of all benchmarks")
    args = parser.parse_args()
    rounds = [round_of(args, at + 1) for at in range(args.rounds)]
    median = {name: statistics.median(times[name] for times in rounds) for name in rounds[0]}
    print(measure.machine())
    print("each of the 8 stages up to the features ran once per store")
    rows = [[name, f"{seconds:.2f}"] for name, seconds in median.items()]
    measure.table(["work", "median s"], rows)
    if args.peer:
        ratio = statistics.median(times["peer"] * N_POINTS / times["sweep"] for times in rounds)
        print(f"{N_POINTS} runs of the peer take {ratio:.1f} times as long as the sweep")
        row = {
            "work": "sweep of 24 points on the demo",
            "peer": "24 runs of a PyTorch script",
            "ours_s": median["sweep"],
        }
        row |= {"peer_s": median["peer"] * N_POINTS, "ratio": ratio, "goal": 1.0}
        if args.json:
            args.json.write_text(json.dumps([row]) + "\n")


if __name__ == "__main__":
    main()
