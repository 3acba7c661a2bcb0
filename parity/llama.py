"""Tiny Llamas by transformers, adapters by PEFT, and what both answer -> golden/llama/.

Model folders (`tied`, `untied`, ...), `adapters/<variant>-<name>` as PEFT saves them, `answers/<variant>.*`
(logits, losses, gradients, greedy text), and `merged/` with the bytes of PEFT's merge_and_unload.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from common import IGNORE, madeBy, setUp, writeJson, writeTensors
from llamaParts import (
    HOME,
    VARIANTS,
    buildModel,
    encodeRow,
    gradNorms,
    loadModel,
    lossSum,
    makeTokenizer,
    padBatch,
    packBatch,
    promptRows,
    saveModel,
    savePeft,
)
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

ADAPTERS = {
    "qv": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]},
    "all": {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": "all-linear",
        "rank_pattern": {"layers.0.self_attn.q_proj": 2, "down_proj": 3, r"mlp\.(gate|up)_proj": 5},
        "alpha_pattern": {"down_proj": 6, "self_attn.k_proj": 1, "model.layers.1.mlp.up_proj": 20},
    },
    "rslora": {
        "r": 3,
        "lora_alpha": 4,
        "use_rslora": True,
        "target_modules": ["q_proj", "o_proj", "gate_proj"],
        "rank_pattern": {"o_proj": 6},
    },
}
OF_VARIANT = {"tied": ["qv", "all", "rslora"]}


def makeAdapter(variant: str, name: str) -> Path:
    """Lets PEFT make and save an adapter, with B drawn at random so that the adapter does something."""
    model = loadModel(HOME / variant)
    torch.manual_seed(500 + list(VARIANTS).index(variant) * 10 + list(ADAPTERS).index(name))
    peft = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **ADAPTERS[name]))
    with torch.no_grad():
        for key, p in peft.named_parameters():
            if "lora_B" in key:
                p.normal_(0, 0.15)
    folder = HOME / "adapters" / f"{variant}-{name}"
    savePeft(peft, folder)
    return folder


def questions(tokenizer) -> dict:
    """A plain batch of 2 x 13 with some labels, and three documents packed into one line."""
    g = torch.Generator().manual_seed(9)
    ids = torch.randint(3, 96, (2, 13), generator=g)
    labels = ids.clone()
    labels[0, :5] = IGNORE
    labels[1, 9:] = IGNORE
    plain = {"input_ids": ids, "position_ids": torch.arange(13).repeat(2, 1), "labels": labels}
    documents = [encodeRow(tokenizer, row) for row in promptRows(40, 3)]
    return {"plain": plain, "packed": packBatch(documents), "documents": documents}


def answer(model, asked: dict, prefix: str, tensors: dict, keep: str) -> dict:
    """Logits of both batches; loss and gradients of `plain`. keep: which gradients are written out."""
    result = {}
    for kind in ["plain", "packed"]:
        batch = asked[kind]
        with torch.no_grad():
            logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
            total, count = lossSum(model, batch)
        tensors[f"{prefix}.{kind}.logits"] = logits
        result[kind] = {"loss": (total / count).item(), "tokens": count}
    with torch.no_grad():
        padded, count = lossSum(model, padBatch(asked["documents"]))
    assert abs(padded.item() / count - result["packed"]["loss"]) < 1e-5, "packing changed the loss"
    model.zero_grad()
    total, count = lossSum(model, asked["plain"])
    (total / count).backward()
    trained = [(name.replace(".default", ""), p) for name, p in model.named_parameters() if p.requires_grad]
    result["gradNorm"] = torch.stack([p.grad.norm() for _, p in trained]).norm().item()
    result["gradNorms"] = gradNorms(trained)
    if keep:
        for name, p in trained:
            tensors[f"{prefix}.grad.{name}"] = p.grad
    return result


def greedy(model, tokenizer, prompt: str, steps: int = 20) -> dict:
    """Greedy ids by transformers' generate, and the smallest lead of the chosen logit on the way."""
    ids = torch.tensor([tokenizer.encode(prompt).ids])
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=steps,
        output_logits=True,
        return_dict_in_generate=True,
        pad_token_id=0,
    )
    new = out.sequences[0, ids.shape[1] :].tolist()
    top = torch.stack(out.logits)[:, 0].topk(2).values
    return {
        "prompt": prompt,
        "promptIds": ids[0].tolist(),
        "ids": new,
        "text": tokenizer.decode(new),
        "smallestLead": (top[:, 0] - top[:, 1]).min().item(),
    }


def makeVariant(variant: str, tokenizer, asked: dict) -> None:
    saveModel(buildModel(variant), HOME / variant, tokenizer)
    tensors = {}
    for kind in ["plain", "packed"]:
        tensors[f"{kind}.ids"] = asked[kind]["input_ids"].int()
        tensors[f"{kind}.positions"] = asked[kind]["position_ids"].int()
        tensors[f"{kind}.labels"] = asked[kind]["labels"].int()
    starts = asked["packed"]["position_ids"] == 0
    tensors["packed.segments"] = (starts.cumsum(-1) - 1).int()
    model = loadModel(HOME / variant)
    result = {"base": answer(model, asked, "base", tensors, keep=variant in ["tied", "untied"]), "adapters": {}}
    prompts = ["", "name: ada | town: oslo\n", "gus of bath"]
    result["greedy"] = {"base": [greedy(model, tokenizer, p) for p in prompts]}
    for name in OF_VARIANT.get(variant, ["all"]):
        folder = makeAdapter(variant, name)
        peft = PeftModel.from_pretrained(loadModel(HOME / variant), folder, is_trainable=True).eval()
        result["adapters"][name] = {
            "folder": f"adapters/{folder.name}",
            **answer(peft, asked, name, tensors, keep=True),
        }
        result["greedy"][name] = [greedy(peft, tokenizer, p) for p in prompts]
    writeJson(HOME / "answers" / f"{variant}.json", {"madeBy": madeBy("llama.py"), "model": variant, **result})
    writeTensors(HOME / "answers" / f"{variant}.safetensors", tensors, "llama.py")
    print(
        f"llama {variant}: base loss {result['base']['plain']['loss']:.4f}, greedy leads "
        f"{[round(x['smallestLead'], 4) for v in result['greedy'].values() for x in v]}"
    )


def plainMerge(base: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scale: float) -> torch.Tensor:
    """The rule of README.md, step by step: base + f32(scale) * (B A) with fused multiply-adds in the order of k.

    A product of two f32 is exact in f64, so adding in f64 and narrowing once stands for the fused multiply-add.
    """
    an, bn = a.double().numpy(), b.double().numpy()
    delta = np.zeros((b.shape[0], a.shape[1]), np.float32)
    for k in range(a.shape[0]):
        delta = (delta.astype(np.float64) + bn[:, k : k + 1] * an[k : k + 1]).astype(np.float32)
    delta = delta * np.float32(scale)
    return torch.from_numpy(base.float().numpy() + delta).to(base.dtype)


def unfusedMerge(base: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scale: float) -> torch.Tensor:
    """The same with every product rounded to f32 first: what a merge must not do."""
    an, bn = a.numpy(), b.numpy()
    delta = np.zeros((b.shape[0], a.shape[1]), np.float32)
    for k in range(a.shape[0]):
        delta = delta + bn[:, k : k + 1] * an[k : k + 1]
    return torch.from_numpy(base.float().numpy() + delta * np.float32(scale)).to(base.dtype)


def mergedBy(folder: Path, adapter: Path, dtype, safe: bool) -> dict:
    merged = PeftModel.from_pretrained(loadModel(folder, dtype), adapter).merge_and_unload(safe_merge=safe)
    with tempfile.TemporaryDirectory() as out:
        merged.save_pretrained(out)
        return load_file(Path(out) / "model.safetensors")


def makeMerges(tokenizer) -> None:
    """Merges in 16 bits (and f32) by PEFT, with a count of elements where another summation order would differ."""
    shutil.rmtree(HOME / "merged", ignore_errors=True)
    report = {}
    for short, dtype in [("bf16", torch.bfloat16), ("f16", torch.float16), ("f32", torch.float32)]:
        folder = HOME / (f"tied-{short}" if short != "f32" else "tied")
        if short != "f32":
            saveModel(loadModel(HOME / "tied", dtype), folder, tokenizer)
        for name in ADAPTERS if short != "f32" else ["all"]:
            adapter = HOME / "adapters" / f"tied-{name}"
            bytesOf = mergedBy(folder, adapter, dtype, safe=False)
            safe = mergedBy(folder, adapter, dtype, safe=True)
            base, lora = load_file(folder / "model.safetensors"), load_file(adapter / "adapter_model.safetensors")
            peft = PeftModel.from_pretrained(loadModel(folder, dtype), adapter)
            counts = {"elements": 0, "differsIfSafeMerge": 0, "differsFromRule": 0, "differsIfUnfused": 0}
            for key, value in bytesOf.items():
                module = key.removesuffix(".weight")
                a = lora.get(f"base_model.model.{module}.lora_A.weight")
                if a is None:
                    assert torch.equal(value, base[key]), "an untouched tensor changed"
                    continue
                b = lora[f"base_model.model.{module}.lora_B.weight"]
                scale = peft.get_submodule(f"base_model.model.{module}").scaling["default"]
                counts["elements"] += value.numel()
                counts["differsIfSafeMerge"] += int((value != safe[key]).sum())
                counts["differsFromRule"] += int((value != plainMerge(base[key], a, b, scale)).sum())
                counts["differsIfUnfused"] += int((value != unfusedMerge(base[key], a, b, scale)).sum())
            assert counts["differsFromRule"] == 0, "the rule in README.md no longer holds"
            file = f"merged/{short}-{name}.safetensors"
            report[f"{short}-{name}"] = {
                "base": folder.name,
                "adapter": f"adapters/{adapter.name}",
                "merged": file,
                **counts,
            }
            writeTensors(HOME / file, bytesOf, "llama.py")
            print(f"merge {short}-{name}: {counts}")
    writeJson(HOME / "merged" / "merged.json", {"madeBy": madeBy("llama.py"), "merges": report})


if __name__ == "__main__":
    setUp()
    for name in ["adapters", "answers"]:
        shutil.rmtree(HOME / name, ignore_errors=True)
    tokenizer = makeTokenizer()
    asked = questions(tokenizer)
    for variant in VARIANTS:
        makeVariant(variant, tokenizer, asked)
    makeMerges(tokenizer)
