"""Times a text encoder beside ONNX Runtime, OpenVINO and PyTorch on the same texts, alternately in one run.

    tests/bench/setup_peers.sh && . target/peers/bin/activate
    cargo build --release --locked --package pipeline-cli --package pipeline-models --example encoder_speed
    python tests/bench/texts.py MODEL                        # 32 texts of 16 tokens
    python tests/bench/texts.py MODEL --queries FILE.jsonl   # texts as users write them, in batches of 32

MODEL is a folder with BERT or Chinese-CLIP of transformers. Peers get the ids of the tokens, padded to the longest text
of each batch; the program gets the texts and makes the ids itself. Each round times all of them one after the other;
the ratios are medians over the rounds. Work is counted without padding: 2 operations per weight and token, of the last
layer only what the first token needs, and the attention left out.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

import encoders

BATCH = 32
GOALS = {"ONNX Runtime": 1.25, "OpenVINO": 1.25, "PyTorch": 2.5}
GOALS_OF_QUERIES = {"ONNX Runtime": 1.5}


def texts_of(args, tokenizer) -> list[str]:
    if args.queries:
        lines = Path(args.queries).read_text().splitlines()
        texts = [text for line in lines if (text := json.loads(line).get("query_text") or json.loads(line).get("text"))]
        return texts[: args.texts or 256]
    characters = sorted(token for token in tokenizer.get_vocab() if len(token) == 1 and "一" <= token <= "龥")
    n_characters = args.tokens - 2
    pick = lambda text_idx, idx: characters[(text_idx * 131 + idx * 7) % len(characters)]
    return ["".join(pick(text_idx, idx) for idx in range(n_characters)) for text_idx in range(args.texts or BATCH)]


def load(folder: str):
    """The name, the tokenizer, the model of [CLS] and, for Chinese-CLIP, its projection."""
    from transformers import BertModel, BertTokenizerFast, ChineseCLIPModel

    tokenizer = BertTokenizerFast.from_pretrained(folder)
    if json.loads((Path(folder) / "config.json").read_text())["model_type"] == "chinese_clip":
        both = ChineseCLIPModel.from_pretrained(folder).eval()
        both.text_model.pooler = None
        return "Chinese-CLIP's text tower", tokenizer, both.text_model, both.text_projection
    return "BERT-base", tokenizer, BertModel.from_pretrained(folder, add_pooling_layer=False).eval(), None


def export(encoder, config, folder: Path) -> tuple[Path, Path]:
    """The encoder as PyTorch exports it, and as ONNX Runtime's own optimiser fuses it."""
    import sys

    import torch
    from onnxruntime.transformers.optimizer import optimize_model

    ids = torch.ones(2, 8, dtype=torch.long)
    axes = {0: "n_texts", 1: "n_tokens"}
    names = {"input_names": ["ids", "mask"], "output_names": ["features"], "dynamic_axes": {"ids": axes, "mask": axes}}
    torch.onnx.export(encoder, (ids, ids), folder / "exported.onnx", dynamo=False, **names)
    heads, width = config.num_attention_heads, config.hidden_size
    fused = optimize_model(str(folder / "exported.onnx"), "bert", num_heads=heads, hidden_size=width)
    fusions = {name: n for name, n in fused.get_fused_operator_statistics().items() if n}
    print("ONNX Runtime fused:", fusions, file=sys.stderr)
    fused.save_model_to_file(str(folder / "fused.onnx"), use_external_data_format=True)
    return folder / "exported.onnx", folder / "fused.onnx"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--queries", help="a file of one JSON query per line")
    parser.add_argument("--texts", type=int, help="how many texts (default: 32 made up, 256 of the queries)")
    parser.add_argument("--tokens", type=int, default=16, help="tokens of each text that is made up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--program", default="target/release/examples/encoder_speed")
    parser.add_argument("--json", action="store_true", help="print rows for peers.py, and nothing else")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)

    import torch

    torch.set_num_threads(args.threads)
    name, tokenizer, model, projection = load(args.model)

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model, self.projection = model, projection

        def forward(self, ids, mask):
            first = self.model(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
            return first if self.projection is None else self.projection(first)

    encoder = Encoder().eval()
    texts = texts_of(args, tokenizer)
    how = {"padding": True, "truncation": True, "max_length": 128, "return_tensors": "pt"}
    inputs = [tokenizer(texts[start : start + BATCH], **how) for start in range(0, len(texts), BATCH)]
    arrays = [{"ids": x["input_ids"].numpy(), "mask": x["attention_mask"].numpy()} for x in inputs]

    @torch.inference_mode()
    def pytorch() -> list:
        return [encoder(x["input_ids"], x["attention_mask"]).numpy() for x in inputs]

    with tempfile.TemporaryDirectory() as folder:
        exported, fused = export(encoder, model.config, Path(folder))
        session = encoders.onnx_runtime(fused, args.threads)
        peers = {"ONNX Runtime": lambda: [session.run(None, batch)[0] for batch in arrays]}
        if (compiled := encoders.openvino(exported, args.threads)) is not None:
            peers["OpenVINO"] = lambda: [compiled(batch)[0].copy() for batch in arrays]
        peers["PyTorch"] = pytorch
        text_file = Path(folder) / "texts.txt"
        text_file.write_text("\n".join(texts) + "\n")
        ours, end = encoders.program([args.program, "texts", args.model, text_file, args.threads])
        rounds = encoders.compare(ours, peers, args.rounds)
        end()

    n_tokens = [int(mask.sum()) for x in inputs for mask in x["attention_mask"]]
    width, inner, n_layers = model.config.hidden_size, model.config.intermediate_size, model.config.num_hidden_layers
    layer = 4 * width * width + 2 * width * inner
    first = 2 * width * width + 2 * width * inner
    n_operations = sum(2 * (n * (n_layers - 1) * layer + n * 2 * width * width + first) for n in n_tokens)
    work = f"{name}, {len(texts)} texts of {statistics.mean(n_tokens):.1f} tokens"
    encoders.report(rounds, work, "texts", n_operations, GOALS_OF_QUERIES if args.queries else GOALS, args.json)


if __name__ == "__main__":
    main()
