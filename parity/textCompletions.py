"""Prompts and completions that are lists of messages, as TRL's SFTTrainer has them -> golden/text/completions.json.

The folders are those of textRows.py. Labels are TRL's: on what follows the tokens that all messages have in common with
the prompt alone and its generation prompt.
"""

import tempfile
from pathlib import Path

from common import GOLDEN, madeBy, setUp, writeJson
from textRows import MARKED, PLAIN, TOOLS, folders, write
from transformers import AutoTokenizer
from trl.data_utils import _tokenize, common_prefix_length

PROMPT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
# As Gemma 4: what the generation prompt ends with is not in the chat.
THINKING = PLAIN + "{% if add_generation_prompt %}<|im_start|>assistant\n<think></think>{% endif %}"
TEMPLATES = {"plain": PLAIN + PROMPT, "marked": MARKED + PROMPT, "thinking": THINKING, "promptless": PLAIN}


def said(role: str, content: str) -> dict:
    return {"role": role, "content": content}


ROWS = [
    {"prompt": [said("user", "hi")], "completion": [said("assistant", "yes 😀")]},
    {
        "prompt": [said("system", "Be brief."), said("user", "a"), said("assistant", "b"), said("user", "c")],
        "completion": [said("assistant", "d"), said("user", "e"), said("assistant", "f")],
    },
    {"prompt": [said("user", "a"), said("assistant", "b")], "completion": [said("user", "c")]},
    {"prompt": [said("user", "")], "completion": [said("assistant", "")], "tools": TOOLS},
]


def tokenized(tokenizer, template: str, row: dict) -> dict:
    options = {"chat_template": template, "tools": row.get("tools")}
    ids = _tokenize(tokenizer, row["prompt"] + row["completion"], **options)["input_ids"]
    prompt = _tokenize(tokenizer, row["prompt"], add_generation_prompt=True, **options)["input_ids"]
    return {"ids": ids, "masked": common_prefix_length(prompt, ids), "prompt": len(prompt)}


if __name__ == "__main__":
    setUp()
    result = {"madeBy": madeBy("textCompletions.py"), "templates": TEMPLATES, "rows": ROWS, "folders": {}}
    for name in ("plain", "llama-legacy", "gpt2"):
        with tempfile.TemporaryDirectory() as home:
            write(folders()[name], Path(home))
            tokenizer = AutoTokenizer.from_pretrained(home)
            result["folders"][name] = {
                template: [tokenized(tokenizer, source, row) for row in ROWS] for template, source in TEMPLATES.items()
            }
    writeJson(GOLDEN / "text" / "completions.json", result, indent=None)
