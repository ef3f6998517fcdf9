"""Which channels are colours, by their names and by the user's choice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.slides.channels import plan_channels
from muse_core.slides.choice import ImageChoice
from muse_core.slides.pixels import Alpha

AUTO = ImageChoice()


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["", "", ""],
        ["R", "G", "B"],
        ["Red", "Green", "Blue"],
        ["red channel", "green channel", "blue channel"],
        ["Brightfield R", "Brightfield G", "Brightfield B"],
        ["TL Brightfield"] * 3,
        ["Channel:0:0", "Channel:0:1", "Channel:0:2"],
        ["Ch1", "Ch2", "Ch3"],
        ["Transmitted light", "Transmitted light", "Transmitted light"],
        ["RGB", "RGB", "RGB"],
        ["H&E (R)", "H&E (G)", "H&E (B)"],
    ],
)
def test_three_channels_of_a_colour_camera(names: Any) -> None:
    plan = plan_channels(3, names, "f", AUTO)
    assert (plan.order, plan.note) == ((0, 1, 2), "")
    assert plan_channels(3, names, "f", AUTO, eight_bit=False).order == (0, 1, 2)


def test_names_of_colours_tell_the_order() -> None:
    assert plan_channels(3, ["Blue", "Green", "Red"], "f", AUTO).order == (2, 1, 0)
    names = ["alpha", "red channel", "green channel", "blue channel"]
    assert plan_channels(4, names, "f", AUTO).order == (1, 2, 3, 0)
    assert plan_channels(4, names, "f", AUTO).alpha is Alpha.UNASSOCIATED
    assert plan_channels(4, names, "f", ImageChoice(channels="rgb")).order == (1, 2, 3, 0)


def test_three_names_that_say_little_are_taken_and_said() -> None:
    plan = plan_channels(3, ["Detector A", "Detector X", "Detector Y"], "f", AUTO)
    assert plan.order == (0, 1, 2)
    assert plan.note == (
        "Its channels (Detector A, Detector X, Detector Y) are taken as red, green and blue."
    )
    # 16-bit cameras are used for fluorescence.
    with pytest.raises(UserError, match="fluorescence"):
        plan_channels(3, ["Detector A", "Detector X", "Detector Y"], "f", AUTO, eight_bit=False)


@pytest.mark.parametrize(
    "names",
    [
        ["DAPI", "CD3", "CD8"],
        ["Hoechst 33342", "Alexa Fluor 488", "Alexa Fluor 647"],
        ["Texas Red", "Spectrum Green", "SpectrumAqua"],
        ["Far Red", "Green", "Blue"],
        ["405", "488", "561"],
        ["EGFP", "mCherry", "iRFP"],
        ["Opal 520", "Opal 570", "Opal 690"],
        ["Cy5", "Cy3", "FITC"],
        ["1 520 nm", "2 600 nm", "3 700 nm"],
        ["a Epifluorescence", "b Epifluorescence", "c Epifluorescence"],
        ["PanCK", "Ki-67", "PD-L1"],
    ],
)
def test_fluorescence_is_refused_and_can_be_overridden(names: list[str]) -> None:
    with pytest.raises(UserError, match=r"fluorescence.*--channels"):
        plan_channels(3, names, "f", AUTO)
    assert plan_channels(3, names, "f", ImageChoice(channels="rgb")).order == (0, 1, 2)
    assert plan_channels(3, names, "f", ImageChoice(channels="3")).order == (2,)


@pytest.mark.parametrize("count", [2, 4, 5, 12])
def test_other_numbers_of_channels_are_refused(count: int) -> None:
    with pytest.raises(UserError, match=f"f has {count} channels"):
        plan_channels(count, [], "f", AUTO)


def test_one_channel_is_gray_and_four_side_by_side_have_alpha() -> None:
    assert plan_channels(1, ["DAPI"], "f", AUTO).order == (0,)
    assert plan_channels(4, [], "f", AUTO, interleaved=True).order == (0, 1, 2, 3)
    with pytest.raises(UserError, match="DAPI"):
        plan_channels(4, ["DAPI", "a", "b", "c"], "f", AUTO, interleaved=True)


@pytest.mark.parametrize("last", ["A", "alpha", "Channel alpha", "Transparency"])
def test_rgb_keeps_a_channel_that_is_called_alpha(last: str) -> None:
    plan = plan_channels(4, ["x", "y", "z", last], "f", ImageChoice(channels="RGB"))
    assert plan.order == (0, 1, 2, 3)
    assert plan.alpha is Alpha.UNASSOCIATED


@pytest.mark.parametrize("spelled", ["rgb", "RGB", " r, g, b", "1,2,3"])
@pytest.mark.parametrize("names", [[], ["Channel 0", "Channel 1", "Channel 2", "Channel 3"]])
def test_a_fourth_channel_without_a_name_may_be_alpha(spelled: str, names: list[str]) -> None:
    plan = plan_channels(4, names, "f", ImageChoice(channels=spelled))
    assert (plan.order, plan.alpha) == ((0, 1, 2, 3), Alpha.UNSPECIFIED)


def test_a_fourth_channel_is_left_out_or_taken_as_the_user_says() -> None:
    stained = ["a", "b", "c", "DAPI"]
    for spelled in ("rgb", "1,2,3"):
        plan = plan_channels(4, stained, "f", ImageChoice(channels=spelled))
        assert (plan.order, plan.alpha) == ((0, 1, 2), Alpha.NONE)
    for spelled in ("rgba", "R,G,B,A", "1,2,3,4"):
        plan = plan_channels(4, stained, "f", ImageChoice(channels=spelled))
        assert (plan.order, plan.alpha) == ((0, 1, 2, 3), Alpha.UNASSOCIATED)
    assert plan_channels(4, [], "f", ImageChoice(channels="3,2,1,4")).order == (2, 1, 0, 3)
    with pytest.raises(UserError, match="there is no channel 4"):
        plan_channels(3, [], "f", ImageChoice(channels="rgba"))
    with pytest.raises(UserError, match="one, three or four numbers"):
        ImageChoice(channels="1,2")


@given(st.lists(st.text(max_size=400), min_size=3, max_size=4))
def test_no_name_is_too_odd(names: Any) -> None:
    try:
        order = plan_channels(len(names), names, "f", AUTO).order
    except UserError:
        return
    assert len(set(order)) == len(names)
