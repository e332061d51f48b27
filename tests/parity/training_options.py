"""PyTorch's losses of trainings with each option, on the features of the mini data set.

    pip install torch numpy safetensors
    python tests/parity/training_options.py            # compares them with the golden file
    python tests/parity/training_options.py --write    # writes tests/fixtures/goldens/training_options.json

Written straight from the definitions and apart from the program. The learning rates are open_clip's `cosine_lr` and
`const_lr`. The tests of pipeline-models train the same and compare.
"""

import json
import math
import pathlib
import random
import sys

import torch
from safetensors.torch import load_file
from torch.nn import functional

GOLDENS = pathlib.Path(__file__).parents[1] / "fixtures/goldens"
DEFAULTS = {
    "pairs": "one of each",
    "positives": "own",
    "epochs": 2,
    "batch_size": 16,
    "lr": 1e-3,
    "lr_schedule": "constant",
    "warmup_steps": 0,
    "temperature": 0.07,
    "learn_temperature": False,
}
CASES = {
    "warm-up": {"warmup_steps": 7},
    "mask": {"positives": "mask", "pairs": "shared", "epochs": 4},
    "all": {"positives": "all", "pairs": "shared", "epochs": 4},
    "cosine": {"lr_schedule": "cosine", "warmup_steps": 7, "epochs": 4, "lr": 5e-3},
    "learnt temperature": {"learn_temperature": True, "epochs": 4},
    "everything": {
        "learn_temperature": True,
        "positives": "all",
        "pairs": "shared",
        "lr_schedule": "cosine",
        "warmup_steps": 7,
        "lr": 5e-3,
        "epochs": 6,
    },
}


def pairs_of(name: str, n_rows: int) -> list[tuple[int, int]]:
    """Row `i` with row `i`, or a quarter of all pairs of 24 texts and 20 images."""
    if name == "one of each":
        return [(row, row) for row in range(n_rows)]
    return random.Random(0).sample([(text, image) for text in range(24) for image in range(20)], 120)


def learning_rate(case: dict, step: int, n_steps: int) -> float:
    warmup = case["warmup_steps"]
    if step < warmup:
        return case["lr"] * (step + 1) / warmup
    if case["lr_schedule"] == "constant":
        return case["lr"]
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (n_steps - warmup))) * case["lr"]


def half(logits: torch.Tensor, relevant: torch.Tensor, positives: str) -> torch.Tensor:
    """The loss of finding the columns of each row; `relevant` tells those that belong to it, its own among them."""
    own = torch.eye(len(logits), dtype=torch.bool)
    if positives == "mask":
        logits = logits.masked_fill(relevant & ~own, -math.inf)
    if positives != "all":
        return functional.cross_entropy(logits, torch.arange(len(logits)))
    # L_out of Khosla et al. 2020, equation 2.
    return -(functional.log_softmax(logits, dim=1) * relevant).sum(1).div(relevant.sum(1)).mean()


def train(case: dict, features: dict, start: dict) -> dict:
    pairs = pairs_of(case["pairs"], len(features["train_text"]))
    joined = set(pairs)
    heads = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    # As open_clip has it: `logit_scale`, without weight decay, is clamped after each step.
    logit_scale = torch.nn.Parameter(torch.ones([]) * math.log(1 / case["temperature"]))
    groups = [{"params": list(heads.values()), "weight_decay": 1e-4}]
    if case["learn_temperature"]:
        groups.append({"params": [logit_scale], "weight_decay": 0.0})
    adam = torch.optim.Adam(groups, lr=case["lr"])
    batches = [pairs[first : first + case["batch_size"]] for first in range(0, len(pairs), case["batch_size"])]
    steps = []
    for batch in batches * case["epochs"]:
        embedded = []
        for side, name in enumerate(("text", "image")):
            inputs = features[f"train_{name}"][[pair[side] for pair in batch]]
            weight, bias = heads[f"{name}_projector.weight"], heads[f"{name}_projector.bias"]
            embedded.append(functional.normalize(functional.linear(inputs, weight, bias), dim=-1))
        similarities = embedded[0] @ embedded[1].T
        learnt = case["learn_temperature"]
        temperature = math.exp(-logit_scale.item()) if learnt else case["temperature"]
        logits = similarities * logit_scale.exp() if learnt else similarities / temperature
        relevant = torch.tensor([[(text, image) in joined for _, image in batch] for text, _ in batch])
        positives = case["positives"]
        loss = (half(logits, relevant, positives) + half(logits.T, relevant.T, positives)) / 2
        lr = learning_rate(case, len(steps), len(batches) * case["epochs"])
        for group in adam.param_groups:
            group["lr"] = lr
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            logit_scale.clamp_(0, math.log(100))
        steps.append({"loss": loss.item(), "lr": lr, "temperature": temperature})
    return {"options": case, "pairs": pairs, "steps": steps}


def main() -> None:
    torch.manual_seed(0)
    features, start = load_file(GOLDENS / "mini/features.safetensors"), load_file(GOLDENS / "mini/init.safetensors")
    runs = {name: train(DEFAULTS | case, features, start) for name, case in CASES.items()}
    path = GOLDENS / "training_options.json"
    if sys.argv[1:] == ["--write"]:
        path.write_text(json.dumps({"torch": torch.__version__, "runs": runs}, separators=(",", ":")) + "\n")
    goldens = json.loads(path.read_text())["runs"]
    assert set(goldens) == set(runs), f"the golden file has {', '.join(goldens)}"
    for name, run in runs.items():
        losses, golden = ([step["loss"] for step in steps["steps"]] for steps in (run, goldens[name]))
        difference = max(abs(loss - other) for loss, other in zip(losses, golden, strict=True))
        print(
            f"{name}: {len(losses)} steps, loss {losses[0]:.6f} to {losses[-1]:.6f}, temperature {run['steps'][-1]['temperature']:.4f}, golden ± {difference:.1e}"
        )
        assert difference < 1e-5, f"{name} is not as in the golden file"


if __name__ == "__main__":
    main()
