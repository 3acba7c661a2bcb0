"""Learning-rate factors of transformers' schedules -> golden/schedule.json.

`values[k]` is the rate of optimizer step k + 1 at a base rate of 1, so values[0] is 0 wherever there is a warmup.
"""

import torch
from common import GOLDEN, madeBy, setUp, writeJson
from transformers import (
    get_constant_schedule_with_warmup,
    TrainingArguments,
    get_cosine_schedule_with_warmup,
    get_cosine_with_hard_restarts_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
    get_wsd_schedule,
)

MAKERS = {
    "constant": lambda o, warmup, steps: get_constant_schedule_with_warmup(o, warmup),
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
    "cosine_with_min_lr": lambda o, warmup, steps, minLearningRateRatio: get_cosine_with_min_lr_schedule_with_warmup(
        o, warmup, steps, min_lr_rate=minLearningRateRatio
    ),
    "cosine_with_restarts": lambda o, warmup, steps, cycles: get_cosine_with_hard_restarts_schedule_with_warmup(
        o, warmup, steps, num_cycles=cycles
    ),
    "warmup_stable_decay": lambda o, warmup, steps, decaySteps, minLearningRateRatio: get_wsd_schedule(
        o, warmup, decaySteps, num_training_steps=steps, min_lr_ratio=minLearningRateRatio
    ),
    "inverse_sqrt": lambda o, warmup, steps: get_inverse_sqrt_schedule(o, warmup),
}
OPTIONS = {
    "cosine_with_min_lr": [{"minLearningRateRatio": 0.1}, {"minLearningRateRatio": 0.35}],
    "cosine_with_restarts": [{"cycles": 1}, {"cycles": 3}],
    "warmup_stable_decay": [
        {"decaySteps": 2, "minLearningRateRatio": 0.0},
        {"decaySteps": 5, "minLearningRateRatio": 0.2},
    ],
}


def warmupSteps(share: float, steps: int) -> int:
    arguments = TrainingArguments(warmup_steps=share, use_cpu=True, report_to=[])
    return arguments.get_warmup_steps(steps)


def rates(schedule: str, warmup: int, steps: int, **options) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = MAKERS[schedule](optimizer, warmup, steps, **options)
    values = []
    for _ in range(steps):
        values.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return values


if __name__ == "__main__":
    setUp()
    pairs = [(0, 1), (0, 7), (3, 12), (1, 5), (10, 40), (5, 5), (8, 4)]
    cases = [
        {"schedule": s, "warmup": w, "steps": n, "options": options, "values": rates(s, w, n, **options)}
        for s in MAKERS
        for w, n in pairs
        for options in OPTIONS.get(s, [{}])
        if options.get("decaySteps", 0) + w <= n
    ]
    shares = [(0.1, 40), (0.03, 100), (0.5, 7), (0.999, 10), (0.25, 3), (0.0, 5), (2.0, 9)]
    warmups = [{"warmup": share, "steps": n, "value": warmupSteps(share, n)} for share, n in shares]
    value = {"madeBy": madeBy("goldenSchedule.py"), "cases": cases, "warmups": warmups}
    writeJson(GOLDEN / "schedule.json", value, indent=None)
    print(f"schedule: {len(cases)} cases")
