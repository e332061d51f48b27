#!/usr/bin/env python3
"""Measures how fast the host feeds a card: ceilings.py PROGRAM FOLDER [--former PROGRAM] [--precisions f32,tf32,bf16].

PROGRAM was built with the feature `cuda`, in release: a debug build counts as well, and its speeds say nothing. It runs
on the stand-in for the driver (standin/), whose kernels do nothing, so that all time is the host's. BERT-base and
ResNet-50 have their full size and random weights. Every figure is a slope, the difference of two sizes, so that the
start is in none. FOLDER may be that of run.py. Nothing is needed but Python, g++ and the wheels of requirements.txt.
"""

import argparse
import base64
import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path

import results
import run

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "pipelines" / "demo" / "encoders"
# 224 by 224 pixels, whose variants differ in their tables of quantisation.
PICTURE = ROOT / "tests" / "fixtures" / "ladder" / "images" / "01_square.jpg"
# The two sizes of each measurement.
SIZES = {"texts": (10_240, 61_440), "images": (1_024, 7_168), "JPEGs": (512, 2_560)}
# Characters of a query: a token each, and one before and after them.
CHARACTERS = (8, 18)
COUNTS = {"launches": "launch", "uploads": "upload", "downloads": "download", "syncs": "sync"}


def numbers(n, generator=random.Random(0), block=[]):
    """The bytes of `n` small random numbers in single precision: a block of them, over and over."""
    if not block:
        block.append(array("f", (generator.uniform(-0.04, 0.04) for _ in range(1 << 16))).tobytes())
    n_bytes = 4 * n
    return (block[0] * (n_bytes // len(block[0]) + 1))[:n_bytes]


def write_safetensors(path, shapes):
    """Random tensors of these shapes; variances are ones."""
    header, end = {}, 0
    for name, shape in shapes.items():
        n_bytes = 4 * count(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + n_bytes]}
        end += n_bytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            n = count(shape)
            file.write(array("f", [1.0]).tobytes() * n if name.endswith("running_var") else numbers(n))


def count(shape):
    n = 1
    for side in shape:
        n *= side
    return n


def write_bert(folder, width=768, n_layers=12, inner=3072, n_words=21128):
    """BERT-base with the vocabulary of the demo's encoder, and as many rows as bert-base-chinese has."""
    folder.mkdir(parents=True)
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(DEMO / "bert" / name, folder)
    config = json.loads((DEMO / "bert" / "config.json").read_text())
    config |= {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": n_layers}
    config |= {"num_attention_heads": width // 64, "vocab_size": n_words}
    (folder / "config.json").write_text(json.dumps(config))

    def norm(name):
        return {f"{name}.weight": [width], f"{name}.bias": [width]}

    def dense(name, n_out, n_in):
        return {f"{name}.weight": [n_out, n_in], f"{name}.bias": [n_out]}

    tables = {"word": n_words, "position": config["max_position_embeddings"], "token_type": config["type_vocab_size"]}
    shapes = {f"embeddings.{name}_embeddings.weight": [n_rows, width] for name, n_rows in tables.items()}
    shapes |= norm("embeddings.LayerNorm")
    for layer in (f"encoder.layer.{idx}" for idx in range(n_layers)):
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= dense(f"{layer}.attention.{name}", width, width)
        shapes |= norm(f"{layer}.attention.output.LayerNorm")
        shapes |= dense(f"{layer}.intermediate.dense", inner, width)
        shapes |= dense(f"{layer}.output.dense", width, inner)
        shapes |= norm(f"{layer}.output.LayerNorm")
    write_safetensors(folder / "model.safetensors", shapes)


def write_resnet(folder):
    """ResNet-50 under the names of timm."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architecture": "resnet50", "num_classes": 0}))
    shapes = {}

    def convolution(name, norm, n_out, n_in, kernel):
        shapes[f"{name}.weight"] = [n_out, n_in, kernel, kernel]
        shapes.update({f"{norm}.{part}": [n_out] for part in ("weight", "bias", "running_mean", "running_var")})

    convolution("conv1", "bn1", 64, 3, 7)
    n_in = 64
    for stage, n_blocks in enumerate((3, 4, 6, 3)):
        inner = 64 << stage
        for block in range(n_blocks):
            name = f"layer{stage + 1}.{block}"
            convolution(f"{name}.conv1", f"{name}.bn1", inner, n_in, 1)
            convolution(f"{name}.conv2", f"{name}.bn2", inner, inner, 3)
            convolution(f"{name}.conv3", f"{name}.bn3", 4 * inner, inner, 1)
            if block == 0:
                convolution(f"{name}.downsample.0", f"{name}.downsample.1", 4 * inner, n_in, 1)
            n_in = 4 * inner
    write_safetensors(folder / "model.safetensors", shapes)


def write_queries(path, n):
    """Queries that differ, of Chinese characters, each of which is a token."""
    words = (DEMO / "bert" / "vocab.txt").read_text().split("\n")
    characters = [word for word in words if len(word) == 1 and "一" <= word <= "鿿"]
    generator = random.Random(1)
    with open(path, "w") as file:
        for idx in range(n):
            text = "".join(generator.choices(characters, k=generator.randint(*CHARACTERS)))
            file.write(json.dumps({"query_id": idx, "query_text": text, "item_ids": []}, ensure_ascii=False) + "\n")


def write_images(path, n):
    """JPEGs that differ in the steps of eight of their frequencies."""
    picture = PICTURE.read_bytes()
    start = picture.index(b"\xff\xdb") + 5
    with open(path, "w") as file:
        for idx in range(n):
            own = bytearray(picture)
            for place in range(8):
                own[start + 1 + place] += idx >> 2 * place & 3
            file.write(f"{idx}\t{base64.urlsafe_b64encode(own).decode()}\n")


def stages(folder, n_rows, precision):
    """A stage for each size of what is encoded, and those that it needs."""
    bert, resnet = str(folder / "models" / "bert"), str(folder / "models" / "resnet")
    files = {"path": str(folder / "images.tsv"), "size": [224, 224]}
    own = {} if precision == "f32" else {"precision": precision}
    made = {}
    for idx in (0, 1):
        made[f"queries-{idx}"] = {"kind": "load-queries", "params": {"path": str(folder / f"queries-{idx}.jsonl")}}
        made[f"decoded-{idx}"] = {"kind": "decode-images", "params": {**files, "max_samples": n_rows["images"][idx]}}
        made[f"texts-{idx}"] = {
            "kind": "extract-text",
            "inputs": {"queries": f"queries-{idx}"},
            "params": {"model": bert, **own},
        }
        of_images = {"kind": "extract-image", "params": {"model": resnet, **own}}
        made[f"images-{idx}"] = {**of_images, "inputs": {"images": f"decoded-{idx}"}}
        decode = {**files, "max_samples": n_rows["JPEGs"][idx]}
        made[f"JPEGs-{idx}"] = {**of_images, "params": {**of_images["params"], "decode": decode}}
    return made


def spec(made):
    return "stages:\n" + "".join(f"  {name}: {json.dumps(stage, ensure_ascii=False)}\n" for name, stage in made.items())


class Program:
    """A program with a store of its own on the stand-in."""

    def __init__(self, program, folder, toolkit, name):
        self.standin = run.StandIn(program, folder, toolkit)
        self.store, self.name = folder / f"ceilings-{name}", name

    def run(self, spec, stage, device="cuda", forced=True):
        """The event of a stage's end, and what the process took."""
        words = [self.standin.program, "run", spec, stage, "--artifacts", self.store, "--device", device, "--json"]
        words += ["--force", stage] if forced else []
        environment = self.standin.environment(
            self.standin.folder / "kernels-idle",
            False,
            STANDIN_IDLE=run.PROBE_LAUNCHES,
            STANDIN_COUNTS=self.standin.counts,
        )
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                [str(word) for word in words], cwd=self.standin.folder, env=environment, stdout=output, stderr=errors
            )
            _, status, used = os.wait4(process.pid, 0)
            output.seek(0), errors.seek(0)
            if status:
                sys.exit(f"{self.name}: {stage} ends with {os.waitstatus_to_exitcode(status)}\n{errors.read()[-2000:]}")
            events = [json.loads(line) for line in output]
        finished = next(
            (event for event in events if event["event"] == "stage-finished" and event["stage"] == stage), None
        )
        return finished, used

    def measure(self, spec, what):
        """Of the smaller and the larger size: rows, seconds, counts, and the processor's seconds."""
        found = []
        for idx in (0, 1):
            event, used = self.run(spec, f"{what}-{idx}")
            counts = results.counts(self.standin.counts)
            seconds = {
                "stage": event["seconds"],
                "processors": used.ru_utime + used.ru_stime,
                **event["report"]["seconds"],
            }
            found.append(
                {
                    "rows": event["n_rows_computed"],
                    "seconds": seconds,
                    "counts": counts,
                    "resident": used.ru_maxrss << 10,
                }
            )
        return found


def slopes(found):
    """What a row more costs."""
    small, large = found
    n_rows = large["rows"] - small["rows"]
    per_row = {name: (large["counts"][kind] - small["counts"][kind]) / n_rows for name, kind in COUNTS.items()}
    names = large["seconds"]
    seconds = {name: (large["seconds"][name] - small["seconds"].get(name, 0.0)) / n_rows for name in names}
    return {
        "per row": per_row,
        "µs": {name: 1e6 * value for name, value in seconds.items()},
        "peak": large["counts"]["peak"],
        "resident": large["resident"],
    }


def shown(what, precision, program, found, n_rounds):
    """Lines with the figures of one program."""
    speeds = [1e6 / one["µs"]["stage"] for one in found]
    last, middle = found[-1], statistics.median(speeds)
    counts = ", ".join(f"{value:.3f} {name}" for name, value in last["per row"].items())
    spent = ", ".join(f"{name} {value:.1f}" for name, value in last["µs"].items())
    spread = f" ({min(speeds):,.0f} to {max(speeds):,.0f})" if n_rounds > 1 else ""
    print(f"{what} in {precision}, {program}: {middle:,.0f} a second{spread}")
    print(f"    a row: {counts}")
    print(f"    µs a row: {spent}")
    print(
        f"    at most {last['peak'] / 1e9:.2f} GB of the card, {last['resident'] / 1e9:.2f} GB of the process",
        flush=True,
    )
    return middle


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--former", type=Path, help="an earlier program, measured in turn")
    parser.add_argument("--precisions", default="f32", help="such as f32,tf32,bf16")
    parser.add_argument("--of", default="texts,images,JPEGs", help="what is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the rows of each size, for a quick look")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    toolkit, reason = run.prepared(folder)
    if reason:
        print(f"skipped: {reason}")
        return 0
    n_rows = {what: [int(size * arguments.share) for size in sizes] for what, sizes in SIZES.items()}
    for path, write in ((folder / "models" / "bert", write_bert), (folder / "models" / "resnet", write_resnet)):
        if not path.is_dir():
            write(path)
    for idx in (0, 1):
        write_queries(folder / f"queries-{idx}.jsonl", n_rows["texts"][idx])
    write_images(folder / "images.tsv", max(n_rows["images"][1], n_rows["JPEGs"][1]))
    programs = [("this", arguments.program)] + ([("former", arguments.former)] if arguments.former else [])
    programs = [Program(program.resolve(), folder, toolkit, name) for name, program in programs]
    for program in programs:
        shutil.rmtree(program.store, ignore_errors=True)
    start = time.monotonic()
    for precision in arguments.precisions.split(","):
        (folder / "ceilings.yaml").write_text(spec(stages(folder, n_rows, precision)))
        for what in arguments.of.split(","):
            for program in programs:
                # The inputs and the kernels, of which the larger size has all.
                for idx in (0, 1):
                    program.run("ceilings.yaml", f"{what}-{idx}", forced=False)
            found = {program.name: [] for program in programs}
            for _ in range(arguments.rounds):
                for program in programs:
                    found[program.name].append(slopes(program.measure("ceilings.yaml", what)))
            speeds = {name: shown(what, precision, name, each, arguments.rounds) for name, each in found.items()}
            if arguments.former:
                print(f"    this to former: {speeds['this'] / speeds['former']:.2f}")
    print(f"after {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
