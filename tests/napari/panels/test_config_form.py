"""Forms have the types, ranges and descriptions of their configurations."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_type_hints

import pytest
from annotated_types import Interval
from qtpy.QtCore import Qt

from muse_core.finetune.config import FinetuneConfig
from muse_core.jobs import DetectJob
from muse_core.mpp_range import MAX_MPP, MIN_MPP
from napari_muse.described_fields import descriptions, range_of
from napari_muse.panels.config_form import ConfigForm, Shown
from napari_muse.panels.muse_panel import MusePanel


@dataclass(frozen=True)
class Settings:
    """What is set.

    Attributes:
        device: Where the network
            runs.
        score: Least score; None is the model's.
        steps: How long.
    """

    device: Literal["auto", "cpu"] = "auto"
    score: Annotated[float, Interval(ge=0.1, le=0.9)] | None = None
    steps: Annotated[int, Interval(ge=1, le=10)] = 3


SHOWN = {
    "device": Shown("Device", {"cpu": ("Processor", "slow"), "auto": ("Automatic", "")}),
    "score": Shown("Score", name="The score", step=0.1, unset="as the model says"),
    "steps": Shown("Steps", name="Steps", decimals=0),
}


@pytest.fixture
def form(qapp: Any) -> ConfigForm:
    return ConfigForm(Settings, SHOWN)


def test_fields_have_the_types_ranges_and_descriptions_of_the_configuration(
    form: ConfigForm,
) -> None:
    device, score, steps = form.choice("device"), form.number("score"), form.number("steps")
    assert [device.itemText(i) for i in range(device.count())] == ["Processor", "Automatic"]
    assert device.itemData(0, Qt.ItemDataRole.ToolTipRole) == "slow"
    assert device.toolTip() == "Where the network runs."
    assert (score.maximum(), score.toolTip()) == (0.9, "Least score; None is the model's.")
    assert (steps.minimum(), steps.maximum(), steps.decimals()) == (1, 10, 0)
    assert form.values() == {"device": "cpu", "score": None, "steps": 1}
    assert [form.layout.itemAt(i, form.layout.ItemRole.LabelRole) is None for i in range(3)] == [
        False
    ] * 3


@pytest.mark.parametrize("typed", ["0.25", "0,25"])
def test_what_is_typed_with_a_point_or_a_comma_is_a_value(
    form: ConfigForm, qtbot: Any, typed: str
) -> None:
    score = form.number("score")
    qtbot.addWidget(score)
    score.selectAll()
    qtbot.keyClicks(score, typed)
    qtbot.keyClick(score, Qt.Key.Key_Return)
    assert form.values()["score"] == 0.25
    score.selectAll()
    qtbot.keyClicks(score, "0.95")
    said: list[str] = []
    score.refused.connect(said.append)
    qtbot.keyClick(score, Qt.Key.Key_Return)
    assert said == ["The score must lie between 0.1 and 0.9, not 0.95."]
    assert form.values()["score"] == 0.25
    score.selectAll()
    qtbot.keyClick(score, Qt.Key.Key_Delete)
    qtbot.keyClick(score, Qt.Key.Key_Return)
    assert form.values()["score"] is None


def test_words_for_other_choices_than_there_are_are_noticed(qapp: Any) -> None:
    with pytest.raises(AssertionError, match="other choices"):
        ConfigForm(Settings, {"device": Shown("Device", {"cpu": ("Processor", "")})})


def test_a_choice_is_set_by_its_value(form: ConfigForm) -> None:
    device = form.choice("device")
    assert (device.currentText(), form.values()["device"]) == ("Processor", "cpu")
    device.choose("auto")
    assert (device.currentText(), form.values()["device"]) == ("Automatic", "auto")


def test_the_panels_show_what_their_configurations_have(panel: MusePanel) -> None:
    shown = panel.detect._form.values() | panel.learn._form.values()
    assert shown.keys() == {"device", "precision", "min_score", "mpp", "mode"}
    for configuration, names in ((DetectJob, ("device",)), (FinetuneConfig, ("mode", "device"))):
        hints = get_type_hints(configuration, include_extras=True)
        for name in names:
            owner = panel.learn if name == "mode" else panel.detect
            box = owner._form.choice(name)
            offered = {box.itemData(i) for i in range(box.count())}
            assert offered == set(get_args(hints[name]))
    hints = get_type_hints(DetectJob, include_extras=True)
    assert range_of(hints["mpp"]) == (MIN_MPP, MAX_MPP)
    assert panel.detect.min_score.maximum() == range_of(hints["min_score"])[1]
    assert panel.detect.mpp.maximum() == 20.0, "more has lost its decimal sign"
    assert panel.detect.mpp.toolTip() == descriptions(DetectJob)["mpp"]
    DetectJob(slide="s", **panel.detect._form.values())


@pytest.mark.parametrize("configuration", [DetectJob, FinetuneConfig])
def test_every_field_has_a_description(configuration: type) -> None:
    described = descriptions(configuration)
    names = [field.name for field in fields(configuration)]
    assert all(described.get(name) for name in names)
