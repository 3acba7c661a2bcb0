"""How far PyTorch's own mixed precision is from its f32, step by step, on the run of ../shared/golden.

Prints, for stories260K with LoRA over plain and NF4 weights, how far losses and gradient norms under
`torch.autocast` are from those of the f32 run: the root mean square of 30 steps, and the largest with its step.
Gradients are scaled by 2 to the power of log2(labels) + 3, as Lowrank's `mixed` scales them. What Lowrank's tests
allow (tests/golden/goldenRun.ts) is judged by this.

    python parity/autocast.py ../shared
"""

import json
import math
import sys
from pathlib import Path

import torch
from common import GOLDEN, setUp
from quantTrain import KINDS, run


def described(values: list, exact: list) -> str:
    off = [abs(a / b - 1) for a, b in zip(values, exact)]
    largest = max(off)
    return f"{math.sqrt(sum(x * x for x in off) / len(off)):.1e}, at most {largest:.1e} (step {off.index(largest)})"


if __name__ == "__main__":
    setUp()
    curves = json.loads((GOLDEN / "quantTrain.json").read_text())["stories260K"]
    for kind in ("none", "nf4"):
        for dtype in (torch.float16, torch.bfloat16):
            off, exact = run(Path(sys.argv[1]), "stories260K", KINDS[kind], dtype), curves[kind]
            print(f"{kind}, {dtype}: losses {described(off['losses'], exact['losses'])}; ", end="")
            print(f"gradient norms {described(off['grad_norms'], exact['grad_norms'])}")
