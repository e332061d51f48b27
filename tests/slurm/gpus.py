#!/usr/bin/env python3
"""Runs workers of the lane `gpu` on a Slurm cluster of this machine, and compares their results with one process's.

    cargo build --locked --package pipeline-cli --features cuda
    python3 tests/slurm/gpus.py PROGRAM FOLDER

Needs root, the packages slurm-wlm and munge, and what tests/gpu/run.py needs, whose FOLDER it may share. Two of three
nodes have a GPU, which the stand-in of tests/gpu plays; the driver and the other node have none, not even its
libraries. Prints a line for each check; exits with 1 if one fails.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "gpu"))

import faults  # noqa: E402
import inputs  # noqa: E402
import results  # noqa: E402
import run  # noqa: E402

# Copies of each of the few images and queries, so that there is work for two workers.
N_COPIES = 60
# The longest that a driver may take.
LONGEST_RUN_S = 200


def project(folder):
    """A spec of every lane, on data that make several shards."""
    folder.mkdir(parents=True, exist_ok=True)
    text = inputs.sound(folder)
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    images = [line.split("\t") for line in (folder / "images.tsv").read_text().splitlines()]
    shift = 1 + max(int(idx) for idx, _ in images)
    with open(folder / "queries.jsonl", "w", encoding="utf-8") as file:
        for copy in range(N_COPIES):
            for query in queries:
                ids = [item + copy * shift for item in query["item_ids"]]
                row = {
                    "query_id": query["query_id"] + copy * len(queries),
                    "query_text": query["query_text"],
                    "item_ids": ids,
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    with open(folder / "images.tsv", "w", encoding="ascii") as file:
        for copy in range(N_COPIES):
            file.writelines(f"{int(idx) + copy * shift}\t{image}\n" for idx, image in images)
    (folder / "spec.yaml").write_text(text)


def drive(standin, folder, *words):
    """A driver without a GPU, whose workers get the stand-in by an option of `sbatch`."""
    own = standin.environment(standin.kernels, True)
    names = [name for name in own if name.startswith(("STANDIN_", "LD_LIBRARY_PATH", "CUDA_PATH"))]
    export = "--export=ALL," + ",".join(f"{name}={own[name]}" for name in names)
    words = ["run", "spec.yaml", "--artifacts", "artifacts", "--device", "cuda", "--executor", "slurm", *words]
    words += ["--workers", "1", "--sbatch-gpu", f"--gres gpu:1 {export}"]
    log = open(folder / "driver.log", "ab")
    return subprocess.Popen([str(standin.program), *words], cwd=folder, stdout=log, stderr=log)


def workers(folder):
    """The stages of which each worker has computed shards or the whole, by the worker's name."""
    found = {}
    for log in sorted(folder.glob("artifacts/runs/*/workers/*.jsonl")):
        events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        done = {event["stage"] for event in events if event.get("event") in ("shard-computed", "stage-finished")}
        found[log.stem] = sorted(done)
    return found


def main():
    program, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    toolkit, reason = run.prepared(folder)
    if reason:
        sys.exit(f"the stand-in cannot be made: {reason}")
    checks = run.Checks()
    standin = run.StandIn(program, folder, toolkit)
    shutil.rmtree(folder / "slurm", ignore_errors=True)
    alone = folder / "slurm" / "alone"
    project(alone)
    done = standin.run(alone / "spec.yaml", alone / "artifacts")
    checks.say(done.returncode == 0, "one process", done.stderr[-800:] if done.returncode else "")
    if done.returncode:
        return 1
    os.environ["SLURM_GPUS"] = "1"
    for name, fault in (("two workers with a GPU each", None), ("one of their nodes is lost", faults.a_node_is_lost)):
        project_folder = folder / "slurm" / name.replace(" ", "-")
        project(project_folder)
        # Daemons that end may write once more.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base, faults.Cluster(base) as cluster:
            driver = drive(standin, project_folder, "--gpu-workers", "2")
            if fault:
                wait_for_a_shard_of_the_gpu(project_folder, driver)
                cluster.lose("n3")
            code = ended(driver)
        problems = [f"exit {code}"] if code else []
        problems += [
            f"other artifacts of {stage}"
            for stage in results.unequal(alone / "artifacts", project_folder / "artifacts")
        ]
        on_gpu = sorted(
            worker for worker, stages in workers(project_folder).items() if worker.startswith("gpu") and stages
        )
        if not on_gpu:
            problems.append("no worker of the lane has computed anything")
        log = (project_folder / "driver.log").read_text()
        checks.say(not problems, name, "; ".join(problems) + ("\n" + log[-3000:] if problems else ", ".join(on_gpu)))
    print(f"{checks.n_failed} checks failed" if checks.n_failed else "all checks hold")
    return 1 if checks.n_failed else 0


def ended(driver):
    """The exit code of a driver, which is killed if it takes too long."""
    try:
        return driver.wait(LONGEST_RUN_S)
    except subprocess.TimeoutExpired:
        driver.kill()
        return driver.wait()


def wait_for_a_shard_of_the_gpu(folder, driver):
    """Waits until a worker of the lane `gpu` has begun."""
    while driver.poll() is None and not any(log.startswith("gpu") for log in workers(folder)):
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
