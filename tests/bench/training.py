"""Times a step of training beside PyTorch's, alternately in one run.

    pip install torch
    cargo build --release --locked --package pipeline-models --example training_speed
    python tests/bench/training.py [--hidden 512] [--json]

Two linear heads, 768 and 2,048 features to 512, symmetric InfoNCE, Adam with weight decay: the baseline notebook's step
on features in memory (with `--hidden` two layers in each head), with each of PyTorch's three ways of stepping (its
default on the processor is a loop over the weights). A round is some steps of each, of which the median counts; ratios
are medians over the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import time

WIDTHS = (768, 2048, 512)
STEPS = {16: 60, 128: 20, 512: 8}
HOW = {"PyTorch": {}, "PyTorch, foreach": {"foreach": True}, "PyTorch, fused": {"fused": True}}


class Peer:
    """A pair of heads that PyTorch trains."""

    def __init__(self, torch, batch_size: int, hidden: int | None, how: dict):
        self.torch, self.batch_size = torch, batch_size
        d_text, d_image, dim = WIDTHS
        n_rows = min(batch_size * STEPS[batch_size], 4096)
        self.text, self.images = torch.rand(n_rows, d_text) * 2 - 1, torch.rand(n_rows, d_image) * 2 - 1
        self.heads = self.head(d_text, hidden, dim), self.head(d_image, hidden, dim)
        weights = [weight for head in self.heads for weight in head.parameters()]
        self.adam = torch.optim.Adam(weights, lr=1e-3, weight_decay=1e-4, **how)
        self.own = torch.arange(batch_size)

    def head(self, d_features: int, hidden: int | None, dim: int):
        nn = self.torch.nn
        if hidden is None:
            return nn.Linear(d_features, dim)
        return nn.Sequential(nn.Linear(d_features, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def step(self, step: int) -> float:
        functional = self.torch.nn.functional
        start = time.perf_counter()
        first = step * self.batch_size % (len(self.text) - self.batch_size + 1)
        rows = slice(first, first + self.batch_size)
        text = functional.normalize(self.heads[0](self.text[rows]), dim=-1)
        image = functional.normalize(self.heads[1](self.images[rows]), dim=-1)
        logits = text @ image.t() / 0.07
        loss = (functional.cross_entropy(logits, self.own) + functional.cross_entropy(logits.t(), self.own)) / 2
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        loss.item()
        return time.perf_counter() - start

    def round(self) -> float:
        return statistics.median(self.step(step) for step in range(STEPS[self.batch_size]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--hidden", type=int, help="the width of a hidden layer in each head; without it heads are linear"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one JSON object per batch size and peer")
    parser.add_argument("--program", default="target/release/examples/training_speed")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)

    import torch

    torch.set_num_threads(args.threads)
    for batch_size in args.batches:
        hidden = [] if args.hidden is None else ["--hidden", str(args.hidden)]
        command = [args.program, *hidden, *map(str, (*WIDTHS, batch_size, STEPS[batch_size], args.threads))]
        program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        program.stdout.readline()

        def ours() -> float:
            program.stdin.write("\n")
            program.stdin.flush()
            return json.loads(program.stdout.readline())["step_seconds"]

        peers = {name: Peer(torch, batch_size, args.hidden, how) for name, how in HOW.items()}
        for peer in peers.values():
            peer.round()
        rows = [(ours(), {name: peer.round() for name, peer in peers.items()}) for _ in range(args.rounds)]
        program.stdin.close()
        program.wait()
        through = "" if args.hidden is None else f" through {args.hidden}"
        work = f"training step, batch {batch_size}, 768/2048{through} to 512"
        goal = 3.0 if batch_size == 16 and args.hidden is None else None
        for name in peers:
            ours_s, peer_s = statistics.median(row[0] for row in rows), statistics.median(row[1][name] for row in rows)
            ratio = statistics.median(row[1][name] / row[0] for row in rows)
            if args.json:
                row = {"work": work, "peer": name, "ours_s": ours_s, "peer_s": peer_s, "ratio": ratio, "goal": goal}
                print(json.dumps(row), flush=True)
            else:
                print(
                    f"{work}: {name:17} {peer_s * 1e3:7.2f} ms, pipeline {ours_s * 1e3:7.2f} ms: {ratio:.2f} times as fast",
                    flush=True,
                )


if __name__ == "__main__":
    main()
