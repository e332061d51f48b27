"""Loads a published .pth as the notebook would and prints its shapes.

    python torch_load.py weights/demo_projection.pth
"""

import sys

import torch


def main() -> None:
    checkpoint = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
    assert set(checkpoint) == {"text_projector", "image_projector", "projection_dim"}, set(checkpoint)
    dim = checkpoint["projection_dim"]
    for name in ("text_projector", "image_projector"):
        state = checkpoint[name]
        linear = torch.nn.Linear(state["weight"].shape[1], dim)
        linear.load_state_dict(state)  # strict: exactly weight and bias, with these shapes
        print(name, tuple(state["weight"].shape), state["weight"].dtype)
    print("projection_dim", dim)


if __name__ == "__main__":
    main()
