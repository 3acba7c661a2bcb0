"""PyTorch's time for one LoRA training step on the CPU: the line that `pnpm bench` prints beside ours.

    pytorchStep.py --model DIR (--tokens FILE.json | --data FILE.jsonl) [--batch-size 8] [--r 8] [--steps 10] [--threads
    N]

transformers + PEFT where both are installed, else plainLlama.py (or --plain). FILE.json is a list of
{"ids", "labels"} (labels[i] belongs to ids[i], -100 is ignored), so that both sides train on the same tokens;
with --data alone the rows are tokenized here, which needs `tokenizers`. Rows are taken in order, wrapping, and padded
to the longest of their batch, as PyTorch users do. A step is zero_grad, forward, loss, backward, clipping and AdamW
over
LoRA on every linear layer; tokens_per_second counts real tokens, not padding. One JSON line on stdout.
"""

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from pathlib import Path

# This folder goes last on the path: a script here may be called like a library.
sys.path.append(sys.path.pop(0))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

IGNORE = -100


def tokenize(model: str, file: str) -> list[dict]:
    """BOS if the tokenizer adds one, prompt + completion as one text, EOS; labels on completion and EOS."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
    eos = json.loads((Path(model) / "config.json").read_text())["eos_token_id"]
    rows = []
    for line in Path(file).read_text().splitlines():
        row = json.loads(line)
        prompt = row.get("prompt", "")
        ids = tokenizer.encode(prompt + row.get("completion", row.get("text", ""))).ids + [eos]
        masked = len(tokenizer.encode(prompt).ids) if "prompt" in row else 0
        rows.append({"ids": ids, "labels": [IGNORE] * masked + ids[masked:]})
    return rows


def padded(rows: list[dict]) -> tuple:
    longest = max(len(row["ids"]) for row in rows)
    gaps = [longest - len(row["ids"]) for row in rows]
    ids = torch.tensor([row["ids"] + [0] * n for row, n in zip(rows, gaps)])
    mask = torch.tensor([[1] * (longest - n) + [0] * n for n in gaps])
    labels = torch.tensor([row["labels"] + [IGNORE] * n for row, n in zip(rows, gaps)])
    return ids, mask, labels


def build(args) -> tuple:
    """(library, callable from ids and mask to logits, trained parameters)."""
    torch.manual_seed(0)
    installed = all(importlib.util.find_spec(name) for name in ["transformers", "peft"])
    if args.plain or not installed:
        from plainLlama import PlainLlama

        plain = PlainLlama(args.model, args.r, args.alpha)
        return "plain PyTorch", plain, list(plain.parameters())
    import peft
    import transformers

    base = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    model = peft.get_peft_model(
        base, peft.LoraConfig(task_type="CAUSAL_LM", r=args.r, lora_alpha=args.alpha, target_modules="all-linear")
    )
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    library = f"transformers {transformers.__version__}, peft {peft.__version__}"
    return library, lambda ids, mask: model(input_ids=ids, attention_mask=mask, use_cache=False).logits, trained


def measure(args) -> dict:
    torch.set_num_threads(args.threads)
    rows = json.loads(Path(args.tokens).read_text()) if args.tokens else tokenize(args.model, args.data)
    rows = rows["rows"] if isinstance(rows, dict) else rows
    library, forward, trained = build(args)
    optimizer = torch.optim.AdamW(trained, lr=args.learning_rate, weight_decay=0.0)
    times, tokens, slots, losses = [], [], [], []
    for step in range(args.warmup + args.steps):
        ids, mask, labels = padded([rows[(step * args.batch_size + i) % len(rows)] for i in range(args.batch_size)])
        start = time.perf_counter()
        optimizer.zero_grad()
        logits = forward(ids, mask)[:, :-1]
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=IGNORE)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(loss.item())
        if step >= args.warmup:
            times.append((time.perf_counter() - start) * 1000)
            tokens.append(int(mask.sum()))
            slots.append(ids.numel())
    return {
        "ms_per_step": round(statistics.median(times), 3),
        "tokens_per_second": round(sum(tokens) / sum(times) * 1000, 1),
        "tokens": sum(tokens),
        "padded_tokens": sum(slots),
        "steps": args.steps,
        "warmup": args.warmup,
        "batch_size": args.batch_size,
        "r": args.r,
        "trained_parameters": sum(p.numel() for p in trained),
        "first_loss": losses[0],
        "final_loss": losses[-1],
        "torch": torch.__version__,
        "library": library,
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data")
    parser.add_argument("--tokens")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--r", type=int, default=8)
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--plain", action="store_true", help="plainLlama.py even where transformers and PEFT are installed"
    )
    args = parser.parse_args()
    args.alpha = args.alpha or args.r
    if not args.tokens and not args.data:
        parser.error("give --tokens or --data")
    print(json.dumps(measure(args)))
