"""Reads what runs have made, and compares it: features, losses, weights, metrics, and artifacts as a whole."""

import array
import csv
import json
import math
import re
import shutil
import struct
import subprocess

# The largest difference to the processor's own code, by the precision: of features as a share of a row's length, of all
# else as numbers.
TOLERANCES = {
    "f32": {"features": 3e-6, "losses": 2e-5, "weights": 2e-4, "metrics": 0.0, "scores": 2e-5},
    "tf32": {"features": 2e-3, "losses": 2e-3, "weights": 5e-3},
    "bf16": {"features": 2e-2},
}


def asked(standin, *words):
    """The output of the program, or nothing where it fails."""
    done = subprocess.run(
        [str(word) for word in (standin.program, *words)], cwd=standin.folder, capture_output=True, text=True
    )
    return done.stdout.strip() if done.returncode == 0 else None


def artifact(standin, spec, stage, store):
    """The folder of an artifact."""
    return standin.folder / asked(standin, "path", spec, stage, "--artifacts", store)


def digests(store):
    """The digest of each artifact, by its stage, as the runs of a store have recorded it."""
    found = {}
    for path in store.glob("runs/*/events.jsonl"):
        for event in map(json.loads, path.read_text().splitlines()):
            if "artifact" in event and "stage" in event:
                found[event["stage"]] = event["artifact"]
    return found


def stages(standin, spec):
    """The stages of a spec, and their kinds."""
    lines = (standin.folder / spec).read_text().splitlines()[1:]
    named = (line.strip().split(": ", 1) for line in lines)
    return {name: json.loads(stage) for name, stage in named}


def unequal(sound, store):
    """The stages whose artifacts in `store` are others than in `sound`."""
    expected = digests(sound)
    return sorted(stage for stage, digest in digests(store).items() if expected.get(stage) != digest)


def differences(standin, spec, reference, store):
    """Of every stage that has numbers: its name, what they are, their precision, and the largest difference."""
    for name, stage in stages(standin, spec).items():
        precision = stage["params"].get("precision", "f32") if "params" in stage else "f32"
        stores = (reference, store)
        if stage["kind"].startswith("extract-") and stage["params"].get("pooling") != "tokens":
            yield name, "features", precision, distance(*[exported(standin, spec, name, each) for each in stores])
        elif stage["kind"].startswith("train-"):
            paths = [artifact(standin, spec, name, each) for each in stores]
            yield name, "losses", precision, furthest(*[losses(path / "history.csv") for path in paths])
            yield name, "weights", precision, furthest(*[weights(path / "projection.safetensors") for path in paths])
        elif stage["kind"] == "evaluate-recall":
            paths = [artifact(standin, spec, name, each) for each in stores]
            found = [json.loads((path / "metrics.json").read_text())["mean_recall"] for path in paths]
            yield name, "metrics", precision, abs(found[0] - found[1])


def exported(standin, spec, stage, store):
    """Features as rows."""
    folder = standin.folder / "exported" / f"{store.name}-{stage}"
    shutil.rmtree(folder, ignore_errors=True)
    asked(standin, "export", spec, stage, "--artifacts", store, "-o", folder)
    [path] = folder.glob("*.npy")
    content = path.read_bytes()
    n_header = struct.unpack("<H", content[8:10])[0]
    n_rows, width = map(int, re.search(rb"\((\d+), (\d+)\)", content[10 : 10 + n_header]).groups())
    values = array.array("f", content[10 + n_header :])
    return [values[row * width : (row + 1) * width] for row in range(n_rows)]


def distance(expected, found):
    """The largest distance of two rows as a share of the expected one's length."""
    if len(expected) != len(found):
        return math.inf
    return max(math.dist(a, b) / (math.hypot(*a) or 1.0) for a, b in zip(expected, found))


def furthest(expected, found):
    """The largest difference of numbers; infinite where one is not a number, or there are not as many."""
    if len(expected) != len(found) or not expected:
        return math.inf
    largest = max(abs(a - b) for a, b in zip(expected, found))
    return largest if largest == largest else math.inf


def losses(path):
    with open(path, newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def weights(path):
    """All numbers of a safetensors file, by the names of its tensors."""
    content = path.read_bytes()
    n_header = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + n_header])
    values = []
    for name in sorted(set(header) - {"__metadata__"}):
        start, end = header[name]["data_offsets"]
        values.extend(array.array("f", content[8 + n_header + start : 8 + n_header + end]))
    return values


def searched(standin, spec, store):
    """The score of each image for a text."""
    found = asked(standin, "search", spec, "红 苹果", "--artifacts", store, "--json")
    return {result["id"]: result["score"] for result in json.loads(found)["results"]}


def counts(path):
    """What the stand-in counted in the last process."""
    return json.loads(path.read_text().splitlines()[-1])
