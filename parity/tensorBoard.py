"""golden/tensorBoard.json: records of event files as TensorBoard's own writer makes them, as hexadecimal.

With folders as arguments: reads each as TensorBoard does and prints its scalars (`python tensorBoard.py FOLDER`), to
see what `lowrank train` wrote. Needs tensorboard (not in requirements.txt: nothing else does).
"""

import io
import json
import os
import sys
from importlib.metadata import version

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

HERE = os.path.dirname(os.path.abspath(__file__))
WALL_TIME = 1.5e9 + 0.25


def record(**fields):
    file = io.BytesIO()
    event = event_pb2.Event(wall_time=WALL_TIME, **fields)
    RecordWriter(file).write(event.SerializeToString())
    return file.getvalue().hex()


def scalars(values):
    Value = summary_pb2.Summary.Value
    return summary_pb2.Summary(value=[Value(tag=tag, simple_value=value) for tag, value in values.items()])


def makeGolden():
    some = {"train/loss": 1.5, "eval/loss": -0.1, "train/Größe": 3.0}
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    value = {
        "madeBy": {"tensorboard": version("tensorboard"), "script": "parity/tensorBoard.py"},
        "version": record(file_version="brain.Event:2"),
        "start": record(step=7, session_log=start),
        "scalars": record(step=300, summary=scalars(some)),
        "far": record(step=2**40, summary=scalars({"a": float("nan")})),
    }
    with open(os.path.join(HERE, "golden/tensorBoard.json"), "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def show(folder):
    events = EventAccumulator(folder)
    events.Reload()
    for tag in events.Tags()["scalars"]:
        print(tag, [(event.step, round(event.value, 6)) for event in events.Scalars(tag)])


if len(sys.argv) == 1:
    makeGolden()
for each in sys.argv[1:]:
    show(each)
