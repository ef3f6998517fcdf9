"""A job that emits the events in its first argument; a real process for the runner's tests."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


spec = json.loads(sys.stdin.readline())
behaviour = sys.argv[1]
say(
    event="started", model="stub", mpp=spec["mpp"],
    classes=[{"name": "lymphocyte", "color": "#0000ff", "key": "1"}],
)  # fmt: skip
print("a stray line that is no event", flush=True)
say(event="progress", done=1, total=4, message="1 nuclei", eta_s=3.0)
say(event="nuclei", x=[50.5], y=[60.5], score=[0.9], class_index=[0], entropy=[0.1], margin=[0.8])
if behaviour == "many":
    for i in range(40):
        say(
            event="nuclei",
            x=[float(i)],
            y=[10.0],
            score=[0.9],
            class_index=[0],
            entropy=[0.1],
            margin=[0.8],
        )
if behaviour in ("done", "many"):
    say(event="done", message="1 nuclei.", result={"nuclei": 1})
elif behaviour == "twice":
    say(event="failed", message="First word.", detail="")
    say(event="done", message="Second word.", result={})
elif behaviour == "die":
    os._exit(9)
elif behaviour == "wait":
    sys.stdin.readline()
    say(event="cancelled", message="Cancelled.", result={})
elif behaviour == "tell":
    sys.stdin.readline()
    say(
        event="nuclei",
        x=[70.5],
        y=[80.5],
        score=[0.9],
        class_index=[0],
        entropy=[0.1],
        margin=[0.8],
    )
    say(event="cancelled", message="Cancelled.", result={})
elif behaviour == "hang":
    time.sleep(60)
elif behaviour == "complete":
    # As a training does: what is kept is completed after the cancel.
    sys.stdin.readline()
    Path(sys.argv[2]).write_text("begun")
    while not Path(sys.argv[3]).exists():
        time.sleep(0.01)
    Path(sys.argv[2]).write_text("complete")
    say(event="cancelled", message="Cancelled; kept.", result={})
elif behaviour == "busy":
    while True:
        pass
