"""Variants and initializations of LoRA by PEFT, and what they compute -> golden/variants/.

`<name>/` holds the adapter as PEFT saves it before the first step; where it began as a part of W, `<name>/converted` is
it after five steps, converted to plain LoRA.
`<name>.safetensors`: every fourth row of the logits before and after the five steps and after merging, and the first
gradient of everything that is trained. The rows are in `rows.json`.
"""

import copy
import shutil
import sys

import torch
from common import GOLDEN, madeBy, setUp, writeJson, writeTensors
from llamaParts import encodeRow, loadModel, lossSum, makeTokenizer, padBatch, promptRows, savePeft
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer

HOME = GOLDEN / "variants"
STEPS, LEARNING_RATE, LORA_PLUS = 5, 5e-3, 4
SAME = {"r": 3, "lora_alpha": 6}

# The model's folder, the configuration, and whether what begins as zero gets numbers, so that every gradient has
# something to tell.
VARIANTS = {
    "dora": ("llama/untied", {**SAME, "use_dora": True, "target_modules": ["q_proj", "v_proj", "down_proj"]}, True),
    "doraBias": (
        "llama/bias",
        {
            **SAME,
            "use_dora": True,
            "use_rslora": True,
            "target_modules": ["o_proj", "up_proj"],
            "layers_to_transform": [1],
        },
        True,
    ),
    "doraEmbedding": (
        "llama/untied",
        {**SAME, "use_dora": True, "target_modules": ["embed_tokens", "layers.0.self_attn.k_proj"]},
        True,
    ),
    "doraConv1d": (
        "gpt/gpt2",
        {
            **SAME,
            "use_dora": True,
            "target_modules": ["c_attn", "c_proj"],
            "layers_to_transform": [0],
            "fan_in_fan_out": True,
        },
        True,
    ),
    "loraBias": (
        "llama/bias",
        {**SAME, "lora_bias": True, "target_modules": ["q_proj", "gate_proj"], "layers_to_transform": [1]},
        True,
    ),
    "biasAll": ("llama/bias", {**SAME, "bias": "all", "target_modules": ["q_proj"]}, True),
    "biasLora": ("llama/bias", {**SAME, "bias": "lora_only", "target_modules": ["v_proj", "down_proj"]}, True),
    "selected": (
        "llama/untied",
        {
            **SAME,
            "use_rslora": True,
            "target_modules": ["q_proj", "v_proj", "up_proj"],
            "exclude_modules": ["up_proj"],
            "layers_to_transform": [1],
            "layers_pattern": "layers",
            "rank_pattern": {"v_proj": 5},
            "alpha_pattern": {"q_proj": 9},
        },
        True,
    ),
    "regex": (
        "llama/untied",
        {**SAME, "target_modules": r".*\.0\..*(q|gate)_proj", "exclude_modules": r".*gate_proj"},
        True,
    ),
    "loraPlus": (
        "llama/bias",
        {**SAME, "bias": "lora_only", "target_modules": ["q_proj", "down_proj"], "layers_to_transform": [1]},
        False,
    ),
    "gaussian": ("llama/untied", {**SAME, "init_lora_weights": "gaussian", "target_modules": ["q_proj"]}, False),
    "orthogonal": (
        "llama/untied",
        {"r": 4, "lora_alpha": 6, "init_lora_weights": "orthogonal", "target_modules": ["q_proj"]},
        False,
    ),
    "olora": (
        "llama/untied",
        {
            **SAME,
            "init_lora_weights": "olora",
            "target_modules": ["q_proj", "v_proj", "down_proj"],
            "layers_to_transform": [0],
        },
        False,
    ),
    "pissa": (
        "llama/untied",
        {
            **SAME,
            "init_lora_weights": "pissa",
            "target_modules": ["q_proj", "v_proj", "down_proj"],
            "layers_to_transform": [0],
        },
        False,
    ),
    "pissaRslora": (
        "llama/untied",
        {**SAME, "init_lora_weights": "pissa", "use_rslora": True, "target_modules": ["q_proj"]},
        False,
    ),
    "pissaConv1d": (
        "gpt/gpt2",
        {**SAME, "init_lora_weights": "pissa", "target_modules": ["c_attn"], "fan_in_fan_out": True},
        False,
    ),
    "lora": ("llama/untied", {**SAME, "target_modules": ["q_proj", "o_proj", "up_proj"]}, False),
    "rslora": ("llama/bias", {**SAME, "use_rslora": True, "target_modules": ["v_proj", "gate_proj"]}, False),
    "loraEmbedding": ("llama/untied", {**SAME, "target_modules": ["embed_tokens", "v_proj"]}, False),
    "loraConv1d": ("gpt/gpt2", {**SAME, "target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True}, False),
    "pissaNiter": (
        "llama/untied",
        {"r": 2, "lora_alpha": 4, "init_lora_weights": "pissa_niter_64", "target_modules": ["k_proj", "v_proj"]},
        False,
    ),
    "mica": (
        "llama/untied",
        {**SAME, "init_lora_weights": "mica", "target_modules": ["q_proj", "up_proj", "down_proj"]},
        False,
    ),
}


def beginsInBase(settings: dict) -> bool:
    return settings.get("init_lora_weights", "").startswith(("olora", "pissa"))


def plainName(name: str) -> str:
    name = name.removeprefix("base_model.model.").replace(".default", "")
    return name.removesuffix(".weight") if "lora_" in name else name


def logits(model, rows: list[dict]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([rows[0]["ids"]]), use_cache=False).logits[0, ::4].float()


def trainFive(model, rows: list[dict], optimizer, trained: dict | None = None) -> tuple[list[float], dict]:
    """STEPS steps over all rows: the losses, and the first gradients of what is named in `trained`."""
    batch = padBatch(rows)
    losses, gradients = [], {}
    for step in range(STEPS):
        total, count = lossSum(model, batch)
        optimizer.zero_grad()
        (total / count).backward()
        losses.append((total / count).item())
        if step == 0:
            gradients = {f"grad.{key}": p.grad.clone() for key, p in (trained or {}).items()}
        optimizer.step()
    return losses, gradients


def makeVariant(name: str, rows: list[dict]) -> None:
    base, settings, stirred = VARIANTS[name]
    torch.manual_seed(1700 + list(VARIANTS).index(name))
    untouched = loadModel(GOLDEN / base)
    model = get_peft_model(loadModel(GOLDEN / base), LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    if stirred:
        with torch.no_grad():
            for key, p in model.named_parameters():
                if "lora_B" in key or "lora_embedding_A" in key:
                    p.normal_(0, 0.15)
                elif "lora_magnitude" in key:
                    p.mul_(1 + 0.1 * torch.randn(p.shape))
                elif key.endswith(".bias") and p.requires_grad:
                    p.add_(0.05 * torch.randn(p.shape))
    savePeft(model, HOME / name)
    tensors = {"logits.start": logits(model, rows)}
    if not stirred:
        print(
            f"{name}: step 0 differs from the base by "
            f"{(logits(untouched, rows) - tensors['logits.start']).abs().max():.2e}"
        )
    trained = {plainName(key): p for key, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=LEARNING_RATE, weight_decay=0)
    if name == "loraPlus":
        optimizer = create_loraplus_optimizer(
            model, torch.optim.AdamW, lr=LEARNING_RATE, loraplus_lr_ratio=LORA_PLUS, loraplus_weight_decay=0
        )
    # Signs of singular vectors are free, and so are those of gradients.
    losses, gradients = trainFive(model, rows, optimizer, {} if beginsInBase(settings) else trained)
    tensors |= gradients
    tensors["logits.trained"] = logits(model, rows)
    if beginsInBase(settings):
        # PEFT's own way: the adapter as it began is loaded beside it, and its part of W subtracted. Its configuration
        # is overwritten by that.
        config = (HOME / name / "adapter_config.json").read_text()
        model.save_pretrained(HOME / name / "converted", path_initial_model_for_weight_conversion=str(HOME / name))
        (HOME / name / "converted" / "README.md").unlink(missing_ok=True)
        (HOME / name / "converted" / "adapter_model.safetensors").chmod(0o644)
        (HOME / name / "adapter_config.json").write_text(config)
    merged = copy.deepcopy(model).merge_and_unload(safe_merge=True)
    tensors["logits.merged"] = logits(merged, rows)
    print(
        f"{name}: {' '.join(f'{loss:.4f}' for loss in losses)}; merged differs by "
        f"{(tensors['logits.merged'] - tensors['logits.trained']).abs().max():.1e}"
    )
    writeTensors(HOME / f"{name}.safetensors", tensors, "variants.py")
    writeJson(HOME / f"{name}.json", {"madeBy": madeBy("variants.py"), "base": base, "losses": losses}, None)


if __name__ == "__main__":
    setUp()
    # Those that are named, or all.
    if not sys.argv[1:]:
        shutil.rmtree(HOME, ignore_errors=True)
    rows = [encodeRow(makeTokenizer(), row) for row in promptRows(3, 3)]
    writeJson(
        HOME / "rows.json", {"steps": STEPS, "learningRate": LEARNING_RATE, "loraPlus": LORA_PLUS, "rows": rows}, None
    )
    for name in sys.argv[1:] or VARIANTS:
        makeVariant(name, rows)
