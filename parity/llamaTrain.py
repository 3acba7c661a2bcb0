"""Training trajectories by transformers + PEFT on the tiny tied Llama -> golden/llama/train/.

Twelve AdamW steps with clipping and transformers' linear schedule, rows in file order and wrapping:
what `lowrank train --no-shuffle` does. Once with a LoRA adapter (`lora/`), once with every weight (`full/`).
"""

import json
import shutil

import torch
from common import IGNORE, madeBy, setUp, writeJson
from llama import greedy
from llamaParts import (
    HOME,
    encodeRow,
    gradNorms,
    loadModel,
    lossSum,
    makeTokenizer,
    packBatch,
    padBatch,
    promptRows,
    savePeft,
    textRows,
)
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import get_linear_schedule_with_warmup

TRAIN = HOME / "train"
STEPS, BATCH, WARMUP, CLIP = 12, 4, 3, 1.0
RECIPES = {"lora": {"learningRate": 0.01, "weightDecay": 0.1}, "full": {"learningRate": 0.004, "weightDecay": 0.0}}


def writeRows(name: str, rows: list[dict], tokenizer) -> list[dict]:
    TRAIN.mkdir(parents=True, exist_ok=True)
    (TRAIN / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [encodeRow(tokenizer, row) for row in rows]


def evaluate(model, rows: list[dict]) -> dict:
    with torch.no_grad():
        parts = [lossSum(model, padBatch([row])) for row in rows]
    tokens = sum(count for _, count in parts)
    loss = sum(total.item() for total, _ in parts) / tokens
    return {"loss": loss, "tokens": tokens, "rows": len(rows)}


def train(model, rows: list[dict], recipe: dict, batchOf) -> dict:
    """Loss: sum over label tokens / their count in the batch. The gradient norm is taken before clipping."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=recipe["learningRate"], betas=(0.9, 0.999), eps=1e-8, weight_decay=recipe["weightDecay"]
    )
    schedule = get_linear_schedule_with_warmup(optimizer, WARMUP, STEPS)
    log = {"losses": [], "gradNorms": [], "learningRates": [], "tokens": []}
    for step in range(STEPS):
        batch = batchOf([rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)])
        optimizer.zero_grad()
        total, count = lossSum(model, batch)
        (total / count).backward()
        log["losses"].append((total / count).item())
        log["gradNorms"].append(torch.nn.utils.clip_grad_norm_(trained, CLIP).item())
        log["learningRates"].append(schedule.get_last_lr()[0])
        log["tokens"].append(count)
        optimizer.step()
        schedule.step()
    return log


def matrixNorms(model, rows: list[dict]) -> dict:
    """Gradient norm of every trained matrix on the first batch."""
    model.zero_grad()
    total, count = lossSum(model, padBatch(rows[:BATCH]))
    (total / count).backward()
    return gradNorms((name.replace(".default", ""), p) for name, p in model.named_parameters())


def run(method: str, rows: list[dict], heldOut: dict, tokenizer) -> None:
    recipe = RECIPES[method]
    if method == "lora":
        torch.manual_seed(4242)
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=4,
            lora_alpha=8,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        )
        savePeft(get_peft_model(loadModel(HOME / "tied"), config), TRAIN / "lora" / "init")

        def start():
            return PeftModel.from_pretrained(loadModel(HOME / "tied"), TRAIN / "lora" / "init", is_trainable=True)

    else:

        def start():
            return loadModel(HOME / "tied")

    model = start()
    result = {"before": evaluate(model, heldOut["eval"]), "matrixGradNormsAtStart": matrixNorms(model, rows)}
    model = start()
    log = train(model, rows, recipe, padBatch)
    packed = train(start(), rows, recipe, packBatch)
    apart = max(abs(a - b) / abs(a) for key in ["losses", "gradNorms"] for a, b in zip(log[key], packed[key]))
    assert apart < 3e-5, f"packed rows went another way: {apart}"
    result |= {
        "after": {name: evaluate(model, encoded) for name, encoded in heldOut.items()},
        "matrixGradNormsAtEnd": matrixNorms(model, rows),
    }
    result["greedyAfter"] = [greedy(model, tokenizer, row["prompt"], 40) for row in promptRows(100, 2)]
    if method == "lora":
        savePeft(model, TRAIN / "lora" / "final")
    else:
        shutil.rmtree(TRAIN / "full", ignore_errors=True)
        model.save_pretrained(TRAIN / "full")
        (TRAIN / "full" / "model.safetensors").chmod(0o644)
    flags = {
        "method": method,
        "steps": STEPS,
        "batchSize": BATCH,
        "schedule": "linear",
        "warmup": WARMUP,
        "clip": CLIP,
        "r": 4,
        "alpha": 8,
        **recipe,
    }
    writeJson(
        TRAIN / f"{method}.json",
        {
            "madeBy": madeBy("llamaTrain.py"),
            "model": "tied",
            "recipe": flags,
            "packedAgainstPadded": apart,
            **log,
            **result,
        },
    )
    print(f"train {method}: loss {log['losses'][0]:.4f} -> {log['losses'][-1]:.4f}, packed against padded {apart:.1e}")


if __name__ == "__main__":
    setUp()
    shutil.rmtree(TRAIN, ignore_errors=True)
    tokenizer = makeTokenizer()
    rows = writeRows("rows", promptRows(0, 22), tokenizer)
    heldOut = {
        "eval": writeRows("eval", promptRows(60, 7), tokenizer),
        "text": writeRows("text", textRows(), tokenizer),
    }
    writeJson(
        TRAIN / "tokens.json",
        {"madeBy": madeBy("llamaTrain.py"), "ignore": IGNORE, "rows": rows, **heldOut},
        indent=None,
    )
    for method in RECIPES:
        run(method, rows, heldOut, tokenizer)
