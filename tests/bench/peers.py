"""Runs every comparison with PyTorch, ONNX Runtime, OpenVINO, faiss, Pillow, simplejpeg and numpy, and prints one table
of ratios.

    tests/bench/setup_peers.sh                        # once: target/peers, with inputs of full size
    cargo build --release --locked --workspace --examples --bins
    target/peers/bin/python tests/bench/peers.py [--rounds 5] [--only bert,search]     # about half an hour

Each comparison alternates the program and its peers within a round; a ratio is the median over the rounds of the peer's
time by the program's.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import measure

HERE = Path(__file__).resolve().parent


def comparisons(inputs: Path) -> dict:
    """The commands by name, without what all of them take."""
    model = lambda name: inputs / "models" / name
    return {
        "bert": ["texts.py", model("bert")],
        "queries": ["texts.py", model("bert"), "--queries", inputs / "data" / "MR_valid_queries.jsonl"],
        "clip-text": ["texts.py", model("chinese-clip")],
        "resnet": ["images.py", model("resnet")],
        "vit": ["images.py", model("vit")],
        "convnext": ["images.py", model("convnext")],
        "clip-image": ["images.py", model("chinese-clip")],
        "decode": ["decode.py"],
        "training": ["training.py"],
        "search": ["search.py"],
        "vectors": ["vectors.py"],
        "end-to-end": ["end_to_end.py", inputs],
    }


def rows_of(text: str) -> list:
    """The rows that a comparison printed, one JSON object or one list of them a line."""
    printed = [json.loads(line) for line in text.splitlines() if line.startswith(("{", "["))]
    return [row for value in printed for row in (value if isinstance(value, list) else [value])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=Path, default=Path("target/peers/inputs"), help="as inputs.py wrote them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="names, separated by commas: " + ", ".join(comparisons(Path())))
    args = parser.parse_args()
    commands = comparisons(args.inputs.resolve())
    names = args.only.split(",") if args.only else list(commands)
    unknown = [name for name in names if name not in commands]
    if unknown:
        sys.exit(f"no comparison is called {', '.join(unknown)}; there are {', '.join(commands)}")
    failed, cells = [], []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        began = time.perf_counter()
        script, *rest = commands[name]
        command = [sys.executable, HERE / script, *rest, "--rounds", str(args.rounds), "--json"]
        run = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False)
        if run.returncode:
            failed.append(name)
            continue
        cells += [[*measure.ratio_cells(row), row.get("share", "–")] for row in rows_of(run.stdout)]
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"{measure.machine()}, medians of {args.rounds} rounds\n")
    measure.table([*measure.RATIO_HEAD, "of the FMA peak"], cells)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
