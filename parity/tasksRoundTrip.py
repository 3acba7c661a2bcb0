"""Does real PEFT read what Lowrank trained for tasks, and say the same?

    tasksRoundTrip.py        wants the built command line (pnpm build)

Lowrank trains a tiny BERT three steps for each task by each method that PEFT has and predicts the rows; PEFT loads the
folder and answers them. A line of JSON for each; exit code 1 where a logit or a number of an embedding differs by more
than a millionth, where an answer is another one, or where PEFT would save other keys.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from common import GOLDEN, setUp
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

CLI = GOLDEN.parents[1] / "packages/lowrank/dist/cli.js"
MODEL = GOLDEN / "tasks/model"
CLASSES = {
    "text-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
    "question-answering": AutoModelForQuestionAnswering,
    "feature-extraction": AutoModel,
}
METHODS = {"lora": [], "ia3": [], "prompt": ["--virtual-tokens", "3"], "prefix": ["--virtual-tokens", "3"]}


def lowrank(*argv) -> list[dict]:
    ran = subprocess.run(["node", CLI, *argv, "--device", "cpu", "--json"], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def pairs(folder: Path) -> Path:
    rows = [json.loads(line) for line in (GOLDEN / "tasks/text-classification/train.jsonl").read_text().splitlines()]
    path = folder / "pairs.jsonl"
    path.write_text("\n".join(json.dumps({"text": row["text"], "text_pair": row["label"]}) for row in rows[:8]))
    return path


def said(task: str, model, tokenizer, row: dict) -> list[float] | str:
    """What PEFT's model says of a row, in the form of `own`."""
    if task == "text-classification":
        return model(**tokenizer(row["text"], return_tensors="pt")).logits[0].tolist()
    if task == "token-classification":
        encoded = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
        words = encoded.word_ids(0)
        logits = model(**encoded).logits[0].tolist()
        logits = logits[len(logits) - len(words) :]
        return sum((logits[words.index(at)] for at in range(len(row["tokens"]))), [])
    if task == "feature-extraction":
        encoded = tokenizer(row["text"], return_tensors="pt")
        states = model(**encoded).last_hidden_state[0][-encoded["input_ids"].shape[1] :]
        return torch.nn.functional.normalize(states.mean(0), dim=0).tolist()
    encoded = tokenizer(row["question"], row["context"], return_tensors="pt", return_offsets_mapping=True)
    offsets, parts = encoded.pop("offset_mapping")[0], encoded.sequence_ids(0)
    # PEFT's class for questions drops token types; the model within it does not.
    output = model.base_model.model(**encoded)
    context = [at for at, part in enumerate(parts) if part == 1]
    spans = [(a, b) for a in context for b in context if a <= b < a + 30]
    first, last = max(spans, key=lambda span: (output.start_logits[0][span[0]] + output.end_logits[0][span[1]]).item())
    return row["context"][offsets[first][0] : offsets[last][1]]


def own(task: str, prediction: dict) -> list[float] | str:
    if task == "token-classification":
        return sum(prediction["logits"], [])
    return prediction[{"feature-extraction": "embedding", "question-answering": "answer"}.get(task, "logits")]


def roundTrip(task: str, method: str, folder: Path) -> dict:
    data = pairs(folder) if task == "feature-extraction" else GOLDEN / "tasks" / task / "train.jsonl"
    adapter = folder / f"{task}-{method}"
    lowrank(
        *["train", "--task", task, "--model", MODEL, "--data", data, "--output", adapter, "--method", method],
        *["--steps", "3", "--batch-size", "4", "--learning-rate", "0.02", *METHODS[method]],
    )
    predictions = lowrank("predict", "--model", MODEL, "--adapter", adapter, "--data", data)
    labels = json.loads((adapter / "task.json").read_text()).get("id2label")
    kwargs = {} if labels is None else {"num_labels": len(labels)}
    model = PeftModel.from_pretrained(CLASSES[task].from_pretrained(MODEL, **kwargs), adapter).eval()
    keys = get_peft_model_state_dict(model).keys() ^ load_file(adapter / "adapter_model.safetensors").keys()
    result = {"task": task, "method": method, "keys": sorted(keys), "worst": 0.0}
    # PEFT's class is the only way through virtual tokens.
    if task == "question-answering" and method in ("prompt", "prefix"):
        return result
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    for row, prediction in zip(map(json.loads, data.read_text().splitlines()), predictions, strict=True):
        theirs, ours = said(task, model, tokenizer, row), own(task, prediction)
        worst = float(theirs != ours) if isinstance(ours, str) else max(abs(a - b) for a, b in zip(theirs, ours))
        result["worst"] = max(result["worst"], worst)
    return result


if __name__ == "__main__":
    setUp()
    warnings.simplefilter("ignore")
    isRight = True
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for task in CLASSES:
            for method in METHODS:
                result = roundTrip(task, method, Path(folder))
                print(json.dumps(result), flush=True)
                isRight = isRight and not result["keys"] and result["worst"] < 1e-6
    sys.exit(0 if isRight else 1)
