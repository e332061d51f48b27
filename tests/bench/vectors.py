"""Times vectors into and out of the store beside numpy.save and numpy.load, alternately in one run.

    pip install numpy
    cargo build --release --locked --workspace --example vector_speed
    python tests/bench/vectors.py [--rows 8192] [--dim 2048] [--json]

Ours is Parquet and BLAKE3 digest, on all threads; the peer is one copy without any check. Nobody waits for the disk,
and every file is removed before the next is written, so that both find pages that the kernel has at hand.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--folder", default=".", help="on the disk to be timed")
    parser.add_argument("--program", default="target/release/examples/vector_speed")
    parser.add_argument("--json", action="store_true", help="print the rows for the table of all benchmarks")
    args = parser.parse_args()
    import numpy

    values = numpy.random.default_rng(0).standard_normal((args.rows, args.dim), dtype=numpy.float32)
    times: dict[str, list[tuple[float, float]]] = {"write": [], "read": []}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        command = [args.program, f"{folder}/store", str(args.rows), str(args.dim)]
        program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        path, kept = Path(folder) / "vectors.npy", Path(folder) / "kept.npy"
        numpy.save(kept, values)

        def ours(work: str) -> float:
            program.stdin.write(work + "\n")
            program.stdin.flush()
            return json.loads(program.stdout.readline())["seconds"]

        def numpys(work: str) -> float:
            start = time.perf_counter()
            if work == "write":
                numpy.save(path, values)
            else:
                loaded = numpy.load(kept)
                assert loaded.shape == values.shape
            seconds = time.perf_counter() - start
            path.unlink(missing_ok=True)
            return seconds

        for round_idx in range(args.rounds + 1):
            for work, rounds in times.items():
                pair = (ours(work), numpys(work))
                # The first round only makes the pages.
                if round_idx > 0:
                    rounds.append(pair)
        program.stdin.close()
        program.wait()

    rows = []
    for work, rounds in times.items():
        ours_s, peer_s = (statistics.median(column) for column in zip(*rounds))
        ratio = statistics.median(peer / own for own, peer in rounds)
        rows.append(
            {"work": f"{work} vectors", "peer": ".npy", "ours_s": ours_s, "peer_s": peer_s, "ratio": ratio, "goal": 1.0}
        )
    if args.json:
        print(json.dumps(rows))
        return
    megabytes = values.nbytes / 1e6
    speed = lambda seconds: f"{megabytes / seconds:,.0f} MB/s"
    cells = [[row["work"], speed(row["ours_s"]), speed(row["peer_s"]), f"{row['ratio']:.2f}"] for row in rows]
    measure.table(["work", "pipeline", ".npy", "times as fast as .npy"], cells)


if __name__ == "__main__":
    main()
