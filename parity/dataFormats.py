"""The same rows in every kind of file -> golden/data/. Parquet by pyarrow (as `datasets` writes it), CSV by pandas.

`rows.jsonl` says what they are: prompts and completions, with everything in them that a format could trip over.
`chats.*` are messages with calls of tools; Parquet makes structs of them, whose absent keys are null. `csv.json` is
what Python's csv module reads of texts that are hard to cut.
"""

import csv
import gzip
import io
import json

import pandas
import pyarrow
import pyarrow.parquet
from common import GOLDEN, madeBy, setUp, writeJson

OUT = GOLDEN / "data"

ROWS = [
    {"prompt": "plain ", "completion": "words"},
    {"prompt": 'quoted "twice"', "completion": 'a, "b", c'},
    {"prompt": "two\nlines ", "completion": "three\r\n\nlines"},
    {"prompt": " é ß 漢字 🙂 ", "completion": "tab\there"},
    {"prompt": "a;b|c [1, {2}] \\ \\n", "completion": "12"},
    {"prompt": "'", "completion": '"'},
    {"prompt": "last", "completion": " "},
]
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": 2}}}
CHATS = [
    {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]},
    {
        "messages": [
            {"role": "user", "content": "1 + 2?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "3"},
            {"role": "assistant", "content": "3"},
        ]
    },
]
ALPACA = [
    {"instruction": "Add.", "input": "1 2", "output": "3"},
    {"instruction": "Say hi.", "input": "", "output": "hi"},
]
FROM = {"user": "human", "assistant": "gpt"}
TEXTS = ["a line", "  indented, and 'quoted'", "é 🙂"]
HARD = ['a,"b\n""c""",d\n', 'x,"",y\n', '5" disk,b"c,"q"r\n', '"a"\n', ',\n', '"x\r\ny",z\r\n', 'last,"no break"']


def lines(rows: list) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> None:
    setUp()
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "rows.jsonl").write_text(lines(ROWS))
    (OUT / "rows.json").write_text(json.dumps(ROWS, ensure_ascii=False, indent=2))
    (OUT / "rows.jsonl.gz").write_bytes(gzip.compress(lines(ROWS).encode(), mtime=0))
    frame = pandas.DataFrame(ROWS)
    (OUT / "rows.csv").write_bytes(b"\xef\xbb\xbf" + frame.to_csv(index=False).encode())
    (OUT / "rows.tsv").write_text(frame.to_csv(index=False, sep="\t"), newline="")
    (OUT / "semicolons.csv").write_text(frame.to_csv(index=False, sep=";", quoting=csv.QUOTE_ALL), newline="")
    table = pyarrow.Table.from_pylist(ROWS)
    for codec in ("none", "snappy", "gzip", "zstd", "brotli", "lz4"):
        pyarrow.parquet.write_table(table, OUT / f"rows-{codec}.parquet", compression=codec, row_group_size=3)
    (OUT / "chats.jsonl").write_text(lines(CHATS))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(CHATS), OUT / "chats.parquet")
    (OUT / "alpaca.json").write_text(json.dumps(ALPACA))
    simple = [{"conversations": [{"from": FROM[m["role"]], "value": m["content"]} for m in CHATS[0]["messages"]]}]
    (OUT / "shareGpt.jsonl").write_text(lines(simple))
    (OUT / "lines.txt").write_text("\n".join(TEXTS) + "\n")
    read = [{"text": text, "fields": next(csv.reader(io.StringIO(text, newline="")))} for text in HARD]
    writeJson(OUT / "csv.json", {"madeBy": madeBy("dataFormats.py"), "records": read})


if __name__ == "__main__":
    main()
