"""Random templates, and what jinja2 through transformers makes of them -> golden/text/templates.json.

`textTemplates.py [--seed N] [--count M] [--out FILE]`: M templates over statements, filters, tests, methods and
operators with random values in them, rendered over a few chats. packages/data/src/jinja/differential.test.ts reads the
file that LOWRANK_TEMPLATE_CASES names, else the golden. What transformers refuses has to be refused there; what it
renders has to be the same text, or refused by name.
"""

import argparse
import json
import random
from pathlib import Path

from common import GOLDEN, madeBy, writeJson
from transformers.utils import chat_template_utils as utils

TEXTS = [
    "",
    "a",
    " hi there ",
    "Grüße 🙂👩‍👩‍👧 ok",
    "x,y,,z",
    "line one\nline two\n\n  three",
    'it\'s "so"',
    "ß ﬁ İ",
    "42",
    "-3.7",
    "%s and %d",
    "{0} {a}",
    "a\u00a0b\u200bc\x85d",
    "\U00020000z",
    "TitLe case-word",
    "\t",
]
NAMES = ["s", "t", "n", "f", "l", "d", "e", "z", "messages", "missing", "k", "u"]
FILTERS = [
    "upper",
    "lower",
    "capitalize",
    "title",
    "trim",
    "trim('a ')",
    "length",
    "count",
    "list",
    "first",
    "last",
    "reverse",
    "reverse|list",
    "join",
    "join(', ')",
    "join('-', attribute='role')",
    "sort",
    "sort(reverse=true)",
    "sort(attribute='role')",
    "unique|list",
    "min",
    "max",
    "sum",
    "sum(start=5)",
    "sum(attribute='n')",
    "abs",
    "int",
    "int(7)",
    "float",
    "round",
    "round(1)",
    "round(2, 'floor')",
    "string",
    "tojson",
    "tojson(indent=2)",
    "tojson(ensure_ascii=true)",
    "tojson(sort_keys=true)",
    "tojson(separators=(',', ':'))",
    "map('upper')|list",
    "map('tojson')|join(' ')",
    "map(attribute='role')|list",
    "map(attribute='nope', default='D')|list",
    "select|list",
    "select('string')|list",
    "reject('none')|list",
    "selectattr('role', 'equalto', 'user')|list|length",
    "rejectattr('content', 'defined')|list",
    "selectattr('tool_calls')|list",
    "default('D')",
    "default('D', true)",
    "d('x')",
    "replace('a', 'bb')",
    "replace('', '.', 3)",
    "indent",
    "indent(2, true)",
    "indent('> ', first=true, blank=true)",
    "truncate(8)",
    "truncate(5, true, '')",
    "wordcount",
    "center(11)",
    "items|list",
    "dictsort",
    "dictsort(by='value')",
    "batch(2)|list",
    "batch(2, 'F')|list",
    "slice(3)|list",
    "groupby('role')|list|length",
    "format(1, 2)",
    "format('q')",
    "urlencode",
    "safe",
    "escape",
    "attr('x')",
    "filesizeformat",
    "pprint",
]
TESTS = [
    "defined",
    "undefined",
    "none",
    "string",
    "number",
    "integer",
    "float",
    "boolean",
    "mapping",
    "sequence",
    "iterable",
    "odd",
    "even",
    "divisibleby(3)",
    "lower",
    "upper",
    "eq 3",
    "ne 'a'",
    "gt 2",
    "lt 'b'",
    "ge 3",
    "in [1, 3, 'a']",
    "sameas none",
    "true",
    "false",
    "callable",
    "equalto 'user'",
    "not none",
    "not string",
]
METHODS = [
    "strip()",
    "lstrip()",
    "rstrip('a')",
    "split()",
    "split(',')",
    "split(' ', 1)",
    "rsplit(',', 1)",
    "splitlines()",
    "upper()",
    "title()",
    "startswith('a')",
    "endswith(('a', 'e'))",
    "find('e')",
    "rfind('e')",
    "count('e')",
    "replace('e', 'E')",
    "replace('e', 'E', 1)",
    "join(['p', 'q'])",
    "partition(',')",
    "format('A', a=1)",
    "format(*l)",
    "zfill(5)",
    "ljust(6, '.')",
    "center(9)",
    "isdigit()",
    "isupper()",
    "capitalize()",
    "swapcase()",
    "removeprefix('a')",
    "items()",
    "items()|list",
    "keys()|list",
    "values()|list",
    "get('role')",
    "get('nope', 5)",
    "append(1)",
    "index('a')",
    "update({})",
    "copy()",
    "encode()",
    "casefold()",
    "isspace()",
    "isalpha()",
    "role",
    "content",
    "nope",
    "nope.more",
    "items",
    "pop('x')",
]
SLICES = [
    "[0]",
    "[-1]",
    "[5]",
    "[:2]",
    "[1:]",
    "[::-1]",
    "[-3:-1]",
    "[::2]",
    "['role']",
    "['nope']",
    "[1:4][0]",
    "[none:2]",
    "[true]",
    "[1.0]",
]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
CHATS = [
    [
        {"role": "user", "content": "hi 🙂", "n": 1},
        {"role": "assistant", "content": None, "tool_calls": [{"f": {"a": 1.0, "b": "x"}}], "n": 2},
    ],
    [
        {"role": "system", "content": "S"},
        {"role": "user", "content": [{"type": "text", "text": "p"}], "n": 3},
        {"role": "assistant", "content": "done", "n": 4},
    ],
]
VARIABLES = {
    "s": "Hello, Wörld 🙂!",
    "t": " a,b c ",
    "n": -7,
    "f": 2.5,
    "l": [3, 1, 2, 1],
    "d": {"b": 1, "A": "x", "role": "r"},
    "e": [],
    "z": 0,
    "k": ["b", "A", "c"],
    "u": {},
}


def literal(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.4:
        return json.dumps(rng.choice(TEXTS), ensure_ascii=False)
    if kind < 0.6:
        return str(rng.choice([0, 1, 2, 3, -1, -7, 10, 255]))
    if kind < 0.7:
        return rng.choice(["1.5", "2.0", "-0.5", "1e3", "0.1", "3.14159", "1e20", "1.0e-7"])
    if kind < 0.8:
        return rng.choice(["true", "false", "none", "True", "None"])
    if kind < 0.9:
        return "[" + ", ".join(literal(rng) for _ in range(rng.randint(0, 3))) + "]"
    if kind < 0.95:
        return "(" + ", ".join(literal(rng) for _ in range(2)) + ")"
    return (
        "{"
        + ", ".join(
            f"{json.dumps(rng.choice(TEXTS[1:6]), ensure_ascii=False)}: {literal(rng)}"
            for _ in range(rng.randint(0, 2))
        )
        + "}"
    )


def atom(rng: random.Random) -> str:
    return rng.choice(NAMES) if rng.random() < 0.5 else literal(rng)


def expression(rng: random.Random, depth: int = 0) -> str:
    kind = rng.random()
    if depth > 2 or kind < 0.2:
        return atom(rng)
    inner = expression(rng, depth + 1)
    if kind < 0.45:
        return f"{inner if inner.isidentifier() else f'({inner})'}|{rng.choice(FILTERS)}"
    if kind < 0.55:
        return f"({inner}) is {rng.choice(TESTS)}"
    if kind < 0.68:
        return f"({inner}).{rng.choice(METHODS)}"
    if kind < 0.77:
        return f"({inner}){rng.choice(SLICES)}"
    if kind < 0.92:
        return f"{inner} {rng.choice(OPERATORS)} {expression(rng, depth + 1)}"
    if kind < 0.95:
        return f"not {inner}"
    return f"({inner} if {expression(rng, depth + 1)} else {atom(rng)})"


def block(rng: random.Random, depth: int = 0) -> str:
    kind = rng.random()
    dash = lambda: rng.choice(["", "-", "", "+"])  # noqa: E731
    space = lambda: rng.choice(["", " ", "\n", "\n  ", "x"])  # noqa: E731
    if depth > 2 or kind < 0.45:
        return f"{space()}{{{{{rng.choice(['', '-'])} {expression(rng)} {rng.choice(['', '-'])}}}}}{space()}"
    inner = block(rng, depth + 1)
    other = block(rng, depth + 1)
    if kind < 0.57:
        head = f"{{%{dash()} if {expression(rng)} {dash()}%}}"
        return f"{head}{inner}{{%{dash()} else %}}{other}{{% endif {dash()}%}}"
    if kind < 0.72:
        head = rng.choice(
            [
                "x in l",
                "m in messages",
                "x in d",
                "a, b in d.items()",
                "c in s",
                "x in range(3)",
                "m in messages if m.role == 'user'",
                "x in missing",
                "x in e",
                "i in k|reverse",
            ]
        )
        said = rng.choice(
            [
                "{{ loop.index }}/{{ loop.length }}",
                "{{ loop.first }}{{ loop.last }}",
                "{{ x }}",
                "{{ m.role }}{{ m.content }}",
                "{% if loop.index > 1 %}{% break %}{% endif %}",
                "{% if loop.first %}{% continue %}{% endif %}",
                "{{ loop.previtem }}",
                "{{ loop.cycle('o', 'e') }}",
            ]
        )
        return f"{{%{dash()} for {head} {dash()}%}}{said}{inner}{{%{dash()} else %}}none{{% endfor {dash()}%}}"
    if kind < 0.8:
        return f"{{% set v = {expression(rng)} %}}{{{{ v }}}}{inner}"
    if kind < 0.84:
        return f"{{% set v %}}{inner}{{% endset %}}[{{{{ v|upper }}}}]"
    if kind < 0.88:
        call = f"{{{{ m{depth}({expression(rng)}) }}}}"
        return f"{{% macro m{depth}(a, b=2) %}}{{{{ a }}}}:{{{{ b }}}}{inner}{{% endmacro %}}{call}"
    if kind < 0.91:
        return f"{{% with q = {expression(rng)} %}}{{{{ q }}}}{inner}{{% endwith %}}"
    if kind < 0.93:
        return (
            f"{{%{dash()} raw {rng.choice(['', '-'])}%}} {{{{ x }}}} {{% if %}} {{%{dash()} endraw {dash()}%}}{inner}"
        )
    if kind < 0.95:
        return f"{{# {space()} #}}{inner}{{#- c -#}}"
    if kind < 0.97:
        return f"{{% filter upper %}}{inner}{{% endfilter %}}"
    if kind < 0.985:
        loop = "{% for x in l %}{% set ns.a = ns.a + x %}{% endfor %}"
        return f"{{% set ns = namespace(a=1) %}}{loop}{{{{ ns.a }}}}{inner}"
    return f"{{%{dash()} generation {dash()}%}}{inner}{{%{dash()} endgeneration {dash()}%}}"


def template(rng: random.Random) -> str:
    return "".join(block(rng) for _ in range(rng.randint(1, 3)))


def answer(source: str, chat: list) -> dict:
    messages = [{key: value for key, value in message.items() if value is not None} for message in chat]
    try:
        texts, spans = utils.render_jinja_template(
            [messages], chat_template=source, return_assistant_tokens_mask="generation" in source, **VARIABLES
        )
        return {"text": texts[0], "spans": spans[0] if spans else []}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:120]}


def cases(seed: int, count: int) -> list[dict]:
    rng = random.Random(seed)
    made = []
    while len(made) < count:
        source, chat = template(rng), rng.randrange(len(CHATS))
        found = answer(source, CHATS[chat])
        # Places in memory are no text.
        if " at 0x" in found.get("text", ""):
            continue
        # Most random templates fail somewhere: some of these are enough.
        if "error" in found and rng.random() < 0.75:
            continue
        made.append({"source": source, "chat": chat, **found})
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--out", default=str(GOLDEN / "text" / "templates.json"))
    asked = parser.parse_args()
    head = {"madeBy": madeBy("textTemplates.py"), "chats": CHATS, "variables": VARIABLES}
    writeJson(Path(asked.out), {**head, "cases": cases(asked.seed, asked.count)}, indent=None)
