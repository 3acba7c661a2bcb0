"""What imageRoundTrip.mjs trained and merged, loaded by PEFT and by transformers alone, then changed and saved by PEFT:
imageRoundTrip.py JOBS.json
"""

import json
import sys
import warnings
from pathlib import Path

# This folder goes last on the path: a script here may be called like a library.
sys.path.append(sys.path.pop(0))

import torch  # noqa: E402
from peft import PeftModel, get_peft_model_state_dict  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import AutoImageProcessor, AutoModelForImageClassification  # noqa: E402
from transformers.utils import logging  # noqa: E402

warnings.simplefilter("ignore")
logging.disable_progress_bar()


def load(folder: str, labels: int):
    """The base has three labels and the data as many, so no head is made anew."""
    model, info = AutoModelForImageClassification.from_pretrained(folder, output_loading_info=True)
    wrong = {key: sorted(map(str, value)) for key, value in info.items() if value and key != "error_msgs"}
    if wrong or model.config.num_labels != labels:
        raise ValueError(f"{folder}: {wrong}, {model.config.num_labels} labels")
    return model.eval()


def pixelsOf(job: dict) -> torch.Tensor:
    processor = AutoImageProcessor.from_pretrained(job["model"], use_fast=False)
    home = Path(job["data"]).parent
    paths = [json.loads(line)["image"] for line in Path(job["data"]).read_text().splitlines()]
    return torch.cat([processor(Image.open(home / path), return_tensors="pt")["pixel_values"] for path in paths])


@torch.no_grad()
def logitsOf(model, pixels: torch.Tensor) -> list:
    return model(pixel_values=pixels).logits.tolist()


for job in json.loads(Path(sys.argv[1]).read_text()):
    labels, pixels = len(job["logits"][0]), pixelsOf(job)
    peft = PeftModel.from_pretrained(load(job["model"], labels), job["adapter"], is_trainable=True).eval()
    held, file = get_peft_model_state_dict(peft), load_file(Path(job["adapter"]) / "adapter_model.safetensors")
    if held.keys() != file.keys() or not all(torch.equal(held[key], value) for key, value in file.items()):
        raise ValueError(f"{job['name']}: keys or values differ: {sorted(held.keys() ^ file.keys())}")
    answers = {"adapter": logitsOf(peft, pixels), "merged": logitsOf(load(job["merged"], labels), pixels)}
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in peft.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    peft.save_pretrained(job["back"])
    Path(job["answers"]).write_text(json.dumps({**answers, "changed": logitsOf(peft, pixels)}))
