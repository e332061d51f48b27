"""Measures the promises about work past one machine: workers side by side, lost workers, and remotes.

    cargo build --release --locked --workspace
    python3 tests/bench/scale.py [--pipeline target/release/pipeline] [--rounds 3] [--only WORD] [--build]

Needs a C compiler. A shard waits half a second (slow_shards.c), so that workers on this machine need no processors of
their own; a remote answers after 25 ms (far_server.py). `--build` counts what the feature `remote` costs: the seconds
of processor of a cold build of its crates, which takes minutes. Exits with 1 if a result differs from that of one
process.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from base64 import b64encode
from pathlib import Path

import measure

ROOT = Path(__file__).resolve().parents[2]
SPEC = "stages:\n  images: { kind: decode-images, params: { path: images.tsv, size: [8, 8] } }\n"
ROWS = []


def row(what, goal, figure):
    ROWS.append([what, goal, figure])
    print(f"{what}: {figure} (goal {goal})", file=sys.stderr, flush=True)


def png(number):
    """An image of 8 × 8 pixels with a colour of its own."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = (b"\0" + struct.pack(">I", number)[1:] * 8) * 8
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def images(folder, n_images):
    (folder / "spec.yaml").write_text(SPEC)
    with open(folder / "images.tsv", "w", encoding="ascii") as tsv:
        tsv.writelines(f"{idx}\t{b64encode(png(idx)).decode()}\n" for idx in range(n_images))


def demo(folder):
    """The demo as a clone has it."""
    shutil.copytree(ROOT / "pipelines", folder / "pipelines", ignore=shutil.ignore_patterns("artifacts"))
    return folder


def library(folder, source):
    path = Path(folder) / f"{source.stem}.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", path, source, "-ldl"], check=True)
    return str(path)


def environment(**variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "AWS_", "GOOGLE_"))}
    return {**kept, **variables}


def events_of(text):
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def artifacts(events):
    return {event["stage"]: event["artifact"] for event in events if "artifact" in event and "stage" in event}


def n_computed(events):
    return sum(event["n_shards_computed"] for event in events if event["event"] in ("stage-finished", "stage-helped"))


class Bench:
    def __init__(self, program, n_rounds):
        self.program, self.n_rounds, self.is_same = program, n_rounds, True
        self.alone = {}

    def start(self, folder, *options, **variables):
        command = [self.program, "run", "spec.yaml", "--json", "--jobs", "1", "--threads", "1", *options]
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, folder, spec, *options, **variables):
        """A run that must succeed; returns its seconds and events."""
        began = time.perf_counter()
        command = [self.program, "run", spec, "--json", *options]
        done = subprocess.run(
            command, cwd=folder, env=environment(**variables), capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            sys.exit(f"{command} exited with {done.returncode}: {done.stderr[-2000:]}")
        return seconds, events_of(done.stdout)

    def compare(self, what, found):
        """Results of a kind are the same, wherever they were computed."""
        expect = self.alone.setdefault(what, found)
        if expect != found:
            print(f"OTHER RESULTS of {what}", file=sys.stderr)
            self.is_same = False

    def workers(self, n_workers, libraries, kill_after=None, **variables):
        """Runs workers on a new store. Returns the seconds, the shards computed beyond one time each, and all
        shards.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            images(folder, self.n_images)
            began = time.perf_counter()
            shares = [["--share", f"{idx}/{n_workers}"] if n_workers > 1 else [] for idx in range(n_workers)]
            runs = [self.start(folder, *share, LD_PRELOAD=libraries, **variables) for share in shares]
            if kill_after is not None:
                time.sleep(kill_after)
                runs[0].kill()
                runs[0].communicate()
            texts = [run.communicate()[0] for run in runs[kill_after is not None :]]
            seconds = time.perf_counter() - began
            all_events = [events_of(text) for text in texts]
            if any(run.returncode for run in runs[kill_after is not None :]):
                sys.exit("a worker has failed")
            for events in all_events:
                self.compare("48 shards", artifacts(events))
            n_shards = len(list(folder.glob("artifacts/store-v1/actions/*/*.json"))) - 1
            return seconds, sum(map(n_computed, all_events)) - n_shards, n_shards

    def side_by_side(self, folder):
        """Workers side by side, with locks and without, and one that is lost."""
        slow = library(folder, ROOT / "tests/bench/slow_shards.c")
        unlocked = f"{slow} {library(folder, ROOT / 'tests/it/no_locks.c')}"
        self.n_images = 6460
        one, _, n_shards = self.workers(1, slow)
        row("one worker, equal shards of 0.5 s", "–", f"{one:.1f} s, {n_shards} shards")
        for n_workers, goal in [(3, "≥ 2.6×"), (6, "–")]:
            for libraries, words, goal_twice in [(slow, "with locks", 0), (unlocked, "without locks", n_shards // 5)]:
                found = [self.workers(n_workers, libraries) for _ in range(self.n_rounds)]
                seconds = statistics.median(seconds for seconds, _, _ in found)
                row(f"{n_workers} workers, {words}", goal, f"{seconds:.1f} s, {one / seconds:.2f}×")
                n_twice = max(n_more for _, n_more, _ in found)
                row(
                    f"shards computed twice by {n_workers} workers, {words}",
                    f"≤ {goal_twice}",
                    f"{n_twice} of {n_shards}",
                )
                if (n_workers, libraries) == (3, slow):
                    three = seconds
        found = []
        for _ in range(self.n_rounds):
            with Far(25) as far:
                writes = {"PIPELINE_REMOTE": far.url, "PIPELINE_REMOTE_ACCESS": "write"}
                found.append(self.workers(3, slow, **writes))
        seconds = statistics.median(seconds for seconds, _, _ in found)
        n_twice = max(n_more for _, n_more, _ in found)
        figure = f"{seconds:.1f} s, {one / seconds:.2f}×, {n_twice} computed twice"
        row("3 workers, with locks, that write to a remote 25 ms away", "–", figure)
        lost_at = three / 2
        found = [self.workers(3, slow, lost_at)[0] for _ in range(self.n_rounds)]
        # Two workers do what the third has not done yet.
        expect = lost_at + (three - lost_at) * 3 / 2
        more = statistics.median(found) - expect
        row("one worker of three killed, beyond the lost capacity", "≤ 1.5 s", f"{more:+.1f} s ({expect + more:.1f} s)")

    def remote(self, folder):
        """Runs with a remote that answers after 25 ms."""
        with Far(25) as far:
            spec, first = "pipelines/demo.yaml", demo(folder / "first")
            _, events = self.run(first, spec, PIPELINE_REMOTE=far.url, PIPELINE_REMOTE_ACCESS="write")
            self.compare("the demo", artifacts(events))
            n_before = far.counts()["n_requests"]
            for words, variables in [("without", {}), ("with", {"PIPELINE_REMOTE": far.url})]:
                times = [self.run(first, spec, **variables)[0] for _ in range(5 * self.n_rounds)]
                n_requests = far.counts()["n_requests"] - n_before
                goal = "≤ 15 ms, 0 requests" if variables else "–"
                row(
                    f"nothing changed, {words} a remote",
                    goal,
                    f"{statistics.median(times) * 1e3:.1f} ms, {n_requests} requests",
                )
            found = []
            for number in range(self.n_rounds):
                fresh, before = demo(folder / f"fresh-{number}"), far.counts()
                seconds, events = self.run(fresh, spec, PIPELINE_REMOTE=far.url)
                self.compare("the demo", artifacts(events))
                n_started = sum(event["event"] == "stage-started" for event in events)
                n_bytes = far.counts()["object_bytes"] - before["object_bytes"]
                published = sum(
                    Path(event["path"]).stat().st_size for event in events if event["event"] == "file-published"
                )
                found.append((seconds, n_bytes - published, published, n_started))
            seconds, n_bytes, published, n_started = sorted(found)[len(found) // 2]
            figure = f"{seconds:.2f} s, {n_started} stages run, {n_bytes} bytes beside {published} that it publishes"
            row("the demo on a fresh machine, its remote 25 ms away", "≤ 0.5 s, 0 bytes of objects", figure)

    def look_ups(self, folder):
        """A stage of a thousand shards whose records the remote has, and not that of the stage."""
        folder = folder / "shards"
        folder.mkdir()
        images(folder, 155_000)
        store = folder / "artifacts/store-v1"
        _, events = self.run(folder, "spec.yaml")
        key = next(event["key"] for event in events if event["event"] == "stage-finished")
        self.compare("a thousand shards", artifacts(events))
        seconds = {}
        for delay in (0, 25):
            with Far(delay) as far:
                push = [self.program, "cache", "push", "spec.yaml", "--remote", far.url]
                subprocess.run(push, cwd=folder, env=environment(), check=True, capture_output=True)
                url = f"{far.url}/store-v1/actions/{key[:2]}/{key[2:]}.json"
                urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=10).close()
                found = []
                for _ in range(self.n_rounds):
                    shutil.rmtree(folder / "other", ignore_errors=True)
                    wall_s, events = self.run(folder, "spec.yaml", "--artifacts", "other", PIPELINE_REMOTE=far.url)
                    self.compare("a thousand shards", artifacts(events))
                    if n_computed(events):
                        sys.exit("shards were computed that the remote has")
                    found.append(wall_s)
                seconds[delay] = statistics.median(found)
        n_shards = len(list(store.glob("actions/*/*.json"))) - 1
        figure = f"{seconds[25] - seconds[0]:.2f} s ({seconds[25]:.2f} s a run; {seconds[0]:.2f} s at 0 ms)"
        row(f"{n_shards} shards looked up 25 ms away", "≤ 1 s", figure)

    def black_hole(self, folder):
        """A remote whose packets are lost."""
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        busy = socket.create_connection(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/team"
        folder = folder / "hole"
        folder.mkdir()
        images(folder, 300)
        seconds, n_warnings = {}, 0
        for number in range(self.n_rounds):
            for where, variables in {
                "alone": {},
                "hole": {"PIPELINE_REMOTE": url, "PIPELINE_REMOTE_ACCESS": "write"},
            }.items():
                options = ["--artifacts", f"{where}-{number}"]
                wall_s, events = self.run(folder, "spec.yaml", *options, **variables)
                self.compare("300 images", artifacts(events))
                seconds.setdefault(where, []).append(wall_s)
                n_warnings = max(n_warnings, sum(event["event"] == "remote-off" for event in events))
        hole, alone = (statistics.median(seconds[where]) for where in ("hole", "alone"))
        busy.close()
        full.close()
        row("a run whose remote is a black hole", "≤ 10 s more", f"{hole - alone:+.1f} s, {n_warnings} warning")

    def build(self, folder):
        """The cost of the feature `remote`."""
        cpu = {}
        for package in ("pipeline-store", "pipeline-remote"):
            before = os.times()
            target = folder / package
            command = ["cargo", "build", "--release", "--locked", "-p", package]
            subprocess.run(
                command, cwd=ROOT, env=environment(CARGO_TARGET_DIR=str(target)), check=True, capture_output=True
            )
            after = os.times()
            cpu[package] = after.children_user + after.children_system - before.children_user - before.children_system
            shutil.rmtree(target)
        more = cpu["pipeline-remote"] - cpu["pipeline-store"]
        row("cold build of the crates of `remote`", "≤ 150 s of processor", f"{more:.0f} s")
        trees = []
        for features in ([], ["--no-default-features"]):
            tree = ["cargo", "tree", "-p", "pipeline-cli", "-e", "normal", "--prefix", "none", "--locked", *features]
            text = subprocess.run(tree, cwd=ROOT, check=True, capture_output=True, text=True).stdout
            trees.append({line.removesuffix(" (*)") for line in text.splitlines() if line})
        row("crates of `remote`", "≤ 61", str(len(trees[0] - trees[1])))


class Far:
    """A far server for as long as the block goes on."""

    def __init__(self, milliseconds):
        self.command = [sys.executable, ROOT / "tests/bench/far_server.py", str(milliseconds)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"
        self.url = f"{self.address}/team"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def counts(self):
        with urllib.request.urlopen(f"{self.address}/~counts", timeout=10) as answer:
            return json.load(answer)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pipeline", default=ROOT / "target/release/pipeline", type=Path)
    arguments.add_argument("--rounds", default=3, type=int)
    arguments.add_argument("--only", default="", help="parts whose names have this word")
    arguments.add_argument("--build", action="store_true")
    options = arguments.parse_args()
    bench = Bench(options.pipeline.resolve(), options.rounds)
    parts = [bench.side_by_side, bench.remote, bench.look_ups, bench.black_hole]
    parts = [part for part in parts if options.only in part.__name__] + ([bench.build] if options.build else [])
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            part(Path(folder))
    print(measure.machine())
    measure.table(["what", "goal", "figure"], ROWS)
    sys.exit(not bench.is_same)


if __name__ == "__main__":
    main()
