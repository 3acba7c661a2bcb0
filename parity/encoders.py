"""Tiny random checkpoints with the head of a task by transformers, adapters on linear layers by PEFT, and what both
answer: golden/encoders/<name>.json -> golden/encoders/<name>/.

The JSON says the class of the head, what differs from SIZES in the config, `model_type` among it, and a seed of its
own. A new family or head is a new file there. Each folder is a model folder as `save_pretrained` writes it, `adapter/`
as PEFT saves it, and `answers.safetensors`: a padded batch, logits, the loss, and the gradient of every trained matrix
(`grad.`). Rows are longer than the local windows.
"""

import json
import shutil
import sys

import torch
from common import GOLDEN, IGNORE, madeBy, setUp, writeJson, writeTensors
from llamaParts import gradNorms, savePeft
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

HOME = GOLDEN / "encoders"
LENGTHS = (17, 24, 9)
LABELS = 3

SIZES = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}

CLASSES = {
    "sequence": (AutoModelForSequenceClassification, "SEQ_CLS"),
    "tokens": (AutoModelForTokenClassification, "TOKEN_CLS"),
    "span": (AutoModelForQuestionAnswering, "QUESTION_ANS"),
    "embedding": (AutoModel, "FEATURE_EXTRACTION"),
}


def buildModel(asked: dict):
    """Seeded weights, large enough that logits differ visibly; norms near 1, biases not zero."""
    extra = {} if asked["head"] in ("span", "embedding") else {"num_labels": LABELS}
    config = AutoConfig.for_model(**{**SIZES, **asked["config"], **extra})
    auto, _ = CLASSES[asked["head"]]
    model = auto.from_config(config, attn_implementation="eager").float().eval()
    g = torch.Generator().manual_seed(asked["seed"])
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            if p.dim() == 1 and not name.endswith("bias"):
                p.copy_(1 + 0.2 * noise)
            elif "embed" in name or name.startswith(("transformer.wte", "transformer.wpe")):
                p.copy_(0.3 * noise)
            else:
                p.copy_((0.1 if name.endswith("bias") else p.shape[-1] ** -0.5) * noise)
    return model


def load(asked: dict, folder):
    auto, _ = CLASSES[asked["head"]]
    model = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.name_or_path = folder.name
    return model.eval()


def batch(asked: dict) -> dict:
    """Rows padded on the right; of spans in rows of one length, since transformers lets padding take part in them."""
    g = torch.Generator().manual_seed(asked["seed"] + 1)
    lengths = (20, 20) if asked["head"] == "span" else LENGTHS
    longest = max(lengths)
    pad = asked["config"].get("pad_token_id", 0)
    ids = torch.randint(4, SIZES["vocab_size"], (len(lengths), longest), generator=g)
    mask = torch.tensor([[1] * n + [0] * (longest - n) for n in lengths])
    ids[mask == 0] = pad
    rows = {"input_ids": ids, "attention_mask": mask}
    if asked["config"]["model_type"] == "bert":
        rows["token_type_ids"] = torch.tensor([[int(n // 2 <= i < n) for i in range(longest)] for n in lengths])
    if asked["head"] == "sequence":
        rows["labels"] = torch.randint(LABELS, (len(lengths),), generator=g)
    if asked["head"] == "tokens":
        labels = torch.randint(LABELS, ids.shape, generator=g)
        labels[(mask == 0) | (torch.rand(ids.shape, generator=g) < 0.3)] = IGNORE
        rows["labels"] = labels
    if asked["head"] == "span":
        rows["start_positions"] = torch.tensor([3, 11])
        rows["end_positions"] = torch.tensor([5, 11])
    return rows


def answer(asked: dict, model, rows: dict):
    """Logits [N, L], [N, T, L] or hidden states [N, T, D], and the loss (of an embedding the mean square)."""
    # PEFT's class for spans leaves token types out on the way to the model.
    isPeftSpan = asked["head"] == "span" and isinstance(model, PeftModel)
    out = (model.base_model if isPeftSpan else model)(**rows)
    if asked["head"] == "span":
        return torch.stack([out.start_logits, out.end_logits], -1), out.loss
    if asked["head"] == "embedding":
        mask = rows["attention_mask"][..., None].float()
        mean = (out.last_hidden_state * mask).sum(1) / mask.sum(1)
        return mean, mean.square().mean()
    return out.logits, out.loss


def otherLosses(model, rows: dict) -> dict:
    """The losses of several labels at once, and of numbers, which the type of the labels and the config decide."""
    if "labels" not in rows or rows["labels"].dim() != 1:
        return {}
    inputs = {key: value for key, value in rows.items() if key != "labels"}
    several = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    numbers = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.25, 1.0], [-2.0, 1.0, 0.125]])
    losses = {}
    for name, labels, kind in (
        ("multi", several, "multi_label_classification"),
        ("regression", numbers, "regression"),
    ):
        model.config.problem_type = kind
        losses[name] = model(**inputs, labels=labels).loss.item()
    model.config.problem_type = None
    return losses


def makeVariant(name: str) -> None:
    asked = json.loads((HOME / f"{name}.json").read_text())
    folder = HOME / name
    seed = asked["seed"]
    buildModel(asked).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    (folder / "generation_config.json").unlink(missing_ok=True)
    rows = batch(asked)
    torch.manual_seed(seed + 2)
    task = CLASSES[asked["head"]][1]
    targets = asked.get("targets", "all-linear")
    lora = LoraConfig(task_type=task, r=2, lora_alpha=4, target_modules=targets)
    peft = get_peft_model(load(asked, folder), lora)
    with torch.no_grad():
        for key, p in peft.named_parameters():
            if "lora_B" in key:
                p.normal_(0, 0.2)
            elif p.requires_grad and "modules_to_save" in key:
                p.add_(torch.randn_like(p) * 0.1)
    savePeft(peft, folder / "adapter")
    peft = PeftModel.from_pretrained(load(asked, folder), folder / "adapter", is_trainable=True).eval()
    adapted, loss = answer(asked, peft, rows)
    loss.backward()
    base = load(asked, folder)
    plain, baseLoss = answer(asked, base, rows)
    baseLoss.backward()
    gradients = {
        f"grad.{key.replace('.modules_to_save.default', '').replace('.default', '')}": p.grad
        for key, p in peft.named_parameters()
        if p.requires_grad and p.grad is not None
    }
    tensors = {
        **{key: value.int() for key, value in rows.items()},
        "base.logits": plain,
        "adapter.logits": adapted,
        **gradients,
    }
    writeTensors(folder / "answers.safetensors", tensors, "encoders.py")
    norms = gradNorms((key, p) for key, p in base.named_parameters() if p.grad is not None)
    writeJson(
        folder / "answers.json",
        {
            "madeBy": madeBy("encoders.py"),
            "base": {"loss": baseLoss.item(), "gradNorms": norms, **otherLosses(base, rows)},
            "adapter": {"loss": loss.item()},
        },
    )
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{name}: loss {baseLoss:.4f}, with adapter {loss:.4f}, {len(gradients)} gradients, {size // 1024} KiB")


if __name__ == "__main__":
    setUp()
    for name in sys.argv[1:] or sorted(file.stem for file in HOME.glob("*.json")):
        shutil.rmtree(HOME / name, ignore_errors=True)
        makeVariant(name)
