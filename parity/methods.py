"""The methods that are no LoRA, by PEFT where it has them, else by plain PyTorch, and what they compute ->
golden/methods/.

`<name>/` holds what was learned before the first step: as PEFT saves it (prompt tuning, prefix tuning, BEFT,
IA3), or, for bitfit and bottleneck adapters, as Lowrank does. `<name>.safetensors`: every fourth
row of the logits of the first row before and after five steps, and the first gradient of everything that is trained.
The rows are in `rows.json`; labels of a row's first token are ignored.
"""

import json
import shutil

import torch
import torch.nn.functional as F
from common import GOLDEN, IGNORE, madeBy, setUp, writeJson, writeTensors
from llamaParts import encodeRow, loadModel, makeTokenizer, padBatch, promptRows, savePeft
from peft import BeftConfig, IA3Config, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import save_file
from transformers.pytorch_utils import Conv1D

HOME = GOLDEN / "methods"
STEPS, LEARNING_RATE, LENGTH = 5, 2e-2, 40
LLAMA_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def prompt(count: int, **more) -> PromptTuningConfig:
    return PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=count, **more)


def prefix(count: int, **more) -> PrefixTuningConfig:
    return PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=count, **more)


PEFT = {
    "promptLlama": ("llama/untied", prompt(4)),
    "promptGpt2": ("gpt/gpt2", prompt(3)),
    "promptGemma": (
        "families/gemma",
        prompt(
            5,
            prompt_tuning_init="TEXT",
            prompt_tuning_init_text="ada of",
            tokenizer_name_or_path=str(GOLDEN / "families/gemma"),
        ),
    ),
    "prefixLlama": ("llama/untied", prefix(4)),
    "prefixGpt2": ("gpt/gpt2", prefix(3)),
    "prefixNeox": ("gpt/gptNeox", prefix(3)),
    "prefixGemma2": ("families/gemma2", prefix(5)),
    "prefixMistral": ("families/mistral", prefix(4)),
    "prefixQwen3": ("families/qwen3", prefix(2)),
    "prefixProjected": ("gpt/gpt2", prefix(3, prefix_projection=True, encoder_hidden_size=16)),
    "beftLlama": ("llama/untied", BeftConfig(task_type="CAUSAL_LM", target_modules=LLAMA_LINEAR)),
    "beftBias": ("llama/bias", BeftConfig(task_type="CAUSAL_LM", target_modules=LLAMA_LINEAR)),
}
PLAIN = {
    "bitfitGpt2": ("gpt/gpt2", {}),
    "bitfitNeox": ("gpt/gptNeox", {}),
    "adapterLlama": ("llama/untied", {"target_modules": ["o_proj", "down_proj"], "bottleneck_size": 5}),
    "adapterGpt2": ("gpt/gpt2", {"target_modules": ["attn.c_proj", "mlp.c_proj"], "bottleneck_size": 3}),
    "adapterNeox": ("gpt/gptNeox", {"target_modules": ["attention.dense", "mlp.dense_4h_to_h"], "bottleneck_size": 4}),
}
IA3 = {
    "ia3Llama": ("llama/bias", IA3Config(task_type="CAUSAL_LM")),
    "ia3Gpt2": ("gpt/gpt2", IA3Config(task_type="CAUSAL_LM", fan_in_fan_out=True)),
}
# In this order they were made: a case's seed is its place.
CASES = {**PEFT, **PLAIN, **IA3}


def bitfit(model) -> tuple[dict, dict, dict]:
    """Every bias of the model; what the file has is how far they are from where they began."""
    trained, saved = {}, {}
    for path, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.LayerNorm, Conv1D)) and module.bias is not None:
            shift = 0.1 * torch.randn(module.bias.shape)
            with torch.no_grad():
                module.bias.add_(shift)
            trained[f"{path}.bias_shift"], saved[f"base_model.model.{path}.bias_shift"] = module.bias, shift
    names = sorted({key.split(".")[-2] for key in saved})
    return trained, saved, {"peft_type": "BITFIT", "target_modules": names}


def bottleneck(model, target_modules: list[str], bottleneck_size: int) -> tuple[dict, dict, dict]:
    trained = {}
    for path, module in list(model.named_modules()):
        if not any(path.endswith(f".{name}") for name in target_modules):
            continue
        width = module.nf if isinstance(module, Conv1D) else module.out_features
        down, up = torch.nn.Linear(width, bottleneck_size), torch.nn.Linear(bottleneck_size, width)
        module.register_forward_hook(lambda _, __, h, down=down, up=up: h + up(F.gelu(down(h))))
        for name, layer in [("adapter_down", down), ("adapter_up", up)]:
            trained |= {f"{path}.{name}.weight": layer.weight, f"{path}.{name}.bias": layer.bias}
    saved = {f"base_model.model.{key}": p.detach().clone() for key, p in trained.items()}
    return (
        trained,
        saved,
        {
            "peft_type": "HOULSBY_ADAPTER",
            "target_modules": target_modules,
            "bottleneck_size": bottleneck_size,
            "activation": "gelu",
        },
    )


def saveOwn(saved: dict, config: dict, name: str, base: str) -> None:
    folder = HOME / name
    folder.mkdir(parents=True)
    save_file(
        {key: value.contiguous() for key, value in saved.items()},
        folder / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    (folder / "adapter_model.safetensors").chmod(0o644)
    config = {
        "auto_mapping": None,
        "base_model_name_or_path": base.split("/")[-1],
        "inference_mode": True,
        "modules_to_save": None,
        "revision": None,
        "task_type": "CAUSAL_LM",
        **config,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))


def logits(model, rows: list[dict]) -> torch.Tensor:
    """Of the row's own tokens: prompt tuning answers for the virtual ones too."""
    ids = torch.tensor([rows[0]["ids"]])
    with torch.no_grad():
        return (
            model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
            .logits[0, -ids.shape[1] :][::4]
            .float()
        )


def loss(model, batch: dict) -> torch.Tensor:
    answers = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
    own = answers[:, -batch["labels"].shape[1] :][:, :-1].float()
    return F.cross_entropy(own.reshape(-1, own.shape[-1]), batch["labels"][:, 1:].reshape(-1), ignore_index=IGNORE)


def plainName(name: str) -> str:
    if name.startswith("prompt_encoder."):
        return "prompt_embeddings"
    return name.removeprefix("base_model.model.").replace(".default", "")


def makeCase(name: str, rows: list[dict]) -> None:
    torch.manual_seed(2900 + list(CASES).index(name))
    if name not in PLAIN:
        base, config = CASES[name]
        model = get_peft_model(loadModel(GOLDEN / base), config).eval()
        trained = {plainName(key): p for key, p in model.named_parameters() if p.requires_grad}
        if name.startswith("beft"):
            with torch.no_grad():
                for p in trained.values():
                    p.normal_(0, 0.1)
        if name in IA3:
            with torch.no_grad():
                for p in trained.values():
                    p.normal_(1, 0.1)
        savePeft(model, HOME / name)
        if name == "promptGemma":
            # Where the tokenizer lay is of no interest.
            path = HOME / name / "adapter_config.json"
            path.write_text(path.read_text().replace(str(GOLDEN / "families/gemma"), "gemma"))
    else:
        base, settings = PLAIN[name]
        model = loadModel(GOLDEN / base).requires_grad_(False)
        trained, saved, config = bottleneck(model, **settings) if settings else bitfit(model)
        for p in trained.values():
            p.requires_grad_(True)
        saveOwn(saved, config, name, base)
    tensors = {"logits.start": logits(model, rows)}
    losses = []
    if name != "prefixProjected":
        batch = padBatch(rows)
        optimizer = torch.optim.AdamW(trained.values(), lr=LEARNING_RATE, weight_decay=0)
        for step in range(STEPS):
            value = loss(model, batch)
            optimizer.zero_grad()
            value.backward()
            losses.append(value.item())
            if step == 0:
                tensors |= {f"grad.{key}": p.grad for key, p in trained.items()}
            optimizer.step()
        tensors["logits.trained"] = logits(model, rows)
    print(f"{name}: {' '.join(f'{value:.4f}' for value in losses)}")
    writeTensors(HOME / f"{name}.safetensors", tensors, "methods.py")
    writeJson(HOME / f"{name}.json", {"madeBy": madeBy("methods.py"), "base": base, "losses": losses}, None)


if __name__ == "__main__":
    setUp()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    rows = [encodeRow(makeTokenizer(), row) for row in promptRows(3, 3)]
    rows = [{key: values[:LENGTH] for key, values in row.items()} for row in rows]
    writeJson(HOME / "rows.json", {"steps": STEPS, "learningRate": LEARNING_RATE, "rows": rows}, None)
    for name in CASES:
        makeCase(name, rows)
