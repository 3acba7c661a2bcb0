"""Random tokenizers, and what the Rust library makes of random texts with them -> golden/text/tokenizers.json.

`textTokenizers.py [--seed N] [--count M] [--out FILE]`: M tokenizers over all kinds of models, normalizers,
pre-tokenizers, post-processors and decoders, with added tokens of every flag; for each, texts in five writing systems
with emoji, control characters and added tokens, with ids, places and decoded texts. The test
packages/data/src/tokenizers/differential.test.ts reads the file that LOWRANK_TOKENIZER_CASES names, else the golden.
"""

import argparse
import json
import math
import random

from common import GOLDEN, madeBy, writeJson
from tokenizers import Tokenizer

SCRIPTS = [
    "abcdefghijklmnopqrstuvwxyzABCSTIEK",
    "éèüñçßøåÅİıſﬁǅœ",
    "абвгдежзийклмнопрстуфхцчшщыэюяЁЖ",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي٠١٢٣",
    "कखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह",
    "日本語東京世界你好中文字漢字한국어글",
    "αβγδεζηθΣσςΏ",
    "0123456789²½Ⅷ①٣",
    ".,;:!?'\"-_()[]{}<>/\\|@#$%^&*+=~`…—“”「」،।",
]
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", " \n ", "\u0085", "\u200b"]
ODD = [
    "👩‍👩‍👧",
    "🙂",
    "👍🏽",
    "🇩🇪",
    "e\u0301",
    "a\u0308\u0323",
    "\u0000",
    "\u0001",
    "\u001b[0m",
    "\u007f",
    "\ufeff",
    "\u200d",
    "\u00ad",
    "\ue000",
    "\ufffd",
    "ａｂｃ",
    "ﬁ",
    "①",
    "Å",
    "한\u1112\u1161\u11ab",
    "नि",
    "क्ष",
    "\U00020000",
    "don't",
    "we'll",
    "I'VE",
    "'s",
    "<0x41>",
    "▁",
    "##",
]
REGEXES = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    r"\p{L}++|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}|\s+",
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}&&[^\p{Han}]]+|\p{N}|\s*[\r\n]+|\s+",
    r"\w+|[^\w\s]+",
    r"\b\w",
    r"^.|.$",
    r"(?<=[a-z])(?=[A-Z])|[[:punct:]]|[[:space:]]",
    r"(?>a+|ab)b|\d{2,}|\S(?<!x)$",
    r"[^\s\w]|\R|\h+",
    r"(?m:.){3}",
    r"\A.|.\z|.\Z|\Bb",
    r"[\u4e00-\u9fa5\u3040-\u309f]+|[a-c-]|[]x]",
    r"\x{61}|(?#note)b{,2}c|d{2}?",
]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
ADDED = [
    "<|im_start|>",
    "<|im_end|>",
    "<s>",
    "</s>",
    "<think>",
    "ing",
    "ab",
    "abc",
    "Test",
    "日本",
    "é",
    "<a b>",
    " x",
    "\n\n",
    "🙂",
    "ß",
    "1",
]


def word(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.12:
        return rng.choice(ODD)
    letters = rng.choice(SCRIPTS)
    return "".join(rng.choice(letters) for _ in range(rng.randint(1, 6)))


def text(rng: random.Random, added: list[str], longest: int = 14) -> str:
    parts = []
    for _ in range(rng.randint(0, longest)):
        kind = rng.random()
        if kind < 0.18 and added:
            parts.append(rng.choice(added))
        elif kind < 0.45:
            parts.append(rng.choice(SPACES))
        else:
            parts.append(word(rng))
    return "".join(parts)


def normalizer(rng: random.Random, depth: int = 0) -> dict | None:
    kinds = [
        None,
        None,
        {"type": "NFC"},
        {"type": "NFD"},
        {"type": "NFKC"},
        {"type": "NFKD"},
        {"type": "Lowercase"},
        {"type": "StripAccents"},
        {"type": "Nmt"},
        {"type": "Strip", "strip_left": rng.random() < 0.5, "strip_right": rng.random() < 0.5},
        {"type": "Prepend", "prepend": rng.choice(["▁", "_-"])},
        {
            "type": "Replace",
            "pattern": {"String": rng.choice([" ", "ab", "."])},
            "content": rng.choice(["▁", "", "xyz"]),
        },
        {"type": "Replace", "pattern": {"Regex": rng.choice([" {2,}", r"\s+", r"[a-c]+", r"\p{M}"])}, "content": " "},
        {
            "type": "BertNormalizer",
            "clean_text": rng.random() < 0.7,
            "handle_chinese_chars": rng.random() < 0.7,
            "strip_accents": rng.choice([None, True, False]),
            "lowercase": rng.random() < 0.5,
        },
    ]
    if depth == 0 and rng.random() < 0.35:
        chosen = [normalizer(rng, 1) for _ in range(rng.randint(1, 3))]
        return {"type": "Sequence", "normalizers": [each for each in chosen if each is not None]}
    return rng.choice(kinds)


def preTokenizer(rng: random.Random, depth: int = 0) -> dict | None:
    kinds = [
        None,
        {"type": "BertPreTokenizer"},
        {
            "type": "ByteLevel",
            "add_prefix_space": rng.random() < 0.3,
            "trim_offsets": True,
            "use_regex": rng.random() < 0.7,
        },
        {
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": rng.choice(["always", "first", "never"]),
            "split": rng.random() < 0.6,
        },
        {"type": "Whitespace"},
        {"type": "WhitespaceSplit"},
        {"type": "CharDelimiterSplit", "delimiter": rng.choice([" ", "a", "."])},
        {"type": "Punctuation", "behavior": rng.choice(BEHAVIORS)},
        {"type": "Digits", "individual_digits": rng.random() < 0.5},
        {"type": "FixedLength", "length": rng.randint(1, 5)},
        {
            "type": "Split",
            "pattern": {"String": rng.choice([" ", "ab"])},
            "behavior": rng.choice(BEHAVIORS),
            "invert": False,
        },
    ]
    if rng.random() < 0.4:
        return {
            "type": "Split",
            "pattern": {"Regex": rng.choice(REGEXES)},
            "behavior": rng.choice(BEHAVIORS),
            "invert": rng.random() < 0.2,
        }
    if depth == 0 and rng.random() < 0.35:
        chosen = [preTokenizer(rng, 1) for _ in range(rng.randint(1, 3))]
        return {"type": "Sequence", "pretokenizers": [each for each in chosen if each is not None]}
    return rng.choice(kinds)


def letters() -> list[str]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {}, 256
    for byte in range(256):
        if byte in printable:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(extra)
            extra += 1
    return [table[byte] for byte in range(256)]


def usesBytes(pre: dict | None) -> bool:
    return '"ByteLevel"' in json.dumps(pre)


def merges(rng: random.Random, sample: list[str], count: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Some merges that occur in the sample's words, each of tokens made before."""
    words = [list(each) for each in sample if len(each) > 1]
    made, tokens = [], []
    for _ in range(count):
        pairs = [(w[i], w[i + 1]) for w in words for i in range(len(w) - 1)]
        if not pairs:
            break
        pair = rng.choice(pairs)
        made.append(pair)
        tokens.append("".join(pair))
        for w in words:
            i = 0
            while i + 1 < len(w):
                if (w[i], w[i + 1]) == pair:
                    w[i : i + 2] = ["".join(pair)]
                i += 1
    return tokens, made


def bpe(rng: random.Random, pre: dict | None) -> dict:
    alphabet = letters() if usesBytes(pre) else sorted(set("".join(rng.choice(SCRIPTS) for _ in range(4)) + " ▁\n"))
    sample = []
    for _ in range(60):
        each = rng.choice([" ", "▁", ""]) + word(rng)
        if usesBytes(pre):
            each = "".join(letters()[byte] for byte in each.encode())
        sample.append("".join(letter for letter in each if letter in alphabet))
    tokens, made = merges(rng, sample, rng.randint(5, 40))
    fallback = not usesBytes(pre) and rng.random() < 0.5
    names = ["<unk>"] if rng.random() < 0.8 else []
    names += [f"<0x{byte:02X}>" for byte in range(256)] if fallback else []
    names = list(dict.fromkeys([*names, *alphabet, *tokens]))
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": "<unk>" if "<unk>" in names else None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": rng.random() < 0.5,
        "byte_fallback": fallback,
        "ignore_merges": rng.random() < 0.3,
        "vocab": {name: at for at, name in enumerate(names)},
        "merges": [list(pair) for pair in dict.fromkeys(made)],
    }


def unigram(rng: random.Random, pre: dict | None) -> dict:
    pieces: dict[str, float] = {"<unk>": 0.0}
    fallback = rng.random() < 0.5
    if fallback:
        pieces.update({f"<0x{byte:02X}>": -20.0 for byte in range(256)})
    for _ in range(80):
        each = rng.choice(["▁", " ", ""]) + word(rng)[: rng.randint(1, 4)]
        if usesBytes(pre):
            each = "".join(letters()[byte] for byte in each.encode())
        pieces.setdefault(each, round(-rng.random() * 12, 3))
    return {"type": "Unigram", "unk_id": 0, "byte_fallback": fallback, "vocab": [list(each) for each in pieces.items()]}


def wordPiece(rng: random.Random, pre: dict | None) -> dict:
    names = {"[UNK]": None}
    for _ in range(90):
        each = word(rng)[: rng.randint(1, 4)]
        names[rng.choice(["", "##"]) + each] = None
    return {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": rng.choice([4, 100]),
        "vocab": {name: at for at, name in enumerate(names)},
    }


def wordLevel(rng: random.Random, pre: dict | None) -> dict:
    names = {"[UNK]": None}
    for _ in range(40):
        names[word(rng)] = None
    return {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {name: at for at, name in enumerate(names)}}


def decoder(rng: random.Random) -> dict | None:
    replace = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    return rng.choice(
        [
            None,
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": rng.choice(["always", "never"]), "split": True},
            {"type": "WordPiece", "prefix": "##", "cleanup": rng.random() < 0.5},
            {"type": "BPEDecoder", "suffix": "</w>"},
            {"type": "Fuse"},
            {
                "type": "Sequence",
                "decoders": [
                    replace,
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": rng.randint(0, 1), "stop": 0},
                ],
            },
            {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
        ]
    )


def processor(rng: random.Random, tokens: dict[str, int]) -> dict | None:
    byteLevel = {
        "type": "ByteLevel",
        "add_prefix_space": rng.random() < 0.5,
        "trim_offsets": rng.random() < 0.7,
        "use_regex": True,
    }
    if not tokens:
        return rng.choice([None, byteLevel])
    one, other = rng.choice(list(tokens)), rng.choice(list(tokens))
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    special = [{"SpecialToken": {"id": each, "type_id": 0}} for each in (one, other)]
    template = {
        "type": "TemplateProcessing",
        "single": rng.choice(
            [[special[0], sequence], [sequence, special[1]], [special[0], sequence, special[1]], [sequence]]
        ),
        "pair": [sequence, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {each: {"id": each, "ids": [tokens[each]], "tokens": [each]} for each in (one, other)},
    }
    pairs = {"sep": [other, tokens[other]], "cls": [one, tokens[one]]}
    return rng.choice(
        [
            None,
            template,
            byteLevel,
            {"type": "Sequence", "processors": [byteLevel, template]},
            {"type": "BertProcessing", **pairs},
            {
                "type": "RobertaProcessing",
                **pairs,
                "trim_offsets": rng.random() < 0.5,
                "add_prefix_space": rng.random() < 0.5,
            },
        ]
    )


def tokenizerJson(rng: random.Random) -> tuple[dict, list[str]]:
    pre = preTokenizer(rng)
    model = rng.choice([bpe, bpe, bpe, unigram, unigram, wordPiece, wordLevel])(rng, pre)
    vocabulary = (
        model["vocab"] if isinstance(model["vocab"], dict) else {each[0]: at for at, each in enumerate(model["vocab"])}
    )
    added, next_ = [], len(vocabulary)
    for content in rng.sample(ADDED, rng.randint(0, 6)):
        id = vocabulary.get(content)
        if id is None:
            id, next_ = next_, next_ + 1
        special = rng.random() < 0.5
        flags = {flag: rng.random() < 0.25 for flag in ["single_word", "lstrip", "rstrip"]}
        normalized = rng.random() < (0.2 if special else 0.7)
        added.append({"id": id, "content": content, **flags, "normalized": normalized, "special": special})
    specials = {each["content"]: each["id"] for each in added if each["special"]}
    made = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": normalizer(rng),
        "pre_tokenizer": pre,
        "post_processor": processor(rng, specials),
        "decoder": decoder(rng),
        "model": model,
    }
    return made, [each["content"] for each in added]


def answer(tokenizer: Tokenizer, given: str) -> dict | None:
    try:
        encoding = tokenizer.encode(given, add_special_tokens=False)
    except Exception as error:
        return {"text": given, "error": str(error)}
    except BaseException as panic:
        # The library itself falls over, as with an added token that its normalizer makes empty.
        assert type(panic).__name__ == "PanicException"
        return None
    ids = encoding.ids
    row = {
        "text": given,
        "ids": ids,
        "offsets": encoding.offsets,
        "dressed": tokenizer.encode(given).ids,
        "decoded": tokenizer.decode(ids, skip_special_tokens=True),
        "whole": tokenizer.decode(ids, skip_special_tokens=False),
    }
    return row


def cases(seed: int, count: int, texts: int) -> list[dict]:
    rng = random.Random(seed)
    made = []
    while len(made) < count:
        source, added = tokenizerJson(rng)
        tokenizer = Tokenizer.from_str(json.dumps(source))
        written = [tokenizer.normalizer.normalize_str(each) if tokenizer.normalizer else each for each in added]
        if "" in written or len(set(written)) < len(written):
            continue  # Nothing would be found everywhere, and of two that become one any may be found.
        rows = [answer(tokenizer, text(rng, added)) for _ in range(texts)]
        made.append({"tokenizer": source, "rows": [row for row in rows if row is not None]})
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=36)
    parser.add_argument("--texts", type=int, default=6)
    parser.add_argument("--out", default=str(GOLDEN / "text" / "tokenizers.json"))
    asked = parser.parse_args()
    from pathlib import Path

    out = Path(asked.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    assert not math.isnan(asked.seed)
    writeJson(
        out, {"madeBy": madeBy("textTokenizers.py"), "cases": cases(asked.seed, asked.count, asked.texts)}, indent=None
    )
