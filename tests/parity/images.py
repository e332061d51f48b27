"""Compares the decoding of image files with Pillow: the files of folders, and damaged copies of them.

    images.py DECODE_FILES FOLDER... [--rounds N] [--seed N] [--seconds N] [--only KIND] [--list] [--keep FOLDER]

DECODE_FILES is the example of that name of the crate pipeline-data. With `--rounds` every file is also changed N times:
bits flipped, bytes set, pieces cut out, doubled or moved, lengths changed, the end cut off. Exits with 1 when a file
has other pixels than Pillow's or breaks a decoder down; what only one of both reads is counted and, with `--list`,
named. Needs Pillow 13 and numpy.
"""

import argparse
import collections
import hashlib
import io
import pathlib
import random
import struct
import subprocess
import sys
import time
import warnings

from PIL import Image

KINDS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"II": "TIFF",
    b"MM": "TIFF",
}
FORMATS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"]


def kind_of(data: bytes) -> str:
    return next((kind for start, kind in KINDS.items() if data.startswith(start)), "other")


def pillow(data: bytes) -> str:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        image = image.convert("RGB")
        return f"ok {image.width} {image.height} {hashlib.sha256(image.tobytes()).hexdigest()}"
    except Exception as error:
        return f"error {type(error).__name__}: {error}"


class Ours:
    def __init__(self, program: str):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def decode(self, data: bytes) -> str:
        self.process.stdin.write(struct.pack("<I", len(data)) + data)
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode()
        if not line:
            return f"died {self.process.wait()}"
        return line.rstrip("\n")


def changed(data: bytes, chance: random.Random) -> bytes:
    """A copy with one to four changes."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if len(out) < 8:
            break
        # Headers are short and say most.
        at = chance.randrange(min(len(out), chance.choice((32, 128, 1024, len(out)))))
        what = chance.randrange(8)
        if what <= 1:
            out[at] ^= 1 << chance.randrange(8)
        elif what == 2:
            out[at] = chance.choice((0, 1, 2, 3, 4, 8, 16, 127, 128, 254, 255, chance.randrange(256)))
        elif what == 3:
            del out[len(out) - 1 - chance.randrange(len(out) // (1 if chance.random() < 0.3 else 20) + 1) :]
        elif what == 4:
            del out[at : at + chance.randrange(1, 40)]
        elif what == 5:
            out[at:at] = out[at : at + chance.randrange(1, 40)]
        elif what == 6:
            end = chance.randrange(len(out))
            piece = out[end : end + chance.randrange(1, 40)]
            out[at : at + len(piece)] = piece
        else:
            out[at : at + 2] = struct.pack(
                chance.choice("<>") + "H", chance.choice((0, 1, 2, 7, 8, 9, 255, 256, 65535))
            )
    return bytes(out)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--only")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", type=pathlib.Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    ours = Ours(args.program)
    files = [
        (path.name, path.read_bytes()) for folder in args.folders for path in sorted(folder.iterdir()) if path.is_file()
    ]
    files = [(name, data) for name, data in files if args.only in (None, kind_of(data))]
    counts = collections.defaultdict(collections.Counter)
    n_bad = 0
    end = time.monotonic() + args.seconds
    for round_idx in range(args.rounds + 1):
        for name, whole in files:
            if time.monotonic() > end:
                break
            chance = random.Random(f"{args.seed} {round_idx} {name}")
            data = changed(whole, chance) if round_idx else whole
            if round_idx and kind_of(data) != kind_of(whole):
                continue
            theirs, own = pillow(data), ours.decode(data)
            if own.startswith("ok"):
                verdict = "same" if own == theirs else "other pixels" if theirs.startswith("ok") else "ours only"
            else:
                verdict = "Pillow only" if theirs.startswith("ok") else "refused"
            if own.startswith("died") or "broke down" in own:
                verdict = "broke down"
            counts[kind_of(data)][verdict] += 1
            is_bad = verdict in ("other pixels", "broke down")
            n_bad += is_bad
            if is_bad or (args.list and verdict.endswith("only")):
                print(f"{verdict}: {name}, round {round_idx}: Pillow {theirs[:90]}; here {own[:160]}")
                if args.keep:
                    (args.keep / f"{verdict.replace(' ', '-')}-{round_idx}-{name}").write_bytes(data)
            if own.startswith("died"):
                ours = Ours(args.program)
    for kind, verdicts in sorted(counts.items()):
        print(
            f"{kind}: {sum(verdicts.values())} files:",
            ", ".join(f"{n} {verdict}" for verdict, n in verdicts.most_common()),
        )
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
