"""Modules saved whole, trained token rows and LoRA on the output projection by PEFT, and what they compute ->
golden/saved/.

`<name>/` holds the adapter as PEFT saves it before the first step. `<name>.safetensors`: every fourth row of the logits
before and after five steps and after merging, and the first gradient of everything
that is trained. `<name>.json`: base, losses, and whether PEFT's merge computes what the adapted model does: into an
output projection that is the embedding's table it does not. Rows are those of `variants.py`.
"""

import copy
import json
import shutil
import warnings

import torch
from common import GOLDEN, madeBy, setUp, writeJson, writeTensors
from llamaParts import encodeRow, loadModel, makeTokenizer, promptRows, savePeft
from peft import LoraConfig, TrainableTokensConfig, get_peft_model
from variants import LEARNING_RATE, SAME, logits, trainFive

HOME = GOLDEN / "saved"
QUERY = {**SAME, "target_modules": ["q_proj"], "layers_to_transform": [0]}

CASES = {
    "savedHead": ("llama/untied", {**QUERY, "modules_to_save": ["lm_head"]}),
    # "norm" is the end of every norm's name.
    "savedNorms": ("llama/untied", {**QUERY, "modules_to_save": ["norm"]}),
    "savedBlock": (
        "llama/bias",
        {**SAME, "target_modules": ["q_proj", "down_proj"], "modules_to_save": ["layers.1.mlp", "embed_tokens"]},
    ),
    "savedConv1d": (
        "gpt/gpt2",
        {
            **SAME,
            "target_modules": ["c_attn"],
            "layers_to_transform": [0],
            "fan_in_fan_out": True,
            "modules_to_save": ["h.0.mlp.c_fc", "ln_f", "wpe"],
        },
    ),
    "savedTiedEmbedding": ("llama/tied", {**QUERY, "modules_to_save": ["embed_tokens"]}),
    "savedTiedHead": ("llama/tied", {**QUERY, "modules_to_save": ["lm_head"]}),
    "savedEnsured": ("llama/tied", {**QUERY, "modules_to_save": ["lm_head"], "ensure_weight_tying": True}),
    "tokens": ("llama/untied", {**QUERY, "trainable_token_indices": [9, 5, 21]}),
    "tokensTied": ("llama/tied", {**QUERY, "trainable_token_indices": [9, 5, 21]}),
    "tokensHead": ("llama/untied", {**QUERY, "trainable_token_indices": {"embed_tokens": [9, 21], "lm_head": [5]}}),
    "tokensApart": ("llama/tied", {**QUERY, "trainable_token_indices": {"embed_tokens": [9, 21], "lm_head": [5]}}),
    "tokensGpt2": (
        "gpt/gpt2",
        {
            **SAME,
            "target_modules": ["c_attn"],
            "layers_to_transform": [0],
            "fan_in_fan_out": True,
            "trainable_token_indices": [9, 5],
        },
    ),
    "tokensAlone": ("llama/tied", TrainableTokensConfig(token_indices=[9, 5, 21], task_type="CAUSAL_LM")),
    "tokensAndNorm": ("llama/tied", {**QUERY, "trainable_token_indices": [9, 5], "modules_to_save": ["model.norm"]}),
    "head": (
        "llama/untied",
        {**SAME, "target_modules": ["q_proj", "lm_head"], "rank_pattern": {"lm_head": 5}, "use_rslora": True},
    ),
    "headTied": ("llama/tied", {**SAME, "target_modules": ["v_proj", "lm_head"]}),
    "headPissa": ("llama/untied", {**SAME, "init_lora_weights": "pissa", "target_modules": ["lm_head"]}),
}


def plainName(name: str) -> str:
    name = name.removeprefix("base_model.model.").replace("modules_to_save.default.", "").replace(".default", "")
    return name.removesuffix(".weight") if "lora_" in name else name


def makeCase(name: str, rows: list[dict]) -> None:
    base, settings = CASES[name]
    torch.manual_seed(2900 + list(CASES).index(name))
    config = settings if isinstance(settings, TrainableTokensConfig) else LoraConfig(task_type="CAUSAL_LM", **settings)
    model = get_peft_model(loadModel(GOLDEN / base), config).eval()
    pissa = getattr(config, "init_lora_weights", None) == "pissa"
    with torch.no_grad():
        for key, p in model.named_parameters():
            if "lora_B" in key and not pissa:
                p.normal_(0, 0.15)
            elif p.requires_grad and "lora_" not in key:
                p.add_(0.1 * torch.randn(p.shape))
    savePeft(model, HOME / name)
    tensors = {"logits.start": logits(model, rows)}
    trained = {plainName(key): p for key, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=LEARNING_RATE, weight_decay=0)
    losses, gradients = trainFive(model, rows, optimizer, {} if pissa else trained)
    tensors |= gradients
    tensors["logits.trained"] = logits(model, rows)
    merged = logits(copy.deepcopy(model).merge_and_unload(safe_merge=True), rows)
    gap = (merged - tensors["logits.trained"]).abs().max().item()
    tensors["logits.merged"] = merged
    print(f"{name}: {' '.join(f'{loss:.4f}' for loss in losses)}; merged differs by {gap:.1e}; {sorted(trained)}")
    writeTensors(HOME / f"{name}.safetensors", tensors, "saved.py")
    writeJson(
        HOME / f"{name}.json",
        {"madeBy": madeBy("saved.py"), "base": base, "losses": losses, "mergeIsExact": gap < 1e-4},
        None,
    )


if __name__ == "__main__":
    setUp()
    warnings.simplefilter("ignore")
    shutil.rmtree(HOME, ignore_errors=True)
    rows = [encodeRow(makeTokenizer(), row) for row in promptRows(3, 3)]
    assert rows == json.loads((GOLDEN / "variants" / "rows.json").read_text())["rows"]
    for name in CASES:
        makeCase(name, rows)
