"""Compares a grid with random, Sobol and halved sweeps on the demo: points and seconds until the grid's best
MeanRecall.

    python tests/bench/draws.py [--program target/release/pipeline] [--seeds 5] [--jobs 1]

All of them train on four fifths of the demo's training queries and choose an epoch, or a point, by the rest, as
pipelines/experiments/halving.yaml does; MeanRecall is that of `evaluate` on the valid queries. The grid is 3 x 3 x 3
points over the same ranges from which 27 points are drawn for each seed. Seconds are those of the stages of a point,
one stage at once; features are extracted before. Halving is one answer: its best point, and the seconds of all rungs.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

import measure

ROOT = Path(__file__).resolve().parents[2]
LISTS = {"lr": "[1e-4, 3e-3, 1e-1]", "temperature": "[0.01, 0.07, 0.5]", "batch_size": "[8, 32, 64]"}
RANGES = {
    "lr": "{log_uniform: [1e-4, 1e-1]}",
    "temperature": "{log_uniform: [0.01, 0.5]}",
    "batch_size": "{int_uniform: [8, 64], step: 8}",
}
PLAIN = "sweep: { projection.params.weight_decay: ~, draw: ~, points: ~, halving: ~ }\n"
HALVED = "sweep: { projection.params.weight_decay: ~ }\n"
EPOCHS = 18


class Bench:
    def __init__(self, program, folder, jobs):
        self.program, self.folder, self.jobs = program, Path(folder), jobs
        base = f"extends: {ROOT}/pipelines/experiments/halving.yaml\n"
        stages = f"stages: {{ projection: {{ params: {{ epochs: {EPOCHS} }} }} }}\n"
        (self.folder / "plain.yaml").write_text(base + stages + PLAIN)
        (self.folder / "halved.yaml").write_text(base + HALVED)

    def sweep(self, spec, values, *more):
        """The points of a sweep with the seconds of their own stages, also of those that an earlier sweep computed."""
        axes = [f"--axis=projection.params.{name}={text}" for name, text in values.items()]
        command = [
            self.program,
            "sweep",
            self.folder / spec,
            "--artifacts",
            self.folder / "store",
            "--jobs",
            str(self.jobs),
        ]
        done = subprocess.run([*command, *axes, *more, "--json", "--quiet"], stdout=subprocess.PIPE, check=True)
        report = json.loads(done.stdout)
        keys = {
            event["stage"]: event["key"]
            for event in self.events(report["run"])
            if "artifact" in event and "key" in event
        }
        seconds = {event["key"]: event["seconds"] for event in self.events("*") if event["event"] == "stage-finished"}
        for point in report["points"]:
            own = [point["stages"][name] for name in ("projection", "evaluate") if name in point["stages"]]
            point["seconds"] = sum(seconds[keys[stage]] for stage in {*own, *point.get("rungs", [])})
        return report["points"]

    def events(self, run):
        return [json.loads(line) for path in self.folder.glob(f"store/runs/{run}/events.jsonl") for line in path.open()]


def mean_recall(point):
    return point["metrics"].get("evaluate", {}).get("mean_recall", 0.0)


def until(points, goal):
    """The number of points and seconds until one reaches the goal, or of all of them, and whether one did."""
    spent = 0.0
    for n_points, point in enumerate(points, 1):
        spent += point["seconds"]
        if mean_recall(point) >= goal:
            return n_points, spent, True
    return len(points), spent, False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/pipeline")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args.program, folder, args.jobs)
        grid = bench.sweep("plain.yaml", LISTS)
        goal = max(map(mean_recall, grid))
        n_grid, spent, _ = until(grid, goal)
        whole = sum(point["seconds"] for point in grid)
        rows = [["grid", f"27 ({n_grid})", f"{whole:.1f} ({spent:.1f})", f"{goal:.4f}", "–"]]
        for name in ("random", "halving", "sobol"):
            found = []
            for seed in range(args.seeds):
                more = ["--draw", "random" if name == "halving" else name, "--points", "27", "--seed", str(seed)]
                points = bench.sweep("halved.yaml" if name == "halving" else "plain.yaml", RANGES, *more)
                best = max(map(mean_recall, points))
                if name == "halving":
                    found.append((len(points), sum(point["seconds"] for point in points), best >= goal, best))
                else:
                    found.append((*until(points, goal), best))
            rows.append(row(name, found))
    print(measure.machine())
    print(f"median and range over {args.seeds} seeds of the draws; in brackets: until the grid met its best")
    measure.table(["sweep", "points", "seconds", "best MeanRecall", "seeds that reached the grid's best"], rows)


def row(name, found):
    points, seconds, reached, best = zip(*found)
    spread = lambda values, form: f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"
    return [
        name,
        spread(points, ".0f"),
        spread(seconds, ".1f"),
        spread(best, ".4f"),
        f"{sum(reached)} of {len(reached)}",
    ]


if __name__ == "__main__":
    main()
