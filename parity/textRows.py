"""Folders as people have them, and the rows that TRL and transformers make with them -> golden/text/rows.json.

Each folder is one of golden/tokenizers/ with some keys of tokenizer.json replaced and other files beside it: what is
named in special_tokens_map.json, added_tokens.json, `added_tokens_decoder`, tokens with every flag, classes that build
their pipeline anew, named templates. Rows are tokenized by TRL's own functions, masks are those of transformers 5.24
(run with it on the path). With ../shared there is also golden/text/sharedRows.json: for every tokenizer and template
there, digests of ids and labels.
"""

import hashlib
import json
import re
import tempfile
from datetime import date
from pathlib import Path

import transformers
from common import GOLDEN, madeBy, setUp, writeJson
from transformers import AutoTokenizer
from trl.data_utils import _tokenize, common_prefix_length

MARK = re.compile(r"\{%[-+]?\s*generation")
SHARED_ROOT = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
BASE = GOLDEN / "tokenizers"
TEXTS = ["Once upon a time", "Once upon a time</s>", "<s>Once", " two  spaces\n\nand 🙂 ", "x != y . a ? b , n 't", ""]
PAIRS = [
    ["name: ada", " is a baker.</s>"],
    ["name: ada", " is a baker."],
    ["Q:", "x"],
    ["the wea", "ther is wet"],
    ["", "a"],
]
CHATS = [
    [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes 😀"}],
    [
        {"role": "user", "content": "weather?", "tool_calls": None},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"type": "function", "function": {"name": "get", "arguments": {"city": "Rome", "n": 1.0}}}],
        },
        {"role": "tool", "content": "3"},
        {"role": "assistant", "content": "It is 3."},
    ],
]
TOOLS = [{"type": "function", "function": {"name": "get", "description": "d", "parameters": {"type": "object"}}}]
PLAIN = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
MARKED = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}{{ m.tool_calls | tojson if m.tool_calls }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}"
    "<|im_end|>{{ eos_token }}\n{% endfor %}"
)


def added(content: str, **flags) -> dict:
    plain = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
    return {"content": content, **plain, **flags}


def folders() -> dict[str, dict]:
    pieces = json.loads((BASE / "pieces" / "tokenizer.json").read_text())
    size = len(pieces["model"]["vocab"])
    three = [token for token in pieces["added_tokens"] if token["content"] in ("<unk>", "<s>", "</s>")]
    ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    backend = {"tokenizer_class": "PreTrainedTokenizerFast"}
    turns = {str(size): added("<|im_start|>"), str(size + 1): added("<|im_end|>")}
    flagged = {
        str(size): added("<|im_start|>", rstrip=True),
        str(size + 1): added("<|im_end|>", lstrip=True),
        str(size + 2): added("ther", special=False, normalized=True),
        str(size + 3): added("ada", special=False, single_word=True),
    }
    map_ = {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False, "rstrip": True}, "unk_token": "<unk>"}
    return {
        "plain": {"base": "pieces", "config": {**backend, **ends}, "template": MARKED},
        "special-tokens-map": {
            "base": "pieces",
            "config": backend,
            "files": {"special_tokens_map.json": map_},
            "template": MARKED,
        },
        "added-tokens-in-config": {
            "base": "pieces",
            "json": {"added_tokens": three},
            "config": {**backend, **ends, "eos_token": "<|im_end|>", "added_tokens_decoder": turns},
            "template": MARKED,
        },
        "added-tokens-with-flags": {
            "base": "pieces",
            "json": {"added_tokens": three},
            "config": {**backend, **ends, "added_tokens_decoder": flagged},
            "template": MARKED,
        },
        "added-tokens-file": {
            "base": "pieces",
            "json": {"added_tokens": three},
            "config": {**backend, **ends, "additional_special_tokens": ["<|im_start|>"]},
            "files": {"added_tokens.json": {"<|im_start|>": size, "<|im_end|>": size + 1}},
            "template": MARKED,
        },
        "extra-special-tokens": {
            "base": "pieces",
            "json": {"added_tokens": three},
            "config": {
                **backend,
                **ends,
                "extra_special_tokens": {"turn_token": "<|im_start|>"},
                "image_token": "<|im_end|>",
            },
            "template": MARKED + "{{ turn_token }}{{ image_token }}",
        },
        "beyond-the-vocabulary": {
            "base": "bytes",
            "config": {
                **backend,
                **ends,
                "pad_token": "<pad>",
                "eos_token": "<end>",
                "added_tokens_decoder": {"900": added("<far>")},
            },
            "template": PLAIN,
        },
        "clean-up-spaces": {
            "base": "bytes",
            "config": {**backend, **ends, "clean_up_tokenization_spaces": True},
            "template": PLAIN,
        },
        "clean-up-unigram": {
            "base": "unigram",
            "config": {**backend, "eos_token": "</s>", "unk_token": "<unk>", "clean_up_tokenization_spaces": True},
        },
        "llama-legacy": {
            "base": "pieces",
            "config": {"tokenizer_class": "LlamaTokenizer", **ends, "legacy": True},
            "template": MARKED,
        },
        "llama": {
            "base": "pieces",
            "config": {"tokenizer_class": "LlamaTokenizerFast", "legacy": False},
            "template": MARKED,
        },
        "gpt2": {"base": "bytes", "config": {"tokenizer_class": "GPT2Tokenizer", **ends}, "template": PLAIN},
        "qwen2": {
            "base": "bytes",
            "config": {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>"},
            "template": PLAIN,
        },
        "neox": {"base": "bytes", "config": {"tokenizer_class": "GPTNeoXTokenizer", "add_bos_token": True, **ends}},
        "gemma": {"base": "pieces", "config": {"tokenizer_class": "GemmaTokenizer", **ends}, "template": MARKED},
        "gemma-by-family": {"base": "pieces", "config": {**ends}, "files": {"config.json": {"model_type": "gemma"}}},
        "split-special-tokens": {
            "base": "bytes",
            "config": {**backend, **ends, "split_special_tokens": True},
            "template": PLAIN,
        },
        "no-processor": {
            "base": "bytes",
            "json": {"post_processor": None},
            "config": {**backend, **ends, "add_bos_token": True},
        },
        "named-templates": {
            "base": "bytes",
            "config": {**backend, **ends},
            "template": PLAIN,
            "files": {"additional_chat_templates/tool_use.jinja": "{{ tools | length }} tools\n" + PLAIN},
        },
        "templates-in-a-folder-alone": {
            "base": "bytes",
            "config": {**backend, **ends, "chat_template": "never"},
            "files": {
                "additional_chat_templates/default.jinja": PLAIN,
                "additional_chat_templates/tool_use.jinja": "tools {{ tools | tojson }}\n" + PLAIN,
            },
        },
    }


def write(spec: dict, home: Path) -> None:
    source = json.loads((BASE / spec["base"] / "tokenizer.json").read_text())
    (home / "tokenizer.json").write_text(json.dumps({**source, **spec.get("json", {})}))
    (home / "tokenizer_config.json").write_text(json.dumps(spec["config"]))
    if "template" in spec:
        (home / "chat_template.jinja").write_text(spec["template"])
    for name, content in spec.get("files", {}).items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(content if isinstance(content, str) else json.dumps(content))


def textRow(tokenizer, text: str) -> dict:
    eos = tokenizer.eos_token
    return {"ids": _tokenize(tokenizer, text if text.endswith(eos) else text + eos)["input_ids"]}


def pairRow(tokenizer, prompt: str, completion: str) -> dict:
    eos = tokenizer.eos_token
    completion = completion if completion.endswith(eos) else completion + eos
    ids = _tokenize(tokenizer, prompt + completion)["input_ids"]
    return {"ids": ids, "masked": common_prefix_length(_tokenize(tokenizer, prompt)["input_ids"], ids)}


def chatRow(tokenizer, chat: list, tools: list | None, template: str | None = None) -> dict:
    marks = MARK.search(tokenizer.get_chat_template(template, tools)) is not None
    try:
        text = tokenizer.apply_chat_template(chat, chat_template=template, tools=tools, tokenize=False)
        out = _tokenize(tokenizer, chat, chat_template=template, tools=tools, return_assistant_tokens_mask=marks)
    except Exception as error:
        return {"error": type(error).__name__}
    return {"text": text, "ids": out["input_ids"], **({"mask": out["assistant_masks"]} if marks else {})}


def rows(tokenizer, hasTemplate: bool) -> dict:
    made = {
        "size": len(tokenizer),
        "named": tokenizer.special_tokens_map,
        "texts": [textRow(tokenizer, text) for text in TEXTS],
        "pairs": [pairRow(tokenizer, *pair) for pair in PAIRS],
        "decoded": [tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) for text in TEXTS],
    }
    if hasTemplate:
        made["chats"] = [chatRow(tokenizer, chat, tools) for chat in CHATS for tools in (None, TOOLS)]
    return made


def digest(value) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()[:16]


def sharedRows() -> dict:
    lines = [json.loads(line) for line in (SHARED_ROOT / "datasets/e2e-nlg/train.jsonl").read_text().splitlines()[:40]]
    places = ["models/stories260K", "models/stories3M", "models/smollm2-135m", "tokenizers/gpt2"]
    made: dict = {}
    for place in places:
        tokenizer = AutoTokenizer.from_pretrained(SHARED_ROOT / place)
        made[place] = {"chats": {}}
        if tokenizer.eos_token is not None:
            found = [pairRow(tokenizer, line["prompt"], line["completion"]) for line in lines]
            made[place]["pairs"] = digest([[row["ids"], row["masked"]] for row in found])
        for template in sorted((SHARED_ROOT / "chatTemplates").glob("*.jinja")):
            answers = [
                chatRow(tokenizer, chat, tools, template.read_text()) for chat in CHATS for tools in (None, TOOLS)
            ]
            made[place]["chats"][template.stem] = [
                "error" if "error" in row else digest([row["ids"], row.get("mask")]) for row in answers
            ]
    return made


if __name__ == "__main__":
    setUp()
    assert tuple(map(int, transformers.__version__.split(".")[:2])) >= (5, 24), "masks want transformers 5.24"
    result = {
        "madeBy": madeBy("textRows.py"),
        "texts": TEXTS,
        "pairs": PAIRS,
        "chats": CHATS,
        "tools": TOOLS,
        "folders": {},
    }
    for name, spec in folders().items():
        with tempfile.TemporaryDirectory() as home:
            write(spec, Path(home))
            tokenizer = AutoTokenizer.from_pretrained(home)
            result["folders"][name] = {**spec, "want": rows(tokenizer, tokenizer.chat_template is not None)}
    writeJson(GOLDEN / "text" / "rows.json", result, indent=None)
    if SHARED_ROOT.exists():
        # Llama 3.2's template writes the day it is rendered on.
        day = date.today().isoformat()
        head = {"madeBy": madeBy("textRows.py"), "day": day, "chats": CHATS, "tools": TOOLS}
        writeJson(GOLDEN / "text" / "sharedRows.json", {**head, "places": sharedRows()}, indent=None)
