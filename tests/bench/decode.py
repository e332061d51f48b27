"""Times the decoding of images beside simplejpeg (libjpeg-turbo) and Pillow, one thread each, alternately in one run.

    pip install numpy pillow simplejpeg
    cargo build --release --locked --workspace --example decode_speed
    python tests/bench/decode.py            # 224 x 224 JPEGs, gradients and noise, quality 75 to 95
    python tests/bench/decode.py --json     # one JSON object a line for each peer

From base64 to RGB pixels. Each round times all of them one after the other; the ratios are medians over the rounds. The
demo's images are PNG, which simplejpeg does not read.
"""

import argparse
import base64
import io
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SIZE = 224


def picture(generator):
    """Waves, discs and noise, as smooth and as rough as photographs are."""
    import numpy

    y, x = numpy.mgrid[0:SIZE, 0:SIZE]
    pixels = numpy.full((SIZE, SIZE, 3), 128.0)
    for channel in range(3):
        for _ in range(4):
            along_x, along_y, phase = generator.uniform(-0.08, 0.08, 2).tolist() + [generator.uniform(0, 6)]
            pixels[..., channel] += generator.uniform(5, 40) * numpy.sin(along_x * x + along_y * y + phase)
    for _ in range(6):
        center_x, center_y, radius = (
            generator.uniform(0, SIZE),
            generator.uniform(0, SIZE),
            generator.uniform(5, SIZE / 3),
        )
        disc = (x - center_x) ** 2 + (y - center_y) ** 2 < radius**2
        pixels[disc] = pixels[disc] * 0.5 + generator.uniform(0, 128, 3)
    roughness = generator.choice([2, 8])
    pixels += generator.normal(0, roughness, (SIZE, SIZE, 1)) + generator.normal(0, roughness / 3, (SIZE, SIZE, 3))
    return pixels.clip(0, 255).astype("uint8")


def jpegs(n_images: int, subsampling: str) -> list[bytes]:
    import numpy
    from PIL import Image

    generator = numpy.random.default_rng(7)
    files = []
    for image_idx in range(n_images):
        file = io.BytesIO()
        quality = 75 + 5 * (image_idx % 5)
        Image.fromarray(picture(generator)).save(file, "JPEG", quality=quality, subsampling=subsampling)
        files.append(file.getvalue())
    return files


def demo_images(n_images: int) -> list[bytes]:
    lines = (ROOT / "pipelines/demo/data/MR_valid_imgs.tsv").read_text().splitlines()
    return [base64.urlsafe_b64decode(line.split("\t")[1]) for line in lines[:n_images]]


def pillow(text: bytes):
    from PIL import Image

    return Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")


def simplejpeg(text: bytes):
    import simplejpeg as library

    return library.decode_jpeg(base64.b64decode(text), colorspace="RGB")


def measure(name: str, files: list[bytes], peers: dict, goals: dict, args) -> list[dict]:
    texts = [base64.b64encode(file) for file in files]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.tsv"
        path.write_text("".join(f"{row_idx}\t{text.decode()}\n" for row_idx, text in enumerate(texts)))
        program = subprocess.Popen([args.program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def ours() -> float:
            program.stdin.write("\n")
            program.stdin.flush()
            return json.loads(program.stdout.readline())["seconds"]

        def timed(decode) -> float:
            start = time.perf_counter()
            for text in texts:
                decode(text)
            return time.perf_counter() - start

        rows = [
            {"ours": ours(), **{peer: timed(decode) for peer, decode in peers.items()}} for _ in range(args.rounds + 1)
        ]
        program.stdin.close()
        program.wait()
    # The first round warms up.
    rows = rows[1:]
    return [
        {
            "work": f"{len(texts)} {name}",
            "peer": peer,
            "ours_s": statistics.median(row["ours"] for row in rows),
            "peer_s": statistics.median(row[peer] for row in rows),
            "ratio": statistics.median(row[peer] / row["ours"] for row in rows),
            "goal": goals.get(peer),
        }
        for peer in peers
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="print JSON lines only")
    parser.add_argument("--program", default=str(ROOT / "target/release/examples/decode_speed"))
    args = parser.parse_args()
    libraries = {"simplejpeg": simplejpeg, "Pillow": pillow}
    goals = {"simplejpeg": 1.0}
    results = []
    for subsampling in ("4:2:0", "4:4:4"):
        files = jpegs(args.images, subsampling)
        results += measure(f"JPEGs {SIZE}², {subsampling}", files, libraries, goals, args)
    results += measure("PNGs of the demo", demo_images(args.images), {"Pillow": pillow}, {}, args)
    for row in results:
        if args.json:
            print(json.dumps(row, ensure_ascii=False))
        else:
            n_images = int(row["work"].split()[0])
            print(
                f"{row['work']:24} {n_images / row['ours_s']:6.0f} images/s, {row['peer']:10} {n_images / row['peer_s']:6.0f}; "
                f"pipeline is {row['ratio']:.2f} times as fast"
            )


if __name__ == "__main__":
    main()
