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
from quantTrain import KINDS, lossOf, quantized
from peft import PeftModel
from transformers import LlamaForCausalLM


def run(shared: Path, kind, dtype) -> tuple[list, list]:
    folder = shared / "golden" / "stories260K-e2e"
    recipe = json.loads((folder / "golden.json").read_text())
    rows = json.loads((folder / "tokens.json").read_text())
    base = LlamaForCausalLM.from_pretrained(shared / "data" / "models" / "stories260K", dtype=torch.float32)
    for layer in base.model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data = quantized(layer.weight.data, kind)
    model = PeftModel.from_pretrained(base, folder / "init", is_trainable=True)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=recipe["lr"], betas=tuple(recipe["adamw"]["betas"]), weight_decay=0)
    losses, norms = [], []
    for step in range(recipe["steps"]):
        batch = [rows[(step * recipe["batch_size"] + i) % 300] for i in range(recipe["batch_size"])]
        with torch.autocast("cpu", dtype=dtype):
            total, count = lossOf(model, batch)
        scale = 2.0 ** (round(math.log2(count)) + 3)
        (total / count * scale).backward()
        for parameter in trained:
            parameter.grad /= scale
        norms.append(float(torch.nn.utils.clip_grad_norm_(trained, recipe["clip"])))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(total.detach()) / count)
    return losses, norms


def described(values: list, exact: list) -> str:
    off = [abs(a / b - 1) for a, b in zip(values, exact)]
    largest = max(off)
    return f"{math.sqrt(sum(x * x for x in off) / len(off)):.1e}, at most {largest:.1e} (step {off.index(largest)})"


if __name__ == "__main__":
    setUp()
    curves = json.loads((GOLDEN / "quantTrain.json").read_text())["stories260K"]
    for kind in ("none", "nf4"):
        for dtype in (torch.float16, torch.bfloat16):
            losses, norms = run(Path(sys.argv[1]), KINDS[kind], dtype)
            exact = curves[kind]
            print(f"{kind}, {dtype}: losses {described(losses, exact['losses'])}; ", end="")
            print(f"gradient norms {described(norms, exact['grad_norms'])}")
