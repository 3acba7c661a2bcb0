"""Writes the goldens that packages/data compares its packing with: what TRL's pack_dataset makes of some lengths.

    python parity/packing.py

Needs trl, which parity/requirements.txt does not ask for.
"""

import importlib.metadata
import json
import pathlib
import random
import sys

# A script's own folder goes last on the path: a script here may be called like a library.
sys.path.append(sys.path.pop(0))

from datasets import Dataset, disable_progress_bars  # noqa: E402
from trl import pack_dataset  # noqa: E402

OUT = pathlib.Path(__file__).parent / "golden" / "packing.json"
disable_progress_bars()


def pack(lengths, capacity, strategy):
    """Bins of [document, start, end]: each token carries its document and its place as one number."""
    rows = [[document * 1_000_000 + i for i in range(length)] for document, length in enumerate(lengths)]
    packed = pack_dataset(Dataset.from_dict({"input_ids": rows}), seq_length=capacity, strategy=strategy)
    bins = []
    for ids in packed["input_ids"]:
        pieces = []
        for token in ids:
            document, place = divmod(token, 1_000_000)
            if pieces and pieces[-1][0] == document:
                pieces[-1][2] = place + 1
            else:
                pieces.append([document, place, place + 1])
        bins.append(pieces)
    return bins


rng = random.Random(7)
inputs = [([5, 2, 3, 1], 4), ([], 4), ([0, 3, 0], 2), ([1] * 9, 4), ([40, 33, 31, 2, 32, 64, 65, 1], 64)]
inputs += [
    ([rng.randint(0, 90) for _ in range(n)], capacity)
    for n, capacity in [(30, 64), (60, 97), (40, 33), (25, 1), (80, 200)]
]
cases = []
for lengths, capacity in inputs:
    if not lengths:
        continue
    cases.append(
        {
            "lengths": lengths,
            "capacity": capacity,
            "bestFit": pack(lengths, capacity, "bfd"),
            "wrapped": pack(lengths, capacity, "wrapped"),
        }
    )

head = {"library": f"trl {importlib.metadata.version('trl')}", "script": "parity/packing.py"}
OUT.write_text(json.dumps({**head, "cases": cases}, separators=(",", ":")) + "\n")
print(f"{OUT.name}: {len(cases)} cases, {OUT.stat().st_size} bytes")
