"""What every golden script shares: where goldens lie, who made them, and how they are written.

One thread and deterministic algorithms, so that a second run writes the same bytes on the same machine.
"""

import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

# This folder goes last on the path: a script here may be called like a library.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

GOLDEN = Path(__file__).resolve().parent / "golden"
IGNORE = -100


def setUp() -> None:
    """Fixes threads and determinism; every script seeds its own generators."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def madeBy(script: str) -> dict:
    """Library versions and the script's name: the head of every golden JSON."""
    names = ["torch", "transformers", "peft", "tokenizers", "safetensors", "numpy"]
    versions = {name: importlib.metadata.version(name) for name in names}
    return {"script": f"parity/{script}", "python": platform.python_version(), **versions}


def writeJson(path: Path, value: object, indent: int | None = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=indent, sort_keys=False) + "\n")


def writeTensors(path: Path, tensors: dict, script: str) -> None:
    """Writes a safetensors file; one metadata key, since the library does not order several."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
    save_file(flat, path, metadata={"madeBy": json.dumps(madeBy(script))})
    path.chmod(0o644)
