"""Golden matches of Python's regular expressions as PEFT uses them, for packages/lora/src/pathPattern.test.ts.

Patterns written by hand and random ones, each in the four frames of PEFT's code. Another seed and number of random
patterns, for a longer run by hand:

    python parity/patterns.py --seed 7 --random 20000 --output /tmp/patterns.json
"""

import argparse
import random
import re
import signal
import warnings
from pathlib import Path

import common

PATHS = [
    "",
    "model",
    "lm_head",
    "model.layers.0.self_attn.q_proj",
    "model.layers.11.self_attn.v_proj",
    "model.layers.1.mlp.experts.3.down_proj",
    "vision.model.layers.0.self_attn.q_proj",
    "MODEL.layers.2.Q_PROJ",
    "a.b.0.c",
    "aab",
    "abab",
    "schl\u00fcssel.\u0663.q",
    "line\n",
    "line\nq_proj",
]

PATTERNS = [
    r".*q_proj\Z", r"\A.*q_proj", r"(?i).*Q_PROJ", r"(?i)MODEL.*", r".*(q|v)_proj", r"^(?!.*vision).*q_proj",
    r"(?P<x>a)(?P=x)b", r"(?P<x>ab)(?P=x)", r"(ab)\1", r"a{,2}b", r"a{2}b", r"a{1,}b", r"a{,}b", r"a{}b", r"a{b",
    r"a{2,1}", r"a**", r"a*?b", r"a*+ab", r"a++b", r"(?>a*)b", r"(?>a*)ab", r"*a", r"(*a)", r"a|*", r"^*", r"$+",
    r"[]a]+b", r"[^]]+", r"[a-", r"[b-a]", r"[\w.]+", r"[\d-a]", r"[a\-z]+", r"(?<=q_)proj", r".*(?<=q_)proj",
    r".*(?<!q_)proj", r"(?<=a*)b", r"(?#note)aab", r"(?x) a a b # spaces", r"(?s).*", r"(?s)line.q_proj", r"line$",
    r"line\n", r"line\Z", r"(?m)line$.*", r"(?ms)line$.q_proj", r"\w+", r"(?a)[\w.]+", r"(?a).*\.\d\.q", r".*\.\d\.q",
    r"\x61ab", r"\u0061ab", r"\U00000061ab", r"\141ab", r"[\141]+b", r"\0", r"\8", r"\q", r"\_", r"a\Bab", r"\ba\w+\b",
    r"(?i:MODEL).*", r"(?-i:model).*", r"(?i)(?-i:model).*", r"a(?i)b", r"((?i)a)ab", r"(?z)", r"(?P<1>a)",
    r"(?P<x>a)(?P<x>b)",
    r"(", r")", r"(a", r"a)", r"(a\1)", r"\2", r"(?P=x)", r"(?:a|ab)(?:b|ab)*", r"(a*)*b", r"(a|b*)*", r"(|a)+b",
    r"model\.layers\.(0|1)\..*", r"layers\.0\.self_attn\.q_proj", r"q_proj", r"down_proj|v_proj", r"layers", r"experts",
    r"model", r".*\.layers", r"[a-z0-9._]+", r"([a-z0-9._]+)+!", r"\.", r"a.b", r"", r"|", r"a||b", r"()", r"(?:)",
    r"(?=.*0).*", r"(?!)", r"\Aa\Z|b", r"\z", r"(?L)a", r"(?u)a+b", r"(?au)a", r"a{100000}", r"(?P>a)", r"(?<a", r"\x6",
]  # fmt: skip

FRAMES = {
    "whole": lambda p: (p, re.fullmatch),
    "end": lambda p: (rf"(.*\.)?({p})$", re.match),
    "inside": lambda p: (rf"(^|.*\.){p}($|\..*)", re.match),
    "layer": lambda p: (rf"(?:^|.*?\.){p}\.(?P<idx>\d+)\.", re.match),
}


def randomPattern(draw: random.Random, depth: int = 0) -> str:
    atoms = ["a", "b", ".", r"\.", "0", "q", "_", r"\w", r"\d", "[ab]", "[^a.]", "^", "$", r"\b", r"\Z", "model", r"\B"]
    parts = []
    for _ in range(draw.randint(1, 4)):
        kind = draw.random()
        if kind < 0.6 or depth > 2:
            parts.append(draw.choice(atoms))
        else:
            opening = draw.choice(["(", "(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:"])
            parts.append(opening + "|".join(randomPattern(draw, depth + 1) for _ in range(draw.randint(1, 2))) + ")")
        if draw.random() < 0.35:
            parts.append(draw.choice(["*", "+", "?", "{,2}", "{1,2}", "*?", "+?", "??", "*+", "++", "{2}"]))
        if draw.random() < 0.05:
            parts.append(draw.choice([r"\1", r"\2"]))
    return "".join(parts)


def answer(pattern: str, frame: str) -> object:
    """Which paths match, as a string of 0 and 1; None where Python refuses the pattern."""
    source, match = FRAMES[frame](pattern)
    try:
        compiled = re.compile(source)
    except (re.error, OverflowError):
        return None
    found = []
    for path in PATHS:
        # Python itself backtracks without end over this one.
        hit = None if pattern.endswith("+)+!") else match(compiled, path)
        if frame == "layer":
            found.append("-" if hit is None else hit.groupdict()["idx"] or "-")
        else:
            found.append("0" if hit is None else "1")
    return found if frame == "layer" else "".join(found)


def answers(pattern: str) -> list | None:
    """None for a pattern over which Python backtracks for more than a second."""
    signal.signal(signal.SIGALRM, tooLong)
    signal.alarm(1)
    try:
        return [pattern, {frame: answer(pattern, frame) for frame in FRAMES}]
    except TimeoutError:
        return None
    finally:
        signal.alarm(0)


def tooLong(*_: object) -> None:
    raise TimeoutError


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--random", type=int, default=120)
    arguments.add_argument("--output", type=Path, default=common.GOLDEN / "patterns.json")
    given = arguments.parse_args()
    warnings.simplefilter("ignore")
    draw = random.Random(given.seed)
    patterns = [*PATTERNS, *(randomPattern(draw) for _ in range(given.random))]
    rows = [row for row in map(answers, patterns) if row is not None]
    common.writeJson(given.output, {"madeBy": common.madeBy("patterns.py"), "paths": PATHS, "patterns": rows}, None)


if __name__ == "__main__":
    main()
