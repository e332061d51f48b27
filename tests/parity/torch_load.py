"""Loads a published .pth as the notebook would and prints its shapes.

    python torch_load.py weights/demo_projection.pth
"""

import sys

import torch


def module(state: dict, dim: int) -> torch.nn.Module:
    """An untrained head of the kind that the state dict is of."""
    if "weight" in state:
        return torch.nn.Linear(state["weight"].shape[1], dim)
    d_hidden, d_features = state["0.weight"].shape
    return torch.nn.Sequential(torch.nn.Linear(d_features, d_hidden), torch.nn.GELU(), torch.nn.Linear(d_hidden, dim))


def main() -> None:
    checkpoint = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
    assert set(checkpoint) == {"text_projector", "image_projector", "projection_dim"}, set(checkpoint)
    dim = checkpoint["projection_dim"]
    for name in ("text_projector", "image_projector"):
        state = checkpoint[name]
        head = module(state, dim)
        head.load_state_dict(state)  # strict: exactly its weights and biases, with these shapes
        print(name, *(f"{key} {tuple(value.shape)} {value.dtype}" for key, value in state.items()))
    print("projection_dim", dim)


if __name__ == "__main__":
    main()
