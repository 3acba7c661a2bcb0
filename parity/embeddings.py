"""LoRA on embeddings by PEFT, and what it answers -> golden/embeddings/.

Adapters of an embedding and a linear layer on the models of golden/gpt and golden/llama, as PEFT saves them: with an
embedding called `embed_tokens` it saves the base's table along.
`<name>.safetensors`: logits, gradients and, for the 16-bit base, the merged embedding. The batches are those of
llama.py.
"""

import shutil

import torch
from common import GOLDEN, madeBy, setUp, writeJson, writeTensors
from llama import answer, mergedBy, questions
from llamaParts import loadModel, makeTokenizer, savePeft
from peft import LoraConfig, PeftModel, get_peft_model

HOME = GOLDEN / "embeddings"

# The model's folder, the targets, and the embedding among them.
VARIANTS = {
    "gpt2": ("gpt/gpt2", ["wte", "c_attn"], "transformer.wte"),
    "gpt2Positions": ("gpt/gpt2-bf16", ["wpe"], "transformer.wpe"),
    "gptNeox": ("gpt/gptNeox", ["embed_in", "dense"], "gpt_neox.embed_in"),
    "llama": ("llama/untied", ["embed_tokens", "q_proj"], "model.embed_tokens"),
}


def makeVariant(name: str, asked: dict) -> None:
    base, targets, embedding = VARIANTS[name]
    folder = GOLDEN / base
    half = base.endswith("bf16")
    torch.manual_seed(1200 + list(VARIANTS).index(name))
    peft = get_peft_model(
        loadModel(folder, torch.bfloat16 if half else torch.float32),
        LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=6, use_rslora=name == "gptNeox", target_modules=targets),
    )
    with torch.no_grad():
        for key, p in peft.named_parameters():
            if "lora_B" in key or "lora_embedding_A" in key:
                p.normal_(0, 0.15)
    savePeft(peft, HOME / name)
    tensors, result = {}, {}
    if half:
        tensors["merged"] = mergedBy(folder, HOME / name, torch.bfloat16, safe=False)[f"{embedding}.weight"]
    else:
        for kind in ["plain", "packed"]:
            for key, short in [("input_ids", "ids"), ("position_ids", "positions"), ("labels", "labels")]:
                tensors[f"{kind}.{short}"] = asked[kind][key].int()
        peft = PeftModel.from_pretrained(loadModel(folder), HOME / name, is_trainable=True).eval()
        result = answer(peft, asked, "adapter", tensors, keep="adapter")
        print(f"embeddings {name}: loss {result['plain']['loss']:.4f}, gradients {list(result['gradNorms'])[:2]}")
    writeJson(
        HOME / f"{name}.json", {"madeBy": madeBy("embeddings.py"), "base": base, "embedding": embedding, **result}
    )
    writeTensors(HOME / f"{name}.safetensors", tensors, "embeddings.py")


if __name__ == "__main__":
    setUp()
    shutil.rmtree(HOME, ignore_errors=True)
    asked = questions(makeTokenizer())
    for name in VARIANTS:
        makeVariant(name, asked)
