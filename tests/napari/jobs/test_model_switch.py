"""Switching from one model to another and back; no window is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from muse_core.jobs import Done
from muse_core.models import registry
from muse_core.models.card import read_card
from muse_core.models.checkpoint import save_model
from muse_core.models.muse_model import MuseModel
from muse_core.models.registry import DEFAULT_MODEL, ModelEntry, list_models
from napari_muse.jobs.learning import parent_of
from napari_muse.jobs.model_switch import ModelSwitch
from napari_muse.session import MuseSession

from ...job_inputs import write_model


class Detector:
    """A stand-in for the panel."""

    def __init__(self, chosen: Path) -> None:
        self.running = False
        self.ran: list[bool] = []
        self.update_models(str(chosen))

    @property
    def chosen_entry(self) -> ModelEntry | None:
        return next(m for m in list_models() if str(m.path) == self.chosen)

    def update_models(self, chosen: str | None) -> None:
        self.chosen = chosen

    def run(self, again: bool = False, otherwise: Callable[[], None] = lambda: None) -> None:
        self.ran.append(again)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A model and one that was made from it."""
    monkeypatch.setattr(registry, "user_model_folder", lambda: tmp_path)
    old, new = write_model(tmp_path / "tiny.safetensors"), tmp_path / "new.safetensors"
    save_model(MuseModel(replace(read_card(old), name="new", parent="tiny")), new)
    return old, new


def switch(detector: Detector, has_nuclei: bool) -> tuple[ModelSwitch, list[str]]:
    session = SimpleNamespace(slide=object(), annotations=SimpleNamespace(has_file=has_nuclei))
    made = ModelSwitch(cast(MuseSession, session), detector)
    said: list[str] = []
    made.said.connect(said.append)
    return made, said


def test_a_new_model_is_chosen_and_detected_with_and_the_outcome_is_said_once(
    models: tuple[Path, Path],
) -> None:
    old, new = models
    detector = Detector(old)
    to, said = switch(detector, has_nuclei=True)
    assert to.use(new)
    assert (detector.chosen, detector.ran) == (str(new), [True])
    to.on_detected(Done("12 nuclei."))
    to.on_detected(Done("Of another detection."))
    assert said == [
        "The new model is chosen; detecting with it wherever there are predictions.",
        "The new model is chosen. 12 nuclei.",
    ]


def test_one_goes_back_to_the_parent_with_its_nuclei_where_there_are_any(
    models: tuple[Path, Path],
) -> None:
    old, new = models
    for has_nuclei in (True, False):
        detector = Detector(new)
        to, said = switch(detector, has_nuclei)
        assert to.back()
        assert detector.chosen == str(old)
        assert detector.ran == [True] * has_nuclei
        assert said[0].startswith("tiny is chosen again")
        assert not to.back(), "it has no parent itself"


def test_one_does_not_go_back_from_a_model_that_is_bundled() -> None:
    entry = next(m for m in list_models() if m.name == DEFAULT_MODEL)
    assert parent_of(entry) is not None, "it was made from another one, but not in the window"
    made, said = switch(Detector(entry.path), has_nuclei=True)
    assert made.parent is None
    assert not made.back()
    assert said == []


def test_nothing_is_switched_while_a_detection_runs(models: tuple[Path, Path]) -> None:
    old, new = models
    detector = Detector(new)
    detector.running = True
    to, said = switch(detector, has_nuclei=True)
    assert not to.use(old)
    assert not to.back()
    assert (detector.chosen, detector.ran) == (str(new), [])
    assert [sentence.partition(";")[0] for sentence in said] == ["A detection is running"] * 2


def test_what_another_choice_has_overtaken_is_not_said(models: tuple[Path, Path]) -> None:
    to, said = switch(Detector(models[0]), has_nuclei=True)
    assert to.use(models[1])
    to.forget()
    to.on_detected(Done("12 nuclei."))
    assert len(said) == 1
