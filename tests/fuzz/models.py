"""Model files, checkpoints, and the protocol of jobs."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import torch

from muse_core.errors import UserError
from muse_core.finetune import FinetuneConfig, LabelSet, StoreSource
from muse_core.finetune.state import Checkpoint, TrainState
from muse_core.jobs import (
    DetectJob,
    Ended,
    Failed,
    FinetuneJob,
    event_from_json,
    run_job,
)
from muse_core.jobs.events import DetectionStarted, Done, Event, NucleiFound, Progress
from muse_core.jobs.worker import _listen, _read_spec
from muse_core.models.card import read_card
from muse_core.models.checkpoint import load_backbone, load_model
from muse_core.models.config import ModelConfig
from muse_core.models.released_import import backbone_entries, read_teacher, recognise
from muse_core.nuclei import ClassScheme

from ..job_inputs import write_model
from .target import Target


def _model(folder: Path) -> Path:
    return write_model(folder / "m.safetensors")


def read_model(path: Path) -> None:
    """Read a model's card and weights, as a detector and as a backbone."""
    read_card(path)
    load_model(path)
    load_backbone(path)


def _header(folder: Path) -> Path:
    """A model file reduced to its card, so that every change damages the card."""
    whole = write_model(folder / "m.safetensors")
    content = whole.read_bytes()
    whole.write_bytes(content[: 8 + int.from_bytes(content[:8], "little")])
    header = json.loads(whole.read_bytes()[8:])
    text = json.dumps({"__metadata__": header["__metadata__"]}).encode()
    whole.write_bytes(len(text).to_bytes(8, "little") + text)
    return whole


def read_model_card(path: Path) -> None:
    """Read a card, and its architecture and classes."""
    card = read_card(path)
    ClassScheme.from_json(card.classes)
    ModelConfig.from_json(card.architecture)


def _pth(legacy: bool) -> Any:
    def make(folder: Path) -> Path:
        teacher = {
            f"module.backbone.encoder.encoder.{k}.weight": torch.ones(3, 4) for k in ("conv1", "a")
        }
        content = {"teacher": teacher, "epoch": 3, "args": argparse.Namespace(lr=1e-4)}
        path = folder / "t.pth"
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        return path

    return make


def read_pth(path: Path) -> None:
    """Read a released checkpoint up to the construction of the network."""
    recognise(backbone_entries(read_teacher(path), path.name), path.name)


def _parts() -> dict[str, Any]:
    torch.manual_seed(0)
    network = torch.nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    return {"network": network, "optimizer": optimizer, "schedule": schedule}


def _checkpoint(folder: Path) -> Path:
    path = folder / "m.checkpoint"
    Checkpoint(path, "abc", _parts(), path).save(TrainState(3, 0.5, {"f_det": 0.5}, 0.5))
    return path


def read_checkpoint(path: Path) -> None:
    """Resume from a checkpoint: networks, optimiser, schedule, and a step after it."""
    parts = _parts()
    Checkpoint(path, "abc", parts, path).load()
    parts["optimizer"].step()


def _jobs(folder: Path) -> Path:
    (folder / "s.svs").write_bytes(b"no slide")
    specs = (
        DetectJob(slide=str(folder / "s.svs"), region=[0.0, 0.0, 9.0, 9.0], mpp=0.5),
        DetectJob(slide="none.svs", polygons=[[[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]]]),
        FinetuneJob(
            FinetuneConfig(
                out=folder / "no" / "m.safetensors",
                train=(LabelSet(folder / "p", 0.5, class_map={"x": ("a", "b")}),),
                stores=(StoreSource(Path("a.muse")),),
                class_map={"a": "b"},
            )
        ),
    )
    (folder / "specs").write_text("\n".join(json.dumps(s.to_json()) for s in specs))
    return folder / "specs"


def run_specs(path: Path) -> None:
    """Read each line as a spec and run it: one end, and at most one error message."""
    os.chdir(path.parent)
    for line in path.read_bytes().split(b"\n"):
        try:
            spec = _read_spec(iter([line]))
        except UserError:
            continue
        said: list[Event] = []
        last = run_job(spec, said.append, lambda: True)
        if sum(isinstance(event, Ended) for event in said) != 1:
            raise AssertionError(f"the job ended otherwise than once: {said}")
        if isinstance(last, Failed) and last.detail:
            raise AssertionError(last.detail)


def _events(folder: Path) -> Path:
    events = (
        Progress(3, 10, "Looking", 4.5),
        DetectionStarted([{"name": "a", "color": "#112233", "key": "1"}], "m", 0.25),
        NucleiFound([1.5, 2.0], [3.0, 4.5], [0, 1], [0.5, 1.0], [0.1, 0.2], [0.3, 0.4]),
        Done("2 nuclei.", {"nuclei": 2, "counts": {"a": 2}, "notes": ["One."]}),
    )
    (folder / "events").write_text("\n".join(json.dumps(e.to_json()) for e in events))
    return folder / "events"


def read_events(path: Path) -> None:
    """Read each line as an event of a job, as the window does."""
    for line in path.read_bytes().split(b"\n"):
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            continue
        with contextlib.suppress(UserError):
            event_from_json(data)


def _commands(folder: Path) -> Path:
    path = folder / "commands"
    path.write_bytes(b'{"command": "pause"}\n{"command": "cancel", "now": [1, 2]}\n\n[]\n')
    return path


def listen(path: Path) -> None:
    """Send commands to a job, which is cancelled at their end."""
    cancel = threading.Event()
    _listen(iter(path.read_bytes().split(b"\n")), cancel)
    if not cancel.is_set():
        raise AssertionError("the end of the commands did not cancel")


TARGETS = {
    "model": Target(_model, read_model, 1),
    "card": Target(_header, read_model_card, 8),
    "pth": Target(_pth(False), read_pth, 6),
    "pth-legacy": Target(_pth(True), read_pth, 6),
    "checkpoint": Target(_checkpoint, read_checkpoint, 8),
    "job-spec": Target(_jobs, run_specs, 8),
    "job-events": Target(_events, read_events, 4),
    "job-commands": Target(_commands, listen, 3),
}
