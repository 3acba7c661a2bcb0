"""What bitsandbytes makes of numbers, weights and models -> golden/quant/.

`cases.*`: tensors quantized and dequantized; `error.json`: errors on N(0, 1); `means.json`: what PyTorch's mean rounds
to; `stories3M.json`: digests of a real model's codes (needs ../shared);
`models/<name>/`: a tiny Llama saved by transformers in 4 and 8 bits, with its logits in `answers.safetensors`.

One thread: the mean of double quantization is rounded as one thread rounds it. Nothing is compiled: inductor rounds
int8 otherwise than PyTorch and the CUDA kernel do.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

os.environ["TORCHDYNAMO_DISABLE"] = "1"

import bitsandbytes  # noqa: E402
import torch
from bitsandbytes.functional import dequantize_4bit, int8_vectorwise_dequant, int8_vectorwise_quant, quantize_4bit
from common import GOLDEN, madeBy, setUp, writeJson, writeTensors
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

HERE = "quant.py"
OUT = GOLDEN / "quant"
STORIES = Path(__file__).resolve().parents[2] / "shared/data/models/stories3M"
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def made() -> dict:
    return {**madeBy(HERE), "bitsandbytes": bitsandbytes.__version__}


def digest(*tensors: torch.Tensor) -> str:
    """sha256 of bytes, one tensor after the other."""
    hashed = hashlib.sha256()
    for tensor in tensors:
        hashed.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()


def values(packed: torch.Tensor, state) -> torch.Tensor:
    """Dequantized, as one row: bitsandbytes 0.50's AVX-512 kernel takes a wrong scale where a block crosses rows whose
    length is a multiple of 16. -0 becomes 0: FP4's code 8 is either.
    """
    shape, state.shape = state.shape, torch.Size([state.shape.numel()])
    result = dequantize_4bit(packed, state).float() + 0.0
    state.shape = shape
    return result


def inputs() -> dict:
    g = torch.Generator().manual_seed(3)
    normal = lambda *shape: torch.randn(*shape, generator=g)
    zeros = normal(5, 64)
    zeros[1] = 0
    zeros[3, :32] = 0
    # Places on the boundaries themselves: only a strict comparison puts them where bitsandbytes does.
    code = torch.tensor(
        [
            -1.0,
            -0.6961928009986877,
            -0.5250730514526367,
            -0.39491748809814453,
            -0.28444138169288635,
            -0.18477343022823334,
            -0.09105003625154495,
            0.0,
            0.07958029955625534,
            0.16093020141124725,
            0.24611230194568634,
            0.33791524171829224,
            0.44070982933044434,
            0.5626170039176941,
            0.7229568362236023,
            1.0,
        ]
    )
    boundaries = torch.cat([(code[:-1] + code[1:]) / 2, torch.tensor([1.0])]).repeat(4)
    cancelled = torch.linspace(-1, 1, 64)
    return {
        "normal": normal(24, 64),
        "odd": normal(7, 13),
        "rows172": normal(8, 172),
        "allEqual": torch.full((6, 64), 0.3),
        "allEqualNegative": torch.full((3, 50), -2.5),
        "huge": normal(4, 64) * 1e37,
        "largest": torch.cat([torch.full((64,), 3.4028234663852886e38), -cancelled * 3.4e38]).reshape(2, 64),
        "tiny": normal(4, 64) * 1e-37,
        "subnormal": normal(3, 64) * 1e-41,
        "zeros": zeros,
        "allZero": torch.zeros(3, 40),
        "mixed": normal(40, 64) * torch.exp(3 * normal(40, 1)),
        "boundaries": boundaries.reshape(1, 64),
        "many": normal(100, 100) * torch.exp(normal(100, 1)),
    }


def fourBitCase(x: torch.Tensor, kind: str, blockSize: int, double: bool) -> tuple[dict, dict]:
    packed, state = quantize_4bit(x, blocksize=blockSize, quant_type=kind, compress_statistics=double)
    tensors = {"codes": packed, "absmax": state.absmax}
    facts = {"type": kind, "blockSize": blockSize, "double": double}
    if double:
        tensors["nested"] = state.state2.absmax
        facts["offset"] = state.offset.item()
    facts["values"] = digest(values(packed, state))
    return tensors, facts


def writeCases() -> None:
    tensors, cases = {}, []
    for name, x in inputs().items():
        tensors[f"{name}.x"] = x
        for dtype, torchType in DTYPES.items():
            given = x.to(torchType)
            # bitsandbytes flushes bf16's subnormal numbers on some CPUs.
            if not torch.isfinite(given).all() or (name in ("tiny", "subnormal") and dtype == "bf16"):
                continue
            # The plain setting for every dtype and both types; the rest for f32 alone.
            settings = [("nf4", 64, False), ("fp4", 64, False)]
            if dtype == "f32":
                settings += [
                    ("nf4", 64, True),
                    ("fp4", 32, True),
                    ("nf4", 32, True),
                    ("nf4", 128, False),
                    ("nf4", 4096, True),
                ]
            for kind, blockSize, double in settings:
                if double and name == "largest":  # The mean of its scales overflows: refused here.
                    continue
                parts, facts = fourBitCase(given, kind, blockSize, double)
                key = f"{name}.{dtype}.{kind}.{blockSize}{'.double' if double else ''}"
                tensors |= {f"{key}.{part}": value for part, value in parts.items()}
                cases.append({"name": name, "key": key, "shape": list(x.shape), "dtype": dtype, **facts})
            if name not in ("subnormal", "tiny", "zeros", "allZero"):
                codes, scales, _ = int8_vectorwise_quant(given.clone())
                key = f"{name}.{dtype}.int8"
                tensors |= {f"{key}.codes": codes, f"{key}.absmax": scales}
                cases.append(
                    {
                        "name": name,
                        "key": key,
                        "shape": list(x.shape),
                        "dtype": dtype,
                        "type": "int8",
                        "values": digest(int8_vectorwise_dequant(codes, scales)),
                    }
                )
    writeTensors(OUT / "cases.safetensors", tensors, HERE)
    writeJson(OUT / "cases.json", {"madeBy": made(), "cases": cases}, indent=None)


def writeErrors() -> None:
    """Mean absolute and mean relative error on N(0, 1), as bitsandbytes' own tests count them."""
    torch.manual_seed(0)
    errors = {}
    for kind in ("nf4", "fp4"):
        for blockSize in (64, 128):
            absolute, relative = [], []
            for _ in range(20):
                x = torch.randn(1024, 1024)
                packed, state = quantize_4bit(x, blocksize=blockSize, quant_type=kind)
                error = (dequantize_4bit(packed, state) - x).abs()
                absolute.append(error.mean().item())
                relative.append((error / (x.abs() + 1e-8)).mean().item())
            errors[f"{kind}.{blockSize}"] = {"meanAbsolute": sum(absolute) / 20, "meanRelative": sum(relative) / 20}
    writeJson(OUT / "error.json", {"madeBy": made(), "errors": errors})


def writeMeans() -> None:
    """f32 means of numbers that the test makes again: s = 1664525 s + 1013904223 mod 2^32 from s = length, x = (s + 1)
    / 2^32.
    """
    means = []
    for length in (
        1,
        2,
        3,
        5,
        7,
        8,
        9,
        15,
        16,
        31,
        32,
        33,
        63,
        100,
        127,
        256,
        511,
        513,
        1000,
        2048,
        4097,
        10_000,
        16_385,
        65_536,
        70_001,
    ):
        state, values = length, []
        for _ in range(length):
            state = (state * 1664525 + 1013904223) % 2**32
            values.append((state + 1) / 2**32)
        means.append({"length": length, "mean": torch.tensor(values, dtype=torch.float64).float().mean().item()})
    writeJson(OUT / "means.json", {"madeBy": made(), "means": means}, indent=None)


def writeStories() -> None:
    weights = load_file(STORIES / "model.safetensors")
    digests = {}
    for name, weight in weights.items():
        if weight.dim() != 2:
            continue
        entry = {}
        for kind in ("nf4", "fp4"):
            for double in (False, True):
                packed, state = quantize_4bit(weight, blocksize=64, quant_type=kind, compress_statistics=double)
                parts = [packed, state.absmax] + ([state.state2.absmax, state.offset] if double else [])
                entry[kind + ("Double" if double else "")] = [digest(*parts), digest(values(packed, state))]
        codes, scales, _ = int8_vectorwise_quant(weight.to(torch.float16))
        entry["int8"] = [digest(codes, scales), digest(int8_vectorwise_dequant(codes, scales))]
        digests[name] = entry
    writeJson(OUT / "stories3M.json", {"madeBy": made(), "digests": digests}, indent=None)


MODELS = {
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "nf4Double": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
    "fp4": {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
    "int8": {"load_in_8bit": True},
    "nf4Skip": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "llm_int8_skip_modules": ["lm_head", "down_proj"]},
}


def logitsOf(model, ids: torch.Tensor) -> torch.Tensor:
    # In training mode (there is no dropout): in evaluation bitsandbytes repacks for bf16 on CPUs that have it.
    model.train()
    with torch.no_grad():
        return model(input_ids=ids).logits.float()


def writeModels() -> None:
    source = GOLDEN / "llama" / "untied"
    ids = torch.randint(3, 96, (2, 13), generator=torch.Generator().manual_seed(9))
    answers = {
        "ids": ids.to(torch.int32),
        "base": logitsOf(AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32), ids),
    }
    for name, settings in MODELS.items():
        folder = OUT / "models" / name
        shutil.rmtree(folder, ignore_errors=True)
        model = AutoModelForCausalLM.from_pretrained(
            source,
            quantization_config=BitsAndBytesConfig(bnb_4bit_compute_dtype=torch.float32, **settings),
            dtype=torch.float32,
            device_map="cpu",
        )
        model.save_pretrained(folder)
        for copied in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(source / copied, folder / copied)
        # LLM.int8 quantizes activations too; ours is weights alone, so its logits are those of the dequantized weights.
        answered = model.dequantize(dtype=torch.float32) if "load_in_8bit" in settings else model
        answers[name] = logitsOf(answered, ids)
        for file in folder.iterdir():
            file.chmod(0o644)
    writeTensors(OUT / "models" / "answers.safetensors", answers, HERE)


if __name__ == "__main__":
    setUp()
    OUT.mkdir(parents=True, exist_ok=True)
    writeCases()
    writeErrors()
    writeMeans()
    writeModels()
    if STORIES.exists():
        writeStories()
    print(
        json.dumps(
            {
                "files": sum(1 for _ in OUT.rglob("*")),
                "bytes": sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()),
            }
        )
    )
