"""Times the image encoder beside ONNX Runtime and PyTorch on the same images, alternately in one run.

    pip install torch timm onnx onnxscript onnxruntime numpy
    cargo build --release --locked --package pipeline-cli --package pipeline-models --example resnet_speed
    python tests/bench/resnet.py MODEL [--images 16] [--json]

MODEL is a folder with a ResNet-50 in timm's format. Peers get normalised images; the program gets bytes and normalises
them itself. ONNX Runtime runs the exported graph with batch norms folded, PyTorch channels last and channels first.
Each round times all four one after the other; the ratios are medians over the rounds. Work is counted as if every
convolution were computed directly, 2 operations per weight and output, so its share of the FMA peak can exceed 100%.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

SIDE = 224
GOALS = {"ONNX Runtime": 1.25, "PyTorch channels last": 2.5, "PyTorch": 2.5}
# Of the largest feature: sums in another order differ by as much.
TOLERANCE = 1e-4


def images(n_images: int):
    """The levels that the program makes up, normalised as torchvision does."""
    import numpy

    idx = numpy.arange(SIDE * SIDE * 3, dtype=numpy.uint32)
    mixed = [(idx ^ numpy.uint32(image << 20 & 0xFFFFFFFF)) * numpy.uint32(2_654_435_761) for image in range(n_images)]
    levels = (numpy.stack(mixed) >> numpy.uint32(24)).astype(numpy.float32).reshape(n_images, SIDE, SIDE, 3)
    mean, std = numpy.float32([0.485, 0.456, 0.406]), numpy.float32([0.229, 0.224, 0.225])
    return numpy.ascontiguousarray(((levels / 255 - mean) / std).transpose(0, 3, 1, 2))


def operations(model) -> int:
    """Of one image."""
    import torch

    counts = []

    def count(conv, _, out):
        counts.append(2 * conv.weight.numel() * out.shape[2] * out.shape[3])

    convs = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    hooks = [conv.register_forward_hook(count) for conv in convs]
    with torch.inference_mode():
        model(torch.zeros(1, 3, SIDE, SIDE))
    [hook.remove() for hook in hooks]
    return sum(counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--program", default="target/release/examples/resnet_speed")
    parser.add_argument("--json", action="store_true", help="print the rows of the table as one line of JSON, too")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)

    import numpy
    import onnxruntime
    import timm
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(args.threads)
    model = timm.create_model("resnet50", num_classes=0).eval()
    missing, _ = model.load_state_dict(load_file(Path(args.model) / "model.safetensors"), strict=False)
    assert not missing, missing
    first = torch.from_numpy(images(args.images))
    n_operations = args.images * operations(model)

    with tempfile.TemporaryDirectory() as folder:
        exported = str(Path(folder) / "exported.onnx")
        names = {"input_names": ["pixels"], "output_names": ["features"]}
        torch.onnx.export(model, (first,), exported, dynamo=False, do_constant_folding=True, **names)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        # Threads that go on spinning after a run would take time from the others.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])

    last = first.to(memory_format=torch.channels_last)
    model_last = timm.create_model("resnet50", num_classes=0).eval()
    model_last.load_state_dict(model.state_dict())
    model_last = model_last.to(memory_format=torch.channels_last)
    command = [args.program, args.model, str(args.images), str(args.threads)]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ours() -> dict:
        program.stdin.write("\n")
        program.stdin.flush()
        return json.loads(program.stdout.readline())

    @torch.inference_mode()
    def pytorch(model, pixels):
        return model(pixels)

    peers = {
        "ONNX Runtime": lambda: session.run(None, {"pixels": first.numpy()})[0],
        "PyTorch channels last": lambda: pytorch(model_last, last).numpy(),
        "PyTorch": lambda: pytorch(model, first).numpy(),
    }

    def timed(work) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    features = {name: work() for name, work in peers.items()}
    ours_first = numpy.float32(ours()["first"])
    differences = {name: float(numpy.abs(vectors[0, : len(ours_first)] - ours_first).max()) for name, vectors in features.items()}
    largest = float(numpy.abs(ours_first).max())
    assert max(differences.values()) < TOLERANCE * max(largest, 1.0), f"not the same features: {differences}"
    rounds = []
    for _ in range(args.rounds):
        own = ours()
        rounds.append({"ours": own, **{name: timed(work) for name, work in peers.items()}})
    program.stdin.close()
    program.wait()

    shares = [n_operations / round_["ours"]["seconds"] / 1e9 / round_["ours"]["peak_gflops"] for round_ in rounds]
    ours_s = statistics.median(round_["ours"]["seconds"] for round_ in rounds)
    work = f"ResNet-50, {args.images} images of {SIDE}², {args.threads} threads"
    print(f"{work}, {args.rounds} rounds; first features differ by at most {max(differences.values()):.1e}")
    print(f"{'pipeline':21} {args.images / ours_s:6.1f} images/s, {ours_s * 1e3:7.1f} ms")
    rows = []
    for name in peers:
        seconds = statistics.median(round_[name] for round_ in rounds)
        ratio = statistics.median(round_[name] / round_["ours"]["seconds"] for round_ in rounds)
        print(f"{name:21} {args.images / seconds:6.1f} images/s, {seconds * 1e3:7.1f} ms; pipeline is {ratio:.2f} times as fast")
        rows.append({"work": work, "peer": name, "ours_s": ours_s, "peer_s": seconds, "ratio": ratio, "goal": GOALS[name]})
    peak = max(round_["ours"]["peak_gflops"] for round_ in rounds)
    print(f"share of the FMA peak ({peak:.0f} GFLOP/s): {statistics.median(shares):.0%}, at best {max(shares):.0%}")
    if args.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
