"""A key of any keyboard means the Latin letter or digit printed on it."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtGui import QGuiApplication, QKeyEvent
from qtpy.QtWidgets import QWidget

from napari_muse.interaction.latin_keys import latin_key
from napari_muse.napari_compat import layer_list_widget
from napari_muse.panels.muse_panel import MusePanel

from ..actions import canvas_of

_MODIFIERS = Qt.KeyboardModifier
NONE, SHIFT, CTRL = _MODIFIERS.NoModifier, _MODIFIERS.ShiftModifier, _MODIFIERS.ControlModifier
# X11's scan codes and macOS' virtual key codes of the keys with these Latin letters.
_SCAN = {"A": 38, "B": 56, "L": 46, "M": 58, "N": 57, "P": 33, "Q": 24, "V": 55, "Y": 29, "Z": 52}
_SCAN |= {"1": 10, "2": 11, "9": 18, "0": 19, "-": 20, ";": 47}
_MACOS = {"A": 0, "B": 11, "L": 37, "M": 46, "N": 45, "P": 35, "Q": 12, "V": 9, "Y": 16, "Z": 6}
_MACOS |= {"1": 18, "2": 19, "9": 25, "0": 29, "-": 27, ";": 41}
# ruff: noqa: RUF001
_SCRIPTS = {
    "Cyrillic": {"A": "ф", "L": "д", "N": "т", "P": "з", "V": "м", "Y": "н", "Z": "я"},
    "Greek": {"A": "α", "L": "λ", "N": "ν", "P": "π", "V": "ω", "Y": "υ", "Z": "ζ"},
    "Arabic": {"A": "ش", "L": "م", "N": "ى", "P": "ح", "V": "ر", "Y": "غ", "Z": "ئ"},
    "Hebrew": {"A": "ש", "L": "ך", "N": "מ", "P": "פ", "V": "ה", "Y": "ט", "Z": "ז"},
    "Thai": {"A": "ฟ", "L": "ส", "N": "ื", "P": "ย", "V": "อ", "Y": "ั", "Z": "ผ"},
}


def _event(
    printed: str,
    text: str,
    modifiers: Qt.KeyboardModifier = NONE,
    platform: str | None = None,
    kind: QEvent.Type = QEvent.Type.KeyPress,
) -> QKeyEvent:
    """What Qt makes of the key with a Latin letter on it where the layout gives another text."""
    macos = (platform or QGuiApplication.platformName()) == "cocoa"
    virtual = _MACOS[printed] if macos else ord(printed)
    return QKeyEvent(
        kind, ord(text.upper()), modifiers, _SCAN[printed], virtual, 0, text, False, 1
    )  # fmt: skip


def _press(widget: QWidget, printed: str, text: str, modifiers: Qt.KeyboardModifier = NONE) -> None:
    for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
        QCoreApplication.sendEvent(widget, _event(printed, text, modifiers, kind=kind))


@pytest.mark.parametrize("platform", ["xcb", "wayland", "windows", "cocoa"])
def test_letters_of_other_scripts_mean_those_printed_beside_them(platform: str) -> None:
    for letters in _SCRIPTS.values():
        for printed, text in letters.items():
            for modifiers in (NONE, SHIFT, CTRL):
                assert latin_key(_event(printed, text, modifiers, platform), platform) == printed


@pytest.mark.parametrize("platform", ["xcb", "windows", "cocoa"])
def test_a_sign_that_shift_makes_of_a_letter_means_the_letter(platform: str) -> None:
    # On Arabic, Persian and Thai keyboards.
    for printed, text in (("L", "/"), ("L", "«"), ("Z", "~"), ("Z", "(")):
        for modifiers in (SHIFT, CTRL | SHIFT):
            assert latin_key(_event(printed, text, modifiers, platform), platform) == printed
        assert latin_key(_event(printed, text, CTRL, platform), platform) is None
    # On those of Dvorak.
    assert latin_key(_event("Z", ":", SHIFT, platform), platform) is None


@pytest.mark.parametrize("platform", ["xcb", "windows", "cocoa"])
def test_digits_need_no_shift_and_may_have_it(platform: str) -> None:
    # Digit keys of French, Czech, Thai and Persian keyboards.
    for printed, text in (("1", "&"), ("2", "é"), ("2", "ě"), ("0", "à"), ("1", "ๅ"), ("2", "/")):
        assert latin_key(_event(printed, text, NONE, platform), platform) == printed
    assert latin_key(_event("1", "1", SHIFT, platform), platform) == "1"
    for printed, text, modifiers in (
        ("1", "1", NONE),
        ("1", "1", CTRL),
        ("1", "!", SHIFT),
        ("1", "&", CTRL),
    ):
        assert latin_key(_event(printed, text, modifiers, platform), platform) is None


@pytest.mark.parametrize("platform", ["xcb", "windows", "cocoa"])
def test_latin_letters_and_signs_mean_themselves(platform: str) -> None:
    # With the layouts French, Dvorak, Neo, Vietnamese or Polish.
    for printed, text in (("Q", "a"), ("Z", ";"), ("Z", "ü"), ("L", "ơ"), ("-", "ó"), (";", "ö")):
        for modifiers in (NONE, SHIFT, CTRL):
            assert latin_key(_event(printed, text, modifiers, platform), platform) is None


@pytest.mark.parametrize("script", sorted(_SCRIPTS))
def test_muses_keys_hold_on_keyboards_of_other_scripts(opened: MusePanel, script: str) -> None:
    session, letters = opened.session, _SCRIPTS[script]
    for widget in (canvas_of(opened), layer_list_widget(session.viewer), opened.detect.draw):
        _press(widget, "A", letters["A"])
        assert opened.keys.add_mode
        _press(widget, "P", letters["P"])
        assert not opened.keys.add_mode
        assert opened.keys.paint_mode
        _press(widget, "P", letters["P"])
        _press(widget, "V", letters["V"])
        assert not session.nuclei.layer.visible
        _press(widget, "V", letters["V"])
        session.nuclei.select([])
        _press(widget, "N", letters["N"])
        assert session.nuclei.selected_ids.size == 1, "a doubtful one"
        session.annotations.set_class([1], session.annotations.class_ids[1])
        _press(widget, "Z", letters["Z"], CTRL)
        assert set(session.annotations.to_table()["class_name"]) == {"lymphocyte"}
        _press(widget, "Y", letters["Y"], CTRL)
        assert "tumor" in set(session.annotations.to_table()["class_name"])
        _press(widget, "Z", letters["Z"], CTRL)


def test_shift_and_a_letter_hold_on_an_arabic_keyboard(opened: MusePanel) -> None:
    session = opened.session
    asked: list[str] = []
    session.ask = lambda question, button, then, otherwise: asked.append(button)
    for widget in (canvas_of(opened), layer_list_widget(session.viewer), opened.detect.draw):
        session.annotations.set_class([1], session.annotations.class_ids[1])
        session.annotations.undo()
        _press(widget, "Z", "~", CTRL | SHIFT)
        assert "tumor" in set(session.annotations.to_table()["class_name"])
        session.annotations.undo()
        asked.clear()
        _press(widget, "L", "/", SHIFT)
        assert asked == ["Learn now"]


@pytest.mark.parametrize(
    ("text", "modifiers"), [("é", NONE), ("2", SHIFT), ("2", NONE), ("ě", NONE)]
)
def test_a_class_is_given_by_the_key_of_a_digit(
    opened: MusePanel, text: str, modifiers: Qt.KeyboardModifier
) -> None:
    session = opened.session
    for widget in (canvas_of(opened), layer_list_widget(session.viewer), opened.detect.draw):
        session.nuclei.select([2])
        _press(widget, "2", text, modifiers)
        assert session.annotations.to_table()["class_name"].tolist().count("tumor") == 1
        _press(widget, "Z", "z", CTRL)


def test_without_a_slide_keys_are_handed_on_as_they_are(panel: MusePanel) -> None:
    heard: list[str] = []
    panel.session.viewer.bind_key("M", lambda _: heard.append("M"), overwrite=True)
    _press(canvas_of(panel), "M", "ь")
    assert heard == []
    _press(canvas_of(panel), "M", "m")
    assert heard == ["M"]
    panel.session.viewer.bind_key("M", None)


def test_what_is_typed_in_a_field_stays_what_it_is(opened: MusePanel) -> None:
    name = opened.findChild(QWidget, "qt_spinbox_lineedit")
    assert name is not None
    _press(name, "A", "ф")
    assert not opened.keys.add_mode
