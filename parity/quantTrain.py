"""QLoRA on ../shared's stories models in plain PyTorch -> golden/quantTrain.json.

Every linear weight below the output projection is quantized by bitsandbytes (block 64, plain and double) and
dequantized again to f32; then the recipe of ../shared/golden is run over
those weights: initial adapter, rows in file order, AdamW, 30 steps; evaluation before and after. `none` repeats the
recipe over the plain weights: it must agree with ../shared/golden.

    python parity/quantTrain.py ../shared
"""

import json
import math
import sys
from pathlib import Path

import bitsandbytes
import bitsandbytes.functional as bnb
import torch
from common import GOLDEN, IGNORE, madeBy, setUp, writeJson
from peft import PeftModel
from transformers import LlamaForCausalLM

KINDS = {"none": None, "nf4": ("nf4", False), "nf4Double": ("nf4", True), "fp4": ("fp4", False)}
PLAN = {"stories260K": list(KINDS), "stories3M": ["none", "nf4", "nf4Double"]}


def quantized(weight: torch.Tensor, kind) -> torch.Tensor:
    if kind is None:
        return weight
    codes, state = bnb.quantize_4bit(weight.contiguous(), blocksize=64, quant_type=kind[0], compress_statistics=kind[1])
    return bnb.dequantize_4bit(codes, state).reshape(weight.shape).float()


def batchOf(rows: list) -> dict:
    time = max(len(row["ids"]) for row in rows)
    pad = lambda row, key, value: row[key] + [value] * (time - len(row[key]))  # noqa: E731
    ids = torch.tensor([pad(row, "ids", 0) for row in rows])
    labels = torch.tensor([pad(row, "labels", IGNORE) for row in rows])
    mask = torch.tensor([[1] * len(row["ids"]) + [0] * (time - len(row["ids"])) for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def lossOf(model, rows: list) -> tuple[torch.Tensor, int]:
    """Sum over label tokens, and their count."""
    batch = batchOf(rows)
    labels = batch.pop("labels")[:, 1:]
    logits = model(**batch).logits[:, :-1]
    total = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORE, reduction="sum"
    )
    return total, int((labels != IGNORE).sum())


def evaluation(model, rows: list) -> float:
    with torch.no_grad():
        parts = [lossOf(model, rows[at : at + 8]) for at in range(0, len(rows), 8)]
    return sum(float(total.double()) for total, _ in parts) / sum(count for _, count in parts)


def run(shared: Path, name: str, kind, autocast: torch.dtype | None = None) -> dict:
    """The recipe; under `autocast` gradients are scaled as Lowrank's `mixed` scales them, up and down again."""
    folder = shared / "golden" / f"{name}-e2e"
    recipe = json.loads((folder / "golden.json").read_text())
    rows = json.loads((folder / "tokens.json").read_text())
    base = LlamaForCausalLM.from_pretrained(shared / "data" / "models" / name, dtype=torch.float32)
    for module, layer in base.model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data = quantized(layer.weight.data, kind)
    result = {"base_eval_loss": evaluation(base, rows[300:400])}
    model = PeftModel.from_pretrained(base, folder / "init", is_trainable=True)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained,
        lr=recipe["lr"],
        betas=tuple(recipe["adamw"]["betas"]),
        eps=recipe["adamw"]["eps"],
        weight_decay=recipe["adamw"].get("weight_decay", 0),
    )
    losses, norms = [], []
    for step in range(recipe["steps"]):
        first = step * recipe["batch_size"]
        with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
            total, count = lossOf(model, [rows[(first + i) % 300] for i in range(recipe["batch_size"])])
        loss = total / count
        scale = 1 if autocast is None else 2.0 ** (round(math.log2(count)) + 3)
        (loss * scale).backward()
        for parameter in trained:
            parameter.grad /= scale
        norms.append(float(torch.nn.utils.clip_grad_norm_(trained, recipe["clip"])))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return {**result, "adapter_eval_loss": evaluation(model, rows[300:400]), "losses": losses, "grad_norms": norms}


if __name__ == "__main__":
    setUp()
    shared = Path(sys.argv[1])
    golden = {name: {kind: run(shared, name, KINDS[kind]) for kind in kinds} for name, kinds in PLAN.items()}
    for name, kinds in golden.items():
        reference = json.loads((shared / "golden" / f"{name}-e2e" / "golden.json").read_text())
        off = max(abs(a / b - 1) for a, b in zip(kinds["none"]["losses"], reference["losses"]))
        print(f"{name}: without quantization at most {off:.1e} off ../shared/golden")
        for kind, values in kinds.items():
            print(f"  {kind}: base {values['base_eval_loss']:.6f}, after training {values['adapter_eval_loss']:.6f}")
    writeJson(
        GOLDEN / "quantTrain.json",
        {"madeBy": {**madeBy("quantTrain.py"), "bitsandbytes": bitsandbytes.__version__}, **golden},
    )
