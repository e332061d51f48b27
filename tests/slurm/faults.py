"""Plays faults of a Slurm cluster of three nodes on this machine, and compares every result with that of one process.

    python3 tests/slurm/faults.py [--pipeline PATH] [--images N] [--kills N] [--only WORD]

Needs root and the packages slurm-wlm and munge. Prints for each fault the seconds until the run ended, the shards that
were computed more than once, and the jobs that were submitted; exits with 1 if a result differs from that of one
process, or a run fails.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from base64 import b64encode
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "tests/slurm/cluster.sh"
NODES = ["n1", "n2", "n3"]
SPEC = "stages:\n  images: { kind: decode-images, params: { path: images.tsv } }\n"


def png(seed, side=128):
    """An image of noise, whose decoding takes about a millisecond."""
    noise = random.Random(seed).randbytes(3 * side)
    rows = b"".join(b"\0" + noise[at:] + noise[:at] for at in range(side))

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def shards(folder, n_images):
    """A spec of one stage of many shards."""
    (folder / "spec.yaml").write_text(SPEC)
    images = [b64encode(png(seed)).decode() for seed in range(8)]
    with open(folder / "images.tsv", "w", encoding="ascii") as tsv:
        tsv.writelines(f"{row}\t{images[row % 8]}\n" for row in range(n_images))
    return "spec.yaml"


def demo(folder, _):
    """The ten stages of the demo."""
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    return "pipelines/demo.yaml"


class Trial:
    """A project in a folder of its own, and its driver on the cluster."""

    def __init__(self, program, prepare, n_images, base):
        self.program = program
        self.folder = Path(tempfile.mkdtemp(dir=base))
        self.spec = prepare(self.folder, n_images)
        self.began = time.perf_counter()

    def command(self, *words):
        return [self.program, *words, "--artifacts", "artifacts"]

    def drive(self, n_workers=3):
        words = self.command("run", self.spec, "--executor", "slurm", "--workers", str(n_workers))
        log = open(self.folder / "driver.log", "ab")
        return subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=log)

    def alone(self):
        words = self.command("run", self.spec, "--threads", "1", "--jobs", "1", "--quiet")
        subprocess.run(words, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def artifacts(self):
        words = self.command("status", self.spec, "--json")
        plan = json.loads(subprocess.run(words, cwd=self.folder, check=True, capture_output=True, text=True).stdout)
        return {stage["stage"]: stage["artifact"] for stage in plan["stages"]}

    def n_computed(self):
        """The shards that workers have computed, as they say it."""
        logs = self.folder.glob("artifacts/runs/*/workers/*.jsonl")
        return sum(text.count('"event":"shard-computed"') for text in (log.read_text(errors="replace") for log in logs))

    def n_done(self):
        """The results in the store: one for each shard and each stage."""
        return sum(1 for _ in self.folder.glob("artifacts/store-v1/actions/*/*.json"))

    def n_shards(self):
        """The shards in the store."""
        return self.n_done() - len(self.artifacts())

    def n_jobs(self):
        return len(re.findall("submitted (?:job|again)", (self.folder / "driver.log").read_text()))

    def wait_for(self, n_done, driver):
        """Waits until the store has so many results, or the run has ended."""
        while self.n_done() < n_done and driver.poll() is None:
            time.sleep(0.02)


class Cluster:
    """Three nodes, started anew for every fault."""

    def __init__(self, base):
        self.folder = Path(tempfile.mkdtemp(dir=base))

    def __enter__(self):
        subprocess.run([CLUSTER, "up", self.folder], check=True)
        os.environ["SLURM_CONF"] = str(self.folder / "slurm.conf")
        return self

    def __exit__(self, *_):
        for process in self.processes():
            kill_step(process)
        subprocess.run([CLUSTER, "down", self.folder], check=True)

    def processes(self, node=None):
        """The processes of tasks, on one node or all: not those of Slurm itself."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                variables = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            of_node = [text for text in variables if text.startswith(b"SLURMD_NODENAME=")]
            conf = f"SLURM_CONF={self.folder}/slurm.conf".encode()
            if conf in variables and of_node and node in (None, of_node[0].split(b"=")[1].decode()):
                found.append(int(folder.name))
        return found

    def daemon(self, name):
        return int((self.folder / f"run/{name}.pid").read_text())

    def lose(self, node):
        """A node with all that runs on it: its daemon, the parents of its tasks, the tasks."""
        kill(self.daemon(f"slurmd-{node}"))
        for process in self.processes(node):
            kill_step(process)

    def restart_controller(self, forgets):
        if forgets:
            shutil.rmtree(self.folder / "state")
            (self.folder / "state").mkdir()
        subprocess.run(["/usr/sbin/slurmctld"], check=True)


def parent_of(process):
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None


def kill_step(process):
    """Ends a process of a task, and the process of Slurm that would report it, if it is its parent."""
    parent = parent_of(process)
    try:
        if parent and b"slurmstepd" in Path(f"/proc/{parent}/cmdline").read_bytes():
            kill(parent)
    except OSError:
        pass  # It has ended meanwhile.
    kill(process)


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def a_task_is_killed(trial, cluster, driver):
    trial.wait_for(9, driver)
    kill(cluster.processes("n2")[-1])


def a_node_is_lost(trial, cluster, driver):
    trial.wait_for(9, driver)
    cluster.lose("n2")


def the_daemon_of_a_node_is_lost(trial, cluster, driver):
    trial.wait_for(9, driver)
    kill(cluster.daemon("slurmd-n2"))


def the_controller_restarts(trial, cluster, driver):
    trial.wait_for(9, driver)
    kill(cluster.daemon("slurmctld"))
    time.sleep(3)
    cluster.restart_controller(forgets=False)


def the_controller_forgets(trial, cluster, driver):
    trial.wait_for(9, driver)
    kill(cluster.daemon("slurmctld"))
    time.sleep(1)
    cluster.restart_controller(forgets=True)


def the_controller_is_gone(trial, cluster, driver):
    trial.wait_for(9, driver)
    kill(cluster.daemon("slurmctld"))


def nothing(_trial, _cluster, _driver):
    pass


FAULTS = [
    nothing,
    a_task_is_killed,
    a_node_is_lost,
    the_daemon_of_a_node_is_lost,
    the_controller_restarts,
    the_controller_forgets,
    the_controller_is_gone,
]


def report(name, trial, expect):
    n_shards, n_computed = trial.n_shards(), trial.n_computed()
    is_same = trial.artifacts() == expect
    seconds = time.perf_counter() - trial.began
    print(
        f"{name:<34} {seconds:6.1f} s   {n_shards} shards, {n_computed - n_shards} more computed   "
        f"{trial.n_jobs()} submissions   {'same results' if is_same else 'OTHER RESULTS'}",
        flush=True,
    )
    return is_same


def played(fault, make, base, expect):
    with Cluster(base) as cluster:
        trial = make()
        driver = trial.drive()
        fault(trial, cluster, driver)
        code = driver.wait()
        if code:
            print(f"{fault.__name__}: the run exited with {code}\n{(trial.folder / 'driver.log').read_text()}")
            return False
        is_same = report(fault.__name__.replace("_", " "), trial, expect)
        shutil.rmtree(trial.folder, ignore_errors=True)
        return is_same


def driver_kills(n_kills, seconds, make, base, expect):
    """Kills the driver at points over a whole run, and runs the same command again."""
    is_same = True
    with Cluster(base):
        for number in range(n_kills):
            trial = make()
            driver = trial.drive()
            time.sleep(seconds * number / n_kills)
            driver.kill()
            driver.wait()
            if code := trial.drive().wait():
                print(f"kill {number}: the second run exited with {code}\n{(trial.folder / 'driver.log').read_text()}")
                is_same = False
            is_same &= report(f"the driver is killed after {seconds * number / n_kills:.1f} s", trial, expect)
            shutil.rmtree(trial.folder, ignore_errors=True)
    return is_same


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pipeline", default=ROOT / "target/release/pipeline", type=Path)
    arguments.add_argument("--images", default=30_000, type=int)
    arguments.add_argument("--kills", default=20, type=int, help="kills of the driver, each in a run of the demo")
    arguments.add_argument("--only", default="", help="faults whose names have this word")
    options = arguments.parse_args()
    program = options.pipeline.resolve()
    is_same = True
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        for prepare in [shards, demo]:

            def make(prepare=prepare):
                return Trial(program, prepare, options.images, base)

            print(f"\n{prepare.__doc__}")
            trial = make()
            trial.alone()
            seconds = time.perf_counter() - trial.began
            expect = trial.artifacts()
            print(f"{'one process, no cluster':<34} {seconds:6.1f} s")
            faults = FAULTS if prepare is shards else [nothing]
            for fault in faults:
                if options.only in fault.__name__:
                    is_same &= played(fault, make, base, expect)
            if prepare is demo and options.only in "driver":
                is_same &= driver_kills(options.kills, seconds, make, base, expect)
    sys.exit(not is_same)


if __name__ == "__main__":
    main()
