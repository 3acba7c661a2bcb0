"""Small tokenizers of the usual kinds, and what transformers makes of texts with them -> golden/tokenizers/.

`<kind>/tokenizer.json` and `tokenizer_config.json`: `bytes` (byte-level BPE as in Llama 3 and Qwen), `pieces` (BPE with
byte fallback behind SentencePiece's
normalizer, as in Llama 2 and Mistral) and `unigram` (Unigram with metaspaces and EOS behind a text, as in T5).
`answers.json`: for each kind, texts with ids and decoded texts; and
for `bytes`, what `add_bos_token` and `add_eos_token` of tokenizer_config.json do.
"""

import json
import math
import shutil
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

from common import GOLDEN, madeBy, setUp, writeJson
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

HOME = GOLDEN / "tokenizers"
CONTROLS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|end|>",
]
PLAIN = ["<think>", "</think>", "<tool_call>", "</tool_call>"]
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CORPUS = [
    "the weather in Oslo is mild and the weather in Lund is wet, said the assistant to the user",
    "You are a helpful assistant. What is the weather? It is 12 degrees and the wind comes from the west.",
    '{"name": "weather", "parameters": {"city": "Oslo", "days": 3}}',
    "café naïve straße Größe Übung señor — “quoted” text… and don't you'll we're",
    "日本語のテキスト 東京 こんにちは 世界 你好",
    "system user assistant tool model user assistant system content role",
    "def f(x):\n    return x + 1\n\n# done\n",
]

TEXTS = [
    "",
    " ",
    "a",
    "hello world",
    "  two  spaces   and\ttabs\n\nnewlines \n",
    "The weather in Oslo: 12345 degrees, don't you'll see?",
    "café naïve straße 日本語 世界 🙂 👩‍👩‍👧 e\u0301",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    "x<|im_end|>y <|im_end|> z",
    "<think>why</think>\n\nso <think> not",
    "\u0000\u0001\u007f \u00a0\u2028 end\u3000",
    "ａｂｃ ﬁ ① Å",
    "    indented\n        more",
    "ends with space ",
    "<s>literal</s> <unk> <0x41> ▁",
]


def byteLevel() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens(["<s>", "</s>", *CONTROLS])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in PLAIN])
    bos = tokenizer.token_to_id("<s>")
    template = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", bos)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def pieces() -> Tokenizer:
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=220, special_tokens=["<unk>"], show_progress=False)
    )
    model = json.loads(trained.to_str())["model"]
    names = [
        "<unk>",
        "<s>",
        "</s>",
        *[f"<0x{byte:02X}>" for byte in range(256)],
        *[name for name in model["vocab"] if name != "<unk>"],
    ]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={name: at for at, name in enumerate(names)},
            merges=merges,
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in ["<unk>", "<s>", "</s>"]])
    # Phi-3 marks its control tokens so: the blanks behind them vanish.
    tokenizer.add_special_tokens(
        [
            AddedToken(token, normalized=False, rstrip=token in ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"))
            for token in CONTROLS
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    # The trainer's threads add up in any order; letters, words and the beginnings of words with their frequencies are
    # enough of a model, and the same in every run.
    words = ["▁" + word for text in CORPUS for word in unicodedata.normalize("NFKC", text).split(" ") if word]
    counts = Counter(letter for word in words for letter in word) + Counter(words) + Counter(word[:4] for word in words)
    total = sum(counts.values())
    scores = [(token, round(math.log(count / total), 3)) for token, count in sorted(counts.items())]
    tokenizer.model = models.Unigram(vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *scores], unk_id=2)
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


CONFIGS = {
    "bytes": {"bos_token": "<s>", "eos_token": "</s>"},
    "pieces": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "unigram": {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
}


def save(kind: str, tokenizer: Tokenizer, folder: Path, extra: dict | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **CONFIGS[kind],
        "model_max_length": 512,
        "clean_up_tokenization_spaces": False,
        **(extra or {}),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def answers(tokenizer) -> list[dict]:
    rows = []
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        bare = tokenizer(text, add_special_tokens=False)["input_ids"]
        rows.append(
            {
                "text": text,
                "ids": ids,
                "bare": bare,
                "decoded": tokenizer.decode(ids, skip_special_tokens=True),
                "decodedWithSpecial": tokenizer.decode(ids, skip_special_tokens=False),
            }
        )
    return rows


def flags() -> list[dict]:
    """add_bos_token and add_eos_token over post-processors of three kinds."""
    rows = []
    for processor in ["bos", "none"]:
        for extra in [
            {},
            {"add_bos_token": True},
            {"add_bos_token": False},
            {"add_eos_token": True},
            {"add_bos_token": True, "add_eos_token": True},
            {"add_bos_token": False, "add_eos_token": True},
        ]:
            tokenizer = byteLevel()
            if processor == "none":
                tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
                stripped = json.loads(tokenizer.to_str())
                stripped["post_processor"] = None
                tokenizer = Tokenizer.from_str(json.dumps(stripped))
            with tempfile.TemporaryDirectory() as folder:
                save("bytes", tokenizer, Path(folder), extra)
                loaded = AutoTokenizer.from_pretrained(folder)
                rows.append(
                    {
                        "processor": processor,
                        "config": extra,
                        "text": "hello you",
                        "ids": loaded("hello you")["input_ids"],
                        "bos": loaded.bos_token_id,
                        "eos": loaded.eos_token_id,
                    }
                )
    return rows


if __name__ == "__main__":
    setUp()
    shutil.rmtree(HOME, ignore_errors=True)
    result = {"madeBy": madeBy("tokenizers.py"), "kinds": {}}
    for kind, make in {"bytes": byteLevel, "pieces": pieces, "unigram": unigram}.items():
        save(kind, make(), HOME / kind)
        result["kinds"][kind] = answers(AutoTokenizer.from_pretrained(HOME / kind))
    result["flags"] = flags()
    writeJson(HOME / "answers.json", result, indent=None)
    print(
        {kind: len(rows) for kind, rows in result["kinds"].items()},
        [(row["processor"], row["config"], row["ids"]) for row in result["flags"]],
    )
