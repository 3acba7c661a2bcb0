"""Golden logits of folders as people have them, for tests/parity/cases.test.ts.

Bases whose config ties what the file holds apart, adapters with the names of several versions of PEFT, with tables of
resized vocabularies, and with patterns that only Python reads: each a small folder that transformers and PEFT load, and
the logits that they compute.
"""

import json
import re
import shutil
from pathlib import Path

import common
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Gemma3Config, Gemma3ForConditionalGeneration, LlamaConfig

ROOT = common.GOLDEN / "cases"
GROWN = 36
IDS = [[1, 5, 17, 30, 23, 9, 12, 7]]
SIZES = {
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32,
}


def makeBase(name: str, vocabulary: int, tied: bool) -> None:
    torch.manual_seed(len(name) + vocabulary)
    config = LlamaConfig(vocab_size=vocabulary, tie_word_embeddings=tied, **SIZES)
    spread(AutoModelForCausalLM.from_config(config)).save_pretrained(ROOT / name)
    (ROOT / name / "generation_config.json").unlink(missing_ok=True)


def spread(model: torch.nn.Module) -> torch.nn.Module:
    """Weights large enough that logits differ by more than rounding."""
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def ownHead() -> None:
    """The config ties, the file holds another output projection."""
    makeBase("own-head", 32, True)
    place = ROOT / "own-head" / "model.safetensors"
    tensors = load_file(place)
    tensors["lm_head.weight"] = torch.randn(32, 8) * 0.5
    save_file(tensors, place, metadata={"format": "pt"})


def gemma3() -> None:
    torch.manual_seed(3)
    text = {**SIZES, "head_dim": 4, "vocab_size": 32, "sliding_window": 16}
    vision = {"hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = Gemma3Config(
        text_config=text,
        vision_config={**vision, "image_size": 4, "patch_size": 4},
        mm_tokens_per_image=1,
    )
    spread(Gemma3ForConditionalGeneration(config)).save_pretrained(ROOT / "gemma3")
    (ROOT / "gemma3" / "generation_config.json").unlink(missing_ok=True)


def load(base: str, tokens: int | None = None) -> torch.nn.Module:
    kind = Gemma3ForConditionalGeneration if base == "gemma3" else AutoModelForCausalLM
    model = kind.from_pretrained(ROOT / base, dtype=torch.float32).eval()
    if tokens is not None:
        model.resize_token_embeddings(tokens)
    return model


def makeAdapter(name: str, base: str, rename=None, save=None, tokens: int | None = None, **settings: object) -> None:
    torch.manual_seed(len(name))
    given = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", **settings}
    model = get_peft_model(load(base, tokens), LoraConfig(**given))
    for key, parameter in model.named_parameters():
        if "lora_" in key or "modules_to_save" in key or "trainable_tokens" in key:
            torch.nn.init.normal_(parameter, std=0.5)
    folder = ROOT / name
    model.save_pretrained(folder, **(save or {}))
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    common.writeJson(folder / "adapter_config.json", config)
    if rename is not None:
        place = folder / "adapter_model.safetensors"
        renamed = {rename(key): value for key, value in load_file(place).items()}
        save_file(renamed, place, metadata={"format": "pt"})


def logits(model: torch.nn.Module, ids: list = IDS) -> list:
    with torch.no_grad():
        return model(input_ids=torch.tensor(ids)).logits[0].tolist()


def rounded(rows: list) -> list:
    return [[float(f"{value:.6g}") for value in row] for row in rows]


def main() -> None:
    common.setUp()
    shutil.rmtree(ROOT, ignore_errors=True)
    makeBase("tied", 32, True)
    makeBase("untied", 32, False)
    ownHead()
    gemma3()
    embeddings = {"save_embedding_layers": True}
    makeAdapter("default-keys", "untied", lambda key: re.sub(r"lora_[AB]", r"\g<0>.default", key))
    makeAdapter("python-regex", "untied", alpha_pattern={r".*q_proj\Z": 100})
    makeAdapter("resized-plain-tied", "tied", save=embeddings)
    makeAdapter("resized-saved-untied", "untied", save=embeddings, modules_to_save=["embed_tokens", "lm_head"])
    # Over more tokens than the base has: what is loaded resizes it.
    grown = {"save": embeddings, "tokens": GROWN}
    makeAdapter("grown-plain-tied", "tied", **grown)
    makeAdapter("grown-plain-untied", "untied", **grown)
    makeAdapter("grown-saved-untied", "untied", **grown, modules_to_save=["embed_tokens", "lm_head"])
    tying = {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}
    makeAdapter("grown-saved-tied", "tied", **grown, **tying)
    makeAdapter("grown-rows-tied", "tied", **grown, trainable_token_indices=[3, 33, 35])
    makeAdapter("grown-rows-untied", "untied", **grown, trainable_token_indices={"embed_tokens": [33, 34]})
    makeAdapter("table", "untied", save=embeddings, target_modules=["q_proj", "embed_tokens", "lm_head"])
    makeAdapter(
        "gemma3-old-names",
        "gemma3",
        lambda key: key.replace("model.language_model.", "language_model.model."),
        target_modules=r".*language_model.*\.(q_proj|v_proj)",
    )
    makeAdapter("gemma3-vision", "gemma3", target_modules=["q_proj", "v_proj"])
    adapters = sorted(path.parent.name for path in Path(ROOT).glob("*/adapter_config.json"))
    answers = {"own-head": {"base": "own-head", "logits": rounded(logits(load("own-head")))}}
    # Of names that PEFT itself no longer reads, the same adapter under today's.
    for name in adapters:
        base = json.loads((ROOT / name / "adapter_config.json").read_text())["base_model_name_or_path"]
        grows = name.startswith("grown")
        model = PeftModel.from_pretrained(load(base, GROWN if grows else None), ROOT / name)
        ids = [[*IDS[0][:5], 32, 33, 35]] if grows else IDS
        own = {"ids": ids[0]} if grows else {}
        answers[name] = {"base": base, **own, "logits": rounded(logits(model, ids))}
    made = {"madeBy": common.madeBy("cases.py"), "ids": IDS[0], "cases": answers}
    common.writeJson(ROOT / "answers.json", made, None)


if __name__ == "__main__":
    main()
