"""Prints Σ log p of answers after prompts, EOS included, as transformers computes them with the tiny llama: the numbers
in packages/lowrank/src/jobs/scoreLabels.test.ts.

    python parity/labelLikelihoods.py
"""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL = Path(__file__).parent / "golden" / "llama" / "tied"
LABELS = ["a tailor.", "the mayor.", "a drummer in the band."]
PROMPTS = ["name: fritz | town: rome\n", "name: gus | town: turin\n", "name: enid | town: lund\n"]


def main() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    for prompt in PROMPTS:
        before = len(tokenizer(prompt).input_ids)
        sums = []
        for label in LABELS:
            ids = tokenizer(prompt + label + tokenizer.eos_token).input_ids
            with torch.no_grad():
                logps = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            sums.append(sum(logps[at - 1, ids[at]].item() for at in range(before, len(ids))))
        print(prompt.strip(), [round(value, 4) for value in sums])


if __name__ == "__main__":
    main()
