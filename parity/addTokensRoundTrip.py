"""Does PEFT read what Lowrank trained over added tokens, with transformers' ids and Lowrank's loss?

    addTokensRoundTrip.py        wants the built command line (pnpm build)

Lowrank adds tokens to tiny Llamas, trains, and evaluates what it saved; transformers reads the adapter's tokenizer and
resizes the base, PEFT loads the folder, and both evaluate the same rows. Merged and fully trained folders are read by
transformers alone. A line of JSON for each; exit code 1 where ids or losses differ.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from common import GOLDEN, setUp
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

CLI = GOLDEN.parents[1] / "scripts/lowrank.mjs"
ROWS = ["one <a> two <b>", "three<b><a>four", "five"]
RUNS = [
    ("tied", ["--target-modules", "q_proj,v_proj"]),
    ("untied", ["--target-modules", "all-linear"]),
    ("tied", ["--trainable-tokens", "<a>,<b>"]),
    ("untied", ["--trainable-tokens", "<a>,<b>"]),
    ("untied", ["--modules-to-save", "embed_tokens,lm_head"]),
    ("tied", ["--modules-to-save", "embed_tokens", "--ensure-weight-tying"]),
    ("untied", ["--target-modules", "q_proj,embed_tokens,lm_head"]),
    ("tied", ["--method", "full"]),
    ("untied", ["--method", "full"]),
]


def lowrank(*argv) -> dict:
    ran = subprocess.run(["node", CLI, *argv, "--device", "cpu", "--json"], capture_output=True, text=True)
    if ran.returncode != 0:
        raise SystemExit(ran.stderr)
    return json.loads(ran.stdout.splitlines()[-1])


def lossOf(model, tokenizer) -> float:
    total, count = 0.0, 0
    for text in ROWS:
        ids = tokenizer(text)["input_ids"]
        ids = torch.tensor([[*ids, tokenizer.eos_token_id]])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, :-1]
        total += F.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        count += ids.shape[1] - 1
    return total / count


def main() -> float:
    setUp()
    worst = 0.0
    for base, flags in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            data, output, merged = Path(folder) / "rows.jsonl", Path(folder) / "output", Path(folder) / "merged"
            data.write_text("\n".join(json.dumps({"text": text}) for text in ROWS))
            model = GOLDEN / "llama" / base
            shared = ["--model", model, "--data", data, "--steps", "4", "--learning-rate", "0.05"]
            lowrank("train", *shared, "--add-tokens", "<a>,<b>", "--output", output, *flags)
            full = "full" in flags
            of = ["--model", output] if full else ["--model", model, "--adapter", output]
            ours = [lowrank("eval", *of, "--data", data)["loss"]]
            tokenizer = AutoTokenizer.from_pretrained(output)
            if full:
                theirs = [lossOf(AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32), tokenizer)]
            else:
                resized = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
                resized.resize_token_embeddings(len(tokenizer))
                theirs = [lossOf(PeftModel.from_pretrained(resized, output).eval(), tokenizer)]
                lowrank("merge", "--model", model, "--adapter", output, "--output", merged)
                ours.append(lowrank("eval", "--model", merged, "--data", data)["loss"])
                alone = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
                theirs.append(lossOf(alone.eval(), AutoTokenizer.from_pretrained(merged)))
            shown = lowrank("data", "--model", merged if not full else output, "--data", data)
            error = max(abs(a / b - 1) for a, b in zip(ours, theirs))
            worst = max(worst, error)
            found = {"base": base, "flags": flags, "ours": ours, "theirs": theirs, "error": error, "data": shown}
            print(json.dumps(found))
    return worst


if __name__ == "__main__":
    sys.exit(0 if main() < 1e-5 else 1)
