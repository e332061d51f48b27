"""Times an encoder beside ONNX Runtime, OpenVINO and PyTorch, alternately in one run: what texts.py and images.py
share.
"""

import json
import statistics
import subprocess
import sys
import time

# Of a row's largest feature: sums in another order differ by as much.
TOLERANCE = 1e-4


def program(command: list):
    """Starts the program; returns a function that runs one round, and one that ends the program."""
    process = subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def round_() -> dict:
        process.stdin.write("\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def end() -> None:
        process.stdin.close()
        process.wait()

    return round_, end


def onnx_runtime(path, threads: int):
    """A session that leaves the processor alone between its runs: spinning threads would take time from the others."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def openvino(path, threads: int):
    """A model in f32; without the hint, processors with bf16 would round to it. `None` where OpenVINO is missing."""
    try:
        import openvino
    except ImportError:
        print("OpenVINO is not installed and left out", file=sys.stderr)
        return None
    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    return openvino.Core().compile_model(str(path), "CPU", hints)


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(ours, peers: dict, n_rounds: int) -> list[dict]:
    """Rounds of the program and its peers in turn: {"ours": what the program printed, peer: seconds, …}.

    A peer returns the features of each batch; those of the first row must be the program's.
    """
    import numpy

    own = numpy.float32(ours()["first"])
    for peer, work in peers.items():
        features = work()[0][0]
        difference = float(numpy.abs(features[: len(own)] - own).max() / numpy.abs(features).max())
        assert difference < TOLERANCE, f"not the same features as {peer}: {difference}"
    return [{"ours": ours(), **{name: timed(work) for name, work in peers.items()}} for _ in range(n_rounds)]


def report(rounds: list[dict], work: str, unit: str, n_operations: float, goals: dict, as_json: bool) -> None:
    """Prints rates, ratios and the share of the FMA peak; as JSON, rows for peers.py and nothing else."""
    peers = [name for name in rounds[0] if name != "ours"]
    n_rows, ours_s = rounds[0]["ours"]["rows"], statistics.median(round_["ours"]["seconds"] for round_ in rounds)
    shares = [n_operations / round_["ours"]["seconds"] / 1e9 / round_["ours"]["peak_gflops"] for round_ in rounds]
    peak = max(round_["ours"]["peak_gflops"] for round_ in rounds)
    share = f"{statistics.median(shares):.0%} of {peak:.0f} GFLOP/s"
    rows = []
    for name in peers:
        seconds = statistics.median(round_[name] for round_ in rounds)
        ratio = statistics.median(round_[name] / round_["ours"]["seconds"] for round_ in rounds)
        times = {"ours_s": ours_s, "peer_s": seconds, "ratio": ratio, "goal": goals.get(name), "share": share}
        rows.append({"work": work, "peer": name, **times})
    if as_json:
        print(json.dumps(rows))
        return
    print(f"{work}, {len(rounds)} rounds")
    print(f"{'pipeline':21} {n_rows / ours_s:7.1f} {unit}/s, {ours_s * 1e3:7.1f} ms")
    for row in rows:
        rate = f"{n_rows / row['peer_s']:7.1f} {unit}/s, {row['peer_s'] * 1e3:7.1f} ms"
        print(f"{row['peer']:21} {rate}; pipeline is {row['ratio']:.2f} times as fast")
    print(f"share of the FMA peak ({peak:.0f} GFLOP/s): {statistics.median(shares):.0%}, at best {max(shares):.0%}")
