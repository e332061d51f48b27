"""Images in tars through `extract-image` with `decode`: rows per second and memory as the run goes on.

    cargo build --release --locked --workspace
    python tests/bench/tars.py [--images 100000] [--tars 100] [--encoder pipelines/demo/encoders/resnet]

Makes tars of PNGs of noise, 64 × 64 pixels and 12 KB each, no two of them equal. Prints rows per second and the
resident memory at each tenth of the run, then what a run costs after one more tar was added.
"""

import argparse
import io
import json
import random
import struct
import subprocess
import tarfile
import tempfile
import time
import zlib
from pathlib import Path

import measure

SIDE = 64

SPEC = """stages:
  features: {{ kind: extract-image, params: {{ model: {encoder}, decode: {{ path: 'images/*.tar', size: [{side}, {side}] }} }} }}
"""


def png(noise: random.Random) -> bytes:
    rows = b"".join(b"\0" + noise.randbytes(3 * SIDE) for _ in range(SIDE))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    ]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def write_tar(path: Path, first: int, n_images: int) -> None:
    noise = random.Random(first)
    with tarfile.open(path, "w") as tar:
        for idx in range(first, first + n_images):
            content = png(noise)
            member = tarfile.TarInfo(f"{idx:08}.png")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def run(program: str, folder: Path) -> None:
    """Runs the spec and prints its rows per second and its memory."""
    began = time.monotonic()
    command = [program, "run", "spec.yaml", "--json", "--artifacts", "store"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    tenth, begun = 0, began
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "stage-sharded":
            begun = time.monotonic()
            print(
                f"{event['n_rows']} rows are indexed after {begun - began:.1f} s, {event['n_rows_missing']} to encode"
            )
        if event["event"] == "stage-progress" and event.get("total") and event["n_done"] * 10 // event["total"] > tenth:
            tenth = event["n_done"] * 10 // event["total"]
            per_s = event["n_done"] / (time.monotonic() - begun)
            print(f"{10 * tenth:3}%  {per_s:8.0f} rows/s  {resident_mb(process.pid):6.0f} MB resident", flush=True)
    if process.wait():
        raise SystemExit("the run failed")
    print(f"whole run: {time.monotonic() - began:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--tars", type=int, default=100)
    parser.add_argument("--side", type=int, default=32, help="height and width of the pixels")
    parser.add_argument("--encoder", default="pipelines/demo/encoders/resnet")
    parser.add_argument("--program", default="target/release/pipeline")
    args = parser.parse_args()
    program, encoder = (str(Path(path).resolve()) for path in (args.program, args.encoder))
    print(measure.machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        (folder / "spec.yaml").write_text(SPEC.format(encoder=encoder, side=args.side))
        n_images = args.images // args.tars
        for idx in range(args.tars):
            write_tar(folder / f"images/{idx:05}.tar", idx * n_images, n_images)
        run(program, folder)
        print("after one more tar:")
        write_tar(folder / f"images/{args.tars:05}.tar", args.tars * n_images, n_images)
        run(program, folder)


if __name__ == "__main__":
    main()
