"""Makes tests/fixtures/goldens/mini_mlp: heads with a hidden layer, trained by PyTorch on the features of goldens/mini.

    python tests/parity/mlp_heads.py

Made with torch 2.15.0. Two `nn.Sequential(Linear, GELU, Linear)`, built after `torch.manual_seed(0)`, text before
image, and the notebook's loss and Adam over the pairs in order. Tests compare losses, weights and embeddings.
"""

import json
import pathlib

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

HIDDEN_DIM, DIM, EPOCHS, BATCH_SIZE, TEMPERATURE = 48, 24, 5, 16, 0.07
GOLDENS = pathlib.Path(__file__).parents[1] / "fixtures/goldens"
FOLDER = GOLDENS / "mini_mlp"

torch.manual_seed(0)
torch.set_num_threads(1)
features = load_file(GOLDENS / "mini/features.safetensors")
text, images = features["train_text"], features["train_image"]


def head(d_features: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(d_features, HIDDEN_DIM), nn.GELU(), nn.Linear(HIDDEN_DIM, DIM))


heads = {"text_projector": head(text.shape[1]), "image_projector": head(images.shape[1])}
flat = {f"{side}.{name}": value for side, module in heads.items() for name, value in module.state_dict().items()}
save_file(flat, FOLDER / "init.safetensors")

weights = [weight for module in heads.values() for weight in module.parameters()]
adam = torch.optim.Adam(weights, lr=1e-3, weight_decay=1e-4)
step_losses = []
for _ in range(EPOCHS):
    losses = []
    for rows in torch.arange(len(text)).split(BATCH_SIZE):
        text_rows = functional.normalize(heads["text_projector"](text[rows]), dim=-1)
        image_rows = functional.normalize(heads["image_projector"](images[rows]), dim=-1)
        logits = text_rows @ image_rows.t() / TEMPERATURE
        own = torch.arange(len(rows))
        loss = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.t(), own)) / 2
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    step_losses.append(losses)

with torch.no_grad():
    embedded = functional.normalize(heads["text_projector"](features["valid_text"]), dim=-1)
    save_file({"valid_text": embedded}, FOLDER / "embedded.safetensors")
state_dicts = {side: module.state_dict() for side, module in heads.items()}
torch.save({**state_dicts, "projection_dim": DIM}, FOLDER / "projection.pth")
(FOLDER / "result.json").write_text(json.dumps({"step_losses": step_losses}, indent=1) + "\n")
