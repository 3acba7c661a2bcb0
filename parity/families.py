"""One tiny random checkpoint per family by transformers, an adapter on every linear layer by PEFT, and what both answer
-> golden/families/<variant>/.

Each folder is a model folder as `save_pretrained` writes it, with the tokenizer of golden/llama, `adapter/` as PEFT
saves it, and `answers.safetensors`: batches, logits, the loss, and the
gradient of every adapter matrix (`grad.`). Rows are longer than every sliding window and than the native length of the
rotary scalings; `short` is their beginning, within both.
"""

import shutil
import sys

import torch
from common import GOLDEN, IGNORE, madeBy, setUp, writeJson, writeTensors
from llamaParts import gradNorms, loadModel, lossSum, makeTokenizer, saveModel, savePeft
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

HOME = GOLDEN / "families"
LENGTH = 24
SHORT = 6

SIZES = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}


def rope(kind: str, **more) -> dict:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


# model_type and what differs from SIZES. A new family is a line here: the last one, since its place seeds the weights.
VARIANTS = {
    "llamaLinear": ("llama", rope("linear", factor=2.0)),
    "llamaDynamic": ("llama", {"max_position_embeddings": 16, **rope("dynamic", factor=2.0)}),
    "llamaYarn": (
        "llama",
        {"attention_bias": True, **rope("yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=4.0)},
    ),
    "mistral": ("mistral", {"sliding_window": 9, "head_dim": 12}),
    "qwen2": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1, "tie_word_embeddings": True},
    ),
    "qwen3": (
        "qwen3",
        {
            "head_dim": 12,
            "num_attention_heads": 6,
            "tie_word_embeddings": True,
            **rope("yarn", factor=4.0, original_max_position_embeddings=16),
        },
    ),
    "gemma": ("gemma", {"head_dim": 16, "num_key_value_heads": 1, "hidden_act": "gelu_pytorch_tanh"}),
    "gemma2": (
        "gemma2",
        {
            "head_dim": 16,
            "sliding_window": 8,
            "query_pre_attn_scalar": 24,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
            "num_hidden_layers": 3,
        },
    ),
    "gemma3": (
        "gemma3_text",
        {
            "head_dim": 12,
            "sliding_window": 6,
            "query_pre_attn_scalar": 20,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "num_hidden_layers": 3,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            },
        },
    ),
    "phi3": ("phi3", {"sliding_window": 11, "num_key_value_heads": 4}),
    "phi3LongRope": (
        "phi3",
        {
            "tie_word_embeddings": True,
            "original_max_position_embeddings": 8,
            **rope("longrope", partial_rotary_factor=0.75, short_factor=[1.0, 1.1, 1.3], long_factor=[1.0, 2.5, 6.0]),
        },
    ),
    "smollm3": (
        "smollm3",
        {
            "num_hidden_layers": 4,
            "no_rope_layer_interval": 2,
            "use_sliding_window": True,
            "sliding_window": 10,
            "tie_word_embeddings": True,
        },
    ),
    "olmo2": ("olmo2", {}),
    "gpt2": ("gpt2", {}),
    "gpt2Untied": (
        "gpt2",
        {
            "tie_word_embeddings": False,
            "n_inner": 40,
            "activation_function": "relu",
            "scale_attn_by_inverse_layer_idx": True,
        },
    ),
    "gptNeox": ("gpt_neox", {"rotary_pct": 0.25}),
    "gptNeoxSequential": (
        "gpt_neox",
        {
            "use_parallel_residual": False,
            "tie_word_embeddings": True,
            "hidden_act": "gelu_new",
            **rope("linear", factor=2.0, partial_rotary_factor=0.5),
        },
    ),
    "olmo3": (
        "olmo3",
        {
            "sliding_window": 7,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": {
                    "rope_type": "yarn",
                    "rope_theta": 500000.0,
                    "factor": 4.0,
                    "original_max_position_embeddings": 16,
                },
                "sliding_attention": {"rope_type": "default", "rope_theta": 500000.0},
            },
        },
    ),
}


def buildModel(kind: str, over: dict, seed: int):
    """Seeded weights, large enough that logits differ visibly; norms near 1 (of Gemma near 0, since it adds 1), biases
    not zero.
    """
    config = AutoConfig.for_model(kind, **{**SIZES, **over})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            if p.dim() == 1 and not name.endswith("bias"):
                p.copy_((0 if kind.startswith("gemma") else 1) + 0.2 * noise)
            elif "embed" in name or "lm_head" in name:
                p.copy_(0.3 * noise)
            else:
                p.copy_((0.1 if name.endswith("bias") else p.shape[-1] ** -0.5) * noise)
    return model


def batch(seed: int) -> dict:
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, SIZES["vocab_size"], (2, LENGTH), generator=g)
    labels = ids.clone()
    labels[0, :5] = IGNORE
    labels[1, 20:] = IGNORE
    return {"input_ids": ids, "position_ids": torch.arange(LENGTH).repeat(2, 1), "labels": labels}


def logitsOf(folder, ids: torch.Tensor, adapter=None) -> torch.Tensor:
    """By a freshly loaded model: dynamic scalings remember the longest row they have seen."""
    model = loadModel(folder)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter).eval()
    with torch.no_grad():
        return model(
            input_ids=ids, position_ids=torch.arange(ids.shape[1]).repeat(ids.shape[0], 1), use_cache=False
        ).logits


def makeVariant(name: str, tokenizer) -> None:
    kind, over = VARIANTS[name]
    seed = 1000 + 10 * list(VARIANTS).index(name)
    folder = HOME / name
    saveModel(buildModel(kind, over, seed), folder, tokenizer)
    (folder / "generation_config.json").unlink(missing_ok=True)
    asked = batch(seed + 1)
    ids = asked["input_ids"]
    model = loadModel(folder)
    torch.manual_seed(seed + 2)
    peft = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=4, target_modules="all-linear"))
    with torch.no_grad():
        for key, p in peft.named_parameters():
            if "lora_B" in key:
                p.normal_(0, 0.2)
    savePeft(peft, folder / "adapter")
    peft = PeftModel.from_pretrained(loadModel(folder), folder / "adapter", is_trainable=True).eval()
    total, count = lossSum(peft, asked)
    loss = total / count
    loss.backward()
    base = loadModel(folder)
    baseTotal, _ = lossSum(base, asked)
    (baseTotal / count).backward()
    gradients = {f"grad.{key.replace('.default', '')}": p.grad for key, p in peft.named_parameters() if p.requires_grad}
    tensors = {
        "ids": ids.int(),
        "labels": asked["labels"].int(),
        "base.logits": logitsOf(folder, ids),
        "base.short": logitsOf(folder, ids[:, :SHORT]),
        "adapter.logits": logitsOf(folder, ids, folder / "adapter"),
        **gradients,
    }
    writeTensors(folder / "answers.safetensors", tensors, "families.py")
    writeJson(
        folder / "answers.json",
        {
            "madeBy": madeBy("families.py"),
            "tokens": count,
            "base": {"loss": (baseTotal / count).item(), "gradNorms": gradNorms(base.named_parameters())},
            "adapter": {"loss": loss.item()},
        },
    )
    top = tensors["base.logits"].topk(2).values
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(
        f"{name}: base loss {baseTotal / count:.4f}, with adapter {loss:.4f}, {len(gradients)} gradients, "
        f"median lead {(top[..., 0] - top[..., 1]).median():.3f}, {size // 1024} KiB"
    )


if __name__ == "__main__":
    setUp()
    tokenizer = makeTokenizer()
    for name in sys.argv[1:] or VARIANTS:
        shutil.rmtree(HOME / name, ignore_errors=True)
        makeVariant(name, tokenizer)
