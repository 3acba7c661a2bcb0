"""Random projections of a subspace, drawn and computed in plain Python and torch -> golden/subspace.json.

The tables of a subspace are functions of its seed, and its files hold z alone: what they draw must never change. Here
they are drawn anew, with Threefry-2x32-20 (Salmon et al. 2011), and P·z is computed in f64, the
Walsh-Hadamard transform by its butterflies.
"""

import math

import torch
from common import GOLDEN, madeBy, setUp, writeJson

M = 0xFFFFFFFF
# The sizes of the weights, one after another.
WEIGHTS = [12, 30, 5, 40]
CASES = [
    {"projection": "sparse", "dimension": 7, "entries": 1, "seed": 3},
    {"projection": "sparse", "dimension": 90, "entries": 2, "seed": 4000000000},
    {"projection": "sparse", "dimension": 1, "entries": 1, "seed": 0},
    {"projection": "fastfood", "dimension": 7, "entries": 1, "seed": 3},
    {"projection": "fastfood", "dimension": 64, "entries": 1, "seed": 11},
    {"projection": "fastfood", "dimension": 1, "entries": 1, "seed": 1},
]


def threefry(key: tuple, counter: tuple) -> tuple:
    schedule = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA]
    x, y = (counter[0] + key[0]) & M, (counter[1] + key[1]) & M
    for at in range(20):
        turn = [13, 15, 26, 6, 17, 29, 16, 24][at % 8]
        x = (x + y) & M
        y = (((y << turn) | (y >> (32 - turn))) & M) ^ x
        if at % 4 == 3:
            block = (at + 1) // 4
            x, y = (x + schedule[block % 3]) & M, (y + schedule[(block + 1) % 3] + block) & M
    return x, y


def shuffled(size: int, key: tuple, block: int) -> tuple:
    order, bits = list(range(size)), [0] * size
    for at in reversed(range(size)):
        word, other = threefry(key, (block, at))
        place = word * (at + 1) >> 32
        order[at], order[place] = order[place], order[at]
        bits[at] = other & 1
    return order, bits


def sparse(z: torch.Tensor, seed: int, entries: int) -> torch.Tensor:
    d, size = len(z), sum(WEIGHTS)
    result = torch.zeros(size, dtype=torch.float64)
    for copy in range(entries):
        for block in range(math.ceil(size / d)):
            order, bits = shuffled(d, (seed, 0x5B5A0000 + copy), block)
            for at in range(min(d, size - block * d)):
                result[block * d + at] += (-1 if bits[at] else 1) * z[order[at]] / math.sqrt(entries)
    return result


def hadamard(x: torch.Tensor) -> torch.Tensor:
    half = 1
    while half < len(x):
        pairs = x.reshape(-1, 2, half)
        x = torch.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], dim=1).reshape(-1)
        half *= 2
    return x


def gaussian(n: int, key: tuple, block: int) -> torch.Tensor:
    values = []
    for at in range(0, n, 2):
        first, second = threefry(key, (block, at))
        radius, angle = math.sqrt(-2 * math.log((first + 0.5) / 2**32)), 2 * math.pi * second / 2**32
        values += [radius * math.cos(angle), radius * math.sin(angle)]
    return torch.tensor(values[:n], dtype=torch.float64)


def fastfood(z: torch.Tensor, seed: int) -> torch.Tensor:
    d, pieces = len(z), []
    n = 2 ** math.ceil(math.log2(d))
    for index, size in enumerate(WEIGHTS):
        key = lambda which: (seed, 0x0FA57000 + 4 * index + which)  # noqa: B023, E731
        blocks = []
        for block in range(math.ceil(size / n)):
            signs = torch.tensor(
                [-1.0 if threefry(key(0), (block, at))[0] >> 31 else 1.0 for at in range(n)], dtype=torch.float64
            )
            g = gaussian(n, key(1), block)
            order, _ = shuffled(n, key(2), block)
            mixed = hadamard(signs * torch.nn.functional.pad(z, (0, n - d)))
            blocks.append(hadamard(mixed[order] * g) / torch.sqrt(d * (g**2).sum()))
        pieces.append(torch.cat(blocks)[:size])
    return torch.cat(pieces)


setUp()
torch.manual_seed(17)
answers = []
for case in CASES:
    z = torch.randn(case["dimension"])
    moved = (
        sparse(z.double(), case["seed"], case["entries"])
        if case["projection"] == "sparse"
        else fastfood(z.double(), case["seed"])
    )
    answers.append({**case, "z": z.tolist(), "moved": moved.tolist()})
writeJson(
    GOLDEN / "subspace.json", {"madeBy": madeBy("subspace.py"), "weights": WEIGHTS, "cases": answers}, indent=None
)
