"""Unigram tokenizers whose class builds its pipeline anew -> golden/text/classes.json.

T5Tokenizer and AlbertTokenizer of transformers take the vocabulary alone from tokenizer.json, and a charsmap where
there is one. The vocabulary is golden/tokenizers/unigram's; the charsmap is SentencePiece's own form of a few rules.
"""

import base64
import io
import json
import tempfile
from pathlib import Path

import sentencepiece
from common import GOLDEN, madeBy, setUp, writeJson
from transformers import AutoTokenizer

TEXTS = [
    "Once upon a time",
    " two  spaces\n\nand\ttabs 🙂 ",
    "x != y . a ? b , n 't ``quoted''",
    "",
    " ",
    "Été naïve ÀÉÎ ﬁne ① ｆｕｌｌ",
    "東京 мир שלום 한글",
    "<s>Once</s> <extra_id_0> and <extra_id_99>",
    "[CLS] a [SEP] <pad><unk>",
    "▁ marks ▁▁ x",
]


def charsmap() -> str:
    rules = "\n".join(
        "\t".join([" ".join(f"{ord(c):X}" for c in source), " ".join(f"{ord(c):X}" for c in target)])
        for source, target in [("ﬁ", "fi"), ("①", "1"), ("ｆ", "f"), ("é", "e\u0301"), ("\t", " "), ("À", "A")]
    )
    with tempfile.TemporaryDirectory() as home:
        place = Path(home) / "rules.tsv"
        place.write_text(rules + "\n")
        model = io.BytesIO()
        sentences = iter(["once upon a time there was a small house by the river"] * 20)
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences,
            model_writer=model,
            vocab_size=40,
            hard_vocab_limit=False,
            normalization_rule_tsv=str(place),
            minloglevel=2,
        )
    # normalizer_spec is field 3 of ModelProto, precompiled_charsmap field 2 of it.
    return base64.b64encode(field(field(model.getvalue(), 3), 2)).decode()


def field(message: bytes, wanted: int) -> bytes:
    """The bytes of a field of a protocol buffer."""
    at = 0

    def varint() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        number, wire = divmod(varint(), 8)
        size = {1: 8, 5: 4}.get(wire) if wire != 2 else varint()
        if wire == 0:
            varint()
            continue
        at += size
        if number == wanted:
            return message[at - size : at]
    raise KeyError(wanted)


def folders(base: dict, map_: str) -> dict[str, dict]:
    vocab = base["model"]["vocab"]
    renamed = {2: "[CLS]", 3: "[SEP]", 4: "[MASK]"}
    pieces = [[renamed.get(at, text), score] for at, (text, score) in enumerate(vocab)]
    own = {"model": {**base["model"], "vocab": pieces}}
    mapped = {"normalizer": {"type": "Precompiled", "precompiled_charsmap": map_}}
    nested = {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, mapped["normalizer"]]}}
    t5, albert = {"tokenizer_class": "T5Tokenizer"}, {"tokenizer_class": "AlbertTokenizer"}
    ends = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return {
        "t5": {"config": {**t5, **ends}},
        "t5-charsmap": {"json": mapped, "config": {**t5, **ends, "extra_ids": 3}},
        "t5-without-extra": {"json": nested, "config": {"tokenizer_class": "T5TokenizerFast", "extra_ids": 0}},
        "t5-named-extra": {
            "config": {**t5, **ends, "extra_ids": 2, "additional_special_tokens": ["<extra_id_0>", "<extra_id_1>"]}
        },
        "t5-other-extra": {"config": {**t5, **ends, "extra_ids": 2, "additional_special_tokens": ["<turn>"]}},
        "t5-saved": {
            "config": {**t5, **ends, "extra_ids": 2, "extra_special_tokens": ["<extra_id_0>", "<extra_id_1>"]}
        },
        "albert": {"json": own, "config": albert},
        "albert-charsmap": {"json": {**own, **mapped}, "config": {**albert, "do_lower_case": False}},
        "albert-accents": {"json": {**own, **nested}, "config": {**albert, "keep_accents": True}},
        "albert-no-prefix": {
            "json": {**own, "post_processor": None},
            "config": {**albert, "add_prefix_space": False, "cls_token": "[SEP]", "sep_token": "[CLS]"},
        },
    }


def rows(tokenizer) -> dict:
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    return {
        "size": len(tokenizer),
        "named": tokenizer.special_tokens_map,
        "ids": ids,
        "decoded": [tokenizer.decode(each, skip_special_tokens=True) for each in ids],
    }


if __name__ == "__main__":
    setUp()
    result = {"madeBy": madeBy("textClasses.py"), "texts": TEXTS, "folders": {}}
    base = json.loads((GOLDEN / "tokenizers" / "unigram" / "tokenizer.json").read_text())
    for name, spec in folders(base, charsmap()).items():
        with tempfile.TemporaryDirectory() as home:
            (Path(home) / "tokenizer.json").write_text(json.dumps({**base, **spec.get("json", {})}))
            (Path(home) / "tokenizer_config.json").write_text(json.dumps(spec["config"]))
            try:
                want = rows(AutoTokenizer.from_pretrained(home))
            except Exception as error:
                want = {"error": f"{type(error).__name__}: {error}"[:200]}
        result["folders"][name] = {"base": "unigram", **spec, "want": want}
    writeJson(GOLDEN / "text" / "classes.json", result, indent=None)
