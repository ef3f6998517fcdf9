"""Helpers that all panels share: sections, buttons, choices and layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QBoxLayout,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_muse.interaction.following import Following
from napari_muse.plain_text import breakable, isolated, without_marks

if TYPE_CHECKING:
    from napari_muse.session import MuseSession


class Section(Following, QGroupBox):
    """A titled part of the dock, of one session.

    It is updated by :meth:`refresh`, at the latest when it becomes visible.
    """

    def __init__(self, title: str, session: MuseSession) -> None:
        super().__init__(title)
        self._session = session

    def refresh(self) -> None:
        """Show the current state."""

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Show changes made while the section was hidden."""
        super().showEvent(event)
        self.refresh()


def button(text: str, *, checkable: bool = False) -> Callable[..., cached_property[QPushButton]]:
    """Decorator that turns a method into a button, which calls it; its docstring is the tool tip.

    The attribute is then the button, one for each :class:`Following` object. A checkable button
    passes its state to the method.
    """

    def of_method(act: Callable[..., object]) -> cached_property[QPushButton]:
        tooltip = " ".join((act.__doc__ or "").split()).removesuffix(".")

        def made(owner: Any) -> QPushButton:
            def press(on: bool) -> None:
                owner.attempt(partial(act, owner, *([on] if checkable else [])))

            return push_button(text, tooltip, press, checkable=checkable)

        return cached_property(made)

    return of_method


def push_button(
    text: str, tooltip: str, do: Callable[..., object] | None = None, *, checkable: bool = False
) -> QPushButton:
    """Return a button with a tool tip, which calls a function."""
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.setCheckable(checkable)
    if do is not None:
        button.clicked.connect(do)
    return button


def check_box(text: str, tooltip: str, on: bool = False) -> QCheckBox:
    """Return a box to tick."""
    box = QCheckBox(text)
    box.setToolTip(tooltip)
    box.setChecked(on)
    return box


def row(*items: QWidget | QLayout | None, stretch: int = -1) -> QHBoxLayout:
    """Return widgets and layouts side by side.

    Args:
        *items: From left to right; None is a stretchable gap.
        stretch: Index of the item that takes the remaining width.
    """
    layout = QHBoxLayout()
    _fill(layout, items)
    if stretch >= 0:
        layout.setStretch(stretch, 1)
    return layout


def column(parent: QWidget, *items: QWidget | QLayout | None) -> QVBoxLayout:
    """Lay out widgets and layouts vertically in a widget; None is a stretchable gap."""
    layout = QVBoxLayout(parent)
    _fill(layout, items)
    return layout


def grid(columns: int, *items: QWidget) -> QGridLayout:
    """Return widgets from left to right and from top to bottom."""
    layout = QGridLayout()
    for at, item in enumerate(items):
        layout.addWidget(item, *divmod(at, columns))
    return layout


def form_layout(*rows: tuple[str, QWidget] | QWidget) -> QFormLayout:
    """Return a form whose fields take the available width.

    Args:
        *rows: Label and field, or a widget that takes the whole width.
    """
    layout = QFormLayout()
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    for item in rows:
        layout.addRow(*item) if isinstance(item, tuple) else layout.addRow(item)
    return layout


def in_tab_order(*widgets: QWidget) -> None:
    """Have Tab lead from each widget to the next; otherwise it goes by when they were made."""
    for before, after in pairwise(widgets):
        QWidget.setTabOrder(before, after)


def within(layout: QLayout, widget: QWidget | None = None) -> QWidget:
    """Set a layout, without margins, on a widget, by default a new one; returns the widget."""
    widget = QWidget() if widget is None else widget
    layout.setContentsMargins(0, 0, 0, 0)
    widget.setLayout(layout)
    return widget


def _fill(layout: QBoxLayout, items: Iterable[QWidget | QLayout | None]) -> None:
    for item in items:
        if item is None:
            layout.addStretch(1)
        elif isinstance(item, QLayout):
            layout.addLayout(item)
        else:
            layout.addWidget(item)


Entry = tuple[str, object, *tuple[str, ...]]
"""Label, value and optional tool tip of an entry of a choice."""


class Choice(QComboBox):
    """A combo box that never widens the dock, however long its entries are.

    Args:
        tooltip: Tool tip of the box.
        *entries: Initial entries.
    """

    def __init__(self, tooltip: str, *entries: Entry) -> None:
        super().__init__()
        self.setToolTip(tooltip)
        self.setAccessibleName(tooltip)
        self.setSizeAdjustPolicy(self.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(7)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._entries: list[Entry] = []
        self.offer(entries)

    def offer(self, entries: Iterable[Entry], chosen: object = None) -> None:
        """Replace the entries and choose one by its value, else the first; without signals.

        A list that is open stays open if the entries are the same.
        """
        with QSignalBlocker(self):
            if (entries := list(entries)) != self._entries:
                self._entries = entries
                self.clear()
                for at, (word, value, *tooltip) in enumerate(entries):
                    self.addItem(word, value)
                    self.setItemData(at, "".join(tooltip) or None, Qt.ItemDataRole.ToolTipRole)
            self.choose(chosen)

    def choose(self, value: object) -> None:
        """Choose an entry by its value, else the first."""
        self.setCurrentIndex(max(self.findData(value), 0) if value is not None else 0)


class _Wrapped(QLabel):
    """Label for names of files and classes: see :mod:`napari_muse.plain_text`."""

    def setText(self, text: str | None) -> None:  # noqa: N802 (Qt's name)
        """Show a text."""
        super().setText(breakable(isolated(text or "")))

    def text(self) -> str:
        """Return the text as it was set."""
        return without_marks(super().text())


def wrapped(text: str) -> QLabel:
    """A label that wraps its lines and shows plain text, not HTML."""
    label = _Wrapped()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setText(text)
    label.setWordWrap(True)
    return label
