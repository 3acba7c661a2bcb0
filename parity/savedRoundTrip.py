"""What savedRoundTrip.mjs trained and merged, loaded by PEFT and by transformers alone: savedRoundTrip.py JOBS.json"""

import json
import sys
import warnings
from pathlib import Path

from checkAdapter import compare, loadBase, logitsOf

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers.utils import logging

BOUND = 1e-4
warnings.simplefilter("ignore")
logging.disable_progress_bar()


def loadAdapter(model, folder: str):
    """PEFT's from_pretrained; every key of the file has to be in the model with its value, and the reverse but for an
    adapted output projection's own weight, which Lowrank leaves to the model.
    """
    peft = PeftModel.from_pretrained(model, folder).eval()
    held, file = get_peft_model_state_dict(peft), load_file(Path(folder) / "adapter_model.safetensors")
    missing = {key for key in held.keys() ^ file.keys() if not key.endswith(".base_layer.weight")}
    if missing or not all(torch.equal(held[key], value) for key, value in file.items()):
        raise ValueError(f"{folder}: keys or values differ: {sorted(missing)}")
    return peft


failed = 0
for job in json.loads(Path(sys.argv[1]).read_text()):
    asked = json.loads(Path(job["logits"]).read_text())
    ours = torch.tensor(asked["logits"], dtype=torch.float32)
    adapted = compare(ours, logitsOf(loadAdapter(loadBase(job["model"]), job["adapter"]), asked))
    merged = compare(ours, logitsOf(loadBase(job["merged"]), asked))
    worst = max(adapted["maxError"], merged["maxError"], job["mergedHere"])
    failed += not (adapted["finite"] and worst <= BOUND)
    print(
        (
            f"{job['name']}: adapter in PEFT {adapted['maxError']:.1e}, merged folder in transformers "
            f"{merged['maxError']:.1e}, merged here {job['mergedHere']:.1e}"
        ),
        flush=True,
    )
print("all agree" if failed == 0 else f"{failed} do not agree")
sys.exit(0 if failed == 0 else 1)
