"""golden/optimizers.json: four steps of every optimizer from the same start, by the same gradients.

SGD, AdamW and Muon are torch's; Lion is the paper's equation (arXiv:2302.06675, algorithm 2), which torch does not
have. All in double precision. torch.optim.Muon orthogonalizes in bf16: here that cast is left out, and what it
makes of the numbers is printed.

Parameters have groups as ours do: decay for matrices alone, and four times the rate for one of them (LoRA+).
"""

import torch
from common import GOLDEN, madeBy, setUp, writeJson

SHAPES = {
    "layers.0.up.weight": [6, 9],
    "layers.0.down.weight": [10, 4],
    "embed_tokens.weight": [7, 5],
    "layers.0.norm.weight": [5],
}
DECAY = 0.1
RATES = [0.01, 0.02, 0.005, 0.01]
FACTORS = {"layers.0.down.weight": 4.0}


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = torch.sign(b1 * m + (1 - b1) * p.grad) + group["weight_decay"] * p
                m.copy_(b2 * m + (1 - b2) * p.grad)
                p.sub_(group["lr"] * update)


def muon(groups, **options):
    hidden = [g for g in groups if g["name"].startswith("layers") and g["params"][0].ndim == 2]
    others = [g for g in groups if g not in hidden]
    return [
        torch.optim.Muon(hidden, lr=1, adjust_lr_fn="match_rms_adamw", **options),
        torch.optim.AdamW(others, lr=1, weight_decay=0),
    ]


CASES = {
    "adamw": ({}, lambda g: [torch.optim.AdamW(g, lr=1)]),
    "adamw numbers": (
        {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-4},
        lambda g: [torch.optim.AdamW(g, lr=1, betas=(0.8, 0.95), eps=1e-4)],
    ),
    "lion": ({}, lambda g: [Lion(g, lr=1)]),
    "lion numbers": ({"beta1": 0.95, "beta2": 0.98}, lambda g: [Lion(g, lr=1, betas=(0.95, 0.98))]),
    "sgd": ({}, lambda g: [torch.optim.SGD(g, lr=1, momentum=0.9)]),
    "sgd nesterov": (
        {"momentum": 0.8, "nesterov": True},
        lambda g: [torch.optim.SGD(g, lr=1, momentum=0.8, nesterov=True)],
    ),
    "sgd plain": ({"momentum": 0}, lambda g: [torch.optim.SGD(g, lr=1)]),
    "muon": ({}, lambda g: muon(g)),
    "muon plain": ({"momentum": 0.9, "nesterov": False}, lambda g: muon(g, momentum=0.9, nesterov=False)),
}


def run(make, start, gradients):
    params = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    groups = [
        {
            "name": name,
            "params": [p],
            "weight_decay": DECAY if p.ndim == 2 else 0.0,
            "factor": FACTORS.get(name, 1.0),
        }
        for name, p in params.items()
    ]
    optimizers = make(groups)
    for rate, step in zip(RATES, gradients, strict=True):
        for name, p in params.items():
            p.grad = step[name].clone()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            optimizer.step()
    return {name: p.detach() for name, p in params.items()}


if __name__ == "__main__":
    setUp()
    generator = torch.Generator().manual_seed(11)

    def draw():
        # Numbers of f32, so that what the tests read is what torch computed with.
        return {
            name: torch.randn(shape, generator=generator, dtype=torch.float32).double()
            for name, shape in SHAPES.items()
        }

    start, gradients = draw(), [draw() for _ in RATES]
    rounding = torch.Tensor.bfloat16
    inBf16 = run(CASES["muon"][1], start, gradients)
    torch.Tensor.bfloat16 = lambda self: self.clone()
    ends = {name: run(make, start, gradients) for name, (_, make) in CASES.items()}
    torch.Tensor.bfloat16 = rounding
    for name, value in inBf16.items():
        print("muon in bf16", name, (value - ends["muon"][name]).abs().max().item(), "of", value.abs().max().item())

    def flat(values):
        return {name: value.flatten().tolist() for name, value in values.items()}

    writeJson(
        GOLDEN / "optimizers.json",
        {
            "madeBy": madeBy("optimizers.py"),
            "shapes": SHAPES,
            "decay": DECAY,
            "rates": RATES,
            "factors": FACTORS,
            "start": flat(start),
            "gradients": [flat(step) for step in gradients],
            "cases": [
                {"name": name, "optimizer": name.split()[0], "options": options, "end": flat(ends[name])}
                for name, (options, _) in CASES.items()
            ],
        },
        indent=None,
    )
