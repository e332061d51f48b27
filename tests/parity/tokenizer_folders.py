"""The tokens that transformers gives with every file of a model's folder that changes them.

    pip install 'transformers<5'
    python tests/parity/tokenizer_folders.py            # compares transformers with the golden file
    python tests/parity/tokenizer_folders.py --write    # writes tests/fixtures/goldens/tokenizer_folders.json

Each case is a folder: its files stand in the golden file, beside the ids of some texts. `AutoTokenizer` loads it, as a
user would. The tests of pipeline-models write the same folders and compare. Where versions 4 and 5 differ, `OF_4` says
which one is followed; `--write` leaves the cases of the other one as they are, so that it is run with both.
"""

import json
import pathlib
import sys
import tempfile

import transformers
from transformers import AutoTokenizer

GOLDEN = pathlib.Path(__file__).parents[1] / "fixtures/goldens/tokenizer_folders.json"
WORDS = """[PAD] [unused1] [UNK] [CLS] [SEP] [MASK] 红 苹 果 品 牌 牛 仔 裤 手 机 壳 ##果 ##裤 a b c A B C ##a ##b ##c ##A ##B ##C
cafe café Caf ##é ##e é É E e abc ABC Abc ##bc ##BC sku SKU [ ] < > / s ! <s> </s> <unk> Ä ä ##ä new 红苹果 . -""".split()
TEXTS = [
    "红苹果",
    "Café ABC",
    "[SKU]红苹果",
    "a [SKU] b",
    "a[sku]b",
    "[品牌]牛仔裤",
    "[unused1]红苹果",
    "[MASK]a[SEP]b[PAD]",
    "É Ä a",
    "e\u0301",
]
TEXTS += ["红苹果Abc", "<s>a</s>", "zzz", "", " New new ", "a b c a b c a b c", "newnew"]
BERT = {"model_type": "bert"}
FLAGS = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": True, "special": False}
SPECIAL = FLAGS | {"normalized": False, "special": True}
NAMED = {
    str(WORDS.index(token)): SPECIAL | {"content": token} for token in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
}
RENAMED = {"cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"}
# Version 5 makes the normaliser and the model anew with BERT's own settings, while version 4 keeps those of
# tokenizer.json, and it cannot read every special_tokens_map.json. Version 4 looks for added tokens with the normaliser
# that tokenizer.json had, although it has replaced it, and keeps white space at the end of a token: there version 5 is
# right.
OF_4 = [
    "special_tokens_map.json with flags",
    "tokenizer.json: another normaliser",
    "tokenizer.json: no clean-up",
    "tokenizer.json: words of three letters at most",
]
OF_5 = [
    "white space in tokens",
    "tokenizer.json: an added token",
    "tokenizer.json: more added tokens in the configuration",
    "tokenizer.json: added_tokens.json",
]


def vocabulary(words=WORDS, end="\n"):
    return "\n".join(words) + end


def tokenizer_json(added=(), normalizer=None, **changes):
    """What transformers saves for BERT, but for these changes."""
    ids = {word: word_idx for word_idx, word in enumerate(WORDS)}
    named = [SPECIAL | {"id": ids[token], "content": token} for token in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]]
    ends = {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in ["[CLS]", "[SEP]"]}
    single = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    ]
    bert = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    }
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": named + list(added),
        "normalizer": normalizer if normalizer and "type" in normalizer else bert | (normalizer or {}),
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": ends},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": model | changes.pop("model", {}) | {"vocab": ids},
    } | changes


def cases():
    text, config = "vocab.txt", "tokenizer_config.json"
    base = {text: vocabulary()}
    yield "vocab.txt alone", base
    for name, value in [
        ("do_lower_case", False),
        ("strip_accents", False),
        ("strip_accents", True),
        ("tokenize_chinese_chars", False),
    ]:
        yield f"{name}: {value}", base | {config: {name: value}}
    yield "no lower case, accents stripped", base | {config: {"do_lower_case": False, "strip_accents": True}}
    n = len(WORDS)
    cased = {"do_lower_case": False}
    yield "added_tokens.json", base | {config: cased, "added_tokens.json": {"[SKU]": n, "[品牌]": n + 1}}
    yield "added_tokens.json, lower case", base | {"added_tokens.json": {"[SKU]": n, "[品牌]": n + 1}}
    yield (
        "added_tokens.json, a token of the vocabulary",
        base | {config: cased, "added_tokens.json": {"红苹果": WORDS.index("红苹果")}},
    )
    decoder = {str(n): FLAGS | {"content": "[SKU]"}, str(n + 1): FLAGS | {"content": "[品牌]"}}
    yield "added_tokens_decoder", base | {config: cased | {"added_tokens_decoder": NAMED | decoder}}
    yield "added_tokens_decoder, lower case", base | {config: {"added_tokens_decoder": NAMED | decoder}}
    for flag in ["lstrip", "rstrip", "single_word", "special"]:
        flagged = {str(n): FLAGS | {"content": "new", flag: True}, str(n + 1): FLAGS | {"content": "[SKU]", flag: True}}
        flagged = {str(WORDS.index("new")): flagged[str(n)], str(n): flagged[str(n + 1)]}
        yield f"added_tokens_decoder with {flag}", base | {config: cased | {"added_tokens_decoder": NAMED | flagged}}
    raw = {str(n): FLAGS | {"content": "[SKU]", "normalized": False}}
    yield "added_tokens_decoder, not normalised", base | {config: {"added_tokens_decoder": NAMED | raw}}
    both = {"added_tokens_decoder": NAMED | {str(n): FLAGS | {"content": "[SKU]"}}}
    yield (
        "added_tokens_decoder before the older files",
        base
        | {
            config: cased | both,
            "added_tokens.json": {"[品牌]": n},
            "special_tokens_map.json": {"additional_special_tokens": ["[unused1]"]},
        },
    )
    yield "additional special tokens", base | {config: cased | {"additional_special_tokens": ["[unused1]", "[SKU]"]}}
    yield (
        "special_tokens_map.json",
        base | {config: cased, "special_tokens_map.json": {"additional_special_tokens": ["[unused1]"]}},
    )
    mapped = {
        "additional_special_tokens": [SPECIAL | {"content": "[SKU]", "rstrip": True}],
        "mask_token": FLAGS | {"content": "[MASK]", "lstrip": True},
    }
    yield "special_tokens_map.json with flags", base | {config: cased, "special_tokens_map.json": mapped}
    yield "renamed special tokens", base | {config: cased | RENAMED}
    yield "renamed in special_tokens_map.json", base | {config: cased, "special_tokens_map.json": RENAMED}
    yield "special tokens as text", base | {config: cased | {"split_special_tokens": True}}
    yield "cut at the left", base | {config: cased | {"truncation_side": "left"}}
    yield "blank last line", {text: vocabulary(end="\n\n"), config: cased}
    yield (
        "a token after a blank line",
        {text: vocabulary(end="\n\n[SKU]\n"), config: cased | {"additional_special_tokens": ["[SKU]"]}},
    )
    yield "no last line feed", {text: vocabulary(end=""), config: cased}
    yield "Windows line ends", {text: "\r\n".join(WORDS) + "\r\n", config: cased}
    yield "a token twice", {text: vocabulary(WORDS + ["红"]), config: cased}
    yield "white space in tokens", {text: vocabulary(["c " if word == "c" else word for word in WORDS]), config: cased}

    js = "tokenizer.json"
    for name, value in [("do_lower_case", False), ("strip_accents", False), ("tokenize_chinese_chars", False)]:
        yield f"tokenizer.json and {name}: {value}", {js: tokenizer_json(), config: {name: value}}
    yield "tokenizer.json alone", {js: tokenizer_json()}
    yield (
        "tokenizer.json, cased, and no word in the configuration",
        {js: tokenizer_json(normalizer={"lowercase": False})},
    )
    backend = {"tokenizer_class": "PreTrainedTokenizerFast"}
    yield "tokenizer.json as it is", {js: tokenizer_json(normalizer={"lowercase": False}), config: backend}
    yield (
        "tokenizer.json as it is, whatever the configuration says",
        {
            js: tokenizer_json(normalizer={"lowercase": False}),
            config: backend | {"do_lower_case": True},
        },
    )
    limits = {
        "truncation": {"direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": 16},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
    }
    yield "tokenizer.json with limits and padding of its own", {js: tokenizer_json(**limits), config: cased}
    yield "tokenizer.json: an added token", {js: tokenizer_json([FLAGS | {"id": n, "content": "[SKU]"}]), config: cased}
    yield (
        "tokenizer.json: more added tokens in the configuration",
        {js: tokenizer_json(), config: cased | {"added_tokens_decoder": NAMED | decoder}},
    )
    yield (
        "tokenizer.json: special tokens in the configuration",
        {js: tokenizer_json(), config: cased | {"additional_special_tokens": ["[unused1]"]}},
    )
    yield "tokenizer.json: added_tokens.json", {js: tokenizer_json(), config: cased, "added_tokens.json": {"[SKU]": n}}
    yield "tokenizer.json and vocab.txt", {js: tokenizer_json(), text: vocabulary(), config: cased}
    yield "tokenizer.json: another normaliser", {js: tokenizer_json(normalizer={"type": "Lowercase"}), config: cased}
    yield "tokenizer.json: no clean-up", {js: tokenizer_json(normalizer={"clean_text": False}), config: cased}
    yield (
        "tokenizer.json: words of three letters at most",
        {js: tokenizer_json(model={"max_input_chars_per_word": 3}), config: cased},
    )
    yield (
        "tokenizer.json: BertProcessing",
        {
            js: tokenizer_json(post_processor={"type": "BertProcessing", "sep": ["[SEP]", 4], "cls": ["[CLS]", 3]}),
            config: cased,
        },
    )


def ids(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, content in ({"config.json": BERT} | files).items():
            content = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            (pathlib.Path(folder) / name).write_bytes(content.encode())
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return [tokenizer(text, truncation=True, max_length=8, padding=False)["input_ids"] for text in TEXTS]


def main():
    transformers.logging.set_verbosity_error()
    version = int(transformers.__version__.split(".")[0])
    others = OF_4 if version >= 5 else OF_5
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {"cases": []}
    expected = {case["name"]: case["ids"] for case in golden["cases"]}
    found = {name: (files, expected.get(name) if name in others else ids(files)) for name, files in cases()}
    if "--write" in sys.argv[1:]:
        lines = [
            json.dumps({"name": name, "files": files, "ids": rows}, ensure_ascii=False)
            for name, (files, rows) in found.items()
        ]
        head = json.dumps({"max_length": 8, "texts": TEXTS}, ensure_ascii=False)[:-1]
        GOLDEN.write_text(head + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
        print(len(lines), "cases, those of transformers", transformers.__version__, "written")
        return
    wrong = [name for name, (_, rows) in found.items() if rows != expected.get(name)]
    for name in wrong:
        print(f"{name}\n  golden {expected.get(name)}\n  now    {found[name][1]}")
    print(
        f"{len(found) - len(wrong)} of {len(found)} cases agree with transformers {transformers.__version__}, {len(others)} not compared"
    )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
