"""The inputs of the stand-in's checks: a spec with the tiny models of every family, and one with every option of
training.
"""

import array
import json
import struct
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
N_ROWS = 6
N_TEXTS = 24
SHARED_ROWS, SHARED_WIDTHS, SHARED_EPOCHS = 8000, {"text": 4096, "image": 4096}, 2

TEXT_MODELS = {
    "bert": "tiny/bert",
    "bert-mean": ("tiny/bert", {"pooling": "mean"}),
    "roberta": "ladder/roberta",
    "xlm-roberta": "ladder/xlm_roberta",
    "clip": "ladder/clip",
    "chinese-clip": "ladder/chinese_clip",
    "chinese-clip-tokens": ("ladder/chinese_clip", {"pooling": "tokens"}),
    "taiyi": "ladder/taiyi",
    "open-clip": "ladder/open_clip",
    "siglip2": "ladder/siglip2",
    "cn-clip": "ladder/cn_clip_vit/clip_cn_vit.pt",
    "bert-tf32": ("tiny/bert", {"precision": "tf32"}),
    "bert-bf16": ("tiny/bert", {"precision": "bf16"}),
    "clip-bf16": ("ladder/clip", {"precision": "bf16"}),
}
IMAGE_MODELS = {
    "resnet": "tiny/resnet",
    "resnet-basic": "tiny/resnet_basic",
    "clip-rn50": "ladder/cn_clip_rn50/clip_cn_rn50.pt",
    "chinese-clip": "ladder/chinese_clip",
    "chinese-clip-tokens": ("ladder/chinese_clip", {"pooling": "tokens"}),
    "clip": "ladder/clip",
    "open-clip": "ladder/open_clip",
    "siglip2": "ladder/siglip2",
    "vit": "ladder/vit_hf",
    "vit-timm": "ladder/vit_timm",
    "dinov2": "ladder/dinov2",
    "convnext": "ladder/convnext_hf",
    "convnext-timm": "ladder/convnext_timm",
    "convnext-conv-mlp": "ladder/convnext_conv_mlp",
    "resnet-tf32": ("tiny/resnet", {"precision": "tf32"}),
    "resnet-bf16": ("tiny/resnet", {"precision": "bf16"}),
    "vit-tf32": ("ladder/vit_hf", {"precision": "tf32"}),
    "vit-bf16": ("ladder/vit_hf", {"precision": "bf16"}),
    "convnext-tf32": ("ladder/convnext_hf", {"precision": "tf32"}),
}
TRAININGS = {
    "plain": {},
    "tf32": {"precision": "tf32"},
    "mlp": {"head": "mlp", "hidden_dim": 24},
    "learnt-temperature": {"learn_temperature": True},
    "positives-mask": {"positives": "mask", "pairs": "all"},
    "positives-all": {"positives": "all", "pairs": "all"},
    "scheduled": {"lr_schedule": "cosine", "warmup_steps": 1, "shuffle": True},
    "anchored": {"anchor": 0.01, "start": "identity", "projection_dim": None},
    "unnormalised": {"normalize": False, "temperature": 1.0},
    "kept-best": {"patience": 1},
    "attentive": {"text_pool": "attentive", "image_pool": "attentive"},
    "mean-of-tokens": {"text_pool": "mean", "image_pool": "mean"},
}


def yaml(value):
    """A value as YAML: JSON is some."""
    return json.dumps(value, ensure_ascii=False)


def data(folder):
    """A few queries and images, whose texts have several lengths; returns their paths."""
    queries, images = folder / "queries.jsonl", folder / "images.tsv"
    mini = FIXTURES / "data" / "mini"
    pictures = (mini / "MR_train_imgs.tsv").read_text().splitlines()[:N_ROWS]
    images.write_text("\n".join(pictures) + "\n")
    ids = [int(picture.split("\t")[0]) for picture in pictures]
    texts = ["水果", "红 苹果", "面向右边 下跪 男", "手", "旗: 布韦岛 BV 旗", "箭头 终点"]
    rows = [
        {"query_id": idx, "query_text": text, "item_ids": [ids[idx], ids[(idx + 2) % N_ROWS]]}
        for idx, text in enumerate(texts)
    ]
    queries.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return queries, images


def model_of(entry):
    """The path and the params of a model."""
    path, params = entry if isinstance(entry, tuple) else (entry, {})
    return {"model": str(FIXTURES / path), **params}


def spec(stages):
    """The text of a spec."""
    return "stages:\n" + "".join(f"  {name}: {yaml(stage)}\n" for name, stage in stages.items())


def loaders(folder):
    queries, _ = data(folder)
    return {"queries": {"kind": "load-queries", "params": {"path": str(queries)}}}


def text_stage(entry):
    return {"kind": "extract-text", "inputs": {"queries": "queries"}, "params": model_of(entry)}


def image_stage(folder, entry):
    of_model = model_of(entry)
    says_size = "resnet" not in of_model["model"].lower()
    decode = {"path": str(folder / "images.tsv"), **({"like": of_model["model"]} if says_size else {"size": [64, 64]})}
    return {"kind": "extract-image", "params": {**of_model, "decode": decode}}


def families(folder):
    """Every family of encoders on the few rows."""
    stages = loaders(folder)
    stages.update({f"text-{name}": text_stage(entry) for name, entry in TEXT_MODELS.items()})
    stages.update({f"image-{name}": image_stage(folder, entry) for name, entry in IMAGE_MODELS.items()})
    return spec(stages)


def training(folder, names=None):
    """Trainings with each option, on features of a tiny model."""
    stages = loaders(folder)
    clip = TEXT_MODELS["chinese-clip"]
    stages["text"], stages["images"] = text_stage(clip), image_stage(folder, clip)
    tokens = (clip, {"pooling": "tokens"})
    stages["text-tokens"], stages["image-tokens"] = text_stage(tokens), image_stage(folder, tokens)
    for name in names or TRAININGS:
        params = {"projection_dim": 12, "batch_size": 4, "epochs": 2, **TRAININGS[name]}
        has_tokens = "text_pool" in params
        inputs = {
            "queries": "queries",
            "text": "text-tokens" if has_tokens else "text",
            "images": "image-tokens" if has_tokens else "images",
        }
        if name == "kept-best":
            inputs |= {"valid_queries": "queries", "valid_text": "text", "valid_images": "images"}
        stages[f"train-{name}"] = {"kind": "train-projection", "inputs": inputs, "params": params}
    if names is None:
        stages |= unfrozen()
        of_evaluation = {"queries": "queries", "text": "text", "images": "images", "projection": "train-plain"}
        stages["evaluate"] = {"kind": "evaluate-recall", "inputs": of_evaluation}
    return spec(stages)


def unfrozen():
    """The training of the last layer of a text encoder on its tokens."""
    model = str(FIXTURES / TEXT_MODELS["bert"])
    tokens = {"model": model, "pooling": "tokens", "layers": -1}
    params = {"text_model": model, "projection_dim": 12, "batch_size": 4, "epochs": 2}
    return {
        "text-trunk": {"kind": "extract-text", "inputs": {"queries": "queries"}, "params": tokens},
        "train-top": {
            "kind": "train-top",
            "inputs": {"queries": "queries", "text": "text-trunk", "images": "images"},
            "params": params,
        },
    }


def vectors(folder, n_pairs, widths):
    """The stages that take vectors of any numbers, for as many queries as images."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [str(idx) for idx in range(n_pairs)]
    (folder / "ids.json").write_text(json.dumps(names))
    rows = ({"query_id": idx, "query_text": "a", "item_ids": [idx, idx * 7 % n_pairs]} for idx in range(n_pairs))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stages = {"queries": {"kind": "load-queries", "params": {"path": str(folder / "queries.jsonl")}}}
    for side, width in widths.items():
        few = array.array("f", (idx * idx % 97 / 97 - 0.5 for idx in range(41 * width)))
        values = few * (n_pairs // 41) + few[: n_pairs % 41 * width]
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n_pairs}, {width}), }}".ljust(117) + "\n"
        content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + values.tobytes()
        (folder / f"{side}.npy").write_bytes(content)
        params = {"path": str(folder / f"{side}.npy"), "ids": str(folder / "ids.json")}
        stages[side] = {"kind": f"import-{side}-features", "params": params}
    stages["text"]["inputs"] = {"queries": "queries"}
    return stages


def batches(folder):
    """Trainings whose batches are large enough for the products of encoders, and whose last one is not."""
    stages = vectors(folder / "batches", 180, {"text": 24, "image": 40})
    mlp = {"head": "mlp", "hidden_dim": 20, "positives": "all", "pairs": "all"}
    for name, more in {"f32": {}, "tf32": {"precision": "tf32"}, "mlp": mlp}.items():
        params = {"projection_dim": 16, "batch_size": 130, "epochs": 2, "lr": 0.01, **more}
        inputs = {"queries": "queries", "text": "text", "images": "image"}
        stages[f"train-{name}"] = {"kind": "train-projection", "inputs": inputs, "params": params}
    return spec(stages)


def shared(folder):
    """Two trainings on features of 250 MiB, which one card cannot hold twice."""
    stages = vectors(folder / "shared", SHARED_ROWS, SHARED_WIDTHS)
    inputs = {"queries": "queries", "text": "text", "images": "image"}
    for idx in range(2):
        params = {"projection_dim": 16, "batch_size": 512, "epochs": SHARED_EPOCHS, "lr": 0.001 * (idx + 1)}
        stages[f"train-{idx}"] = {"kind": "train-projection", "inputs": inputs, "params": params}
    return spec(stages)


def sound(folder):
    """One stage of each kind that works on the card: what faults are put into."""
    stages = loaders(folder)
    clip = TEXT_MODELS["chinese-clip"]
    stages["text"], stages["images"] = text_stage(clip), image_stage(folder, clip)
    inputs = {"queries": "queries", "text": "text", "images": "images"}
    params = {"projection_dim": 12, "batch_size": 4, "epochs": 2, "learn_temperature": True}
    stages["train"] = {"kind": "train-projection", "inputs": inputs, "params": params}
    return spec(stages)


def sweep(folder, n_trainings):
    """As many trainings with a rate of their own each."""
    stages = loaders(folder)
    clip = TEXT_MODELS["chinese-clip"]
    stages["text"], stages["images"] = text_stage(clip), image_stage(folder, clip)
    inputs = {"queries": "queries", "text": "text", "images": "images"}
    for idx in range(n_trainings):
        params = {"projection_dim": 12, "batch_size": 4, "epochs": 1, "lr": 0.001 * (idx + 1)}
        stages[f"train-{idx}"] = {"kind": "train-projection", "inputs": inputs, "params": params}
    return spec(stages)


def cards(folder):
    """Several shards of one stage, and several stages at once: what can be divided among cards."""
    stages = loaders(folder)
    texts, ids = folder / "texts.jsonl", folder / "images.tsv"
    first = int(ids.read_text().split("\t")[0])
    rows = [{"query_id": idx, "query_text": f"水果 {idx} 苹果", "item_ids": [first]} for idx in range(N_TEXTS)]
    texts.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    stages["texts"] = {"kind": "load-queries", "params": {"path": str(texts)}}
    # Shards of a mebibyte, of rows that might have 512 tokens each.
    tokens = {**model_of(TEXT_MODELS["bert"]), "pooling": "tokens", "max_length": 512, "shard_mib": 1}
    stages["tokens"] = {"kind": "extract-text", "inputs": {"queries": "texts"}, "params": tokens}
    clip = TEXT_MODELS["chinese-clip"]
    stages["text"], stages["images"] = text_stage(clip), image_stage(folder, clip)
    inputs = {"queries": "queries", "text": "text", "images": "images"}
    for idx in range(2):
        params = {"projection_dim": 12, "batch_size": 4, "epochs": 2, "lr": 0.001 * (idx + 1)}
        stages[f"train-{idx}"] = {"kind": "train-projection", "inputs": inputs, "params": params}
    return spec(stages)
