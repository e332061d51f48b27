"""The baseline experiment in PyTorch, in two ways; prints one JSON line with its seconds, imports left out.

    python tests/bench/notebook.py notebook|optimised DATA MODELS [--images 500] [--temperature 0.07] [--threads 2]

notebook   as people write it: features are extracted again for every batch of every epoch, a query at a time is scored
optimised  as an expert would: every text and image is encoded once, texts sorted by length and images channels-last in
           batches of 32; training on features in memory; one matrix product for all queries
"""

import argparse
import base64
import io
import json
import time
from pathlib import Path

import numpy
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from transformers import BertModel, BertTokenizer

EPOCHS, BATCH, DIM = 2, 16, 512
MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class Experiment:
    def __init__(self, args):
        self.temperature = args.temperature
        self.tokenizer = BertTokenizer.from_pretrained(args.models / "bert")
        self.bert = BertModel.from_pretrained(args.models / "bert", add_pooling_layer=False).eval()
        self.resnet = timm.create_model("resnet50", pretrained=False, num_classes=0).eval()
        self.resnet.load_state_dict(load_file(args.models / "resnet" / "model.safetensors"))
        self.images = {
            split: read_images(args.data / f"MR_{split}_imgs.tsv", args.images) for split in ("train", "valid")
        }
        self.pairs = first_available(read_queries(args.data / "MR_train_queries.jsonl"), self.images["train"])
        self.queries = read_queries(args.data / "MR_valid_queries.jsonl")
        torch.manual_seed(0)
        self.text_head = torch.nn.Linear(self.bert.config.hidden_size, DIM)
        self.image_head = torch.nn.Linear(self.resnet.num_features, DIM)
        weights = [*self.text_head.parameters(), *self.image_head.parameters()]
        self.adam = torch.optim.Adam(weights, lr=1e-3, weight_decay=1e-4)

    @torch.no_grad()
    def encode_texts(self, texts):
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=128)
        return self.bert(**inputs).last_hidden_state[:, 0]

    @torch.no_grad()
    def encode_images(self, images, channels_last=False):
        rgb = torch.from_numpy(numpy.stack([numpy.asarray(image.convert("RGB")) for image in images]))
        pixels = ((rgb / 255 - MEAN) / DEVIATION).permute(0, 3, 1, 2)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return self.resnet(pixels.contiguous(memory_format=layout))

    def embed_text(self, features):
        return F.normalize(self.text_head(features), dim=1)

    def embed_images(self, features):
        return F.normalize(self.image_head(features), dim=1)

    def step(self, text_features, image_features):
        logits = self.embed_text(text_features) @ self.embed_images(image_features).T / self.temperature
        own = torch.arange(len(logits))
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        loss.item()


def read_images(path, n_images):
    images = {}
    with open(path) as lines:
        for line, _ in zip(lines, range(n_images)):
            image_id, encoded = line.rstrip("\n").split("\t")
            image = Image.open(io.BytesIO(base64.urlsafe_b64decode(encoded)))
            image.load()
            images[image_id] = image
    return images


def read_queries(path):
    with open(path) as lines:
        queries = [json.loads(line) for line in lines]
    return [(query["query_text"], [str(item) for item in query["item_ids"]]) for query in queries if query["item_ids"]]


def first_available(queries, images):
    found = ((text, next((item for item in items if item in images), None)) for text, items in queries)
    return [(text, item) for text, item in found if item is not None]


def mean_recall(hits_of_queries):
    return sum(sum(hit[:k].any() for hit in hits_of_queries) / len(hits_of_queries) for k in (1, 5, 10)) / 3


@torch.no_grad()
def top_hits(scores, ids, items):
    best = torch.topk(scores, 10).indices
    return numpy.array([ids[row] in items for row in best.tolist()])


def notebook(experiment):
    for _ in range(EPOCHS):
        for start in range(0, len(experiment.pairs), BATCH):
            batch = experiment.pairs[start : start + BATCH]
            text = experiment.encode_texts([text for text, _ in batch])
            image = experiment.encode_images([experiment.images["train"][item] for _, item in batch])
            experiment.step(text, image)
    ids = list(experiment.images["valid"])
    with torch.no_grad():
        groups = [ids[start : start + 32] for start in range(0, len(ids), 32)]
        features = [experiment.encode_images([experiment.images["valid"][item] for item in group]) for group in groups]
        pool = torch.cat([experiment.embed_images(part) for part in features])
        hits = [
            top_hits((experiment.embed_text(experiment.encode_texts([text])) @ pool.T)[0], ids, items)
            for text, items in experiment.queries
        ]
    return mean_recall(hits)


def optimised(experiment):
    experiment.resnet.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        texts = [text for text, _ in experiment.pairs + experiment.queries]
        order = sorted(range(len(texts)), key=lambda idx: len(texts[idx]))
        text = torch.empty(len(texts), experiment.bert.config.hidden_size)
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            text[torch.tensor(rows)] = experiment.encode_texts([texts[row] for row in rows])
        features = {}
        for split, images in experiment.images.items():
            wanted = list({item for _, item in experiment.pairs}) if split == "train" else list(images)
            groups = [wanted[start : start + 32] for start in range(0, len(wanted), 32)]
            parts = [experiment.encode_images([images[item] for item in group], channels_last=True) for group in groups]
            features[split] = dict(zip(wanted, torch.cat(parts)))
    n_pairs = len(experiment.pairs)
    train_text = text[:n_pairs].clone()
    train_images = torch.stack([features["train"][item] for _, item in experiment.pairs]).clone()
    for _ in range(EPOCHS):
        for start in range(0, n_pairs, BATCH):
            experiment.step(train_text[start : start + BATCH], train_images[start : start + BATCH])
    ids = list(experiment.images["valid"])
    with torch.no_grad():
        pool = experiment.embed_images(torch.stack([features["valid"][item] for item in ids]))
        scores = experiment.embed_text(text[n_pairs:]) @ pool.T
    return mean_recall([top_hits(row, ids, items) for row, (_, items) in zip(scores, experiment.queries)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=["notebook", "optimised"])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--images", type=int, default=500, help="images of each split")
    parser.add_argument("--temperature", type=float, default=0.07)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    start = time.perf_counter()
    experiment = Experiment(args)
    recall = {"notebook": notebook, "optimised": optimised}[args.way](experiment)
    print(json.dumps({"seconds": time.perf_counter() - start, "mean_recall": recall, "n_pairs": len(experiment.pairs)}))


if __name__ == "__main__":
    main()
