"""EVA by PEFT's `initialize_lora_eva_weights`, and what the adapters compute -> golden/eva/.

`<name>/` holds the adapter as PEFT saves it after the initialization; `<name>.safetensors`: every fourth row of the
logits before and after five steps and after merging. The data are the rows of
`golden/variants/rows.json`, as one batch: PEFT goes on through its data until the directions stand still, so that
several batches would not count alike.
"""

import copy
import json
import shutil
import warnings

import torch
from common import GOLDEN, madeBy, setUp, writeJson, writeTensors
from llamaParts import loadModel, padBatch, savePeft
from peft import EvaConfig, LoraConfig, get_peft_model, initialize_lora_eva_weights
from variants import LEARNING_RATE, logits, trainFive

HOME = GOLDEN / "eva"

# The model's folder, the settings of LoRA, and those of EVA.
CASES = {
    "eva": (
        "llama/untied",
        {"r": 6, "lora_alpha": 12, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj"]},
        {},
    ),
    "evaPattern": (
        "llama/untied",
        {
            "r": 4,
            "lora_alpha": 6,
            "use_rslora": True,
            "rank_pattern": {"q_proj": 7},
            "alpha_pattern": {"layers.0.self_attn.q_proj": 9},
            "target_modules": ["q_proj", "v_proj", "down_proj"],
        },
        {"rho": 1.5, "use_label_mask": False},
    ),
    "evaDropped": (
        "llama/bias",
        {"r": 1, "lora_alpha": 4, "use_dora": True, "target_modules": ["q_proj", "o_proj", "up_proj", "down_proj"]},
        {"rho": 12.0, "adjust_scaling_factors": False},
    ),
    "evaWhiten": (
        "llama/untied",
        {"r": 12, "lora_alpha": 6, "target_modules": ["v_proj", "gate_proj"]},
        {"rho": 1.0, "whiten": True},
    ),
    "evaConv1d": (
        "gpt/gpt2",
        {"r": 3, "lora_alpha": 6, "target_modules": ["c_attn", "c_fc"], "fan_in_fan_out": True},
        {"rho": 4.0},
    ),
}


def makeCase(name: str, rows: list[dict]) -> None:
    base, settings, eva = CASES[name]
    torch.manual_seed(2900 + list(CASES).index(name))
    model = get_peft_model(
        loadModel(GOLDEN / base),
        LoraConfig(task_type="CAUSAL_LM", init_lora_weights="eva", eva_config=EvaConfig(**eva), **settings),
    ).eval()
    batch = padBatch(rows)
    counted = []
    forward = lambda model, inputs: (counted.append(1), model(**inputs))  # noqa: E731
    initialize_lora_eva_weights(model, [batch], forward_fn=forward, show_progress_bar=False)
    savePeft(model, HOME / name)
    tensors = {"logits.start": logits(model, rows)}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0)
    losses, _ = trainFive(model, rows, optimizer)
    tensors["logits.trained"] = logits(model, rows)
    tensors["logits.merged"] = logits(copy.deepcopy(model).merge_and_unload(safe_merge=True), rows)
    config = model.peft_config["default"]
    # The first forward pass finds out which inputs are equal.
    print(
        f"{name}: {len(counted) - 1} passes, ranks {config.rank_pattern}, {' '.join(f'{loss:.4f}' for loss in losses)}"
    )
    writeTensors(HOME / f"{name}.safetensors", tensors, "eva.py")
    writeJson(
        HOME / f"{name}.json",
        {
            "madeBy": madeBy("eva.py"),
            "base": base,
            "passes": len(counted) - 1,
            "targets": settings["target_modules"],
            "config": {key: value for key, value in settings.items() if key != "target_modules"},
            "eva": eva,
            "losses": losses,
        },
        None,
    )


if __name__ == "__main__":
    setUp()
    warnings.simplefilter("ignore")
    shutil.rmtree(HOME, ignore_errors=True)
    rows = json.loads((GOLDEN / "variants" / "rows.json").read_text())["rows"]
    for name in CASES:
        makeCase(name, rows)
