"""Times the exact search beside faiss-cpu's flat index and the bare matrix products of numpy and PyTorch, alternately
in one run.

    pip install numpy torch faiss-cpu
    cargo build --release --locked --package pipeline-models --example search_speed
    python tests/bench/search.py [--json]

5,008 queries and 29,806 images of 512 numbers (the valid split of MUGE), the 10 best of each query. `pipeline` also
counts the ranks of five relevant images; the products select nothing. All get the same numbers, and the rows found
are compared with faiss. Ratios are medians over the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import time


def numbers(numpy, n_rows: int, n_cols: int, seed: int):
    """Numbers in -1..1, the same as those of the example program: the finaliser of MurmurHash3 of their places."""
    hashes = numpy.arange(n_rows * n_cols, dtype=numpy.uint32) + numpy.uint32(seed * 0x9E3779B9 & 0xFFFFFFFF)
    hashes = (hashes ^ (hashes >> 16)) * numpy.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> 13)) * numpy.uint32(0xC2B2AE35)
    return (((hashes ^ (hashes >> 16)).astype("f4") / numpy.float32(1 << 31)) - 1).reshape(n_rows, n_cols)


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=5008)
    parser.add_argument("--images", type=int, default=29806)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one JSON object per peer")
    parser.add_argument("--program", default="target/release/examples/search_speed")
    args = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(args.threads)

    import faiss
    import numpy
    import torch

    torch.set_num_threads(args.threads)
    faiss.omp_set_num_threads(args.threads)
    queries, images = numbers(numpy, args.queries, args.dim, 1), numbers(numpy, args.images, args.dim, 2)
    torch_queries, torch_images = torch.from_numpy(queries), torch.from_numpy(images)
    index = faiss.IndexFlatIP(args.dim)
    index.add(images)
    command = [args.program, *map(str, (args.queries, args.images, args.dim, 10, args.threads))]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ours() -> float:
        program.stdin.write("\n")
        program.stdin.flush()
        return json.loads(program.stdout.readline())["seconds"]

    # The program's first round warms it up; two of its best may differ from faiss where sums round otherwise.
    check = json.loads(program.stdout.readline())["check"]
    found = int(index.search(queries, 10)[1].sum())
    same = abs(check - found) <= found // 1000
    peers = {
        "numpy's product": lambda: queries @ images.T,
        "PyTorch's product": lambda: torch_queries @ torch_images.t(),
        "faiss-cpu flat": lambda: index.search(queries, 10),
    }
    rows = [(ours(), {name: timed(work) for name, work in peers.items()}) for _ in range(args.rounds)]
    program.stdin.close()
    program.wait()
    work = f"exact search {args.queries} x {args.images} x {args.dim}, top 10"
    goals = {"numpy's product": 0.8, "PyTorch's product": 0.8, "faiss-cpu flat": 1.0}
    if not args.json:
        print(f"{work}, {args.threads} threads, {args.rounds} rounds; rows found as by faiss: {same}")
    for name in peers:
        ours_s, peer_s = statistics.median(row[0] for row in rows), statistics.median(row[1][name] for row in rows)
        ratio = statistics.median(row[1][name] / row[0] for row in rows)
        if args.json:
            row = {"work": work, "peer": name, "ours_s": ours_s, "peer_s": peer_s, "ratio": ratio, "goal": goals[name]}
            print(json.dumps(row))
        else:
            print(
                f"{name:18} {peer_s:7.3f} s, pipeline {ours_s:7.3f} s: {ratio:.2f} times as fast (goal {goals[name]})",
                flush=True,
            )
    if not same:
        raise SystemExit(f"the rows found differ from those of faiss: {check} and {found}")


if __name__ == "__main__":
    main()
