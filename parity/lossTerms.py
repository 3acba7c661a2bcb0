"""golden/lossTerms.json: cross-entropy with label smoothing and z-loss over an output projection, with its gradients.

Label smoothing is transformers' LabelSmoother, times the number of labels (a sum, as ours), and torch's, which agrees.
The z-loss is its formula (PaLM, arXiv:2204.02311): 1e-4 there, more here so that it shows.
"""

import torch
from common import GOLDEN, IGNORE, madeBy, setUp, writeJson
from transformers.trainer_pt_utils import LabelSmoother

CASES = [
    {"labelSmoothing": 0.1},
    {"zLoss": 0.01},
    {"labelSmoothing": 0.25, "zLoss": 0.05},
    {"labelSmoothing": 0.1, "zLoss": 0.01, "softcap": 3.0},
]
LABELS = [1, IGNORE, 70, 0, 3, 12]


def case(x, weight, options):
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    labels = torch.tensor(LABELS)
    logits = x @ weight.T
    if cap := options.get("softcap", 0):
        logits = cap * torch.tanh(logits / cap)
    epsilon = options.get("labelSmoothing", 0.0)
    count = (labels != IGNORE).sum()
    loss = count * LabelSmoother(epsilon=epsilon)({"logits": logits}, labels)
    theirs = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=epsilon, reduction="sum")
    assert torch.allclose(loss, theirs)
    z = torch.logsumexp(logits[labels != IGNORE], -1)
    loss = loss + options.get("zLoss", 0.0) * z.square().sum()
    loss.backward()
    return {
        "options": options,
        "loss": loss.item(),
        "ofX": x.grad.flatten().tolist(),
        "ofWeight": weight.grad.flatten().tolist(),
    }


if __name__ == "__main__":
    setUp()
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(6, 5, generator=generator).double()
    weight = torch.randn(71, 5, generator=generator).double()
    writeJson(
        GOLDEN / "lossTerms.json",
        {
            "madeBy": madeBy("lossTerms.py"),
            "labels": LABELS,
            "x": x.flatten().tolist(),
            "weight": weight.flatten().tolist(),
            "cases": [case(x, weight, options) for options in CASES],
        },
        indent=None,
    )
