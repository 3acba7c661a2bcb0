"""Weighted adapters by PEFT's add_weighted_adapter -> golden/arithmetic/.

Adapters of a module with two linear layers, a Conv1D and an embedding, as PEFT saves them, and for each case what PEFT
makes of them. `arithmetic.json` lists the cases; `arithmetic.safetensors` has
`<case>.<layer>.delta`, the change of the weight [out, in] with the result's factor in it (PEFT's get_delta_weight,
turned for Conv1D and embeddings), and `<case>.<layer>.expected`, Σ w·s·B·A in f64.
Cases where PEFT is known to be wrong are kept with `wrongBy`: the factor by which its answer is off.
"""

import math
import warnings

import torch
from common import GOLDEN, madeBy, setUp, writeJson, writeTensors
from llamaParts import savePeft
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

HOME = GOLDEN / "arithmetic"
EVERY = ["q_proj", "v_proj", "c_attn", "embed_tokens"]

ADAPTERS = {
    "first": {"r": 4, "lora_alpha": 8, "target_modules": EVERY},
    "second": {"r": 4, "lora_alpha": 2, "target_modules": EVERY},
    "small": {"r": 2, "lora_alpha": 6, "target_modules": ["q_proj", "c_attn"]},
    "rslora": {"r": 4, "lora_alpha": 8, "use_rslora": True, "target_modules": EVERY},
    "patterns": {
        "r": 2,
        "lora_alpha": 4,
        "rank_pattern": {"v_proj": 3},
        "alpha_pattern": {"q_proj": 5},
        "target_modules": EVERY,
    },
}

CASES = {
    "linear": (["first", "second"], [0.75, -0.5], {}),
    "linearRslora": (["second", "rslora"], [0.75, -0.5], {}),
    "linearOne": (["patterns"], [-1.5], {}),
    "cat": (["first", "second"], [0.75, -0.5], {}),
    "catUnequal": (["first", "small"], [-0.25, 1.5], {}),
    "catRslora": (["second", "rslora"], [0.75, -0.5], {}),
    "svd": (["first", "second"], [0.75, -0.5], {}),
    "svdRank": (["first", "small"], [1, 1], {"svd_rank": 3}),
    "svdFull": (["first", "second"], [2, -1], {"svd_rank": 6}),
    "ties": (["first", "second", "rslora"], [1, 0.5, -0.25], {"density": 0.5}),
    "tiesFrequency": (
        ["second", "first", "rslora"],
        [1, 0.5, 0.25],
        {"density": 0.7, "majority_sign_method": "frequency"},
    ),
    "ties_svd": (["first", "second", "small"], [1, 0.5, -0.25], {"density": 0.4, "svd_rank": 3}),
    "dare_linear": (["first", "second"], [1, 0.5], {"density": 1.0}),
    "dare_ties": (["first", "second"], [1, 0.5], {"density": 1.0}),
    "dare_linear_svd": (["first", "second"], [1, -0.5], {"density": 1.0, "svd_rank": 6}),
    "dare_ties_svd": (["first", "second"], [1, -0.5], {"density": 1.0}),
    "magnitude_prune": (["first", "second"], [1, -0.5], {"density": 0.3}),
    "magnitude_prune_svd": (["first", "small"], [1, 2], {"density": 0.3, "svd_rank": 5}),
    # Wrong in PEFT: the result inherits use_rslora of the first source, so its factor is r/√r = √r rather than 1.
    "catRsloraFirst": (["rslora", "second"], [0.75, -0.5], {}),
    "svdRsloraFirst": (["rslora", "second"], [0.75, -0.5], {"svd_rank": 6}),
}


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(9, 6),
                "q_proj": nn.Linear(6, 10, bias=False),
                "v_proj": nn.Linear(10, 7),
                "c_attn": Conv1D(8, 7),
            }
        )

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = ids
        for layer in self.layers.values():
            x = layer(x)
        return x


def methodOf(case: str) -> str:
    return next(
        m
        for m in sorted(
            [
                "linear",
                "cat",
                "svd",
                "ties",
                "ties_svd",
                "dare_linear",
                "dare_ties",
                "dare_linear_svd",
                "dare_ties_svd",
                "magnitude_prune",
                "magnitude_prune_svd",
            ],
            key=len,
            reverse=True,
        )
        if case.startswith(m)
    )


def turned(layer: LoraLayer, delta: torch.Tensor) -> torch.Tensor:
    """[out, in], as B·A has it."""
    return delta.T if isinstance(layer.base_layer, (nn.Embedding, Conv1D)) else delta


def product(layer: LoraLayer, name: str) -> torch.Tensor:
    linear = name in layer.lora_A
    a, b = (
        (layer.lora_A[name].weight, layer.lora_B[name].weight)
        if linear
        else (layer.lora_embedding_A[name], layer.lora_embedding_B[name])
    )
    return b.double() @ a.double() * layer.scaling[name]


def make() -> None:
    torch.manual_seed(77)
    base = Tiny()
    state = {key: value.clone() for key, value in base.state_dict().items()}
    peft = None
    for name, settings in ADAPTERS.items():
        config = LoraConfig(**settings)
        peft = (
            get_peft_model(base, config, adapter_name=name)
            if peft is None
            else (peft.add_adapter(name, config), peft)[1]
        )
    with torch.no_grad():
        for key, p in peft.named_parameters():
            if "lora_" in key:
                p.normal_(0, 0.5)
    layers = {
        key.removeprefix("base_model.model."): module
        for key, module in peft.named_modules()
        if isinstance(module, LoraLayer)
    }
    for name in ADAPTERS:
        same = Tiny()
        same.load_state_dict(state)
        alone = get_peft_model(same, LoraConfig(**ADAPTERS[name]))
        with torch.no_grad():
            for key, p in alone.named_parameters():
                if "lora_" in key:
                    p.copy_(dict(peft.named_parameters())[key.replace(".default", f".{name}")])
        savePeft(alone, HOME / name)
    tensors, cases = {}, {}
    for case, (names, weights, options) in CASES.items():
        method = methodOf(case)
        peft.add_weighted_adapter(names, weights, case, combination_type=method, **options)
        wrong = math.sqrt(peft.peft_config[case].r) if peft.peft_config[case].use_rslora else None
        cases[case] = {
            "method": method,
            "adapters": names,
            "weights": weights,
            **options,
            "r": peft.peft_config[case].r,
            **({} if wrong is None else {"wrongBy": wrong}),
        }
        for path, layer in layers.items():
            if case not in layer.scaling:
                continue
            tensors[f"{case}.{path}.delta"] = turned(layer, layer.get_delta_weight(case))
            tensors[f"{case}.{path}.expected"] = sum(
                w * product(layer, n) for n, w in zip(names, weights) if n in layer.scaling
            )
        print(f"arithmetic {case}: r {cases[case]['r']}, wrong by {wrong}")
    writeJson(HOME / "arithmetic.json", {"madeBy": madeBy("arithmetic.py"), "cases": cases})
    writeTensors(HOME / "arithmetic.safetensors", tensors, "arithmetic.py")


if __name__ == "__main__":
    setUp()
    warnings.simplefilter("ignore")
    make()
