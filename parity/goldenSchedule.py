"""Learning-rate factors of transformers' schedules -> golden/schedule.json.

`values[k]` is the rate of optimizer step k + 1 at a base rate of 1, so values[0] is 0 wherever there is a warmup.
"""

import torch
from common import GOLDEN, madeBy, setUp, writeJson
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

MAKERS = {
    "constant": lambda o, warmup, steps: get_constant_schedule_with_warmup(o, warmup),
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
}


def rates(schedule: str, warmup: int, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = MAKERS[schedule](optimizer, warmup, steps)
    values = []
    for _ in range(steps):
        values.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return values


if __name__ == "__main__":
    setUp()
    pairs = [(0, 1), (0, 7), (3, 12), (1, 5), (10, 40), (5, 5), (8, 4)]
    cases = [{"schedule": s, "warmup": w, "steps": n, "values": rates(s, w, n)} for s in MAKERS for w, n in pairs]
    writeJson(GOLDEN / "schedule.json", {"madeBy": madeBy("goldenSchedule.py"), "cases": cases}, indent=None)
    print(f"schedule: {len(cases)} cases")
