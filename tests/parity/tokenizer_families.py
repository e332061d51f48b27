"""The tokens that transformers gives with the settings of RoBERTa, XLM-R, CLIP and SigLIP 2 that change them.

    pip install transformers                            # version 5; version 4 agrees, but has not the class of siglip2
    python tests/parity/tokenizer_families.py           # compares transformers with the golden file
    python tests/parity/tokenizer_families.py --write   # writes tests/fixtures/goldens/tokenizer_families.json

Each case is a folder of tests/fixtures/ladder without some files and with others changed, which the golden file names
beside the ids.
"""

import json
import pathlib
import sys
import tempfile

import transformers
from transformers import AutoTokenizer

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
GOLDEN = FIXTURES / "goldens/tokenizer_families.json"
FILES = ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "vocab.txt"]
MAX_LENGTH = 24
TEXTS = [
    "豹纹雪纺半身裙", "iPhone 15 Pro Max 手机壳", "Café naïve 2.5元/kg", "ＡＢＣ１２３\u3000全角", "it's 3.14, I've 1,000 😀!", "", "   ", " a  cat ",
    "<s>a</s> b<pad>", "a <mask> b<unk>c", "<|startoftext|>a<|endoftext|>", "<bos>a<eos> <pad>b", "红[SKU]色[sku]", "制表\t换行\n空格", "한국어 日本語",
    "a photo of a cat and a photo of a dog with a very long tail that goes on and on and never ends at all",
]  # fmt: skip
SPECIAL = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}
JS, CONFIG = "tokenizer.json", "tokenizer_config.json"


def cases():
    """Name, model, files that are left out, changes of files: values by their JSON pointers, or whole files."""
    cut, split = {CONFIG: {"/truncation_side": "left"}}, {CONFIG: {"/split_special_tokens": True}}
    plain = {"/tokenizer_class": "PreTrainedTokenizerFast"}
    for model in ["roberta", "xlm_roberta", "clip", "siglip2"]:
        yield f"{model}: cut at the left", model, [], cut
        yield f"{model}: special tokens as text", model, [], split
        yield f"{model}: a plain class", model, [], {CONFIG: plain}
        yield f"{model}: more special tokens", model, [], {CONFIG: {"/additional_special_tokens": ["[SKU]"]}}
        own = json.loads((FIXTURES / "ladder" / model / JS).read_text(encoding="utf-8"))
        decoder = {str(token.pop("id")): token for token in own["added_tokens"]}
        decoder[str(len(own["model"]["vocab"]))] = SPECIAL | {"content": "[SKU]", "special": False, "normalized": True}
        yield f"{model}: added_tokens_decoder", model, [], {CONFIG: {"/added_tokens_decoder": decoder}}
    for model in ["roberta", "xlm_roberta", "clip"]:
        yield f"{model}: tokenizer.json alone", model, [CONFIG, "vocab.json", "merges.txt"], {}
    pairs = {
        "special_tokens_map.json": {"": {"bos_token": SPECIAL | {"content": "<|startoftext|>", "normalized": True}}}
    }
    yield "clip: vocab.json and merges.txt", "clip", [JS], {}
    yield "clip: vocab.json and merges.txt alone", "clip", [JS, CONFIG], {}
    yield "clip: vocab.json, merges.txt and special_tokens_map.json", "clip", [JS], pairs
    yield "clip: vocab.json and merges.txt, special tokens as text", "clip", [JS], split
    yield "roberta: a space before each text", "roberta", [], {CONFIG: {"/add_prefix_space": True}}
    spaced = {"/pre_tokenizer/add_prefix_space": True}
    yield "roberta: a space that the class takes away", "roberta", [CONFIG], {JS: spaced}
    yield (
        "roberta: a space that a plain class leaves",
        "roberta",
        [],
        {JS: spaced, CONFIG: plain | {"/add_prefix_space": True}},
    )
    cased = {"/normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}}
    gemma = {"/tokenizer_class": "GemmaTokenizer"}
    yield "siglip2: GemmaTokenizer, cased", "siglip2", [], {JS: cased, CONFIG: gemma}
    yield "siglip2: Siglip2Tokenizer, cased", "siglip2", [], {JS: cased}
    yield "siglip2: padded at the left", "siglip2", [], {CONFIG: {"/padding_side": "left"}}
    yield "siglip2: padded with another token", "siglip2", [], {CONFIG: {"/pad_token": "<eos>"}}


def changed(content, changes):
    for pointer, value in changes.items():
        if not pointer:
            return value
        *parents, name = pointer[1:].split("/")
        place = content
        for parent in parents:
            place = place[parent]
        place[name] = value
    return content


def ids(model, without, changes):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name in FILES:
            source = FIXTURES / "ladder" / model / name
            if source.exists() and name not in without:
                (folder / name).write_bytes(source.read_bytes())
        for name, change in changes.items():
            content = json.loads((folder / name).read_text(encoding="utf-8")) if (folder / name).exists() else {}
            (folder / name).write_text(json.dumps(changed(content, change), ensure_ascii=False), encoding="utf-8")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        padding = "max_length" if model == "siglip2" else False
        return [tokenizer(text, truncation=True, max_length=MAX_LENGTH, padding=padding)["input_ids"] for text in TEXTS]


def main():
    transformers.logging.set_verbosity_error()
    skipped = (
        [name for name, model, *_ in cases() if model == "siglip2"]
        if int(transformers.__version__.split(".")[0]) < 5
        else []
    )
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {"cases": []}
    expected = {case["name"]: case["ids"] for case in golden["cases"]}
    found = {
        name: (model, without, changes, None if name in skipped else ids(model, without, changes))
        for name, model, without, changes in cases()
    }
    if "--write" in sys.argv[1:]:
        assert not skipped, "written with version 5"
        keys = ("model", "without", "changes", "ids")
        lines = [json.dumps({"name": name} | dict(zip(keys, case)), ensure_ascii=False) for name, case in found.items()]
        head = json.dumps({"max_length": MAX_LENGTH, "texts": TEXTS}, ensure_ascii=False)[:-1]
        GOLDEN.write_text(head + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
        print(len(lines), "cases of transformers", transformers.__version__, "written")
        return
    wrong = [name for name in found if name not in skipped and found[name][3] != expected.get(name)]
    for name in wrong:
        rows = zip(TEXTS, expected.get(name) or [None] * len(TEXTS), found[name][3])
        print(
            name,
            *[f"  {text!r}\n    golden {golden}\n    now    {now}" for text, golden, now in rows if golden != now],
            sep="\n",
        )
    print(
        f"{len(found) - len(skipped) - len(wrong)} of {len(found)} cases agree with transformers {transformers.__version__}, {len(skipped)} not compared"
    )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
