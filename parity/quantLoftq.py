"""PEFT's loftq_init on the CPU -> golden/quant/loftq.safetensors: for each case its weight `w`, the base `q`, and `a`,
`b`.
"""

import inspect
import os

os.environ["TORCHDYNAMO_DISABLE"] = "1"

import common  # noqa: E402
import torch  # noqa: E402
from peft.utils import loftq_utils  # noqa: E402

HERE = "quantLoftq.py"

# PEFT insists on a GPU; its own source runs on the CPU all the same.
source = inspect.getsource(loftq_utils.loftq_init).replace('"cuda"', '"cpu"')
exec(source, loftq_utils.__dict__)

CASES = {
    "square": {"shape": (64, 64), "rank": 4, "bits": 4, "iterations": 1},
    "wide": {"shape": (24, 128), "rank": 8, "bits": 4, "iterations": 5},
    "tall": {"shape": (90, 43), "rank": 3, "bits": 4, "iterations": 2},
    "int8": {"shape": (40, 30), "rank": 4, "bits": 8, "iterations": 3},
}

if __name__ == "__main__":
    common.setUp()
    g = torch.Generator().manual_seed(12)
    tensors = {}
    for name, case in CASES.items():
        w = torch.randn(*case["shape"], generator=g) * 0.05
        q, a, b = loftq_utils.loftq_init(
            w, num_bits=case["bits"], reduced_rank=case["rank"], num_iter=case["iterations"]
        )
        tensors |= {
            f"{name}.w": w,
            f"{name}.q": q,
            f"{name}.a": a,
            f"{name}.b": b,
            f"{name}.settings": torch.tensor([case["rank"], case["bits"], case["iterations"]], dtype=torch.int32),
        }
    common.writeTensors(common.GOLDEN / "quant" / "loftq.safetensors", tensors, HERE)
