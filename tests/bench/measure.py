"""Times whole commands: wall seconds, seconds of processor, peak memory. Commands are alternated by the callers."""

import os
import statistics
import subprocess
import sys
import tempfile
import time


def run(command, folder, environment=None, may_fail=False):
    """Runs a command once; returns {wall_s, cpu_s, peak_mb}."""
    with tempfile.NamedTemporaryFile("r") as times, tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        timed = ["/usr/bin/time", "-f", "%M %U %S", "-o", times.name, *command]
        environment = {**os.environ, **(environment or {})}
        process = subprocess.run(
            timed,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        wall_s = time.perf_counter() - began
        if process.returncode and not may_fail:
            output.seek(0)
            sys.exit(f"{command} exited with {process.returncode}:\n{output.read()[-2000:]}")
        peak_kb, user_s, system_s = times.read().split()[-3:]
    return {"wall_s": wall_s, "cpu_s": float(user_s) + float(system_s), "peak_mb": int(peak_kb) / 1024}


def median(runs, what="wall_s"):
    return statistics.median(run[what] for run in runs)


def machine():
    """One line on the processor, for tables."""
    with open("/proc/cpuinfo") as lines:
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{name}, {os.cpu_count()} processors"


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


RATIO_HEAD = ["work", "peer", "pipeline", "peer's time", "times as fast", "goal"]


def ratio_cells(row):
    """A row {work, peer, ours_s, peer_s, ratio, goal} as cells under RATIO_HEAD; without a goal, "–"."""
    goal = "–" if row["goal"] is None else f"≥ {row['goal']}"
    return [row["work"], row["peer"], seconds(row["ours_s"]), seconds(row["peer_s"]), f"{row['ratio']:.2f}", goal]


def seconds(value):
    return f"{value:.2f} s" if value >= 10 else f"{value * 1e3:.2f} ms" if value < 1 else f"{value:.3f} s"
