"""Adapters over quantized layers by PEFT, and what they compute -> golden/quantizedAdapters/.

Every linear layer of `llama/untied` below the output projection is quantized by bitsandbytes and dequantized again to
f32, so that PEFT runs on the CPU over the weights that the codes stand for. `<name>/` holds the
adapter as PEFT saves it before the first step; `<name>.safetensors`: every fourth row of the logits before and after
five steps and after merging into those weights, and the first gradient of everything
that is trained. The rows are those of `golden/variants/rows.json`. `loftq*` begin with PEFT's own `loftq_init`, which
quantizes the layers itself.
"""

import copy
import json
import shutil
from types import SimpleNamespace

import quantLoftq  # noqa: F401, which has loftq_init run on the CPU
import bitsandbytes.functional as bnb
import peft.tuners.lora.config as loraConfig
import peft.tuners.lora.layer as loraLayer
import torch
from common import GOLDEN, madeBy, setUp, writeJson, writeTensors
from llamaParts import loadModel, savePeft
from peft import LoraConfig, get_peft_model
from peft.utils import loftq_utils
from variants import LEARNING_RATE, logits, plainName, trainFive

HOME = GOLDEN / "quantizedAdapters"
loraLayer.loftq_init = loftq_utils.loftq_init
# PEFT asks for scipy before LoftQ, which has not used it since bitsandbytes quantizes.
loraConfig.importlib = SimpleNamespace(util=SimpleNamespace(find_spec=lambda name: name))
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# How the layers are quantized, and the adapter.
CASES = {
    "nf4": ("nf4", {"r": 3, "lora_alpha": 6, "target_modules": ALL}),
    "nf4Double": ("nf4Double", {"r": 3, "lora_alpha": 6, "use_rslora": True, "target_modules": ALL}),
    "fp4": ("fp4", {"r": 3, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"]}),
    "int8": ("int8", {"r": 3, "lora_alpha": 6, "target_modules": ALL}),
    "doraNf4": ("nf4", {"r": 3, "lora_alpha": 6, "use_dora": True, "target_modules": ["q_proj", "down_proj"]}),
    "doraInt8": ("int8", {"r": 3, "lora_alpha": 6, "use_dora": True, "target_modules": ["q_proj", "down_proj"]}),
    "loftq": (
        "nf4",
        {
            "r": 4,
            "lora_alpha": 4,
            "init_lora_weights": "loftq",
            "loftq_config": {"loftq_bits": 4, "loftq_iter": 1},
            "target_modules": ALL,
        },
    ),
    "loftqMore": (
        "nf4",
        {
            "r": 4,
            "lora_alpha": 4,
            "init_lora_weights": "loftq",
            "loftq_config": {"loftq_bits": 4, "loftq_iter": 3},
            "target_modules": ALL,
        },
    ),
}


def roundTrip(weight: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "int8":
        # As Int8Params has it, in half precision.
        codes, scales, _ = bnb.int8_vectorwise_quant(weight.half())
        return bnb.int8_vectorwise_dequant(codes, scales).float()
    codes, state = bnb.quantize_4bit(
        weight.contiguous(), blocksize=64, quant_type=kind[:3], compress_statistics=kind == "nf4Double"
    )
    return bnb.dequantize_4bit(codes, state).reshape(weight.shape).float()


def makeCase(name: str, rows: list[dict]) -> None:
    kind, settings = CASES[name]
    loftq = settings.get("init_lora_weights") == "loftq"
    torch.manual_seed(3700 + list(CASES).index(name))
    base = loadModel(GOLDEN / "llama/untied")
    with torch.no_grad():
        for module, layer in base.model.named_modules():
            # PEFT's LoftQ quantizes what it adapts by itself, which is all of it.
            if isinstance(layer, torch.nn.Linear) and not loftq:
                layer.weight.copy_(roundTrip(layer.weight, kind))
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if "lora_B" in key and not loftq:
                p.normal_(0, 0.15)
    savePeft(model, HOME / name)
    tensors = {"logits.start": logits(model, rows)}
    trained = {plainName(key): p for key, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=LEARNING_RATE, weight_decay=0)
    # Signs of singular vectors are free, and so are those of gradients.
    losses, gradients = trainFive(model, rows, optimizer, {} if loftq else trained)
    tensors |= gradients
    tensors["logits.trained"] = logits(model, rows)
    tensors["logits.merged"] = logits(copy.deepcopy(model).merge_and_unload(safe_merge=True), rows)
    print(
        f"{name}: {' '.join(f'{loss:.4f}' for loss in losses)}; merged differs by "
        f"{(tensors['logits.merged'] - tensors['logits.trained']).abs().max():.1e}"
    )
    writeTensors(HOME / f"{name}.safetensors", tensors, "quantizedAdapters.py")
    writeJson(
        HOME / f"{name}.json", {"madeBy": madeBy("quantizedAdapters.py"), "quantization": kind, "losses": losses}, None
    )


if __name__ == "__main__":
    setUp()
    shutil.rmtree(HOME, ignore_errors=True)
    rows = json.loads((GOLDEN / "variants" / "rows.json").read_text())["rows"]
    for name in CASES:
        makeCase(name, rows)
