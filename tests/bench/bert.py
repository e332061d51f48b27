"""Times the text encoder beside ONNX Runtime and PyTorch on the same texts, alternately in one run.

    tests/bench/setup_peers.sh && . target/peers/bin/activate
    cargo build --release --locked --package pipeline-cli --package pipeline-models --example bert_speed
    python tests/bench/bert.py MODEL                        # 32 texts of 16 tokens
    python tests/bench/bert.py MODEL --queries FILE.jsonl   # texts as users write them, in batches of 32

MODEL is a folder with a BERT encoder. Peers get the ids of the tokens, padded to the longest text of each batch; the
program gets the texts and makes the ids itself. Each round times all three one after the other; the ratios are medians
over the rounds. Work is counted without padding: 2 operations per weight and token, of the last layer only what the
first token needs, and the attention left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH = 32


def texts_of(args, tokenizer) -> list[str]:
    if args.queries:
        lines = Path(args.queries).read_text().splitlines()
        texts = [text for line in lines if (text := json.loads(line).get("query_text") or json.loads(line).get("text"))]
        return texts[: args.texts or 256]
    characters = [token for token in tokenizer.get_vocab() if len(token) == 1 and "一" <= token <= "龥"]
    n_characters = args.tokens - 2
    pick = lambda text_idx, idx: characters[(text_idx * 131 + idx * 7) % len(characters)]
    return ["".join(pick(text_idx, idx) for idx in range(n_characters)) for text_idx in range(args.texts or BATCH)]


def export(model, folder: Path) -> Path:
    """The encoder with the vectors of all tokens as the only output, fused by ONNX Runtime's own optimiser."""
    import torch
    from onnxruntime.transformers.optimizer import optimize_model

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids, mask):
            return self.model(input_ids=ids, attention_mask=mask).last_hidden_state

    ids = torch.ones(2, 8, dtype=torch.long)
    axes = {0: "n_texts", 1: "n_tokens"}
    names = {"input_names": ["ids", "mask"], "output_names": ["hidden"], "dynamic_axes": {"ids": axes, "mask": axes}}
    torch.onnx.export(Encoder().eval(), (ids, ids), folder / "exported.onnx", dynamo=False, **names)
    heads, width = model.config.num_attention_heads, model.config.hidden_size
    fused = optimize_model(str(folder / "exported.onnx"), "bert", num_heads=heads, hidden_size=width)
    fusions = {name: n for name, n in fused.get_fused_operator_statistics().items() if n}
    print("ONNX Runtime fused:", fusions, file=sys.stderr)
    fused.save_model_to_file(str(folder / "fused.onnx"), use_external_data_format=True)
    return folder / "fused.onnx"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--queries", help="a file of one JSON query per line")
    parser.add_argument("--texts", type=int, help="how many texts (default: 32 made up, 256 of the queries)")
    parser.add_argument("--tokens", type=int, default=16, help="tokens of each text that is made up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--program", default="target/release/examples/bert_speed")
    parser.add_argument("--json", action="store_true", help="print rows for peers.py, and nothing else")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)

    import numpy
    import onnxruntime
    import torch
    from transformers import AutoTokenizer, BertModel

    torch.set_num_threads(args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = BertModel.from_pretrained(args.model, add_pooling_layer=False).eval()
    texts = texts_of(args, tokenizer)
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    how = {"padding": True, "truncation": True, "max_length": 128, "return_tensors": "pt"}
    inputs = [tokenizer(batch, **how) for batch in batches]

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        # Threads that go on spinning after a run would take time from the others.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session = onnxruntime.InferenceSession(export(model, Path(folder)), options, providers=["CPUExecutionProvider"])
        text_file = Path(folder) / "texts.txt"
        text_file.write_text("\n".join(texts) + "\n")
        command = [args.program, args.model, str(text_file), str(args.threads)]
        program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def ours() -> float:
            program.stdin.write("\n")
            program.stdin.flush()
            round_ = json.loads(program.stdout.readline())
            peaks.append(round_["peak_gflops"])
            return round_["seconds"]

        @torch.inference_mode()
        def pytorch() -> list:
            hidden = (model(input_ids=x["input_ids"], attention_mask=x["attention_mask"]) for x in inputs)
            return [vectors.last_hidden_state[:, 0] for vectors in hidden]

        def onnx() -> list:
            ids_and_masks = ({"ids": x["input_ids"].numpy(), "mask": x["attention_mask"].numpy()} for x in inputs)
            return [session.run(None, arrays)[0][:, 0] for arrays in ids_and_masks]

        def timed(work) -> float:
            start = time.perf_counter()
            work()
            return time.perf_counter() - start

        difference = max(float(numpy.abs(a.numpy() - b).max()) for a, b in zip(pytorch(), onnx()))
        peaks: list[float] = []
        rows = [(ours(), timed(onnx), timed(pytorch)) for _ in range(args.rounds)]
        program.stdin.close()
        program.wait()

    n_tokens = [int(mask.sum()) for x in inputs for mask in x["attention_mask"]]
    width, inner, n_layers = model.config.hidden_size, model.config.intermediate_size, model.config.num_hidden_layers
    layer = 4 * width * width + 2 * width * inner
    first = 2 * width * width + 2 * width * inner
    operations = sum(2 * (n * (n_layers - 1) * layer + n * 2 * width * width + first) for n in n_tokens)
    shares = [operations / seconds / 1e9 / peak for (seconds, _, _), peak in zip(rows, peaks)]
    work = f"{len(texts)} texts of {statistics.mean(n_tokens):.1f} tokens"
    if args.json:
        goals = {"ONNX Runtime": 1.5, "PyTorch": None} if args.queries else {"ONNX Runtime": 1.25, "PyTorch": 2.5}
        share = f"{statistics.median(shares):.0%} of {max(peaks):.0f} GFLOP/s"
        rows_of_peers = []
        for column, (peer, goal) in enumerate(goals.items(), start=1):
            ours_s, peer_s = (statistics.median(row[idx] for row in rows) for idx in (0, column))
            ratio = statistics.median(row[column] / row[0] for row in rows)
            times = {"ours_s": ours_s, "peer_s": peer_s, "ratio": ratio, "goal": goal, "share": share}
            rows_of_peers.append({"work": f"BERT-base, {work}", "peer": peer, **times})
        print(json.dumps(rows_of_peers))
        return
    print(f"{work}, {args.threads} threads, {args.rounds} rounds")
    print(f"ONNX Runtime differs from PyTorch by {difference:.1e}")
    for name, column in (("pipeline", 0), ("ONNX Runtime", 1), ("PyTorch", 2)):
        seconds = statistics.median(row[column] for row in rows)
        ratio = statistics.median(row[column] / row[0] for row in rows)
        print(f"{name:13} {len(texts) / seconds:7.1f} texts/s, {seconds * 1e3:7.1f} ms; pipeline is {ratio:.2f} times as fast")
    print(f"share of the FMA peak ({max(peaks):.0f} GFLOP/s): {statistics.median(shares):.0%}, at best {max(shares):.0%}")


if __name__ == "__main__":
    main()
