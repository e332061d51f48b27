#!/usr/bin/env python3
"""Steps of training a second where kernels do nothing: training_ceiling.py FOLDER PROGRAM [PROGRAM ...]

The stand-in (standin/) takes no time for a kernel, so that the host's work is left: no card can be faster. Programs are
built with the feature `cuda`, and take turns. Features are of usual widths: 768 and 2,048 numbers, mapped to 512.
"""

import itertools
import json
import statistics
import sys
from pathlib import Path

import inputs
import results

WIDTHS = {"text": 768, "image": 2048}
N_PAIRS = 2048
BATCHES = (16, 128, 1024)
ROUNDS = 3
# The passes over the pairs of a short training. A long one makes so many steps more: the difference has no start in it.
EPOCHS = 2
MORE_STEPS = 2560
# Those of which each step is counted.
TRAININGS = {
    "plain": {},
    "mlp": {"head": "mlp", "hidden_dim": 512},
    "all options": {"head": "mlp", "hidden_dim": 512, "learn_temperature": True, "positives": "mask", "anchor": 0.01},
}


def trained(standin, store, batch, epochs, params):
    """What a training took: its seconds, and the calls of the driver in its process."""
    stages = inputs.vectors(standin.folder / "ceiling", N_PAIRS, WIDTHS)
    training = {"projection_dim": 512, "batch_size": batch, "epochs": epochs, **params}
    of_training = {"queries": "queries", "text": "text", "images": "image"}
    stages["train"] = {"kind": "train-projection", "inputs": of_training, "params": training}
    (standin.folder / "ceiling.yaml").write_text(inputs.spec(stages))
    counts = standin.folder / "ceiling.jsonl"
    arguments = ("--force", "train")
    idle = {"STANDIN_IDLE": standin.probe_launches, "STANDIN_COUNTS": counts}
    done = standin.run("ceiling.yaml", store, compiles=False, arguments=arguments, **idle)
    if done.returncode:
        raise RuntimeError(done.stderr[-1000:])
    newest = max(store.glob("runs/*/events.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    events = map(json.loads, newest.read_text().splitlines())
    [finished] = [event for event in events if event["event"] == "stage-finished" and event["stage"] == "train"]
    return finished["report"]["seconds"]["train"], results.counts(counts)


def of_a_step(standin, params, batch=16):
    """Launches of a step, and uploads, downloads and waits of an epoch."""
    store = standin.folder / "ceiling-cuda"
    short, long = (trained(standin, store, batch, epochs, params)[1] for epochs in (1, 3))
    difference = {name: (long[name] - short[name]) / 2 for name in ("launch", "upload", "download", "sync")}
    return difference["launch"] * batch / N_PAIRS, difference["upload"], difference["download"], difference["sync"]


def main():
    import run  # It imports this file for its checks.

    folder, programs = Path(sys.argv[1]).resolve(), [Path(word).resolve() for word in sys.argv[2:]]
    folder.mkdir(parents=True, exist_ok=True)
    toolkit, reason = run.prepared(folder)
    if reason:
        print(f"skipped: {reason}")
        return
    standins = [run.StandIn(program, folder, toolkit) for program in programs]
    for name, params in TRAININGS.items():
        for standin in standins:
            launches, uploads, downloads, syncs = of_a_step(standin, params)
            print(f"{standin.program.name}, {name}, batch 16: {launches:g} launches a step", end="; ")
            print(
                f"{uploads:g} uploads, {downloads:g} downloads and {syncs:g} waits an epoch of {N_PAIRS // 16} steps",
                flush=True,
            )
    for (name, params), batch in itertools.product(list(TRAININGS.items())[:2], BATCHES):
        rates = {standin: [] for standin in standins}
        for _ in range(ROUNDS):
            for standin in standins:
                lengths = (EPOCHS, EPOCHS + MORE_STEPS * batch // N_PAIRS)
                short, long = (
                    trained(standin, folder / "ceiling-cuda", batch, epochs, params)[0] for epochs in lengths
                )
                rates[standin].append(MORE_STEPS / (long - short))
        medians = [statistics.median(rates[standin]) for standin in standins]
        words = [f"{standin.program.name} {rate:,.0f}" for standin, rate in zip(standins, medians)]
        print(
            f"{name}, batch {batch}: steps a second: {', '.join(words)}; first to last {medians[0] / medians[-1]:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
