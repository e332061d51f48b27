#!/usr/bin/env python3
"""Accepts `--device cuda` on a machine that has a card: accept.py PROGRAM [--device cpu] [--small] [--seconds 540].

PROGRAM was built with the feature `cuda`; `.xz` is unpacked. PyTorch, transformers, timm, Pillow and numpy must be
there. Writes results.json, summary.txt and machine.txt into $OUT (by default `gpu-accept`). The exit code is 1 if a
check fails.
`--device cpu --small` tries the script itself where there is no card.
"""

import argparse
import importlib.util
import json
import lzma
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import results  # noqa: E402

# Beside the processor's own code, or PyTorch in f32, on a card whose sums have another order.
MOST_FEATURES = 1e-5
MOST_LOSS = 1e-4
MOST_RECALL = 2e-3
# A run that has nothing to do.
MOST_SECONDS_OF_NOTHING = 2.0
# More images than there are.
ALL = 100_000


class Report:
    """Checks and figures, saved after each, so that a time limit loses none."""

    def __init__(self, folder, seconds):
        self.folder, self.end, self.start = folder, time.monotonic() + seconds, time.monotonic()
        self.checks, self.figures = [], {}
        folder.mkdir(parents=True, exist_ok=True)

    def left(self):
        return self.end - time.monotonic()

    def check(self, name, holds, found):
        self.checks.append({"name": name, "holds": bool(holds), "found": found})
        self.say(f"{'ok    ' if holds else 'FAILED'} {name}: {found}")

    def figure(self, name, value):
        self.figures[name] = round(value, 4) if isinstance(value, float) else value
        self.say(f"       {name} = {self.figures[name]}")

    def say(self, line):
        print(f"[{time.monotonic() - self.start:6.1f} s] {line}", flush=True)
        (self.folder / "results.json").write_text(
            json.dumps({"checks": self.checks, "figures": self.figures}, indent=1)
        )
        with open(self.folder / "summary.txt", "a") as file:
            file.write(line + "\n")


class Program:
    """The program; `results` reads what it has made."""

    def __init__(self, program, folder, device, report):
        self.program, self.folder, self.device, self.report = program, folder, device, report

    def run(self, spec, store, device=None, settings=()):
        """The events of a run, its exit code and its seconds."""
        words = [self.program, "run", spec, "--artifacts", store, "--device", device or self.device, "--json"]
        for setting in settings:
            words += ["--set", setting]
        start = time.monotonic()
        limit = max(self.report.left() + 30, 1)
        done = subprocess.run(
            [str(word) for word in words], cwd=self.folder, capture_output=True, text=True, timeout=limit
        )
        events = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode:
            self.report.say(done.stderr[-2000:])
        return events, done.returncode, time.monotonic() - start


def finished(events):
    return {event["stage"]: event for event in events if event["event"] == "stage-finished"}


def seconds_of(event, work):
    return event["report"]["seconds"].get(work, 0.0)


def machine(program, report):
    """What the card is."""
    lines = []
    for words in (["nvidia-smi"], [str(program.program), "doctor"], ["lscpu"]):
        if shutil.which(words[0]):
            done = subprocess.run(words, capture_output=True, text=True, cwd=program.folder)
            lines += [f"$ {' '.join(words)}", done.stdout, done.stderr]
    (report.folder / "machine.txt").write_text("\n".join(lines))
    report.figure(
        "card", next((line[12:] for line in "\n".join(lines).splitlines() if line.startswith("cuda ")), "unknown")
    )


def demo(program, report):
    """The demo on the processor and on the card; again; and in a store of its own."""
    shutil.copytree(ROOT / "pipelines", program.folder / "pipelines")
    spec, on_cpu, on_card = "pipelines/demo.yaml", program.folder / "demo-cpu", program.folder / "demo-card"
    expected, code, _ = program.run(spec, on_cpu, "cpu")
    report.check("the demo runs on the processor", code == 0, f"exit {code}")
    found, code, seconds = program.run(spec, on_card)
    report.check("the demo runs on the card", code == 0, f"exit {code}")
    if code:
        return
    report.figure("demo, seconds with kernels to compile", seconds)
    recalls = [events[-1]["metrics"]["evaluate"]["mean_recall"] for events in (expected, found)]
    report.check(
        "MeanRecall is the processor's",
        abs(recalls[0] - recalls[1]) <= MOST_RECALL,
        f"{recalls[0]:.6f}, {recalls[1]:.6f}",
    )
    paths = [results.artifact(program, spec, "projection", store) / "history.csv" for store in (on_cpu, on_card)]
    furthest = results.furthest(*map(results.losses, paths))
    report.check("losses are the processor's", furthest <= MOST_LOSS, f"at most {furthest:.1e} apart")
    for stage in ("valid-text-features", "valid-image-features"):
        apart = results.distance(*[results.exported(program, spec, stage, store) for store in (on_cpu, on_card)])
        report.check(f"{stage} are the processor's", apart <= MOST_FEATURES, f"{apart:.1e} of a row's length")
    events, code, seconds = program.run(spec, on_card)
    is_quick = seconds < MOST_SECONDS_OF_NOTHING or program.device == "cpu"
    report.check("a second run has nothing to do", code == 0 and not finished(events) and is_quick, f"{seconds:.2f} s")
    # The store's kernels are those of the first run.
    events, code, seconds = program.run(spec, on_card, settings=["projection.params.lr=0.002"])
    report.figure("training alone, seconds with kernels from the store", seconds)
    again = program.folder / "demo-again"
    program.run(spec, again)
    wrong = results.unequal(on_card, again)
    report.check(
        "another store holds the same bytes",
        not [stage for stage in wrong if stage != "projection"],
        ", ".join(wrong) or "equal",
    )


def full_inputs(program, small):
    """Encoders of full size with random weights, and the demo's images as JPEGs of 224 by 224."""
    spec = importlib.util.spec_from_file_location("bench_inputs", ROOT / "tests" / "bench" / "inputs.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    folder = program.folder / "full"
    bench.write_data(folder / "data")
    if small:
        encoders = ROOT / "pipelines" / "demo" / "encoders"
        return folder, encoders / "bert", encoders / "resnet"
    bench.write_bert(folder / "models" / "bert")
    bench.write_resnet(folder / "models" / "resnet", folder / "data")
    return folder, folder / "models" / "bert", folder / "models" / "resnet"


SPEC = """stages:
  queries: {{ kind: load-queries, params: {{ path: {data}/MR_train_queries.jsonl }} }}
  decoded: {{ kind: decode-images, params: {{ path: {data}/MR_train_imgs.tsv, max_samples: {n_images} }} }}
  text: {{ kind: extract-text, inputs: {{ queries: queries }}, params: {{ model: {bert} }} }}
  images: {{ kind: extract-image, inputs: {{ images: decoded }}, params: {{ model: {resnet} }} }}
  train:
    kind: train-projection
    inputs: {{ queries: queries, text: text, images: images }}
    params: {{ batch_size: {batch}, epochs: {epochs} }}
"""


def full(program, report, small):
    """Rates of encoders and training beside the processor's, and features beside PyTorch's."""
    folder, bert, resnet = full_inputs(program, small)
    facts = {"data": folder / "data", "bert": bert, "resnet": resnet, "n_images": ALL}

    def write(**more):
        (program.folder / "full.yaml").write_text(SPEC.format(**{**facts, "batch": 16, "epochs": 2, **more}))
        return "full.yaml"

    on_card, on_cpu = program.folder / "full-card", program.folder / "full-cpu"
    rates = {}
    for device, store, n_images in ((program.device, on_card, ALL), ("cpu", on_cpu, 64)):
        events, code, _ = program.run(write(n_images=n_images), store, device)
        report.check(f"encoders of full size run on {device}", code == 0, f"exit {code}")
        for stage, event in finished(events).items():
            if stage in ("text", "images"):
                # Shards are worked on side by side, so that seconds of kinds of work overlap.
                working = event["seconds"] - seconds_of(event, "load")
                rates[stage, store] = event["n_rows_computed"] / max(working, 1e-9)
                report.figure(f"{stage}: rows a second on {device}", rates[stage, store])
    for stage in ("text", "images"):
        if (stage, on_card) in rates and (stage, on_cpu) in rates:
            report.figure(f"{stage}: card to processor", rates[stage, on_card] / rates[stage, on_cpu])
    write()
    against_torch(program, report, folder, bert, resnet, on_card, rates)
    training(program, report, write, on_card)


def against_torch(program, report, folder, bert, resnet, store, rates):
    """Features beside PyTorch's in f32, and its speed in TF32 at batches of a usual size."""
    import torch

    if report.left() < 60:
        return
    device = torch.device("cuda" if program.device == "cuda" else "cpu")
    for stage, rows, forward in (("text", *torch_texts(bert, folder)), ("images", *torch_images(resnet, folder))):
        model, batches = forward
        model = model.to(device)
        speeds = {}
        for name, allowed in (("f32", False), ("TF32", True)):
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
            features, times = [], []
            with torch.inference_mode():
                for _ in range(3):
                    start = time.perf_counter()
                    features = [batch(model, device).cpu() for batch in batches]
                    times.append(time.perf_counter() - start)
            speeds[name] = rows / statistics.median(times)
            if not allowed:
                expected = [list(row) for part in features for row in part.double().tolist()]
        found = results.exported(program, "full.yaml", stage, store)[:rows]
        order = getattr(batches, "order", range(rows))
        apart = results.distance(expected, [found[idx] for idx in order])
        report.check(
            f"{stage}: features are PyTorch's in f32", apart <= MOST_FEATURES, f"{apart:.1e} of a row's length"
        )
        report.figure(f"{stage}: rows a second of PyTorch in TF32", speeds["TF32"])
        report.figure(f"{stage}: ours to PyTorch in TF32", rates[stage, store] / speeds["TF32"])


class Batches(list):
    """Batches, and the rows that they hold in turn."""

    order: list


def torch_texts(folder, data, n_rows=256):
    from transformers import BertModel, BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(folder)
    lines = (data / "data" / "MR_train_queries.jsonl").read_text().splitlines()[:n_rows]
    ids = [tokenizer(json.loads(line)["query_text"], truncation=True, max_length=128)["input_ids"] for line in lines]
    by_length = {}
    for idx, one in enumerate(ids):
        by_length.setdefault(len(one), []).append(idx)
    batches = Batches()
    batches.order = [idx for group in by_length.values() for idx in group]
    for group in by_length.values():
        rows = [ids[idx] for idx in group]
        batches.append(lambda model, device, rows=rows: model(input_ids=tensor(rows, device)).last_hidden_state[:, 0])
    return len(ids), (BertModel.from_pretrained(folder, add_pooling_layer=False).eval(), batches)


def tensor(rows, device):
    import torch

    return torch.tensor(rows, device=device)


def torch_images(folder, data, n_rows=128):
    import base64
    import io

    import numpy
    import timm
    import torch
    from PIL import Image
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    model = timm.create_model(config["architecture"], pretrained=False, num_classes=0, **config.get("model_args", {}))
    # Files of whole models have the layer of their classes, too.
    tensors = load_file(folder / "model.safetensors")
    model.load_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")})
    lines = (data / "data" / "MR_train_imgs.tsv").read_text().splitlines()[:n_rows]
    levels = [
        numpy.asarray(Image.open(io.BytesIO(base64.urlsafe_b64decode(line.split("\t")[1]))).convert("RGB"))
        for line in lines
    ]
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = ((torch.from_numpy(numpy.stack(levels)) / 255 - mean) / spread).permute(0, 3, 1, 2).contiguous()
    batches = Batches(lambda model, device, part=part: model(part.to(device)) for part in pixels.split(32))
    batches.order = list(range(len(lines)))
    return len(lines), (model.eval(), batches)


def training(program, report, write, store):
    """Steps a second, from the difference of two trainings, so that the start is in neither."""
    for batch in (16, 128, 512):
        if report.left() < 30:
            return
        seconds, steps = [], []
        for epochs in (4, 24):
            events, code, _ = program.run(write(batch=batch, epochs=epochs), store)
            event = finished(events).get("train")
            if code or not event:
                report.check(f"trainings with batches of {batch} run", False, f"exit {code}")
                return
            seconds.append(seconds_of(event, "train"))
            steps.append(len(results.losses(results.artifact(program, "full.yaml", "train", store) / "history.csv")))
        report.figure(
            f"training: steps a second, batch {batch}", (steps[1] - steps[0]) / max(seconds[1] - seconds[0], 1e-9)
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seconds", type=float, default=540.0, help="after which nothing new begins")
    arguments = parser.parse_args()
    report = Report(Path(os.environ.get("OUT", "gpu-accept")).resolve(), arguments.seconds)
    with tempfile.TemporaryDirectory() as folder:
        packed, program = arguments.program.resolve(), Path(folder) / "pipeline"
        with (lzma.open if packed.suffix == ".xz" else open)(packed, "rb") as content, open(program, "wb") as file:
            shutil.copyfileobj(content, file)
        program.chmod(0o755)
        program = Program(program, Path(folder), arguments.device, report)
        for part in (machine, demo, lambda *of: full(*of, arguments.small)):
            try:
                part(program, report)
            except Exception as problem:  # The checks that follow still say something.
                report.check("the script itself", False, f"{type(problem).__name__}: {problem}")
    failed = [check["name"] for check in report.checks if not check["holds"]]
    report.say(f"{len(report.checks) - len(failed)} checks hold, {len(failed)} fail")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
