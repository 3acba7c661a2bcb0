"""What transformers' logits processors leave of logits, and greedy text with a repetition penalty ->
golden/generation.json.

Each case: f32 `logits` [rows, V], `seen` (ids of each row's text so far), `settings`, and for each row `kept` ids and
their `probabilities` in f64.
`penalized` greedy texts are those of the golden Llama `tied`.
"""

import torch
from common import GOLDEN, madeBy, setUp, writeJson
from llamaParts import HOME, loadModel
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

SETTINGS = [
    {},
    {"temperature": 0.7},
    {"repetitionPenalty": 1.5},
    {"repetitionPenalty": 0.6, "temperature": 1.3},
    {"topK": 1},
    {"topK": 5, "temperature": 0.5},
    {"topK": 1000},
    {"topP": 0.9},
    {"topP": 0.3, "temperature": 2.0},
    {"topP": 0.01},
    {"minP": 0.1},
    {"minP": 0.5, "temperature": 0.6},
    {"topK": 12, "topP": 0.8, "temperature": 0.9},
    {"topK": 20, "topP": 0.95, "minP": 0.05, "temperature": 1.4, "repetitionPenalty": 1.2},
]


def processors(settings: dict) -> LogitsProcessorList:
    """In the order of transformers' generate: `_get_logits_processor` of transformers 5."""
    made = LogitsProcessorList()
    if "repetitionPenalty" in settings:
        made.append(RepetitionPenaltyLogitsProcessor(settings["repetitionPenalty"]))
    if "temperature" in settings:
        made.append(TemperatureLogitsWarper(settings["temperature"]))
    if "topK" in settings:
        made.append(TopKLogitsWarper(settings["topK"]))
    if "topP" in settings:
        made.append(TopPLogitsWarper(settings["topP"]))
    if "minP" in settings:
        made.append(MinPLogitsWarper(settings["minP"]))
    return made


def case(settings: dict, logits: torch.Tensor, seen: torch.Tensor) -> dict:
    scores = processors(settings)(seen, logits.double())
    rows = []
    for row in scores:
        kept = torch.isfinite(row).nonzero()[:, 0]
        rows.append({"kept": kept.tolist(), "probabilities": torch.softmax(row, -1)[kept].tolist()})
    return {"settings": settings, "rows": rows}


def penalized(penalty: float) -> list[dict]:
    model = loadModel(HOME / "tied")
    texts = []
    for promptIds in [[1], [1, 20, 31, 40, 20], [1, 5, 6, 7, 8, 9, 10, 11]]:
        out = model.generate(
            torch.tensor([promptIds]),
            do_sample=False,
            max_new_tokens=24,
            repetition_penalty=penalty,
            eos_token_id=None,
            pad_token_id=0,
        )
        texts.append({"promptIds": promptIds, "repetitionPenalty": penalty, "ids": out[0, len(promptIds) :].tolist()})
    return texts


if __name__ == "__main__":
    setUp()
    g = torch.Generator().manual_seed(77)
    logits = (3 * torch.randn(3, 61, generator=g)).float()
    seen = torch.randint(0, 61, (3, 9), generator=g)
    cases = [case(settings, logits, seen) for settings in SETTINGS]
    texts = penalized(1.3) + penalized(0.8)
    writeJson(
        GOLDEN / "generation.json",
        {
            "madeBy": madeBy("generation.py"),
            "logits": logits.tolist(),
            "seen": seen.tolist(),
            "cases": cases,
            "penalized": texts,
        },
        indent=None,
    )
    print(f"generation: {len(cases)} cases, {len(texts)} texts")
