"""Times the hashing of sources beside b3sum: one file of 2 GiB, and 10,000 files of 16 KiB; then again, untouched.

    python3 tests/bench/hashing.py --rounds 5 [--pipeline PATH] [--b3sum PATH]

`pipeline status` plans, which hashes the sources of a store that knows nothing yet; the files lie in the page cache.
Untouched: `pipeline run` when nothing has changed.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import measure

ROOT = Path(__file__).resolve().parents[2]
SPEC = "stages:\n  read: {{ kind: command, params: {{ run: [touch, out], outputs: [out], sources: [{source}] }} }}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pipeline", type=Path, default=ROOT / "target/release/pipeline")
    parser.add_argument("--b3sum", default="b3sum")
    arguments = parser.parse_args()
    pipeline = str(arguments.pipeline.resolve())
    print(f"{measure.machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        with open(folder / "big.bin", "wb") as big:
            for _ in range(128):
                big.write(os.urandom(16 << 20))
        (folder / "small").mkdir()
        for idx in range(10_000):
            (folder / f"small/{idx:05d}").write_bytes(os.urandom(16 << 10))
        rows = []
        for source, command in [
            ("big.bin", [arguments.b3sum, "big.bin"]),
            ("small", ["sh", "-c", f"{arguments.b3sum} small/*"]),
        ]:
            (folder / "spec.yaml").write_text(SPEC.format(source=source))
            ours, theirs, untouched = [], [], []
            for _ in range(arguments.rounds + 1):
                theirs.append(measure.run(command, folder))
                shutil.rmtree(folder / "artifacts", ignore_errors=True)
                ours.append(measure.run([pipeline, "status", "spec.yaml"], folder))
            for _ in range(arguments.rounds + 1):
                untouched.append(measure.run([pipeline, "run", "-q", "spec.yaml"], folder))
            # The first of each warms the page cache, or fills the store.
            wall, peer, again = measure.median(ours[1:]), measure.median(theirs[1:]), measure.median(untouched[1:])
            rows.append(
                [
                    source,
                    f"{wall * 1000:.0f} ms",
                    f"{peer * 1000:.0f} ms",
                    f"{wall / peer:.2f}",
                    f"{again * 1000:.0f} ms",
                ]
            )
        measure.table(["source", "pipeline", "b3sum", "pipeline / b3sum", "untouched"], rows)


if __name__ == "__main__":
    main()
