"""Peak memory and seconds of trainings on the tokens of texts, beside another program's.

    pip install numpy
    cargo build --release --locked --workspace
    python tests/bench/tokens.py [--program target/release/pipeline,OTHER] [--texts 248786]

The tokens are those that enter the first layer of a made-up BERT as wide as BERT-base, and as many as those of MUGE: 9
a text. The first program extracts them. `attentive` learns their pool; `top` trains the two layers of the encoder on
some of the texts. Programs are alternated, and each stage has a peak of its own. With `--cold` the files of the store
leave the kernel's cache before each run.
"""

import argparse
import json
import os
import statistics
import struct
import tempfile
from pathlib import Path

import measure
from streaming import run, write_side

SPEC = """name: tokens
stages:
  train-queries: {{ kind: load-queries, params: {{ path: train.jsonl }} }}
  valid-queries: {{ kind: load-queries, params: {{ path: valid.jsonl }} }}
  train-text: {{ kind: extract-text, inputs: {{ queries: train-queries }}, params: {{ model: bert, layers: -2, precision: {precision} }} }}
  valid-text: {{ kind: extract-text, inputs: {{ queries: valid-queries }}, params: {{ model: bert, layers: -2, precision: {precision} }} }}
  images: {{ kind: import-image-features, params: {{ path: images.npy, ids: images.txt }} }}
  some-images: {{ kind: import-image-features, params: {{ path: some-images.npy, ids: some-images.txt }} }}
  attentive:
    kind: train-projection
    inputs: {{ queries: train-queries, text: train-text, images: images, valid_queries: valid-queries, valid_text: valid-text, valid_images: images }}
    params: {{ epochs: 1, batch_size: {batch_size}, shuffle: {shuffle} }}
  top:
    kind: train-top
    inputs: {{ queries: train-queries, text: train-text, images: some-images }}
    params: {{ text_model: bert, epochs: 1, batch_size: {batch_size}, shuffle: {shuffle} }}
"""

STAGES = ["attentive", "top"]
WIDTH = 768
N_LAYERS = 2
N_IMAGES = 5000
CHARACTERS = [chr(0x4E00 + idx) for idx in range(400)]


def write_bert(folder: Path) -> None:
    """A BERT of random weights: its shapes and the tokens of its vocabulary are all that counts."""
    import numpy

    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CHARACTERS]
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary))
    config = {
        "model_type": "bert",
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_attention_heads": 12,
        "num_hidden_layers": N_LAYERS,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    }
    (folder / "config.json").write_text(json.dumps(config))
    norm = {"LayerNorm.weight": [WIDTH], "LayerNorm.bias": [WIDTH]}
    shapes = {
        f"embeddings.{name}": shape
        for name, shape in {
            "word_embeddings.weight": [len(vocabulary), WIDTH],
            "position_embeddings.weight": [512, WIDTH],
            "token_type_embeddings.weight": [2, WIDTH],
            **norm,
        }.items()
    }
    for layer in range(N_LAYERS):
        maps = {
            "attention.self.query": [WIDTH, WIDTH],
            "attention.self.key": [WIDTH, WIDTH],
            "attention.self.value": [WIDTH, WIDTH],
            "attention.output.dense": [WIDTH, WIDTH],
            "intermediate.dense": [4 * WIDTH, WIDTH],
            "output.dense": [WIDTH, 4 * WIDTH],
        }
        for name, shape in maps.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = shape[:1]
        for part in ["attention.output", "output"]:
            shapes |= {f"encoder.layer.{layer}.{part}.{name}": shape for name, shape in norm.items()}
    random, offset, header, values = numpy.random.default_rng(0), 0, {}, []
    for name, shape in shapes.items():
        is_scale = name.endswith("LayerNorm.weight")
        value = numpy.ones(shape, "<f4") if is_scale else random.normal(0, 0.05, shape).astype("<f4")
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
        values.append(value)
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for value in values:
            file.write(value.tobytes())


def write_queries(path: Path, n_texts: int) -> None:
    with path.open("w") as file:
        for idx in range(n_texts):
            # Seven characters that differ from text to text.
            text = "".join(CHARACTERS[idx // 7**place * 31 % len(CHARACTERS)] for place in range(7))
            query = {"query_id": idx, "query_text": text, "item_ids": [idx % N_IMAGES]}
            file.write(json.dumps(query, ensure_ascii=False) + "\n")


def forget(folder: Path) -> None:
    """Lets the files of a folder leave the kernel's cache."""
    for path in folder.rglob("*.parquet"):
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/pipeline", help="one or more, with commas between")
    parser.add_argument("--texts", type=int, default=248786)
    parser.add_argument("--valid", type=int, default=5008, help="held-out texts")
    parser.add_argument("--some", type=int, default=100, help="images whose texts train layers, of 5,000")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--shuffle", action="store_true")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=".", help="on the disk to be timed")
    args = parser.parse_args()
    programs = [str(Path(program).resolve()) for program in args.program.split(",")]
    rows = []
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name).resolve()
        write_bert(folder / "bert")
        write_queries(folder / "train.jsonl", args.texts)
        write_queries(folder / "valid.jsonl", args.valid)
        write_side(folder, "images", N_IMAGES, 2048, 1)
        write_side(folder, "some-images", args.some, 2048, 2)
        options = {"precision": args.precision, "batch_size": args.batch_size, "shuffle": str(args.shuffle).lower()}
        (folder / "spec.yaml").write_text(SPEC.format(**options))
        run(programs[0], folder, [], None)
        found = []
        for _ in range(args.rounds):
            found.append([])
            for program in programs:
                if args.cold:
                    forget(folder)
                found[-1].append(run(program, folder, STAGES, None))
        for idx, program in enumerate(programs):
            for stage in STAGES:
                runs = [round_[idx][stage] for round_ in found]
                peak = max(run["peak_mb"] for run in runs)
                seconds = statistics.median(run["seconds"] for run in runs)
                rows.append([f"{args.texts:,}", stage, Path(program).name, f"{peak:.0f}", f"{seconds:.2f}"])
    print(measure.machine())
    measure.table(["texts", "stage", "program", "MB", "s"], rows)


if __name__ == "__main__":
    main()
