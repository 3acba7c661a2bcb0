"""Singular values of a dense update and of s·B·A, and the similarity of their subspaces, by torch ->
golden/spectrum.json.

Updates are stored in f32; everything is computed in f64. The similarity is that of Hu et al. (2021), section 7.2, for
left and right singular vectors.
"""

import torch
from common import GOLDEN, madeBy, setUp, writeJson

# out, in, rank, scaling, and how much of the full update is in the directions of the low-rank one.
CASES = [(7, 11, 3, 2.0, 0.5), (12, 6, 4, -0.5, 3.0), (9, 9, 2, 1.0, 0.0)]


def answers(matrix: torch.Tensor, count: int) -> dict:
    s = torch.linalg.svdvals(matrix)[:count]
    share = s / s.sum()
    return {
        "singularValues": s.tolist(),
        "norm": torch.linalg.matrix_norm(matrix).item(),
        "effectiveRank": torch.exp(-(share * share.log()).sum()).item(),
    }


def makeCase(out: int, inputs: int, rank: int, scaling: float, mixed: float) -> dict:
    a, b = torch.randn(rank, inputs), torch.randn(out, rank)
    delta = torch.randn(out, inputs) + mixed * (b @ a)
    full, lora = delta.double(), scaling * (b.double() @ a.double())
    (u1, _, v1), (u2, _, v2) = (torch.linalg.svd(matrix, full_matrices=False) for matrix in (full, lora))
    phi = lambda x, y, i, j: (torch.linalg.matrix_norm(x[:, :i].T @ y[:, :j]) ** 2 / min(i, j)).item()  # noqa: E731
    similarity = [
        {"i": i, "j": j, "left": phi(u1, u2, i, j), "right": phi(v1.T, v2.T, i, j)}
        for i in (1, 2, rank, rank + 2)
        for j in range(1, rank + 1)
    ]
    plain = lambda tensor: tensor.flatten().tolist()  # noqa: E731
    return {
        "out": out,
        "in": inputs,
        "rank": rank,
        "scaling": scaling,
        "delta": plain(delta),
        "a": plain(a),
        "b": plain(b),
        "full": answers(full, min(out, inputs)),
        "lora": answers(lora, rank),
        "similarity": similarity,
    }


setUp()
torch.manual_seed(31)
writeJson(
    GOLDEN / "spectrum.json",
    {"madeBy": madeBy("spectrum.py"), "cases": [makeCase(*case) for case in CASES]},
    indent=None,
)
