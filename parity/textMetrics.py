"""golden/textMetrics.json: ROUGE-1, ROUGE-2 and ROUGE-Lsum of Google's rouge_score (no stemmer, the best F1 over the
references), and corpus BLEU and chrF of sacrebleu with its defaults.

Needs rouge-score and sacrebleu (not in requirements.txt: nothing else does).
"""

import json
import os
import sys
from importlib.metadata import version

import sacrebleu
from rouge_score import rouge_scorer

HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = [
    (
        "Blue Spice is a coffee shop in the riverside area .",
        [
            "There is a coffee shop Blue Spice in the riverside area .",
            "At the riverside , there is a coffee shop called Blue Spice .",
        ],
    ),
    ("The cat sat.\nOn the mat it was.\n\nA dog!", ["A cat sat on the mat.\nThe dog was there."]),
    ("first line\nsecond line second line", ["second line\nfirst line line", "line\nline\nline"]),
    ("police killed the gunman", ["police kill the gunman", "the gunman killed police", "the gunman police killed"]),
    ("", ["something"]),
    ("something", [""]),
    ("...", ["!!!"]),
    ("the the the the", ["the cat the"]),
    ("Café Sicilia's 5/5 rating, £20-25 (3.5 km)", ["Cafe Sicilia s rating is 5 out of 5", "CAFÉ SICILIA'S, £20-25"]),
    ("x_y 12.5 km, 1,000.50 - 3-4 &quot;q&quot; &amp; co <skipped>", ["x y 12 5 KM, 1,000.5 – 3-4 \"q\" & co"]),
    ("straße İstanbul naïve 漢字かな交じり文 と", ["strasse istanbul naive 漢字とかな交じり文"]),
    ("emoji 👩‍👩‍👧 𝔘𝔫𝔦 \u00a0non\u3000breaking\u2028space\x1ctab\ufeff", ["emoji 👩‍👧 𝔘𝔫𝔦 non breaking space tab", "👩"]),
    ("Ωμέγα и кириллица, עברית", ["Ωμέγα, кириллица и עברית .", "ωμέγα"]),
    ("hyphen-\nated end-\n of 7-up and x-1", ["hyphenated end of 7-up and x-1"]),
    ("a b c d e f g", ["g f e d c b a"]),
    ("one two three four five six seven eight nine ten", ["one two three four five seven nine ten eleven"]),
    ("a", ["a"]),
    ("The quick brown fox jumps over the lazy dog.", ["The quick brown fox jumps over the lazy dog."]),
]
CORPORA = {
    "all": list(range(len(TEXTS))),
    "one reference each": [1, 7, 9, 10, 14, 15],
    "short texts": [4, 5, 16],
    "nothing in common": [6],
    "unusual characters": [8, 10, 11, 12, 13],
    "exact": [17],
    "too short": [15, 3, 2],
}


def corpus(rows):
    texts = [TEXTS[at] for at in rows]
    most = max(len(references) for _, references in texts)
    streams = [[(r[k] if k < len(r) else None) for _, r in texts] for k in range(most)]
    hypotheses = [text for text, _ in texts]
    return {
        "rows": rows,
        "bleu": sacrebleu.BLEU().corpus_score(hypotheses, streams).score / 100,
        "chrf": sacrebleu.CHRF().corpus_score(hypotheses, streams).score / 100,
    }


scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=False)
cases = [
    {
        "text": text,
        "references": references,
        **{
            # score_multi keeps the best reference of each type by F1.
            name: score.fmeasure
            for name, score in scorer.score_multi(references, text).items()
            if name != "rougeL"
        },
    }
    for text, references in TEXTS
]
value = {
    "madeBy": {
        "rouge_score": version("rouge_score"),
        "sacrebleu": version("sacrebleu"),
        "python": sys.version.split()[0],
        "script": "parity/textMetrics.py",
    },
    "cases": cases,
    "corpora": [{"name": name, **corpus(rows)} for name, rows in CORPORA.items()],
}
with open(os.path.join(HERE, "golden/textMetrics.json"), "w") as file:
    json.dump(value, file, indent=1, ensure_ascii=False)
    file.write("\n")
