"""Tiny random image classifiers by transformers, adapters on linear layers by PEFT, and what both answer:
golden/vision/<name>.json -> golden/vision/<name>/.

The JSON says what differs from SIZES in the config, `model_type` among it, the size of the images, the adapter's
targets and a seed of its own. Each folder is a model folder as `save_pretrained` writes it, `adapter/` as PEFT saves
it, and `answers.safetensors`: pixels, labels, logits, and the gradient of every trained matrix (`grad.`). Images of
another size than the config's make interpolated positions.
"""

import json
import shutil
import sys

import torch
from common import GOLDEN, madeBy, setUp, writeJson, writeTensors
from llamaParts import gradNorms, savePeft
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForImageClassification

HOME = GOLDEN / "vision"
IMAGES, LABELS = 3, 3

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = {**SIZES, "num_hidden_layers": 1, "vocab_size": 8, "max_position_embeddings": 4}


def buildModel(asked: dict):
    """Seeded weights, large enough that logits differ visibly; norms near 1, biases not zero."""
    own = asked["config"]
    nested = (
        {"vision_config": {**SIZES, **own["vision_config"]}, "text_config": TEXT} if "vision_config" in own else SIZES
    )
    config = AutoConfig.for_model(**{**own, **nested}, num_labels=LABELS)
    model = AutoModelForImageClassification.from_config(config, attn_implementation="eager").float().eval()
    g = torch.Generator().manual_seed(asked["seed"])
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            if "layer_scale" in name:
                p.copy_(own["layerscale_value"] * (1 + 0.2 * noise))
            elif p.dim() == 1 and not name.endswith("bias"):
                p.copy_(1 + 0.2 * noise)
            elif "position" in name or "token" in name or "probe" in name:
                p.copy_(0.3 * noise)
            else:
                p.copy_((0.1 if name.endswith("bias") else p[0].numel() ** -0.5) * noise)
    return model


def load(folder):
    model = AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.name_or_path = folder.name
    return model.eval()


def batch(asked: dict, config) -> dict:
    """Images and labels; positions are interpolated where the family does not do it by itself."""
    g = torch.Generator().manual_seed(asked["seed"] + 1)
    tower = getattr(config, "vision_config", config)
    rows = {"pixel_values": torch.randn(IMAGES, tower.num_channels, *asked["pixels"], generator=g)}
    rows["labels"] = torch.randint(LABELS, (IMAGES,), generator=g)
    size = tower.image_size if isinstance(tower.image_size, (list, tuple)) else [tower.image_size] * 2
    if list(size) != asked["pixels"] and config.model_type != "dinov2":
        rows["interpolate_pos_encoding"] = True
    return rows


def makeVariant(name: str) -> None:
    asked = json.loads((HOME / f"{name}.json").read_text())
    folder = HOME / name
    buildModel(asked).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    torch.manual_seed(asked["seed"] + 2)
    lora = LoraConfig(r=2, lora_alpha=4, target_modules=asked["targets"], modules_to_save=["classifier"])
    peft = get_peft_model(load(folder), lora)
    with torch.no_grad():
        for key, p in peft.named_parameters():
            if "lora_B" in key:
                p.normal_(0, 0.2)
            elif p.requires_grad and "modules_to_save" in key:
                p.add_(torch.randn_like(p) * 0.1)
    savePeft(peft, folder / "adapter")
    peft = PeftModel.from_pretrained(load(folder), folder / "adapter", is_trainable=True).eval()
    base = load(folder)
    rows = batch(asked, base.config)
    adapted = peft(**rows)
    adapted.loss.backward()
    plain = base(**rows)
    plain.loss.backward()
    gradients = {
        f"grad.{key.replace('.modules_to_save.default', '').replace('.default', '')}": p.grad
        for key, p in peft.named_parameters()
        if p.requires_grad and p.grad is not None
    }
    tensors = {
        "pixels": rows["pixel_values"],
        "labels": rows["labels"].int(),
        "base.logits": plain.logits,
        "adapter.logits": adapted.logits,
        **gradients,
    }
    if hasattr(base, "vision_model"):
        tensors["pooled"] = base.vision_model(rows["pixel_values"]).pooler_output
    writeTensors(folder / "answers.safetensors", tensors, "vision.py")
    writeJson(
        folder / "answers.json",
        {
            "madeBy": madeBy("vision.py"),
            "base": {
                "loss": plain.loss.item(),
                "gradNorms": gradNorms((key, p) for key, p in base.named_parameters() if p.grad is not None),
            },
            "adapter": {"loss": adapted.loss.item()},
        },
    )
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    losses = f"loss {plain.loss:.4f}, with adapter {adapted.loss:.4f}"
    print(f"{name}: {losses}, {len(gradients)} gradients, {size // 1024} KiB")


if __name__ == "__main__":
    setUp()
    for name in sys.argv[1:] or sorted(file.stem for file in HOME.glob("*.json")):
        shutil.rmtree(HOME / name, ignore_errors=True)
        makeVariant(name)
