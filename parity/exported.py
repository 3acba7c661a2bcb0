"""A run that `lowrank export --to trl` wrote, run by TRL on the CPU, beside Lowrank's own: the first losses.

    pnpm build && python parity/exported.py MODEL ROWS.jsonl

Prints the largest relative difference of a loss over 20 steps, with accumulation, a warmup and a cosine; then evaluates
what TRL learned by Lowrank.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "packages/lowrank/dist/cli.js"
SETTINGS = {
    **{"device": "cpu", "steps": 20, "batch_size": 4, "gradient_accumulation": 2, "learning_rate": 2e-3},
    **{"schedule": "cosine", "warmup": 4, "r": 8, "alpha": 16, "target_modules": "all-linear", "max_length": 256},
}


def lowrank(*argv: str) -> str:
    return subprocess.run(["node", str(PROGRAM), *argv], check=True, capture_output=True, text=True).stdout


def main(model: str, data: str) -> None:
    with tempfile.TemporaryDirectory() as work:
        tuned, exported, run = Path(work) / "tuned", Path(work) / "trl", Path(work) / "run.json"
        run.write_text(json.dumps({**SETTINGS, "model": model, "data": data, "output": str(tuned)}))
        lowrank("train", str(run))
        lowrank("export", str(run), "--to", "trl", "--output", str(exported))
        subprocess.run([sys.executable, "train.py"], check=True, cwd=exported)
        lines = [json.loads(line) for line in (tuned / "metrics.jsonl").read_text().splitlines()]
        ours = [line["loss"] for line in lines if "loss" in line]
        log = json.loads((exported / "losses.json").read_text())
        theirs = [entry["loss"] for entry in log if "loss" in entry]
        off = [abs(mine / their - 1) for mine, their in zip(ours, theirs, strict=True)]
        print(f"loss: {theirs[0]:.4f} -> {theirs[-1]:.4f}, at most {max(off):.1e} off")
        for adapter in (tuned, exported / "tuned"):
            flags = ["--model", model, "--adapter", str(adapter), "--data", data, "--max-length", "256", "--json"]
            print(json.loads(lowrank("eval", *flags).splitlines()[-1])["loss"])


if __name__ == "__main__":
    main(*sys.argv[1:3])
