"""Compares a stage's features with those of PyTorch, row by row.

    python features.py text  pipelines/demo/encoders/bert   pipelines/demo/data/MR_valid_queries.jsonl "$(pipeline path demo valid-text-features)"
    python features.py image pipelines/demo/encoders/resnet pipelines/demo/data/MR_valid_imgs.tsv      "$(pipeline path demo valid-image-features)"

Needs torch, timm, torchvision, transformers 4, pillow, pyarrow and numpy. Prints the largest absolute difference and
exits with 1 when it is above --tolerance.
"""

import argparse
import base64
import io
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image


def read_features(folder: Path) -> dict[str, np.ndarray]:
    """Vectors by id, from every Parquet shard of an artifact."""
    vectors = {}
    for shard in sorted(folder.rglob("*.parquet")):
        table = pq.read_table(shard).combine_chunks()
        binary = [f.name for f in table.schema if pa.types.is_fixed_size_binary(f.type)]
        ids = [f.name for f in table.schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
        column = table.column(binary[-1])
        width = column.type.byte_width
        values = b"".join(chunk.buffers()[1].to_pybytes()[: len(chunk) * width] for chunk in column.chunks)
        rows = np.frombuffer(values, "<f4").reshape(len(table), width // 4)
        vectors.update(zip(table.column(ids[0]).to_pylist(), rows))
    return vectors


def text_reference(model: Path, queries: Path, limit: int) -> dict[str, np.ndarray]:
    """[CLS] of each query, one query at a time, as the notebook's extractor."""
    from transformers import BertModel, BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(model, local_files_only=True)
    bert = BertModel.from_pretrained(model, local_files_only=True).eval()
    reference = {}
    for line in queries.read_text("utf-8").splitlines()[:limit]:
        row = json.loads(line)
        inputs = tokenizer(row["query_text"], return_tensors="pt", truncation=True, max_length=128)
        with torch.no_grad():
            reference[str(row["query_id"])] = bert(**inputs).last_hidden_state[0, 0].numpy()
    return reference


def image_reference(model: Path, images: Path, limit: int) -> dict[str, np.ndarray]:
    """Pooled features of each image, as the notebook's extractor."""
    import timm
    from safetensors.torch import load_file
    from torchvision import transforms

    config = json.loads((model / "config.json").read_text())
    resnet = timm.create_model(
        config["architecture"], num_classes=config["num_classes"], **config.get("model_args", {})
    )
    resnet.load_state_dict(load_file(model / "model.safetensors"))
    resnet.reset_classifier(0)
    resnet.eval()
    transform = transforms.Compose(
        [
            transforms.Resize((224, 224)),
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
    reference = {}
    for line in images.read_text("ascii").splitlines()[:limit]:
        image_id, data = line.split("\t")[:2]
        image = Image.open(io.BytesIO(base64.urlsafe_b64decode(data.replace("+", "-").replace("/", "_"))))
        with torch.no_grad():
            reference[image_id] = resnet(transform(image.convert("RGB"))[None])[0].numpy()
    return reference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modality", choices=["text", "image"])
    parser.add_argument("model", type=Path)
    parser.add_argument("rows", type=Path, help="the jsonl or tsv file that was read")
    parser.add_argument("features", type=Path, help="the folder of the stage's artifact")
    parser.add_argument("--limit", type=int, default=200, help="compare this many rows (default: 200)")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    args = parser.parse_args()

    torch.set_num_threads(1)
    ours = read_features(args.features)
    compute = text_reference if args.modality == "text" else image_reference
    reference = compute(args.model, args.rows, args.limit)
    compared = [i for i in reference if i in ours]
    if not compared:
        sys.exit("no id in common")
    differences = [float(np.abs(ours[i] - reference[i]).max()) for i in compared]
    largest = max(float(np.abs(reference[i]).max()) for i in compared)
    print(f"{len(compared)} rows, values up to {largest:.3g}: largest difference {max(differences):.3g}")
    sys.exit(max(differences) > args.tolerance)


if __name__ == "__main__":
    main()
