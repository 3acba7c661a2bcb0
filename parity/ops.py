"""Forward and backward of single ops in f32 by PyTorch -> golden/ops.safetensors, golden/ops.json.

Every case saves its inputs, the upstream gradient (`dY`) and what PyTorch answers. The JSON lists the
cases with their attributes; `worstVsF64` is how far PyTorch's own f32 lies from the same program in f64,
as max |f32 - f64| / max |f64| per output: the floor below which no tolerance makes sense.
"""

import math

import torch
import torch.nn.functional as F
from common import GOLDEN, IGNORE, madeBy, setUp, writeJson, writeTensors
from transformers.models.llama.modeling_llama import LlamaRMSNorm, apply_rotary_pos_emb

tensors: dict = {}
cases: dict = {}


def randn(g, *shape, scale=1.0):
    return torch.randn(*shape, generator=g) * scale


def differentiate(fn, inputs, diff, dY):
    """Runs fn and returns y with the gradient of sum(y * dY) by each name in diff."""
    leaves = {k: v.clone().requires_grad_(k in diff) if v.is_floating_point() else v for k, v in inputs.items()}
    y = fn(**leaves)
    (y * dY).sum().backward()
    return {"y": y.detach(), **{"d" + k: leaves[k].grad for k in diff}}


def record(name, op, attrs, inputs, fn, diff, dY=None):
    """Saves one case; fn takes the inputs by name, diff names those that get a gradient."""
    g = torch.Generator().manual_seed(len(cases) + 1000)
    if dY is None:
        with torch.no_grad():
            dY = torch.randn(fn(**inputs).shape, generator=g)
    out = differentiate(fn, inputs, diff, dY)
    wide = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
    exact = differentiate(fn, wide, diff, dY.double())
    worst = {}
    for key, value in out.items():
        top = exact[key].abs().max().item()
        worst[key] = (value.double() - exact[key]).abs().max().item() / top if top > 0 else 0.0
    for key, value in {**inputs, "dY": dY, **out}.items():
        tensors[f"{name}.{key}"] = value.int() if value.dtype == torch.int64 else value
    cases[name] = {
        "op": op,
        "attributes": attrs,
        "inputs": {k: list(v.shape) for k, v in inputs.items()},
        "outputs": {k: list(v.shape) for k, v in out.items()},
        "worstVsF64": worst,
    }


def matmul():
    for m, k, n in [(1, 1, 1), (7, 13, 5), (33, 64, 17), (1, 96, 67)]:
        for mode in ["NN", "NT", "TN"]:
            g = torch.Generator().manual_seed(m * 100 + n)
            a = randn(g, k, m) if mode == "TN" else randn(g, m, k)
            b = randn(g, n, k) if mode == "NT" else randn(g, k, n)
            fn = {"NN": lambda a, b: a @ b, "NT": lambda a, b: a @ b.T, "TN": lambda a, b: a.T @ b}[mode]
            record(
                f"matmul{mode}_{m}x{k}x{n}",
                "matmul",
                {"mode": mode, "m": m, "k": k, "n": n},
                {"a": a, "b": b},
                fn,
                ["a", "b"],
            )


def rmsNormOf(x, w, eps):
    """Hugging Face's LlamaRMSNorm itself in f32; the same formula in f64, which the module would narrow."""
    if x.dtype == torch.float64:
        return w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))
    layer = LlamaRMSNorm(x.shape[-1], eps)
    del layer.weight
    layer.weight = w
    return layer(x)


def rmsNorm():
    for name, rows, dim, eps, scale in [
        ("a", 5, 24, 1e-5, 1.0),
        ("prime", 7, 67, 1e-6, 3.0),
        ("tiny", 3, 8, 1e-5, 1e-3),
        ("one", 1, 1, 1e-5, 1.0),
        ("wide", 2, 300, 1e-5, 10.0),
    ]:
        g = torch.Generator().manual_seed(rows * 1000 + dim)
        inputs = {"x": randn(g, rows, dim, scale=scale), "w": 1 + 0.3 * randn(g, dim)}
        record(
            f"rmsNorm_{name}", "rmsNorm", {"eps": eps}, inputs, lambda x, w, eps=eps: rmsNormOf(x, w, eps), ["x", "w"]
        )


def layerNorm():
    for name, rows, dim, eps, scale, shift in [
        ("a", 5, 24, 1e-5, 1.0, 0.0),
        ("prime", 7, 67, 1e-6, 3.0, 5.0),
        ("wide", 2, 300, 1e-5, 10.0, -20.0),
    ]:
        g = torch.Generator().manual_seed(rows * 1000 + dim)
        inputs = {"x": shift + randn(g, rows, dim, scale=scale), "w": 1 + 0.3 * randn(g, dim), "b": randn(g, dim)}
        record(
            f"layerNorm_{name}",
            "layerNorm",
            {"eps": eps},
            inputs,
            lambda x, w, b, eps=eps: F.layer_norm(x, x.shape[-1:], w, b, eps),
            ["x", "w", "b"],
        )


def gelu():
    for approximate in ["none", "tanh"]:
        g = torch.Generator().manual_seed(5)
        x = torch.cat([torch.linspace(-9, 9, 37), randn(g, 60, scale=2.0)])
        record(
            f"gelu_{approximate}",
            "gelu",
            {"approximate": approximate},
            {"x": x},
            lambda x, approximate=approximate: F.gelu(x, approximate=approximate),
            ["x"],
        )


def choices():
    g = torch.Generator().manual_seed(6)
    inputs = {"condition": (randn(g, 5, 1) > 0).float(), "a": randn(g, 5, 7), "b": randn(g, 7)}
    record("where", "where", {}, inputs, lambda condition, a, b: torch.where(condition != 0, a, b), ["a", "b"])


def powers():
    for exponent in [0, 1, 2, 3, 5, -2, 0.5, -0.5, 1.7]:
        g = torch.Generator().manual_seed(7)
        x = randn(g, 23) if float(exponent).is_integer() and exponent > 0 else randn(g, 23).abs() + 0.3
        record(f"pow_{exponent}", "pow", {"exponent": exponent}, {"x": x}, lambda x, y=exponent: x**y, ["x"])
    g = torch.Generator().manual_seed(8)
    inputs = {"x": randn(g, 5, 7).abs() + 0.3, "power": randn(g, 7)}
    record("powTensor", "powTensor", {}, inputs, lambda x, power: x**power, ["x", "power"])


def reductions():
    for axis in [[0], [1], [2], [0, 2], [0, 1, 2]]:
        g = torch.Generator().manual_seed(9)
        x = randn(g, 3, 5, 7)
        name = "".join(map(str, axis))
        record(f"mean_{name}", "mean", {"axis": axis}, {"x": x}, lambda x, axis=axis: x.mean(axis), ["x"])


def softmaxes():
    for name, fn in [("softmax", torch.softmax), ("logSoftmax", torch.log_softmax)]:
        for axis, scale in [(-1, 1.0), (0, 1.0), (1, 30.0)]:
            g = torch.Generator().manual_seed(10)
            x = randn(g, 4, 9, scale=scale)
            record(f"{name}_{axis}", name, {"axis": axis}, {"x": x}, lambda x, fn=fn, axis=axis: fn(x, axis), ["x"])


def crossEntropies():
    for reduction in ["mean", "sum"]:
        g = torch.Generator().manual_seed(11)
        labels = torch.randint(0, 9, (2, 5), generator=g)
        labels[0, 3] = labels[1, 0] = IGNORE
        record(
            f"crossEntropy_{reduction}",
            "crossEntropy",
            {"reduction": reduction, "ignore": IGNORE},
            {"logits": randn(g, 2, 5, 9, scale=4.0), "labels": labels},
            lambda logits, labels, reduction=reduction: F.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction=reduction
            ),
            ["logits"],
        )


def restarting(batch, length, cuts):
    """Positions and segment ids, int64 [batch, length]; row b is cut at cuts[b]."""
    positions, segments = torch.zeros(batch, length, dtype=torch.long), torch.zeros(batch, length, dtype=torch.long)
    for b in range(batch):
        bounds = [0, *cuts[b], length]
        for s in range(len(bounds) - 1):
            lo, hi = bounds[s], bounds[s + 1]
            positions[b, lo:hi] = torch.arange(hi - lo)
            segments[b, lo:hi] = s
    return positions, segments


def ropeOf(x, positions, theta):
    """x [B,T,H,D]; Hugging Face's apply_rotary_pos_emb wants [B,H,T,D]. Angles in f32, as Hugging Face makes them."""
    dim = x.shape[-1]
    exact = x.dtype
    invFreq = 1.0 / (theta ** (torch.arange(0, dim, 2, dtype=exact) / dim))
    angles = positions[..., None].to(exact) * invFreq
    table = torch.cat((angles, angles), dim=-1)
    y, _ = apply_rotary_pos_emb(x.transpose(1, 2), x.transpose(1, 2), table.cos(), table.sin())
    return y.transpose(1, 2)


def rope():
    for dim, heads, theta, start in [
        (8, 3, 10000.0, 0),
        (6, 2, 10000.0, 0),
        (64, 2, 500000.0, 0),
        (2, 1, 10000.0, 0),
        (16, 2, 10000.0, 450),
    ]:
        g = torch.Generator().manual_seed(dim)
        positions, _ = restarting(2, 33, [[10, 11, 26], []])
        name = f"rope_{dim}" + (f"_from{start}" if start else "")
        inputs = {"x": randn(g, 2, 33, heads, dim), "positions": positions + start}
        record(
            name,
            "rope",
            {"theta": theta, "layout": "x [batch, time, heads, headDim]; rotates halves (i, i + headDim/2)"},
            inputs,
            lambda x, positions, theta=theta: ropeOf(x, positions, theta),
            ["x"],
        )


def swiglu():
    for rows, dim, scale in [(7, 13, 1.0), (4, 40, 8.0), (1, 1, 1.0)]:
        g = torch.Generator().manual_seed(dim)
        inputs = {"gate": randn(g, rows, dim, scale=scale), "up": randn(g, rows, dim)}
        record(
            f"swiglu_{rows}x{dim}",
            "swiglu",
            {"formula": "silu(gate) * up"},
            inputs,
            lambda gate, up: F.silu(gate) * up,
            ["gate", "up"],
        )


def attentionOf(q, k, v, segments):
    """q [B,T,H,D], k and v [B,T,KV,D]: key j is seen by query i if j <= i and both lie in one segment."""
    dim, group = q.shape[-1], q.shape[2] // k.shape[2]
    time = q.shape[1]
    seen = (segments[:, :, None] == segments[:, None, :]) & torch.ones(time, time, dtype=torch.bool).tril()
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = (q @ k.transpose(2, 3)) / math.sqrt(dim)
    scores = scores.masked_fill(~seen[:, None], float("-inf"))
    return (scores.softmax(-1) @ v).transpose(1, 2)


def attention():
    cuts = {1: [[], []], 7: [[3], []], 33: [[10, 11, 26], []]}
    for dim, heads, kvHeads, batch in [(8, 4, 2, 2), (64, 2, 1, 1), (5, 3, 1, 2)]:
        for time in [1, 7, 33]:
            g = torch.Generator().manual_seed(dim * 100 + time)
            _, segments = restarting(batch, time, cuts[time])
            inputs = {
                "q": randn(g, batch, time, heads, dim),
                "k": randn(g, batch, time, kvHeads, dim),
                "v": randn(g, batch, time, kvHeads, dim),
                "segments": segments,
            }
            attrs = {
                "scale": 1 / math.sqrt(dim),
                "causal": True,
                "heads": heads,
                "kvHeads": kvHeads,
                "layout": (
                    "[batch, time, heads, headDim]; query head h reads key/value head floor(h / (heads / kvHeads))"
                ),
            }
            record(f"attention_{dim}_{time}", "attention", attrs, inputs, attentionOf, ["q", "k", "v"])


def crossEntropyOf(x, w, labels):
    return F.cross_entropy(x @ w.T, labels, ignore_index=IGNORE, reduction="sum")


def linearCrossEntropy():
    for name, rows, dim, vocab, scale in [
        ("a", 7, 24, 96, 1.0),
        ("odd", 33, 5, 17, 1.0),
        ("prime", 13, 64, 257, 1.0),
        ("steep", 9, 16, 31, 30.0),
        ("ignored", 3, 8, 11, 1.0),
        ("one", 1, 1, 1, 1.0),
    ]:
        g = torch.Generator().manual_seed(rows * 10 + dim)
        labels = torch.randint(0, vocab, (rows,), generator=g)
        if rows > 3:
            labels[torch.randperm(rows, generator=g)[: rows // 3]] = IGNORE
        if name == "ignored":
            labels[:] = IGNORE
        inputs = {"x": randn(g, rows, dim, scale=scale), "w": randn(g, vocab, dim, scale=dim**-0.5), "labels": labels}
        attrs = {
            "ignore": IGNORE,
            "reduction": "sum",
            "count": int((labels != IGNORE).sum()),
            "note": "labels are not shifted: row n's logits x[n] @ w.T are scored against labels[n]",
        }
        record(
            f"linearCrossEntropy_{name}",
            "linearCrossEntropy",
            attrs,
            inputs,
            crossEntropyOf,
            ["x", "w"],
            dY=torch.tensor(0.37),
        )


def embedding():
    for name, vocab, dim, ids in [
        ("repeats", 11, 5, [[3, 0, 3], [10, 3, 0]]),
        ("one", 1, 1, [[0]]),
        ("a", 96, 24, [[i * 7 % 96 for i in range(33)]]),
    ]:
        g = torch.Generator().manual_seed(vocab)
        inputs = {"w": randn(g, vocab, dim), "ids": torch.tensor(ids)}
        record(f"embedding_{name}", "embedding", {}, inputs, lambda w, ids: F.embedding(ids, w), ["w"])


def loraLinear():
    for rows, din, dout, r, s in [
        (7, 24, 13, 4, 2.0),
        (33, 64, 40, 8, 0.5),
        (5, 17, 11, 1, 3.0),
        (1, 3, 2, 3, 8 / math.sqrt(3)),
    ]:
        g = torch.Generator().manual_seed(rows + din)
        inputs = {
            "x": randn(g, rows, din),
            "w": randn(g, dout, din, scale=din**-0.5),
            "a": randn(g, r, din, scale=din**-0.5),
            "b": randn(g, dout, r),
        }
        fn = lambda x, w, a, b, s=s: x @ w.T + s * ((x @ a.T) @ b.T)  # noqa: E731
        record(
            f"loraLinear_{rows}x{din}x{dout}_r{r}",
            "loraLinear",
            {"scaling": s, "formula": "x wT + scaling (x aT) bT"},
            inputs,
            fn,
            ["x", "a", "b"],
        )


def adamW():
    """Five steps over three parameters with given gradients; the later ones are small enough not to be clipped."""
    attrs = {
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weightDecay": 0.1,
        "clip": 1.0,
        "learningRates": [0.0, 0.01, 0.02, 0.015, 0.005],
        "parameters": ["p0", "p1", "p2"],
        "gradNorms": [],
        "clipNote": "clip_grad_norm_: gradients times min(1, clip / (norm + 1e-6))",
    }
    g = torch.Generator().manual_seed(77)
    shapes = [(4, 24), (13, 5), (7,)]
    params = [torch.nn.Parameter(randn(g, *s)) for s in shapes]
    optimizer = torch.optim.AdamW(params, lr=1.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
    for i, p in enumerate(params):
        tensors[f"adamW.p{i}.0"] = p.data.clone()
    for step, lr in enumerate(attrs["learningRates"], start=1):
        for i, p in enumerate(params):
            p.grad = randn(g, *p.shape, scale=[1.0, 0.3, 0.05, 0.02, 1e-4][step - 1])
            tensors[f"adamW.g{i}.{step}"] = p.grad.clone()
        attrs["gradNorms"].append(torch.nn.utils.clip_grad_norm_(params, attrs["clip"]).item())
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
        for i, p in enumerate(params):
            tensors[f"adamW.p{i}.{step}"] = p.data.clone()
    for i, p in enumerate(params):
        tensors[f"adamW.m{i}.5"] = optimizer.state[p]["exp_avg"].clone()
        tensors[f"adamW.v{i}.5"] = optimizer.state[p]["exp_avg_sq"].clone()
    cases["adamW"] = {
        "op": "adamW",
        "attributes": attrs,
        "keys": (
            "p<i>.<step> after that step (0: before), g<i>.<step> gradient before clipping, m<i>.5 and v<i>.5 "
            "moments at the end"
        ),
    }


if __name__ == "__main__":
    setUp()
    for make in [
        matmul,
        rmsNorm,
        rope,
        swiglu,
        attention,
        linearCrossEntropy,
        embedding,
        loraLinear,
        adamW,
        layerNorm,
        gelu,
        choices,
        powers,
        reductions,
        softmaxes,
        crossEntropies,
    ]:
        make()
    head = {
        "madeBy": madeBy("ops.py"),
        "tensors": (
            "ops.safetensors, keys <case>.<name>; y is the output, dY its upstream gradient, d<input> the gradient "
            "of sum(y * dY); integers are i32"
        ),
    }
    writeJson(GOLDEN / "ops.json", {**head, "cases": cases}, indent=None)
    writeTensors(GOLDEN / "ops.safetensors", tensors, "ops.py")
    print(f"ops: {len(cases)} cases, {len(tensors)} tensors")
