"""The first 30 steps of QLoRA on a real model, SmolLM2-135M-Instruct on e2e-nlg, by transformers + PEFT, beside
Lowrank's own run from the same initial adapter. Nothing is committed: it takes some minutes and 2 GB.

    ../shared/data/models/smollm2-135m/make /tmp/smollm2
    pnpm build && python parity/smollm2.py /tmp/smollm2 ../shared/data/datasets/e2e-nlg/train.jsonl

Lowrank writes the initial adapter (a step with rate 0: A as drawn from the seed, B zero) and runs first. Then the
linear weights of the layers are quantized by bitsandbytes (NF4, blocks of 64) and dequantized to f32, the rows are
tokenized by transformers (prompt, completion, EOS; the loss on completion and EOS), and the same 30 steps are run.
Prints the largest relative difference of a loss, and of a gradient norm.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from common import IGNORE
from peft import PeftModel
from quantTrain import lossOf, quantized
from transformers import AutoModelForCausalLM, AutoTokenizer

STEPS, ROWS, RATE = 30, 8, 2e-4
FLAGS = ["--quantization", "nf4", "--r", "8", "--alpha", "16", "--target-modules", "all-linear", "--no-shuffle"]


def lowrank(model: str, data: str, output: Path, *flags: str) -> None:
    program = Path(__file__).resolve().parent.parent / "packages/lowrank/dist/cli.js"
    command = ["node", str(program), "train", "--model", model, "--data", data, "--output", str(output)]
    device = ["--device", "cpu", "--batch-size", str(ROWS), "--max-length", "256"]
    subprocess.run([*command, *device, *flags], check=True)


def encoded(tokenizer, row: dict) -> dict:
    prompt = tokenizer(row["prompt"])["input_ids"]
    ids = tokenizer(row["prompt"] + row["completion"])["input_ids"] + [tokenizer.eos_token_id]
    return {"ids": ids, "labels": [IGNORE] * len(prompt) + ids[len(prompt) :]}


def reference(folder: str, data: str, adapter: Path) -> list[tuple[float, float]]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [encoded(tokenizer, json.loads(line)) for line in Path(data).read_text().splitlines()[: STEPS * ROWS]]
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for module in base.model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.data = quantized(module.weight.data, ("nf4", False))
    model = PeftModel.from_pretrained(base, adapter, is_trainable=True)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0)
    steps = []
    for at in range(STEPS):
        total, count = lossOf(model, rows[at * ROWS : (at + 1) * ROWS])
        loss = total / count
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        steps.append((float(loss.detach()), float(norm)))
    return steps


if __name__ == "__main__":
    model, data = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as work:
        initial, output = Path(work) / "initial", Path(work) / "tuned"
        lowrank(model, data, initial, *FLAGS, "--steps", "1", "--learning-rate", "0")
        resumed = [flag for flag in FLAGS if flag in ("--quantization", "nf4", "--no-shuffle")]
        begun = time.time()
        run = ["--steps", str(STEPS), "--learning-rate", str(RATE), "--init-adapter", str(initial)]
        lowrank(model, data, output, *resumed, *run)
        print(f"Lowrank: {time.time() - begun:.0f} s")
        lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        ours = [(line["loss"], line["grad_norm"]) for line in lines if "loss" in line]
        begun = time.time()
        theirs = reference(model, data, initial)
        print(f"transformers + PEFT: {time.time() - begun:.0f} s")
    for name, index in (("loss", 0), ("gradient norm", 1)):
        off = [abs(mine[index] / their[index] - 1) for mine, their in zip(ours, theirs, strict=True)]
        print(f"{name}: {theirs[0][index]:.6f} -> {theirs[-1][index]:.6f}, at most {max(off):.1e} off")
