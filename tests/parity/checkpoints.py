"""Compares what is read of checkpoints with torch.load: the same numbers to the bit, or both refuse.

    cargo build --release --package pipeline-models --example checkpoint_tensors
    python checkpoints.py target/release/examples/checkpoint_tensors [FOLDER]

Makes some 850 checkpoints: formats × types × layouts × wrappers × damages, in FOLDER if it is given. Where one
reader takes what the other refuses, the reason must be listed below; everything else is a fault and the exit code 1.
"""

import collections
import datetime
import io
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import types
import warnings
import zipfile

import numpy as np
import torch

# Refused here and not by torch.load: words of the message, and why.
REASONS = {
    "does not have its checksum": "torch.load compares no checksums",
    "a tensor of a kind that is not read": "sparse and quantised tensors are no weights here",
    "is conjugated or negated lazily": "no weights are",
    "its buffers lie outside the file": "pickles with buffers outside need the program that wrote them",
    "has a file twice": "torch.load takes either",
    "too large for so small a file": "bounded memory",
    "a file of its zip archive is not where": "torch.load skips what its directory says twice",
}
# Taken here and refused by torch.load: the name of the case, and why.
LENIENT = {
    "passenger": "what is no tensor is passed over, whatever its class",
    "optimizer": "tensors that are not asked for are not looked at",
    "flipped-pickle": "what was changed is no tensor, and every number is that of the whole file",
    "eight-bits-legacy": "torch.load cannot read what torch.save wrote; the other tensors are right",
    "unsigned-legacy": "torch.load cannot read what torch.save wrote; the other tensors are right",
}


def save(path, value, kind):
    """Writes a checkpoint in one of the formats."""
    protocol = int(kind[-1]) if kind[-1].isdigit() else 2
    if kind.startswith("legacy"):
        torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    elif kind == "without-checksums":
        torch.serialization.set_crc32_options(False)
        torch.save(value, path)
        torch.serialization.set_crc32_options(True)
    else:
        torch.save(value, path, pickle_protocol=protocol)
        if kind == "deflated":
            rezip(path, path, zipfile.ZIP_DEFLATED)
        elif kind == "big-endian":
            rezip(path, path, change=lambda name, data: b"big" if name.endswith("byteorder") else data)
        elif kind == "no-byteorder":
            rezip(path, path, change=lambda name, data: None if name.endswith("byteorder") else data)


FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
KINDS = ["zip", "zip-protocol-3", "zip-protocol-4", "zip-protocol-5", "deflated", "without-checksums", "big-endian",
         "no-byteorder", "legacy", "legacy-protocol-4", "legacy-protocol-1"]


def rezip(source, target, compression=zipfile.ZIP_STORED, change=lambda name, data: data):
    """Packs the files of an archive anew, each as `change` leaves it."""
    with zipfile.ZipFile(io.BytesIO(pathlib.Path(source).read_bytes())) as archive:
        files = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in files:
            data = change(name, data)
            if data is not None:
                archive.writestr(name, data)


def layouts(dtype):
    """Tensors of one type that lie in their storages in every way."""
    numbers = torch.linspace(-3, 3, 240, dtype=torch.float64).to(dtype)
    image = numbers[:96].reshape(2, 3, 4, 4)
    edges = torch.tensor([0.0, -0.0, 1e-40, 6e-8, 65504.0, -1e30, float("inf"), float("nan")], dtype=torch.float64)
    return {
        "contiguous": numbers.reshape(12, 20).clone(),
        "transposed": numbers.reshape(12, 20).t(),
        "channels-last": image.contiguous(memory_format=torch.channels_last),
        "permuted": numbers.reshape(4, 6, 10).permute(2, 0, 1),
        "offset": numbers[17:57].reshape(5, 8),
        "stepped": numbers[::7],
        "column": numbers.reshape(12, 20)[:, 3],
        "block": numbers.reshape(12, 20)[2:7, 5:9],
        "expanded": numbers[5:6].expand(4, 3),
        "scalar": numbers[9],
        "empty": torch.empty(0, 4, dtype=dtype),
        "one": numbers[3:4].reshape(1, 1, 1),
        "edges": edges.to(dtype),
        "diagonal": torch.diagonal(numbers[:225].reshape(15, 15)),
    }


def state():
    """A small state dict, as modules give them."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Linear(3, 2))
    return model.state_dict()


def weights():
    """The weights among a small state dict."""
    return [tensor for tensor in state().values() if tensor.dtype == torch.float32]


def as_signed(bits):
    return torch.tensor(bits, dtype=torch.int64).to(torch.int32).tolist()


class Settings(dict):
    """A dict of its own class."""


def wrappers():
    """A state dict among the other things of a training."""
    sd = state()
    plain = dict(sd)
    shared = {"a.weight": sd["2.weight"], "b.weight": sd["2.weight"], "rows": sd["2.weight"][0]}
    parameters = {name: torch.nn.Parameter(value) for name, value in sd.items() if value.is_floating_point()}
    weight = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()
    return {
        "bare": sd,
        "plain": plain,
        "state_dict": {"state_dict": sd, "epoch": 3},
        "deep": {"a": {"b": {"c": plain}}},
        "shared": shared,
        "parameters": parameters,
        "integers": {"ids": torch.arange(5), "flag": torch.tensor([True]), **plain},
        "optimizer": {"model": plain, "optimizer": optimizer.state_dict()},
        "defaultdict": collections.defaultdict(list, plain),
        "ordered": collections.OrderedDict(plain),
        "numbers": {**plain, "epoch": 12, "big": 10**30, "loss": 0.25, "none": None, "yes": True, "name": "重庆"},
        "keys": {**plain, 3: torch.ones(2), (1, 2): torch.ones(2)},
        "list": {"model": plain, "history": [torch.ones(2)]},
        "alias": {"model": plain, "same": plain},
        "size": {**plain, "size": torch.Size([2, 3])},
        "complex": {**plain, "complex": torch.zeros(2, dtype=torch.complex64)},
        "bytes-of-one": {**plain, "byte": torch.zeros(2, dtype=torch.uint8)},
        "unsigned": {**plain, "u16": torch.zeros(2, dtype=torch.uint16)},
        "eight-bits": {**plain, "f8": torch.zeros(2).to(torch.float8_e4m3fn)},
        "device": {**plain, "device": torch.device("cpu"), "dtype": torch.float16},
        "typed-storage": {**plain, "s": torch.ones(2).storage()},
        "numpy": {**plain, "scalar": np.float64(1.5), "array": np.arange(4.0)},
        "bytes": {**plain, "raw": b"x" * 5000},
        "set": {**plain, "set": {1, 2}, "frozen": frozenset("ab")},
        "slices": {**plain, "range": range(3), "slice": slice(1, 2)},
        "passenger-date": {**plain, "when": datetime.datetime(2024, 1, 2)},
        "passenger-path": {**plain, "where": pathlib.Path("a/b")},
        "passenger-namespace": {**plain, "args": types.SimpleNamespace(lr=0.1)},
        "passenger-settings": {**plain, "cfg": Settings(a=1)},
        "passenger-generator": {**plain, "rng": torch.get_rng_state()},
        "sparse": {**plain, "s": torch.eye(3).to_sparse()},
        "quantised": {**plain, "q": torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)},
        "negated": {"n": torch.imag(torch.tensor([1 + 2j, 3 - 4j]).conj())},
        "list-root": [torch.ones(2)],
        "tensor-root": torch.ones(2),
        "numbers-only": {"epoch": 3},
        "nothing": {},
        "long-name": {"x" * 900: torch.ones(1), **plain},
        "escape": {"a\x1b[2J": torch.ones(1), **plain},
    }


def damages(folder, rng):
    """Damaged files, each with what was done to it."""
    value = {"model": dict(state()), "epoch": 3}
    for kind in ("zip", "legacy", "deflated"):
        whole = folder / f"whole-{kind}.pth"
        save(whole, value, kind)
        raw = whole.read_bytes()
        for percent in (0.1, 1, 5, 20, 50, 80, 90, 99, 99.9):
            yield f"cut-{kind}-{percent}", raw[: int(len(raw) * percent / 100)]
        for n in range(8):
            at = rng.randrange(len(raw))
            yield f"flipped-{kind}-{n}", raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1 :]
        yield f"behind-{kind}", raw + b"more"
        yield f"zeros-{kind}", raw[: len(raw) // 2] + bytes(len(raw) - len(raw) // 2)
    whole = folder / "whole-zip.pth"
    changes = {
        "missing": lambda data: None,
        "short": lambda data: data[:-4],
        "long": lambda data: data + b"1234",
        "none": lambda data: b"",
    }
    for what, change in changes.items():
        for number in range(3):
            end = f"data/{number}"
            target = folder / "changed.pth"
            rezip(whole, target, change=lambda name, data: change(data) if name.endswith(end) else data)
            yield f"storage-{what}-{number}", target.read_bytes()
    for n in range(60):
        def flip(name, data):
            if not name.endswith("data.pkl"):
                return data
            at = rng.randrange(len(data))
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        rezip(whole, folder / "changed.pth", change=flip)
        yield f"flipped-pickle-{n}", (folder / "changed.pth").read_bytes()
    (folder / "changed.pth").unlink()


def make(folder):
    """All checkpoints by name."""
    rng = random.Random(0)
    for kind in KINDS:
        for dtype in FLOATS:
            for layout, tensor in layouts(dtype).items():
                name = f"{kind}-{str(dtype)[6:]}-{layout}"
                save(folder / f"{name}.pth", {"t": tensor, "n": 1}, kind)
    for name, value in wrappers().items():
        for kind in ("zip", "legacy", "zip-protocol-4"):
            try:
                save(folder / f"{name}-{kind}.pth", value, kind)
            except (RuntimeError, AttributeError) as error:
                print(f"not made: {name}-{kind}: {error}")
    for name, raw in damages(folder, rng):
        (folder / f"{name}.pth").write_bytes(raw)


def flattened(value, prefix=""):
    """Tensors of floating-point numbers that are reached by texts, as bits of float32; each dict only once."""
    found, seen, dicts = {}, set(), [(prefix, value)]
    while dicts:
        prefix, value = dicts.pop(0)
        if not isinstance(value, dict) or id(value) in seen:
            continue
        seen.add(id(value))
        for key, item in value.items():
            if not isinstance(key, str):
                continue
            if isinstance(item, torch.Tensor) and item.layout == torch.strided and item.dtype in FLOATS:
                numbers = item.detach().to(torch.float32).contiguous().numpy()
                found[prefix + key] = (list(item.shape), numbers.reshape(-1).view(np.uint32).tolist())
            dicts.append((f"{prefix}{key}.", item))
    return found


def by_torch(path):
    """What torch.load gives; of what was changed at random it may only make what is known to be harmless."""
    is_random = path.name.startswith(("flipped", "zeros", "behind", "cut", "storage"))
    try:
        return flattened(torch.load(path, map_location="cpu", weights_only=is_random)), None
    except Exception as error:  # whatever a damaged file makes it raise
        return None, f"{type(error).__name__}: {error}"


def judge(path, ours, theirs, refusal):
    """What the two readers are to each other, and whether that is right."""
    if "error" in ours and refusal:
        return "both refuse", True
    if "error" in ours:
        reason = next((why for words, why in REASONS.items() if words in ours["error"]), None)
        return f"refused here only: {reason or ours['error']}", reason is not None
    found = {name: (tensor["shape"], tensor["bits"]) for name, tensor in ours["tensors"].items()}
    if refusal:
        known = [(list(tensor.shape), tensor.view(torch.int32).reshape(-1).tolist()) for tensor in weights()]
        is_right = all((shape, as_signed(bits)) in known for shape, bits in found.values())
        reason = next((why for word, why in LENIENT.items() if is_right and path.name.startswith(word)), None)
        return f"taken here only: {reason or refusal[:150]}", reason is not None
    return ("equal", True) if found == theirs else ("NOT EQUAL", False)


def main():
    program = sys.argv[1]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else scratch)
        folder.mkdir(parents=True, exist_ok=True)
        make(folder)
        paths = sorted(folder.glob("*.pth"))
        output = subprocess.run([program, *paths], check=True, capture_output=True, text=True).stdout
        ours = [json.loads(line) for line in output.splitlines()]
        counts, faults = collections.Counter(), 0
        for path, own in zip(paths, ours, strict=True):
            outcome, is_right = judge(path, own, *by_torch(path))
            counts[outcome] += 1
            if not is_right:
                faults += 1
                print(f"FAULT {path.name}: {outcome}")
        for outcome, count in counts.most_common():
            print(f"{count:5} {outcome}")
    print(f"{len(paths)} checkpoints, {faults} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
