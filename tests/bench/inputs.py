"""Writes what the benchmarks read: encoders of full size with random weights, and a MUGE data set of 224 × 224 JPEGs.

    python tests/bench/inputs.py FOLDER      # about 1.8 GB; what is there already stays

FOLDER/models/bert          BERT-base (12 layers of width 768) with the vocabulary of the demo's encoder
FOLDER/models/resnet        ResNet-50; its batch norms have random scales and the statistics of the images
FOLDER/models/vit           ViT-B/16 of timm
FOLDER/models/convnext      ConvNeXt-T of timm
FOLDER/models/chinese-clip  Chinese-CLIP B/16
FOLDER/data                 the demo's images on white, 224 × 224, quality 90, and its queries
"""

import base64
import io
import json
import shutil
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "pipelines" / "demo"
SPLITS = ("train", "valid")


def write_data(folder: Path) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for split in SPLITS:
        lines = []
        for line in (DEMO / "data" / f"MR_{split}_imgs.tsv").read_text().splitlines():
            image_id, encoded = line.split("\t")
            image = Image.open(io.BytesIO(base64.urlsafe_b64decode(encoded))).convert("RGBA")
            canvas = Image.new("RGBA", image.size, "white")
            canvas.alpha_composite(image)
            jpeg = io.BytesIO()
            canvas.convert("RGB").resize((224, 224), Image.BICUBIC).save(jpeg, "JPEG", quality=90)
            lines.append(f"{image_id}\t{base64.urlsafe_b64encode(jpeg.getvalue()).decode()}\n")
        (folder / f"MR_{split}_imgs.tsv").write_text("".join(lines))
        shutil.copy(DEMO / "data" / f"MR_{split}_queries.jsonl", folder)


def write_bert(folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True)
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(DEMO / "encoders" / "bert" / name, folder)
    # As many rows as bert-base-chinese has, so that the files have its size.
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=21128), add_pooling_layer=False).eval().save_pretrained(folder)


def write_resnet(folder: Path, data: Path) -> None:
    import timm
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = timm.create_model("resnet50", pretrained=False, num_classes=0)
    # timm begins with scales of zero behind each block: features would not depend on the blocks.
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.0)
        torch.nn.init.uniform_(norm.bias, -0.2, 0.2)
        norm.momentum = None
    with torch.no_grad():
        model.train()(pixels(data, 64))
    save_file(model.eval().state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "resnet50", "num_classes": 0}) + "\n")


def write_timm(folder: Path, architecture: str) -> None:
    import timm
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = timm.create_model(architecture, pretrained=False, num_classes=0).eval()
    # timm begins with layer scales of 1e-6: features would hardly depend on the blocks.
    [torch.nn.init.uniform_(scale, 0.5, 1.0) for name, scale in model.named_parameters() if name.endswith("gamma")]
    save_file(model.state_dict(), folder / "model.safetensors")
    pixels = {"input_size": [3, 224, 224], "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}
    config = {"architecture": architecture, "num_classes": 0, "pretrained_cfg": {**pixels, "crop_pct": 1.0}}
    (folder / "config.json").write_text(json.dumps(config) + "\n")


def write_chinese_clip(folder: Path) -> None:
    import torch
    from transformers import ChineseCLIPConfig, ChineseCLIPImageProcessor, ChineseCLIPModel

    folder.mkdir(parents=True)
    shutil.copy(DEMO / "encoders" / "bert" / "vocab.txt", folder)
    torch.manual_seed(0)
    config = ChineseCLIPConfig(text_config={"vocab_size": 21128}, vision_config={"patch_size": 16})
    ChineseCLIPModel(config).eval().save_pretrained(folder)
    ChineseCLIPImageProcessor().save_pretrained(folder)


def pixels(data: Path, n_images: int):
    """Normalised images.

    Shapes: returns [n_images, 3, 224, 224]
    """
    import numpy
    import torch
    from PIL import Image

    lines = (data / "MR_train_imgs.tsv").read_text().splitlines()[:n_images]
    images = [Image.open(io.BytesIO(base64.urlsafe_b64decode(line.split("\t")[1]))) for line in lines]
    rgb = torch.from_numpy(numpy.stack([numpy.asarray(image.convert("RGB")) for image in images]))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((rgb / 255 - mean) / deviation).permute(0, 3, 1, 2).contiguous()


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    data, models = folder / "data", folder / "models"
    parts = {
        data: write_data,
        models / "bert": write_bert,
        models / "resnet": lambda path: write_resnet(path, data),
        models / "vit": lambda path: write_timm(path, "vit_base_patch16_224"),
        models / "convnext": lambda path: write_timm(path, "convnext_tiny"),
        models / "chinese-clip": write_chinese_clip,
    }
    for path, write in parts.items():
        if not path.exists():
            write(path)


if __name__ == "__main__":
    main()
