"""A tiny random checkpoint per family by transformers, an adapter on every linear layer by PEFT, and what both answer:
golden/families/<name>.json -> golden/families/<name>/.

The JSON says what differs from SIZES in the config, `model_type` among it, and a seed of its own for the weights. A new
family is a new file there. Each folder is a model folder as `save_pretrained` writes it, with the tokenizer of
golden/llama, `adapter/` as PEFT saves it, and `answers.safetensors`: batches, logits, the loss, and the gradient of
every adapter matrix (`grad.`). Rows are longer than every sliding window and than the native length of the rotary
scalings; `short` is their beginning, within both.
"""

import json
import shutil
import sys

import torch
from common import GOLDEN, IGNORE, madeBy, setUp, writeJson, writeTensors
from llamaParts import gradNorms, loadModel, lossSum, makeTokenizer, saveModel, savePeft
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

HOME = GOLDEN / "families"
LENGTH = 24
SHORT = 6

SIZES = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}


def buildModel(config: dict, seed: int):
    """Seeded weights, large enough that logits differ visibly; norms near 1 (of Gemma near 0, since it adds 1), biases
    not zero.
    """
    kind = config["model_type"]
    config = AutoConfig.for_model(**{**SIZES, **config})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            if p.dim() == 1 and not name.endswith("bias"):
                p.copy_((0 if kind.startswith("gemma") else 1) + 0.2 * noise)
            elif "embed" in name or "lm_head" in name:
                p.copy_(0.3 * noise)
            else:
                p.copy_((0.1 if name.endswith("bias") else p.shape[-1] ** -0.5) * noise)
    return model


def batch(seed: int) -> dict:
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, SIZES["vocab_size"], (2, LENGTH), generator=g)
    labels = ids.clone()
    labels[0, :5] = IGNORE
    labels[1, 20:] = IGNORE
    return {"input_ids": ids, "position_ids": torch.arange(LENGTH).repeat(2, 1), "labels": labels}


def logitsOf(folder, ids: torch.Tensor, adapter=None) -> torch.Tensor:
    """By a freshly loaded model: dynamic scalings remember the longest row they have seen."""
    model = loadModel(folder)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter).eval()
    with torch.no_grad():
        return model(
            input_ids=ids, position_ids=torch.arange(ids.shape[1]).repeat(ids.shape[0], 1), use_cache=False
        ).logits


def makeVariant(name: str, tokenizer) -> None:
    asked = json.loads((HOME / f"{name}.json").read_text())
    seed = asked["seed"]
    folder = HOME / name
    saveModel(buildModel(asked["config"], seed), folder, tokenizer)
    (folder / "generation_config.json").unlink(missing_ok=True)
    rows = batch(seed + 1)
    ids = rows["input_ids"]
    model = loadModel(folder)
    torch.manual_seed(seed + 2)
    peft = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=4, target_modules="all-linear"))
    with torch.no_grad():
        for key, p in peft.named_parameters():
            if "lora_B" in key:
                p.normal_(0, 0.2)
    savePeft(peft, folder / "adapter")
    peft = PeftModel.from_pretrained(loadModel(folder), folder / "adapter", is_trainable=True).eval()
    total, count = lossSum(peft, rows)
    loss = total / count
    loss.backward()
    base = loadModel(folder)
    baseTotal, _ = lossSum(base, rows)
    (baseTotal / count).backward()
    gradients = {f"grad.{key.replace('.default', '')}": p.grad for key, p in peft.named_parameters() if p.requires_grad}
    tensors = {
        "ids": ids.int(),
        "labels": rows["labels"].int(),
        "base.logits": logitsOf(folder, ids),
        "base.short": logitsOf(folder, ids[:, :SHORT]),
        "adapter.logits": logitsOf(folder, ids, folder / "adapter"),
        **gradients,
    }
    writeTensors(folder / "answers.safetensors", tensors, "families.py")
    writeJson(
        folder / "answers.json",
        {
            "madeBy": madeBy("families.py"),
            "tokens": count,
            "base": {"loss": (baseTotal / count).item(), "gradNorms": gradNorms(base.named_parameters())},
            "adapter": {"loss": loss.item()},
        },
    )
    top = tensors["base.logits"].topk(2).values
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(
        f"{name}: base loss {baseTotal / count:.4f}, with adapter {loss:.4f}, {len(gradients)} gradients, "
        f"median lead {(top[..., 0] - top[..., 1]).median():.3f}, {size // 1024} KiB"
    )


if __name__ == "__main__":
    setUp()
    tokenizer = makeTokenizer()
    for name in sys.argv[1:] or sorted(file.stem for file in HOME.glob("*.json")):
        shutil.rmtree(HOME / name, ignore_errors=True)
        makeVariant(name, tokenizer)
