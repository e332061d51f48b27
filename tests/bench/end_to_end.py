"""Times the whole baseline experiment with encoders of full size beside PyTorch, alternately.

    python tests/bench/end_to_end.py INPUTS [--rounds 3] [--reference 1]     # INPUTS: as inputs.py wrote them

cold         an empty store: decode, encode, train and evaluate 500 + 500 images and their queries
temperature  the same store after another temperature
The notebook's way takes minutes, so it runs --reference times only. Peers count from after their imports; the program's
time is that of its whole process.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import measure

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def pytorch(way: str, args, temperature: float) -> dict:
    folder = Path(args.inputs)
    command = [sys.executable, HERE / "notebook.py", way, folder / "data", folder / "models"]
    command += ["--threads", str(args.threads), "--images", str(args.images), "--temperature", str(temperature)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def pipeline(args, store: Path, temperature: float) -> dict:
    inputs = Path(args.inputs).resolve()
    command = [Path(args.program).resolve(), "run", args.scratch / "pipelines" / "baseline.yaml", "--artifacts", store]
    settings = {"vars.data": inputs / "data", "vars.models": inputs / "models"}
    for side in ("train", "valid"):
        settings[f"{side}-images.params.max_samples"] = args.images
        settings[f"{side}-text-features.params.model"] = inputs / "models" / "bert"
        settings[f"{side}-image-features.params.model"] = inputs / "models" / "resnet"
    settings["projection.params.temperature"] = temperature
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    run = measure.run([str(part) for part in command], args.scratch, {"RAYON_NUM_THREADS": str(args.threads)})
    newest = max((store / "runs").iterdir(), key=lambda folder: folder.stat().st_mtime)
    metrics = json.loads((newest / "metrics.json").read_text())
    return {"seconds": run["wall_s"], "mean_recall": metrics["evaluate"]["mean_recall"], "peak_mb": run["peak_mb"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reference", type=int, default=1, help="rounds in which the notebook's way runs, too")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--program", default=str(ROOT / "target/release/pipeline"))
    parser.add_argument("--json", action="store_true", help="print rows for peers.py")
    args = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        args.scratch = Path(folder)
        # Run from a copy, since the spec publishes its heads beside itself.
        (args.scratch / "pipelines").mkdir()
        shutil.copy(ROOT / "pipelines" / "baseline.yaml", args.scratch / "pipelines")
        for round_idx in range(args.rounds):
            store = args.scratch / "store"
            shutil.rmtree(store, ignore_errors=True)
            store.mkdir()
            times = {"cold": pipeline(args, store, 0.07), "temperature": pipeline(args, store, 0.05)}
            times["optimised"] = pytorch("optimised", args, 0.07)
            if round_idx < args.reference:
                times["notebook"] = pytorch("notebook", args, 0.07)
            rounds.append(times)
            print(json.dumps(times), file=sys.stderr, flush=True)

    def row(work, peer, goal):
        both = [times for times in rounds if peer in times]
        ratio = statistics.median(times[peer]["seconds"] / times[work]["seconds"] for times in both)
        seconds = [statistics.median(times[name]["seconds"] for times in both) for name in (work, peer)]
        return {
            "work": f"baseline, {args.images} + {args.images} images: {work}",
            "peer": f"PyTorch, {peer}",
            "ours_s": seconds[0],
            "peer_s": seconds[1],
            "ratio": ratio,
            "goal": goal,
        }

    compared = [("cold", "notebook", 5), ("cold", "optimised", 1.5), ("temperature", "notebook", 100)]
    rows = [row(work, peer, goal) for work, peer, goal in compared if peer in rounds[0]]
    if args.json:
        print(json.dumps(rows))
        return
    measure.table(measure.RATIO_HEAD, [measure.ratio_cells(row) for row in rows])
    recalls = {name: run["mean_recall"] for name, run in rounds[0].items()}
    print(f"MeanRecall: {recalls}; peak memory of the cold run {rounds[0]['cold']['peak_mb']:.0f} MB")


if __name__ == "__main__":
    main()
