"""What PEFT does with several adapters on one model -> golden/liveAdapters/.

The models and adapters are those of golden/llama and golden/variants, and two for a hot swap (`large`, `small`).
`cases.json` says what is in
`answers.safetensors`: three rows of ids; logits of every fourth position:
each adapter alone, a batch whose rows use different ones (`adapter_names`), several active at once with weights
(`set_scale`), switched off
(`disable_adapter`), merged in place and unmerged (`merge_adapter`, `unmerge_adapter`), merged for good
(`merge_and_unload`), unloaded, and swapped
for one of another rank and alpha (`hotswap_adapter`). That a NaN is refused (`safe_merge`) is asserted here.
"""

import copy
import shutil

import torch
from common import GOLDEN, madeBy, setUp, writeJson, writeTensors
from llamaParts import loadModel, savePeft
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils.hotswap import hotswap_adapter, prepare_model_for_compiled_hotswap

LLAMA, VARIANTS, HOME = GOLDEN / "llama", GOLDEN / "variants", GOLDEN / "liveAdapters"
ROWS, LENGTH, EVERY = 3, 12, 4

# Hot swap wants the same alpha_pattern: none.
SWAPPED = {"large": {"r": 6, "lora_alpha": 3}, "small": {"r": 2, "lora_alpha": 5}}

# Model, adapters by name, who uses which row, weights of active ones.
CASES = {
    "plain": {
        "base": LLAMA / "tied",
        "adapters": {
            "qv": LLAMA / "adapters/tied-qv",
            "all": LLAMA / "adapters/tied-all",
            "rslora": LLAMA / "adapters/tied-rslora",
        },
        "mixed": [["__base__", "qv", "all"], ["rslora", "all", "__base__"]],
        "active": [{"qv": 1, "all": 1}, {"qv": 0.5, "all": -0.75}, {"all": 0.25, "rslora": 2}],
        "hotswap": ["large", "small"],
    },
    "biased": {
        "base": LLAMA / "bias",
        "adapters": {"loraBias": VARIANTS / "loraBias", "dora": VARIANTS / "doraBias"},
        # PEFT refuses rows of their own adapters where one is DoRA.
        "mixed": [],
        "active": [{"loraBias": -1.5}],
        "hotswap": None,
    },
}


def folderOf(path) -> str:
    return str(path.relative_to(GOLDEN))


def logits(model, ids: torch.Tensor, **kwargs) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False, **kwargs).logits[:, ::EVERY].float()


def openAll(case: dict):
    names = list(case["adapters"])
    model = PeftModel.from_pretrained(loadModel(case["base"]), str(case["adapters"][names[0]]), adapter_name=names[0])
    for name in names[1:]:
        model.load_adapter(str(case["adapters"][name]), adapter_name=name)
    return model.eval()


def makeSwapped(base) -> None:
    for name, settings in SWAPPED.items():
        model = get_peft_model(
            loadModel(base), LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "down_proj"], **settings)
        )
        with torch.no_grad():
            for key, p in model.named_parameters():
                if "lora_B" in key:
                    p.normal_(0, 0.15)
        savePeft(model, HOME / name)


def setWeights(model, weights: dict[str, float]) -> None:
    model.base_model.set_adapter(list(weights))
    for module in model.modules():
        if isinstance(module, LoraLayer):
            for name, weight in weights.items():
                module.set_scale(name, weight)


def makeCase(name: str, case: dict, ids: torch.Tensor) -> dict:
    base = logits(loadModel(case["base"]), ids)
    tensors = {f"{name}.base": base}
    model = openAll(case)
    for adapter in case["adapters"]:
        model.set_adapter(adapter)
        tensors[f"{name}.{adapter}"] = logits(model, ids)
        with model.disable_adapter():
            assert (logits(model, ids) - base).abs().max() < 1e-6
        assert torch.equal(logits(model, ids), tensors[f"{name}.{adapter}"])
    for at, rows in enumerate(case["mixed"]):
        tensors[f"{name}.mixed.{at}"] = logits(model, ids, adapter_names=rows)
    for at, weights in enumerate(case["active"]):
        setWeights(model, weights)
        tensors[f"{name}.active.{at}"] = logits(model, ids)
        if len(weights) > 1:
            both = copy.deepcopy(model)
            both.merge_adapter(adapter_names=list(weights))
            tensors[f"{name}.active.{at}.merged"] = logits(both, ids)
        setWeights(model, dict.fromkeys(weights, 1))
    for adapter in case["adapters"]:
        own = openAll(case)
        own.set_adapter(adapter)
        own.merge_adapter(safe_merge=True)
        tensors[f"{name}.merged.{adapter}"] = logits(own, ids)
        own.unmerge_adapter()
        tensors[f"{name}.unmerged.{adapter}"] = logits(own, ids)
        tensors[f"{name}.mergedAndUnloaded.{adapter}"] = logits(own.merge_and_unload(), ids)
        assert (logits(openAll(case).unload(), ids) - base).abs().max() < 1e-6
    if case["hotswap"] is not None:
        first, second = case["hotswap"]
        makeSwapped(case["base"])
        swapped = PeftModel.from_pretrained(loadModel(case["base"]), str(HOME / first))
        prepare_model_for_compiled_hotswap(swapped, target_rank=8)
        hotswap_adapter(swapped.eval(), str(HOME / second), adapter_name="default")
        tensors[f"{name}.hotswap"] = logits(swapped, ids)
    model.set_adapter(next(iter(case["adapters"])))
    with torch.no_grad():
        next(p for key, p in model.named_parameters() if "lora_A" in key and p.requires_grad).view(-1)[0] = float("nan")
    try:
        model.merge_adapter(safe_merge=True)
        raise AssertionError("PEFT merged a NaN")
    except ValueError as error:
        assert "NaNs detected" in str(error)
    for key in [key for key in tensors if key.startswith(f"{name}.")]:
        print(f"{key}: differs from the base by {(tensors[key] - base).abs().max():.2e}")
    return tensors


if __name__ == "__main__":
    setUp()
    shutil.rmtree(HOME, ignore_errors=True)
    torch.manual_seed(4242)
    ids = torch.randint(3, 96, (ROWS, LENGTH))
    tensors = {"ids": ids.to(torch.int32)}
    for name, case in CASES.items():
        tensors |= makeCase(name, case, ids)
    writeTensors(HOME / "answers.safetensors", tensors, "liveAdapters.py")
    cases = {
        name: {
            **case,
            "base": folderOf(case["base"]),
            "adapters": {key: folderOf(path) for key, path in case["adapters"].items()},
        }
        for name, case in CASES.items()
    }
    writeJson(HOME / "cases.json", {"madeBy": madeBy("liveAdapters.py"), "every": EVERY, "cases": cases})
