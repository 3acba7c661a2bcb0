"""Does real PEFT read what Lowrank wrote, and do both answer alike?

    checkAdapter.py --model DIR --adapter DIR --logits FILE.json
        loads the adapter with PEFT and compares logits with ours
    checkAdapter.py --model DIR --adapter DIR --merged DIR [--logits FILE.json]
        merges with PEFT and compares with a merged model folder, tensor by tensor, and with its logits

FILE.json: {"ids": [[..]], "positions": [[..]]?, "logits": [[[..]]]}, all rows of one length; positions that
restart make documents of their own. One JSON line on stdout. Exit code 0: agreed; 1: did not; 2: could not be read.
An error is |ours - theirs| / max(1, |theirs|). 16-bit merges are to agree in every byte, f32 merges within 1e-6.
"""

import argparse
import importlib.metadata
import json
import os
import sys
import warnings
from pathlib import Path

# This folder goes last on the path: a script here may be called like a library.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch  # noqa: E402
from peft import PeftModel, get_peft_model_state_dict  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402


def loadBase(folder: str):
    """The model in its own dtype; a missing or an unexpected weight is an error, not a warning."""
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", attn_implementation="eager", output_loading_info=True
    )
    wrong = {
        k: sorted(map(str, info[k])) for k in ["missing_keys", "unexpected_keys", "mismatched_keys"] if info.get(k)
    }
    if wrong:
        raise ValueError(f"{folder}: {wrong}")
    return model.eval()


def loadAdapter(model, folder: str):
    """PEFT's from_pretrained, then every key and every value of the file is looked up in the model."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        peft = PeftModel.from_pretrained(model, folder).eval()
    for warning in caught:
        if "adapter keys" in str(warning.message):
            raise ValueError(f"{folder}: {warning.message}")
    held, file = get_peft_model_state_dict(peft), load_file(Path(folder) / "adapter_model.safetensors")
    if held.keys() != file.keys():
        raise ValueError(f"{folder}: keys differ: {sorted(held.keys() ^ file.keys())}")
    for key, value in file.items():
        if not torch.equal(held[key].float(), value.float()):
            raise ValueError(f"{folder}: {key} was loaded with other values")
    return peft


def logitsOf(model, asked: dict) -> torch.Tensor:
    ids = torch.tensor(asked["ids"])
    positions = (
        torch.tensor(asked["positions"]) if asked.get("positions") else torch.arange(ids.shape[1]).expand_as(ids)
    )
    with torch.no_grad():
        return model(input_ids=ids, position_ids=positions, use_cache=False).logits.float()


def compare(ours: torch.Tensor, theirs: torch.Tensor) -> dict:
    if ours.shape != theirs.shape:
        raise ValueError(f"logits have shape {list(ours.shape)}, PEFT's {list(theirs.shape)}")
    gap = (ours - theirs).abs()
    worst = gap / theirs.abs().clamp(min=1)
    return {"maxAbs": gap.max().item(), "maxError": worst.max().item(), "finite": bool(torch.isfinite(ours).all())}


def readFolder(folder: str) -> dict:
    tensors = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors.update({key: file.get_tensor(key) for key in file.keys()})
    return tensors


def differingElements(a: torch.Tensor, b: torch.Tensor) -> int:
    """Elements whose bytes differ: -0 is not 0, and a NaN equals itself."""
    left, right = (t.contiguous().reshape(-1, 1).view(torch.uint8) for t in (a, b))
    return int((left != right).any(-1).sum())


def compareMerged(args) -> dict:
    """Bytes of every tensor against PEFT's merge; those without an adapter must equal the base model's bytes."""
    base = readFolder(args.model)
    peft = loadAdapter(loadBase(args.model), args.adapter)
    touched = {
        key.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] + ".weight"
        for key in get_peft_model_state_dict(peft)
    }
    merged = dict(peft.merge_and_unload().state_dict())
    ours = readFolder(args.merged)
    if ours.keys() != base.keys():
        raise ValueError(f"{args.merged}: keys differ from the base model's: {sorted(ours.keys() ^ base.keys())}")
    result = {
        "tensors": len(ours),
        "elements": 0,
        "differing": 0,
        "untouchedDiffer": [],
        "dtypeDiffers": [],
        "maxError": 0.0,
    }
    for key, value in ours.items():
        if value.dtype != base[key].dtype or value.shape != base[key].shape:
            result["dtypeDiffers"].append(key)
            continue
        want = merged[key] if key in touched else base[key]
        differing = differingElements(value, want)
        if key not in touched and differing:
            result["untouchedDiffer"].append(key)
        result["elements"] += value.numel() if key in touched else 0
        result["differing"] += differing
        gap = (value.double() - want.double()).abs() / want.double().abs().clamp(min=1)
        result["maxError"] = max(result["maxError"], gap.max().item())
    narrow = any(value.dtype in (torch.bfloat16, torch.float16) for value in ours.values())
    exact = result["differing"] == 0 if narrow else result["maxError"] <= 1e-6
    result["ok"] = exact and not result["untouchedDiffer"] and not result["dtypeDiffers"]
    return result


def main(args) -> dict:
    versions = {name: importlib.metadata.version(name) for name in ["torch", "transformers", "peft"]}
    result = {"ok": True, "model": args.model, "adapter": args.adapter, "tolerance": args.tolerance, **versions}
    if args.merged:
        result["merge"] = compareMerged(args)
        result["ok"] = result["merge"]["ok"]
    if args.logits:
        asked = json.loads(Path(args.logits).read_text())
        model = loadBase(args.merged) if args.merged else loadAdapter(loadBase(args.model), args.adapter)
        result["logits"] = compare(torch.tensor(asked["logits"], dtype=torch.float32), logitsOf(model, asked))
        result["ok"] = result["ok"] and result["logits"]["finite"] and result["logits"]["maxError"] <= args.tolerance
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--logits")
    parser.add_argument("--merged")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    if not args.logits and not args.merged:
        parser.error("give --logits, --merged or both")
    try:
        result = main(args)
    except Exception as error:  # every failure is one JSON line for the caller
        print(json.dumps({"ok": False, "error": f"{type(error).__name__}: {error}"}))
        sys.exit(2)
    print(json.dumps(result))
    sys.exit(0 if result["ok"] else 1)
