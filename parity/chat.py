"""Chats rendered by transformers' apply_chat_template, with assistant masks -> golden/chat.json,
golden/chatShared.json.

`chat.json` has templates of this project's own wording, whole; `chatShared.json` has answers for the templates in
../shared/data/chatTemplates, by name, and is made where that
folder lies beside the checkout. Tokens are those of golden/tokenizers (`bytes` and `pieces`).
"""

import datetime
import re
from pathlib import Path

import transformers.utils.chat_template_utils as utils
from common import GOLDEN, madeBy, setUp, writeJson
from transformers import AutoTokenizer

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "chatTemplates"
NOW = datetime.datetime(2025, 3, 9, 14, 5, 7)

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": 'Tells the weather <now> & "here" in a città',
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {"name": "time", "description": "", "parameters": {"type": "object", "properties": {}}},
    },
]
CALL = {
    "type": "function",
    "function": {
        "name": "weather",
        "arguments": {"city": "Tromsø", "days": 3, "deep": {"list": [1, 2.5, None, True, []]}},
    },
}

CHATS = {
    "turn": [{"role": "user", "content": "Hello there"}],
    "answered": [{"role": "user", "content": "Hello there"}, {"role": "assistant", "content": "Hi! How are you?"}],
    "system": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "  padded \n"},
        {"role": "assistant", "content": "\n ok  "},
    ],
    "turns": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "What is 2+2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "日本語 🙂 'quoted' \"twice\"\nnew line"},
        {"role": "assistant", "content": "はい 🙂"},
        {"role": "user", "content": "bye"},
        {"role": "assistant", "content": "Bye."},
    ],
    "open": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
    "thinking": [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "<think>\n hm \n</think>\n\nBecause."},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "reasoning_content": "\nwell\n", "content": "So."},
    ],
    "call": [
        {"role": "user", "content": "Weather in Tromsø?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "name": "weather", "content": '{"degrees": -3}'},
        {"role": "assistant", "content": "Three below zero."},
    ],
    "calls": [
        {"role": "system", "content": "Use tools."},
        {"role": "user", "content": "Both"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [CALL, {"type": "function", "function": {"name": "time", "arguments": {}}}],
        },
        {"role": "tool", "content": "cold"},
        {"role": "tool", "content": "late"},
        {"role": "assistant", "content": "Cold and late."},
        {"role": "user", "content": "Thanks"},
    ],
    "parts": [
        {"role": "user", "content": [{"type": "text", "text": "two "}, {"type": "text", "text": "parts"}]},
        {"role": "assistant", "content": "yes"},
    ],
    "twoUsers": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    "prefill": [{"role": "user", "content": "Count"}, {"role": "assistant", "content": "one, two, "}],
}

ASKS = [
    {"chat": "turn"},
    {"chat": "turn", "addGenerationPrompt": True},
    {"chat": "answered"},
    {"chat": "system"},
    {"chat": "system", "addGenerationPrompt": True},
    {"chat": "turns"},
    {"chat": "open", "addGenerationPrompt": True},
    {"chat": "thinking"},
    {"chat": "thinking", "addGenerationPrompt": True, "variables": {"enable_thinking": False}},
    {"chat": "turn", "tools": True, "addGenerationPrompt": True},
    {"chat": "system", "tools": True},
    {"chat": "call", "tools": True},
    {"chat": "calls", "tools": True, "addGenerationPrompt": True},
    {"chat": "parts"},
    {"chat": "twoUsers"},
    {"chat": "prefill", "continueFinalMessage": True},
    {"chat": "system", "continueFinalMessage": True},
]

MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")

OWN = {
    "marked": (
        "{{ bos_token }}{%- for message in messages -%}\n"
        "  {%- if message['role'] == 'assistant' %}\n"
        "<|im_start|>assistant\n"
        "{% generation %}{{ message['content'] | trim }}<|im_end|>{% endgeneration %}\n"
        "  {% else %}\n"
        "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
        "  {%- endif %}\n"
        "{%- endfor %}\n"
        "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}\n"
    ),
    "plain": (
        "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% "
        "if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "dated": (
        "{%- set ns = namespace(count=0, first=none) -%}\n"
        "Today is {{ strftime_now('%A %d %B %Y, %H:%M') }}.\n"
        "{% for message in messages %}\n"
        "    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) and message.role not in ['system', "
        "'tool'] and not tools %}\n"
        "        {{- raise_exception('Turns must alternate, got ' + message['role'] + ' at ' ~ loop.index) }}\n"
        "    {%- endif %}\n"
        "    {%- set ns.count = ns.count + 1 %}\n"
        "    {%- if ns.first is none %}{% set ns.first = message.role %}{% endif %}\n"
        "[{{ loop.index }}/{{ loop.length }} {{ message.role | upper }}{{ ' last' if loop.last else '' }}] {{ "
        "message.content if message.content is string else message.content | map(attribute='text') | join('+') "
        "}}\n"
        "    {%- for call in message.tool_calls or [] %}\n"
        "        {%- generation -%} call {{ call.function.name }} {{ call.function.arguments | tojson }} {% "
        "endgeneration -%}\n"
        "    {%- endfor %}\n"
        "{% endfor %}\n"
        "{%- if tools is not none %}\n"
        "tools: {{ tools | tojson(indent=2) }}\n"
        "{%- endif %}\n"
        "first {{ ns.first }}, count {{ ns.count }}, system {{ messages | selectattr('role', 'equalto', "
        "'system') | list | length > 0 }}, documents {{ documents }}"
    ),
    "python": (
        "{% macro turn(role, text='-') %}<{{ role }}|{{ text }}>{% endmacro %}"
        "{% for message in messages %}{{ turn(message.role, message.content | string | replace('a', 'A')) }}"
        "{{ [loop.first, none, 1.5, 'it\\'s', {'k': (message.role == 'user')}] }}{{ message.role.strip('ur') "
        "}}{{ '\\n x y \\n'.lstrip('\\n') }}{{ 'a,b'.split(',')[-1] }}"
        "{{ message.missing }}{{ message.missing is defined }}{{ 7 // 2 }}{{ 7 % 4 }}{{ messages[-1].role[:2] "
        "}}{{ 'r' in message.role }}{{ not loop.last and 'more' }}\n{% endfor %}"
    ),
}
NAMED = {"default": OWN["plain"], "tool_use": "tools: {{ tools | length }}\n" + OWN["marked"]}


def masks(tokenizer, template: str, chat: list, options: dict) -> tuple[list[int], list[int]]:
    out = tokenizer.apply_chat_template(
        chat, chat_template=template, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, **options
    )
    return out["input_ids"], out["assistant_masks"]


def cases(template: str, tokenizers: dict) -> list[dict]:
    rows = []
    for ask in ASKS:
        options = {
            "add_generation_prompt": ask.get("addGenerationPrompt", False),
            "continue_final_message": ask.get("continueFinalMessage", False),
            "tools": TOOLS if ask.get("tools") else None,
            **ask.get("variables", {}),
        }
        row = {**ask}
        try:
            for kind, tokenizer in tokenizers.items():
                row[f"text.{kind}"] = tokenizer.apply_chat_template(
                    CHATS[ask["chat"]], chat_template=template, tokenize=False, **options
                )
                if MARK.search(template) and not options["continue_final_message"]:
                    ids, mask = masks(tokenizer, template, CHATS[ask["chat"]], options)
                    row[f"ids.{kind}"], row[f"mask.{kind}"] = ids, "".join(str(bit) for bit in mask)
        except Exception as error:
            row = {**ask, "error": f"{type(error).__name__}: {error}"[:200]}
        # Both tokenizers have the same special tokens, so the text is the same.
        if "text.pieces" in row:
            assert row["text.pieces"] == row["text.bytes"]
            row["text"] = row.pop("text.bytes")
            row.pop("text.pieces")
        rows.append(row)
    return rows


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


if __name__ == "__main__":
    setUp()
    utils.datetime = Clock
    tokenizers = {kind: AutoTokenizer.from_pretrained(GOLDEN / "tokenizers" / kind) for kind in ["bytes", "pieces"]}
    head = {"madeBy": madeBy("chat.py"), "now": list(NOW.timetuple()[:6]), "tools": TOOLS, "chats": CHATS}
    own = {name: cases(template, tokenizers) for name, template in OWN.items()}
    named = []
    for tools in [False, True]:
        template = NAMED["tool_use" if tools else "default"]
        text = utils.render_jinja_template(
            [CHATS["answered"]], tools=TOOLS if tools else None, chat_template=template, bos_token="<s>"
        )[0][0]
        named.append({"chat": "answered", "tools": tools, "text": text})
    writeJson(
        GOLDEN / "chat.json",
        {**head, "templates": OWN, "cases": own, "named": {"templates": NAMED, "cases": named}},
        indent=None,
    )
    if SHARED.exists():
        shared = {path.stem: cases(path.read_text(), tokenizers) for path in sorted(SHARED.glob("*.jinja"))}
        writeJson(GOLDEN / "chatShared.json", {**head, "cases": shared}, indent=None)
        for name, rows in {**own, **shared}.items():
            print(
                name,
                len([row for row in rows if "text" in row]),
                [(row["chat"], row["error"][:60]) for row in rows if "error" in row],
            )
