"""golden/adamw8bit.safetensors: AdamW steps by bitsandbytes' own CPU backend (needs bitsandbytes).

`step.*`: one step from a state in the middle of training. p, g, codes and scales before; p and scales after, as
bitsandbytes' 8-bit AdamW update leaves them.
Its CPU quantizer for f32 looks a value up in a table of 65,536 evenly spaced places, so that it takes a neighbour near
a tie and never the code of 0; the CUDA kernel takes
the nearest. `step.mAfter`, `step.vAfter` are therefore the codes of its exact path (quantize_blockwise of f64 data) for
the same moments; `step.mTable`,
`step.vTable` those of the table, for the record.

`run.*`: ten steps on sum(weight * (p - target)^2) / 2: `end` by bitsandbytes.optim.AdamW8bit with its exact quantizer
in place of the table, `endTable` by it as it
comes, `endF32` by torch.optim.AdamW.
"""

from common import GOLDEN, setUp, writeTensors  # first: it puts this folder last on the path

import bitsandbytes as bnb
import bitsandbytes.backends.cpu.ops as cpuOps
import torch
from bitsandbytes.functional import create_dynamic_map

setUp()
BETAS, EPS = (0.9, 0.999), 1e-8
signed, unsigned = create_dynamic_map(signed=True), create_dynamic_map(signed=False)
g = torch.Generator().manual_seed(8)


def randn(*shape):
    return torch.randn(*shape, generator=g)


def exactCodes(values, code):
    return torch.ops.bitsandbytes.quantize_blockwise(values.double(), code, 256)[0]


def oneStep(n, step, lr, decay):
    p, grad = randn(n), 0.01 * randn(n)
    blocks = -(-n // 256)
    m = torch.ops.bitsandbytes.quantize_blockwise(0.01 * randn(n), signed, 256)
    v = torch.ops.bitsandbytes.quantize_blockwise(1e-4 * randn(n) ** 2, unsigned, 256)
    before = {"p": p, "g": grad, "m": m[0], "v": v[0], "scales": torch.stack([m[1], v[1]], 1)}
    before = {name: value.clone() for name, value in before.items()}
    codes = [m[0].clone(), v[0].clone()]
    scales = [m[1].clone(), v[1].clone()]
    first = torch.ops.bitsandbytes.dequantize_blockwise(m[0], m[1], signed, 256, torch.float32)
    second = torch.ops.bitsandbytes.dequantize_blockwise(v[0], v[1], unsigned, 256, torch.float32)
    first.mul_(BETAS[0]).add_(grad, alpha=1 - BETAS[0])
    second.mul_(BETAS[1]).addcmul_(grad, grad, value=1 - BETAS[1])
    moved = p.clone()
    bnb.functional.optimizer_update_8bit_blockwise(
        "adam",
        grad,
        moved,
        codes[0],
        codes[1],
        BETAS[0],
        BETAS[1],
        0.0,
        0.0,
        EPS,
        step,
        lr,
        signed,
        unsigned,
        scales[0],
        scales[1],
        decay,
        gnorm_scale=1.0,
        skip_zeros=False,
    )
    assert scales[0].numel() == blocks
    after = {
        "pAfter": moved,
        "mAfter": exactCodes(first, signed),
        "vAfter": exactCodes(second, unsigned),
        "scalesAfter": torch.stack(scales, 1),
        "mTable": codes[0],
        "vTable": codes[1],
    }
    return {
        **before,
        **after,
        "step": torch.tensor([step], dtype=torch.int32),
        "lr": torch.tensor([lr]),
        "decay": torch.tensor([decay]),
    }


def run(n, make, lr):
    torch.manual_seed(9)
    start, target, weight = torch.randn(n), torch.randn(n), torch.rand(n) * 0.02
    p = torch.nn.Parameter(start.clone())
    optimizer = make([p], lr)
    for _ in range(10):
        optimizer.zero_grad()
        (weight * (p - target) ** 2).sum().div(2).backward()
        optimizer.step()
    return {"start": start, "target": target, "weight": weight, "end": p.detach()}


tensors = {f"step.{name}": value for name, value in oneStep(4099, 7, 1e-3, 0.1).items()}


def eightBit(params, lr):
    return bnb.optim.AdamW8bit(params, lr=lr, betas=BETAS, eps=EPS, weight_decay=0.0)


def quantizeExactly(values, code, absmax, out, blocksize):
    codes, scales = torch.ops.bitsandbytes.quantize_blockwise(values.double(), code, blocksize)
    out.copy_(codes)
    absmax.copy_(scales)


table = run(4099, eightBit, 1e-2)
cpuOps._quant_blockwise_fp32_direct = quantizeExactly
eight = run(4099, eightBit, 1e-2)
full = run(4099, lambda params, lr: torch.optim.AdamW(params, lr=lr, betas=BETAS, eps=EPS, weight_decay=0.0), 1e-2)
tensors |= {f"run.{name}": value for name, value in eight.items()} | {
    "run.endTable": table["end"],
    "run.endF32": full["end"],
}
for name, other in (("moved", eight["start"]), ("from f32", full["end"]), ("from the table's", table["end"])):
    print(name, (eight["end"] - other).abs().mean().item())
print(
    "table against exact:",
    *((tensors[f"step.{x}After"] != tensors[f"step.{x}Table"]).sum().item() for x in "mv"),
    "of 4099",
)
writeTensors(GOLDEN / "adamw8bit.safetensors", tensors, "adamw8bit.py")
