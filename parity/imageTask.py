"""How transformers and PEFT train a tiny ViT on the images of golden/images: golden/imageTask. Ten steps of LoRA on the
projections of queries and values with the head: loss and gradient norm of each, evaluation before and after, and both
adapters as PEFT saves them. The model is golden/vision/vit with a preprocessor_config.json.
"""

import json
import shutil

import torch
from common import GOLDEN, madeBy, setUp, writeJson
from llamaParts import savePeft
from peft import LoraConfig, get_peft_model
from PIL import Image
from transformers import ViTForImageClassification, ViTImageProcessor

HOME = GOLDEN / "imageTask"
STEPS, BATCH, LR, CLIP = 10, 4, 5e-3, 0.5
LABELS = ["bird", "cat", "dog"]


def main() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    model = ViTForImageClassification.from_pretrained(
        GOLDEN / "vision" / "vit", id2label=dict(enumerate(LABELS)), label2id={name: i for i, name in enumerate(LABELS)}
    )
    model.save_pretrained(HOME / "model")
    (HOME / "model" / "model.safetensors").chmod(0o644)
    processor = ViTImageProcessor(size={"height": 8, "width": 12}, do_convert_rgb=True)
    processor.save_pretrained(HOME / "model")
    files = sorted(f.name for f in (GOLDEN / "images").iterdir() if f.suffix in (".png", ".jpg", ".webp"))
    rows = [{"image": f"../images/{name}", "label": LABELS[i * 7 % 3]} for i, name in enumerate(files)]
    (HOME / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pixels = torch.cat(
        [processor(Image.open(HOME / row["image"]), return_tensors="pt")["pixel_values"] for row in rows]
    )
    labels = torch.tensor([LABELS.index(row["label"]) for row in rows])
    torch.manual_seed(3)
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    model.name_or_path = "model"
    peft = get_peft_model(model, lora).eval()
    savePeft(peft, HOME / "adapter-initial")
    trained = [p for p in peft.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LR, weight_decay=0)
    loss = lambda at: peft(pixel_values=pixels[at], labels=labels[at]).loss
    whole = torch.arange(len(rows))
    with torch.no_grad():
        before = loss(whole).item()
    steps = []
    for step in range(STEPS):
        at = torch.arange(step * BATCH, (step + 1) * BATCH) % len(rows)
        value = loss(at)
        value.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        steps.append({"loss": value.item(), "norm": norm.item()})
    savePeft(peft, HOME / "adapter-final")
    with torch.no_grad():
        after = loss(whole).item()
        logits = peft(pixel_values=pixels).logits
    right = (logits.argmax(-1) == labels).float().mean().item()
    golden = {"learningRate": LR, "clip": CLIP, "batch": BATCH, "steps": steps}
    answers = {"before": before, "after": after, "accuracy": right, "logits": logits.tolist()}
    writeJson(HOME / "golden.json", {"madeBy": madeBy("imageTask.py"), **golden, **answers})
    print(f"{before:.4f} -> {after:.4f}, accuracy {right:.3f}")


if __name__ == "__main__":
    setUp()
    main()
