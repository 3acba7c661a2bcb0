"""golden/rouge.json: ROUGE-L of Google's rouge_score, no stemmer: the best F1 over the references."""

import json
import os
import sys
from importlib.metadata import version

from rouge_score import rouge_scorer

texts = [
    (
        "Blue Spice is a coffee shop in the riverside area .",
        [
            "There is a coffee shop Blue Spice in the riverside area .",
            "At the riverside , there is a coffee shop called Blue Spice .",
        ],
    ),
    ("A cat sat on the mat.", ["The cat sat. On the mat it was."]),
    ("It is kid friendly and £20-25", ["£20-25 priced, kid-friendly!"]),
    ("police killed the gunman", ["police kill the gunman", "the gunman killed police", "the gunman police killed"]),
    ("", ["something"]),
    ("something", [""]),
    ("...", ["!!!"]),
    ("the the the the", ["the cat the"]),
    ("Café Sicilia's 5/5 rating", ["Cafe Sicilia s rating is 5 out of 5", "CAFÉ SICILIA'S RATING"]),
    ("a b c d e f g", ["g f e d c b a"]),
    ("x_y 12.5 km", ["x y 12 5 KM"]),
    (
        "one two three four five six seven eight nine ten",
        ["one three five seven nine", "two four six eight ten eleven twelve"],
    ),
    ("straße İstanbul naïve", ["strasse istanbul naive"]),
]
scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
cases = [
    {"text": text, "references": references, "rougeL": scorer.score_multi(references, text)["rougeL"].fmeasure}
    for text, references in texts
]
made_by = {"rouge_score": version("rouge_score"), "python": sys.version.split()[0], "script": "parity/rouge.py"}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden/rouge.json"), "w") as file:
    json.dump({"madeBy": made_by, "cases": cases}, file, indent=1, ensure_ascii=False)
    file.write("\n")
