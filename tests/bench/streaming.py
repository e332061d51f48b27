"""Peak memory and seconds of training and evaluation on features of any size, beside another program's.

    pip install numpy
    cargo build --release --locked --workspace
    python tests/bench/streaming.py [--program target/release/pipeline,OTHER] [--images 129380] [--texts 248786]
    python tests/bench/streaming.py --images 1000,10000,100000 --texts 1000,10000,100000

The features are made up: as many and as wide as those of all of MUGE, imported once by the first program, so that they
lie in the store as any others. Programs are alternated. Each stage has a peak of its own: the kernel's high-water mark
is set back when a stage ends. `--limit-mb` bounds the address space (`ulimit -v`) of a run.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import measure
from memory import stages

SPEC = """name: streaming
stages:
  train-queries: {{ kind: load-queries, params: {{ path: train.jsonl }} }}
  valid-queries: {{ kind: load-queries, params: {{ path: valid.jsonl }} }}
  train-text: {{ kind: import-text-features, inputs: {{ queries: train-queries }}, params: {{ path: train-text.npy, ids: train-text.txt }} }}
  train-images: {{ kind: import-image-features, params: {{ path: train-images.npy, ids: train-images.txt }} }}
  valid-text: {{ kind: import-text-features, inputs: {{ queries: valid-queries }}, params: {{ path: valid-text.npy, ids: valid-text.txt }} }}
  valid-images: {{ kind: import-image-features, params: {{ path: valid-images.npy, ids: valid-images.txt }} }}
  projection:
    kind: train-projection
    inputs: {{ queries: train-queries, text: train-text, images: train-images, valid_queries: valid-queries, valid_text: valid-text, valid_images: valid-images }}
    params: {{ epochs: {epochs}, batch_size: {batch_size} }}
  evaluate:
    kind: evaluate-recall
    inputs: {{ queries: valid-queries, text: valid-text, images: valid-images, projection: projection }}
"""

STAGES = ["projection", "evaluate"]


def write_side(folder: Path, name: str, n_rows: int, dim: int, seed: int) -> None:
    """Noise in blocks, so that making it takes little memory."""
    import numpy

    random = numpy.random.default_rng(seed)
    shape = (n_rows, dim)
    vectors = numpy.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype="<f4", shape=shape)
    for first in range(0, n_rows, 4096):
        block = vectors[first : first + 4096]
        block[:] = random.standard_normal(block.shape, dtype=numpy.float32)
    del vectors
    (folder / f"{name}.txt").write_text("".join(f"{row_idx}\n" for row_idx in range(n_rows)))


def write_split(folder: Path, split: str, n_images: int, n_texts: int, dims: tuple[int, int], seed: int) -> None:
    write_side(folder, f"{split}-images", n_images, dims[0], seed)
    write_side(folder, f"{split}-text", n_texts, dims[1], seed + 1)
    with (folder / f"{split}.jsonl").open("w") as file:
        for idx in range(n_texts):
            query = {"query_id": idx, "query_text": f"text {idx}", "item_ids": [idx * 7 % n_images]}
            file.write(json.dumps(query) + "\n")


def run(program: str, folder: Path, forced: list[str], limit_mb: int | None) -> dict[str, dict[str, float]]:
    """The peak in MB and the seconds of each stage, of which some run again."""
    return stages(program, folder, [word for stage in forced for word in ("--force", stage)], limit_mb)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/pipeline", help="one or more, with commas between")
    parser.add_argument("--images", default="129380")
    parser.add_argument("--texts", default="248786")
    parser.add_argument("--valid", default="29806,5008", help="held-out images and texts")
    parser.add_argument("--dims", default="2048,768", help="the widths of images and texts")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit-mb", type=int)
    parser.add_argument("--folder", default=".", help="on the disk to be timed")
    args = parser.parse_args()
    programs = [str(Path(program).resolve()) for program in args.program.split(",")]
    dims = tuple(map(int, args.dims.split(",")))
    sizes = zip(map(int, args.images.split(",")), map(int, args.texts.split(",")), strict=True)
    rows = []
    for n_images, n_texts in sizes:
        with tempfile.TemporaryDirectory(dir=args.folder) as name:
            folder = Path(name).resolve()
            write_split(folder, "train", n_images, n_texts, dims, 1)
            write_split(folder, "valid", *map(int, args.valid.split(",")), dims, 3)
            (folder / "spec.yaml").write_text(SPEC.format(epochs=args.epochs, batch_size=args.batch_size))
            run(programs[0], folder, [], None)
            found = [[run(program, folder, STAGES, args.limit_mb) for program in programs] for _ in range(args.rounds)]
        for idx, program in enumerate(programs):
            for stage in STAGES:
                runs = [round_[idx][stage] for round_ in found]
                peak = max(run["peak_mb"] for run in runs)
                seconds = statistics.median(run["seconds"] for run in runs)
                rows.append(
                    [f"{n_images:,}", f"{n_texts:,}", stage, Path(program).name, f"{peak:.0f}", f"{seconds:.2f}"]
                )
    print(measure.machine())
    measure.table(["images", "texts", "stage", "program", "MB", "s"], rows)


if __name__ == "__main__":
    main()
