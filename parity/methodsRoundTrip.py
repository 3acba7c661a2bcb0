"""Does real PEFT read what Lowrank trained by the other methods, and is its loss the same?

    methodsRoundTrip.py        wants the built command line (pnpm build)

Lowrank trains a tiny Llama by prompt tuning, prefix tuning and BitFit and evaluates what it saved; PEFT loads the
folder and evaluates the same rows. A line of JSON for each; exit code 1 where losses
differ by more than a millionth.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from common import GOLDEN, IGNORE, setUp
from llamaParts import encodeRow, loadModel, makeTokenizer
from peft import PeftModel

CLI = GOLDEN.parents[1] / "packages/lowrank/dist/cli.js"
DATA = GOLDEN / "llama/train/rows.jsonl"
RUNS = [
    ("prompt", "tied", ["--virtual-tokens", "5"]),
    ("prompt", "tied", ["--virtual-tokens", "5", "--prompt-init-text", "ada of rome"]),
    ("prefix", "tied", ["--virtual-tokens", "5"]),
    ("bitfit", "tied", []),
    ("bitfit", "bias", []),
    ("bitfit", "tied", ["--target-modules", "v_proj"]),
]


def lowrank(*argv) -> dict:
    ran = subprocess.run(["node", CLI, *argv, "--device", "cpu", "--json"], check=True, capture_output=True, text=True)
    return json.loads(ran.stdout.splitlines()[-1])


def lossOf(model, rows: list[dict]) -> float:
    """Over the labels of each row's own tokens, the first one not among them."""
    total, count = 0.0, 0
    for row in rows:
        ids, labels = torch.tensor([row["ids"]]), torch.tensor(row["labels"])[1:]
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -ids.shape[1] :][:-1]
        total += F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum").item()
        count += int((labels != IGNORE).sum())
    return total / count


if __name__ == "__main__":
    setUp()
    rows = [encodeRow(makeTokenizer(), json.loads(line)) for line in DATA.read_text().splitlines()]
    worst = 0.0
    for method, base, flags in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            shared = ["--model", GOLDEN / "llama" / base, "--data", DATA]
            lowrank(
                "train",
                *shared,
                "--output",
                folder,
                "--method",
                method,
                "--steps",
                "8",
                "--learning-rate",
                "0.05",
                *flags,
            )
            ours = lowrank("eval", *shared, "--adapter", folder)["loss"]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = lossOf(
                    PeftModel.from_pretrained(loadModel(GOLDEN / "llama" / base), Path(folder)).eval(), rows
                )
        worst = max(worst, abs(ours / theirs - 1))
        print(json.dumps({"method": method, "base": base, "flags": flags, "lowrank": ours, "peft": theirs}))
    sys.exit(0 if worst < 1e-6 else 1)
