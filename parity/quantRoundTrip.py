"""Loads a folder that Lowrank quantized in transformers + bitsandbytes, and prints how its logits lie to given ones.

    python parity/quantRoundTrip.py --model DIR --logits ours.json
    python parity/quantRoundTrip.py --model DIR --make DIR --type nf4 [--double] --ids ids.json

The second makes a folder of theirs for us to load. `ours.json`: {"ids": [[...]], "logits": [[[...]]]}. One JSON line;
exit code 0 where |ours - theirs| <= 1e-3 max(1, |theirs|), else 1.
"""

import argparse
import json
import os
import sys

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

import common  # noqa: E402, F401
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, BitsAndBytesConfig  # noqa: E402


def logitsOf(model, ids: list) -> torch.Tensor:
    # In training mode (nothing drops out): in evaluation bitsandbytes repacks for bf16 on CPUs that have it.
    model.train()
    with torch.no_grad():
        return model(input_ids=torch.tensor(ids)).logits.float()


def load(folder: str, settings: dict | None = None):
    config = None if settings is None else BitsAndBytesConfig(bnb_4bit_compute_dtype=torch.float32, **settings)
    # What is missing or unexpected is an error here, where transformers only warns.
    model, info = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        device_map="cpu",
        output_loading_info=True,
        **({} if config is None else {"quantization_config": config}),
    )
    wrong = {
        key: sorted(map(str, value))
        for key, value in info.items()
        if value and key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
    }
    if wrong:
        raise SystemExit(json.dumps({"ok": False, **wrong}))
    return model


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--logits")
    parser.add_argument("--make")
    parser.add_argument("--type", default="nf4", choices=["nf4", "fp4", "int8"])
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--ids")
    given = parser.parse_args()
    common.setUp()
    if given.make:
        settings = (
            {"load_in_8bit": True}
            if given.type == "int8"
            else {"load_in_4bit": True, "bnb_4bit_quant_type": given.type, "bnb_4bit_use_double_quant": given.double}
        )
        model = load(given.model, settings)
        model.save_pretrained(given.make)
        ids = json.load(open(given.ids))
        answered = model.dequantize(dtype=torch.float32) if given.type == "int8" else model
        print(json.dumps({"ids": ids, "logits": logitsOf(answered, ids).tolist()}))
        return 0
    ours = json.load(open(given.logits))
    model = load(given.model)
    kinds = sorted({type(module).__name__ for module in model.modules() if "Linear" in type(module).__name__})
    # LLM.int8 quantizes activations too; weights alone are compared.
    answered = model.dequantize(dtype=torch.float32) if "Linear8bitLt" in kinds else model
    theirs = logitsOf(answered, ours["ids"])
    mine = torch.tensor(ours["logits"])
    worst = ((mine - theirs).abs() / theirs.abs().clamp(min=1)).max().item()
    print(json.dumps({"ok": worst <= 1e-3, "worst": worst, "layers": kinds}))
    return 0 if worst <= 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
