"""A Llama with LoRA in plain PyTorch, for a Python that has torch and neither transformers nor PEFT.

Default rotary embedding only; scaled_dot_product_attention as transformers uses it. Names are Hugging Face's.
"""

import json
import math
import struct
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def readSafetensors(path: Path) -> dict:
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    body = bytearray(data[8 + size :])
    tensors = {}
    for name, entry in header.items():
        lo, hi = entry["data_offsets"]
        tensors[name] = torch.frombuffer(body[lo:hi], dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"]).float()
    return tensors


class LoraLinear(nn.Module):
    """y = x WT + b + s (x AT) BT; A kaiming-uniform(a = sqrt 5), B zero, as PEFT starts."""

    def __init__(self, weight, bias, r: int, alpha: float):
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.a = nn.Parameter(torch.empty(r, weight.shape[1]))
        self.b = nn.Parameter(torch.zeros(weight.shape[0], r))
        self.scaling = alpha / r
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x):
        return F.linear(x, self.weight, self.bias) + F.linear(F.linear(x, self.a), self.b) * self.scaling


def rotateHalf(x):
    left, right = x.chunk(2, dim=-1)
    return torch.cat((-right, left), dim=-1)


class PlainLlama(nn.Module):
    def __init__(self, folder: str, r: int, alpha: float):
        super().__init__()
        config = json.loads((Path(folder) / "config.json").read_text())
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        if rope.get("rope_type", "default") != "default":
            raise ValueError("plainLlama.py knows the default rotary embedding only")
        weights = readSafetensors(Path(folder) / "model.safetensors")
        self.config = config
        self.headDim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        self.theta = rope.get("rope_theta") or config.get("rope_theta", 10000.0)
        self.linears = nn.ModuleDict()
        self.plain = {}
        for name, tensor in weights.items():
            if name.endswith("_proj.weight"):
                module = name.removesuffix(".weight")
                self.linears[module.replace(".", "/")] = LoraLinear(tensor, weights.get(f"{module}.bias"), r, alpha)
            else:
                self.plain[name] = tensor
        self.head = self.plain.get("lm_head.weight", self.plain["model.embed_tokens.weight"])

    def norm(self, x, name: str):
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"])
        return self.plain[f"{name}.weight"] * (x * scale)

    def linear(self, x, layer: int, name: str):
        return self.linears[f"model/layers/{layer}/{name}"](x)

    def attend(self, x, layer: int, cos, sin, mask):
        batch, time, _ = x.shape
        q, k, v = (
            self.linear(x, layer, f"self_attn/{n}_proj").view(batch, time, -1, self.headDim).transpose(1, 2)
            for n in "qkv"
        )
        q, k = q * cos + rotateHalf(q) * sin, k * cos + rotateHalf(k) * sin
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.linear(y.transpose(1, 2).reshape(batch, time, -1), layer, "self_attn/o_proj")

    def forward(self, ids, attentionMask):
        """Logits [batch, time, vocab] of rows padded on the right."""
        time = ids.shape[1]
        powers = torch.arange(0, self.headDim, 2, dtype=torch.float32) / self.headDim
        angles = torch.arange(time, dtype=torch.float32)[:, None] / self.theta**powers
        table = torch.cat((angles, angles), dim=-1)
        mask = torch.ones(time, time, dtype=torch.bool).tril() & attentionMask.bool()[:, None, None, :]
        x = F.embedding(ids, self.plain["model.embed_tokens.weight"])
        for layer in range(self.config["num_hidden_layers"]):
            head = f"model.layers.{layer}"
            x = x + self.attend(self.norm(x, f"{head}.input_layernorm"), layer, table.cos(), table.sin(), mask)
            h = self.norm(x, f"{head}.post_attention_layernorm")
            gated = F.silu(self.linear(h, layer, "mlp/gate_proj")) * self.linear(h, layer, "mlp/up_proj")
            x = x + self.linear(gated, layer, "mlp/down_proj")
        return F.linear(self.norm(x, "model.norm"), self.head)
