"""Times 1,600,000 synthetic images in ten thousand shards: first run, nothing changed, ten rows more, fewer, elsewhere.

    python3 tests/bench/rows.py [--rows N] [--pipeline PATH]

The images are PNGs of 8 x 8 pixels, all different, so that the cost is that of rows and shards and not of decoding.
"""

import argparse
import base64
import json
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import measure

ROOT = Path(__file__).resolve().parents[2]
SPEC = """stages:
  images: { kind: decode-images, params: { path: images.tsv, size: [8, 8] } }
"""


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(number):
    """An image whose pixels are made of a number."""
    row = bytes([0]) + struct.pack(">Q", number * 0x9E3779B97F4A7C15 % 2**64) * 3
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(row * 8, 1)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def row(number):
    return f"{number}\t{base64.b64encode(png(number)).decode()}\n"


def shards(folder):
    """What the newest run says of its shards: reused and computed."""
    newest = max((folder / "artifacts/runs").iterdir(), key=lambda run: run.stat().st_mtime_ns)
    for line in open(newest / "events.jsonl"):
        event = json.loads(line)
        if event["event"] == "stage-finished":
            return event["n_shards_reused"], event["n_shards_computed"]
    return "–", 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_600_000)
    parser.add_argument("--pipeline", type=Path, default=ROOT / "target/release/pipeline")
    arguments = parser.parse_args()
    n_rows = arguments.rows
    print(f"{measure.machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "spec.yaml").write_text(SPEC)
        lines = [row(number) for number in range(n_rows)]
        more = [row(number) for number in range(n_rows, n_rows + 10)]
        middle = n_rows // 2
        cases = [
            ("first run", lines),
            ("nothing changed", None),
            ("nothing changed, again", None),
            ("10 rows appended", lines + more),
            ("10 rows inserted in the middle", lines[:middle] + more + lines[middle:]),
            ("10 rows deleted in the middle", lines[:middle] + lines[middle + 10 :]),
            ("the first run's rows again", lines),
        ]
        rows = []
        for name, content in cases:
            if content is not None:
                (folder / "images.tsv").write_text("".join(content))
            took = measure.run([str(arguments.pipeline.resolve()), "run", "-q", "spec.yaml"], folder)
            n_reused, n_computed = shards(folder)
            rows.append(
                [
                    name,
                    f"{took['wall_s']:.2f} s",
                    f"{took['cpu_s']:.2f} s",
                    f"{took['peak_mb']:.0f} MB",
                    n_reused,
                    n_computed,
                ]
            )
        megabytes = (folder / "images.tsv").stat().st_size / 1e6
        print(f"{n_rows:,} rows, {megabytes:.0f} MB")
        measure.table(["case", "wall", "processor", "peak", "shards reused", "shards computed"], rows)
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)


if __name__ == "__main__":
    main()
