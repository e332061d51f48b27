"""Times an image encoder beside ONNX Runtime, OpenVINO and PyTorch on the same images, alternately in one run.

    tests/bench/setup_peers.sh && . target/peers/bin/activate
    cargo build --release --locked --package pipeline-cli --package pipeline-models --example encoder_speed
    python tests/bench/images.py MODEL [--images 16] [--json]

MODEL is a folder in timm's format, or Chinese-CLIP of transformers. Peers get normalised images; the program gets bytes
and normalises them itself. ONNX Runtime and OpenVINO run the exported graph with batch norms folded, PyTorch channels
last and channels first. Each round times all of them one after the other; the ratios are medians over the rounds. Work
is counted as if every convolution were computed directly, 2 operations per weight and output, so a ResNet's share of
the FMA peak can exceed 100%.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import encoders

SIDE = 224
GOALS = {"ONNX Runtime": 1.25, "OpenVINO": 1.25}
GOALS_OF_RESNET = {**GOALS, "PyTorch channels last": 2.5, "PyTorch": 2.5}


def images(n_images: int, mean, std):
    """The levels that the program makes up, normalised.

    Shapes: returns [n_images, 3, 224, 224]
    """
    import numpy

    idx = numpy.arange(SIDE * SIDE * 3, dtype=numpy.uint32)
    mixed = [(idx ^ numpy.uint32(image << 20 & 0xFFFFFFFF)) * numpy.uint32(2_654_435_761) for image in range(n_images)]
    levels = (numpy.stack(mixed) >> numpy.uint32(24)).astype(numpy.float32).reshape(n_images, SIDE, SIDE, 3)
    return numpy.ascontiguousarray(((levels / 255 - numpy.float32(mean)) / numpy.float32(std)).transpose(0, 3, 1, 2))


def load(folder: Path):
    """The name, the model from pixels to features, and the mean and deviation of its pixels."""
    import timm
    import torch
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    if config.get("model_type") == "chinese_clip":
        from transformers import ChineseCLIPModel

        class Projected(torch.nn.Module):
            def __init__(self):
                super().__init__()
                both = ChineseCLIPModel.from_pretrained(folder)
                self.tower, self.projection = both.vision_model, both.visual_projection

            def forward(self, pixels):
                return self.projection(self.tower(pixel_values=pixels).pooler_output)

        pixels = json.loads((folder / "preprocessor_config.json").read_text())
        return "Chinese-CLIP's image tower", Projected().eval(), pixels["image_mean"], pixels["image_std"]
    model = timm.create_model(config["architecture"], num_classes=0).eval()
    missing, _ = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not missing, missing
    pixels = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], **config.get("pretrained_cfg", {})}
    return config["architecture"], model, pixels["mean"], pixels["std"]


def operations(model) -> int:
    """Of one image: convolutions, affine maps, and the two products of each attention."""
    import torch

    counts = []

    def count_conv(conv, _, out):
        counts.append(2 * conv.weight.numel() * out.shape[2] * out.shape[3])

    def count_linear(linear, _, out):
        counts.append(2 * linear.weight.numel() * (out.numel() // out.shape[-1]))

    def count_attention(query, _, out):
        # The fused map of timm and the query of transformers stand for an attention over all rows.
        counts.append(4 * query.in_features * (out.numel() // out.shape[-1]) ** 2)

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            hooks.append(module.register_forward_hook(count_conv))
        if isinstance(module, torch.nn.Linear):
            hooks.append(module.register_forward_hook(count_linear))
        if name.endswith(("attn.qkv", "q_proj")):
            hooks.append(module.register_forward_hook(count_attention))
    with torch.inference_mode():
        model(torch.zeros(1, 3, SIDE, SIDE))
    [hook.remove() for hook in hooks]
    return sum(counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--program", default="target/release/examples/encoder_speed")
    parser.add_argument("--json", action="store_true", help="print rows for peers.py, and nothing else")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)

    import torch

    torch.set_num_threads(args.threads)
    name, model, mean, std = load(args.model)
    first = torch.from_numpy(images(args.images, mean, std))
    n_operations = args.images * operations(model)

    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "exported.onnx"
        names = {"input_names": ["pixels"], "output_names": ["features"]}
        torch.onnx.export(model, (first,), exported, dynamo=False, do_constant_folding=True, **names)
        session = encoders.onnx_runtime(exported, args.threads)
        compiled = encoders.openvino(exported, args.threads)

    @torch.inference_mode()
    def pytorch(model, pixels):
        return model(pixels)

    peers = {"ONNX Runtime": lambda: session.run(None, {"pixels": first.numpy()})}
    if compiled is not None:
        peers["OpenVINO"] = lambda: [compiled(first.numpy())[0].copy()]
    last, model_last = first.to(memory_format=torch.channels_last), load(args.model)[1]
    model_last = model_last.to(memory_format=torch.channels_last)
    peers["PyTorch channels last"] = lambda: [pytorch(model_last, last).numpy()]
    peers["PyTorch"] = lambda: [pytorch(model, first).numpy()]

    ours, end = encoders.program([args.program, "images", args.model, args.images, args.threads])
    rounds = encoders.compare(ours, peers, args.rounds)
    end()
    work = f"{name}, {args.images} images of {SIDE}²"
    goals = GOALS_OF_RESNET if name.startswith("resnet") else GOALS
    encoders.report(rounds, work, "images", n_operations, goals, args.json)


if __name__ == "__main__":
    main()
