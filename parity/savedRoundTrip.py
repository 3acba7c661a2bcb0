"""What savedRoundTrip.mjs trained and merged, loaded by PEFT and by transformers alone: savedRoundTrip.py JOBS.json"""

import json
import sys
from pathlib import Path

from checkAdapter import compare, loadAdapter, loadBase, logitsOf

import torch

BOUND = 1e-4
failed = 0
for job in json.loads(Path(sys.argv[1]).read_text()):
    asked = json.loads(Path(job["logits"]).read_text())
    ours = torch.tensor(asked["logits"], dtype=torch.float32)
    adapted = compare(ours, logitsOf(loadAdapter(loadBase(job["model"]), job["adapter"]), asked))
    merged = compare(ours, logitsOf(loadBase(job["merged"]), asked))
    worst = max(adapted["maxError"], merged["maxError"], job["mergedHere"])
    failed += not (adapted["finite"] and worst <= BOUND)
    print(f"{job['name']}: adapter in PEFT {adapted['maxError']:.1e}, merged folder in transformers {merged['maxError']:.1e}, merged here {job['mergedHere']:.1e}", flush=True)
print("all agree" if failed == 0 else f"{failed} do not agree")
sys.exit(0 if failed == 0 else 1)
