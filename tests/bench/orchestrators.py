"""Times `pipeline` beside ninja, make and turbo on the same graph of small stages, in turn.

    python3 tests/bench/orchestrators.py --sizes 5x5,200x10,1000x10,10000x10 --rounds 5 [--turbo PATH] [--pipeline PATH]

A size is STAGESxDEPTH. turbo runs everything once only, and is left out of
sizes above 1,000, where that takes an hour. `no-op`: nothing has changed. `one change`: one input of one chain. `all`:
nothing is there yet. A tool that is not installed is left out; turbo comes from `npm install turbo` and is
`node_modules/@turbo/linux-64/bin/turbo`.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import chains
import measure

ROOT = Path(__file__).resolve().parents[2]


def commands(arguments):
    tools = {
        "pipeline": [str(arguments.pipeline.resolve()), "run", "-q", "--jobs", "2", "pipeline.yaml"],
        "ninja": ["ninja", "-j2"],
        "make": ["make", "-j2", "all"],
        "turbo": [arguments.turbo, "run", "build", "--output-logs=none", "--concurrency=2", "--no-update-notifier"],
    }
    return {tool: command for tool, command in tools.items() if shutil.which(command[0])}


def forget(tool, folder, depth):
    """Removes every output and everything remembered."""
    for name in [".turbo", ".ninja_log", ".ninja_deps", "artifacts"]:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if tool == "turbo":
        for package in (folder / "p").iterdir():
            (package / "out.txt").unlink(missing_ok=True)
            shutil.rmtree(package / ".turbo", ignore_errors=True)
    else:
        for layer in range(1, depth + 1):
            shutil.rmtree(folder / f"d{layer}", ignore_errors=True)
            (folder / f"d{layer}").mkdir()


def change(tool, folder, text):
    (folder / ("p/s1-00000/in.txt" if tool == "turbo" else "d0/00000.txt")).write_text(text)


def is_right(tool, folder, depth):
    first, last = (
        ("p/s1-00000/in.txt", f"p/s{depth}-00000/out.txt")
        if tool == "turbo"
        else ("d0/00000.txt", f"d{depth}/00000.txt")
    )
    return (folder / first).read_text() == (folder / last).read_text()


def compare(tools, n_stages, depth, n_rounds, folder):
    folders = {tool: folder / f"{tool}-{n_stages}" for tool in tools}
    for tool, path in folders.items():
        chains.write(tool, n_stages, depth, path)
    quiet = {"TURBO_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1"}
    for scenario in ["all", "no-op", "one change"]:
        runs = {tool: [] for tool in tools}
        for round_idx in range(n_rounds if scenario != "all" or n_stages < 5000 else 3):
            for tool, command in tools.items():
                if scenario == "all" and tool == "turbo" and round_idx > 0:
                    continue
                if scenario == "all":
                    forget(tool, folders[tool], depth)
                if scenario == "one change":
                    change(tool, folders[tool], f"changed {scenario} {round_idx}\n")
                runs[tool].append(measure.run(command, folders[tool], quiet))
                assert is_right(tool, folders[tool], depth), tool
        ours = measure.median(runs["pipeline"])
        yield from (
            [
                n_stages,
                scenario,
                tool,
                f"{measure.median(tool_runs) * 1000:.0f} ms",
                f"{ours / measure.median(tool_runs):.2f}",
                f"{measure.median(tool_runs, 'cpu_s'):.2f} s",
                f"{measure.median(tool_runs, 'peak_mb'):.0f} MB",
            ]
            for tool, tool_runs in runs.items()
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="5x5,200x10,1000x10,10000x10")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pipeline", type=Path, default=ROOT / "target/release/pipeline")
    parser.add_argument("--turbo", default="turbo")
    arguments = parser.parse_args()
    print(f"{measure.machine()}\n")
    for size in arguments.sizes.split(","):
        n_stages, depth = map(int, size.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            tools = {
                tool: command for tool, command in commands(arguments).items() if tool != "turbo" or n_stages <= 1000
            }
            rows = list(compare(tools, n_stages, depth, arguments.rounds, Path(folder)))
        measure.table(["stages", "scenario", "tool", "wall", "pipeline / tool", "processor", "peak"], rows)


if __name__ == "__main__":
    main()
