"""Tiny GPT-2s and GPT-NeoXs by transformers, adapters by PEFT, and what both answer -> golden/gpt/.

The layout is that of golden/llama: model folders, `adapters/<variant>-all` as PEFT saves them, `answers/<variant>.*`,
and `merged/` with the bytes of PEFT's merges.
"""

import shutil

import torch
from common import GOLDEN, madeBy, setUp, writeJson, writeTensors
from llama import answer, greedy, mergedBy, questions
from llamaParts import loadModel, makeTokenizer, saveModel, savePeft
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
)

HOME = GOLDEN / "gpt"
TARGETS = {
    "gpt2": ["c_attn", "c_proj", "c_fc"],
    "gpt_neox": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
}

VARIANTS = {
    "gpt2": (GPT2Config, {}),
    "gpt2Untied": (
        GPT2Config,
        {
            "tie_word_embeddings": False,
            "n_inner": 40,
            "activation_function": "relu",
            "scale_attn_by_inverse_layer_idx": True,
        },
    ),
    "gpt2Unscaled": (
        GPT2Config,
        {"activation_function": "gelu", "scale_attn_weights": False, "reorder_and_upcast_attn": True},
    ),
    "gptNeox": (GPTNeoXConfig, {"tie_word_embeddings": False, "rotary_pct": 0.25}),
    "gptNeoxSequential": (
        GPTNeoXConfig,
        {
            "tie_word_embeddings": True,
            "use_parallel_residual": False,
            "attention_bias": False,
            "hidden_act": "gelu_new",
            "rope_parameters": {
                "rope_type": "linear",
                "factor": 2.0,
                "rope_theta": 5000.0,
                "partial_rotary_factor": 0.5,
            },
        },
    ),
}
SIZES = {
    GPT2Config: {
        "vocab_size": 96,
        "n_embd": 24,
        "n_layer": 2,
        "n_head": 3,
        "n_positions": 128,
        "layer_norm_epsilon": 1e-5,
    },
    GPTNeoXConfig: {
        "vocab_size": 96,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 128,
    },
}


def buildModel(variant: str):
    """Seeded weights, large enough that logits differ visibly; norms near 1, biases not zero."""
    kind, given = VARIANTS[variant]
    config = kind(**SIZES[kind], **given, bos_token_id=1, eos_token_id=2, pad_token_id=None)
    model = {GPT2Config: GPT2LMHeadModel, GPTNeoXConfig: GPTNeoXForCausalLM}[kind](config).float().eval()
    g = torch.Generator().manual_seed(570 + list(VARIANTS).index(variant))
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            if name.endswith("bias"):
                p.copy_(0.1 * noise)
            elif p.dim() == 1:
                p.copy_(1 + 0.2 * noise)
            elif any(part in name for part in ["wte", "wpe", "embed", "lm_head"]):
                p.copy_(0.5 * noise)
            else:
                p.copy_(24**-0.5 * noise)
    return model


def makeAdapter(variant: str):
    """Every kind of layer, with unlike ranks; B drawn at random so that the adapter does something."""
    model = loadModel(HOME / variant)
    targets = TARGETS[model.config.model_type]
    torch.manual_seed(900 + list(VARIANTS).index(variant))
    patterns = {"rank_pattern": {targets[0]: 3}, "alpha_pattern": {targets[-1]: 6}}
    peft = get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=4,
            lora_alpha=8,
            target_modules=targets,
            fan_in_fan_out=model.config.model_type == "gpt2",
            **patterns,
        ),
    )
    with torch.no_grad():
        for key, p in peft.named_parameters():
            if "lora_B" in key:
                p.normal_(0, 0.15)
    folder = HOME / "adapters" / f"{variant}-all"
    savePeft(peft, folder)
    return folder


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
    result = {"base": answer(model, asked, "base", tensors, keep="base"), "adapters": {}}
    prompts = ["", "name: ada | town: oslo\n", "gus of bath"]
    result["greedy"] = {"base": [greedy(model, tokenizer, p) for p in prompts]}
    folder = makeAdapter(variant)
    peft = PeftModel.from_pretrained(loadModel(HOME / variant), folder, is_trainable=True).eval()
    result["adapters"]["all"] = {"folder": f"adapters/{folder.name}", **answer(peft, asked, "all", tensors, keep="all")}
    result["greedy"]["all"] = [greedy(peft, tokenizer, p) for p in prompts]
    writeJson(HOME / "answers" / f"{variant}.json", {"madeBy": madeBy("gptFamilies.py"), "model": variant, **result})
    writeTensors(HOME / "answers" / f"{variant}.safetensors", tensors, "gptFamilies.py")
    print(
        f"gpt {variant}: base loss {result['base']['plain']['loss']:.4f}, greedy leads "
        f"{[round(x['smallestLead'], 4) for v in result['greedy'].values() for x in v]}"
    )


def makeMerges(tokenizer) -> None:
    """The first GPT-2 in 16 bits, and PEFT's merges into it: the delta of a Conv1D is transposed before it is added."""
    report = {}
    for short, dtype in [("f32", torch.float32), ("bf16", torch.bfloat16), ("f16", torch.float16)]:
        folder = HOME / ("gpt2" if short == "f32" else f"gpt2-{short}")
        if short != "f32":
            saveModel(loadModel(HOME / "gpt2", dtype), folder, tokenizer)
        file = f"merged/{short}.safetensors"
        writeTensors(HOME / file, mergedBy(folder, HOME / "adapters" / "gpt2-all", dtype, safe=False), "gptFamilies.py")
        report[short] = {"base": folder.name, "adapter": "adapters/gpt2-all", "merged": file}
    writeJson(HOME / "merged" / "merged.json", {"madeBy": madeBy("gptFamilies.py"), "merges": report})


def makeQuantized(asked: dict) -> None:
    """A GPT-2 as transformers quantizes it: a Conv1D becomes a Linear4bit over the codes of its transpose.

    Its inner width is 40, for bitsandbytes 0.50.2 decodes [24, 96] wrongly on the CPU.
    """
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(
        HOME / "gpt2Untied", quantization_config=settings, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    folder = HOME / "gpt2Untied-nf4"
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(HOME / "gpt2Untied" / name, folder)
    batch = asked["plain"]
    # With gradients bitsandbytes dequantizes and multiplies; without them it has a kernel that takes only some shapes.
    logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits.detach()
    writeTensors(
        HOME / "answers" / "gpt2Untied-nf4.safetensors",
        {"ids": batch["input_ids"].int(), "positions": batch["position_ids"].int(), "logits": logits},
        "gptFamilies.py",
    )


if __name__ == "__main__":
    setUp()
    shutil.rmtree(HOME, ignore_errors=True)
    tokenizer = makeTokenizer()
    asked = questions(tokenizer)
    for variant in VARIANTS:
        makeVariant(variant, tokenizer, asked)
    makeMerges(tokenizer)
    makeQuantized(asked)
