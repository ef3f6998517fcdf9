"""The classes with colour, key and count; a tick shows or hides a class."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QRadioButton

from muse_core.nuclei import NucleusClass
from napari_muse.layers.rows_in_view import MAX_IN_VIEW
from napari_muse.panels import forms
from napari_muse.panels.class_dialog import ClassDialog
from napari_muse.plain_text import as_it_is, for_button
from napari_muse.session import MuseSession

_RIGHT = Qt.AlignmentFlag.AlignRight
_SWATCH_PX = 14
_LONGEST_NAME_PX = 110
_ROOM_FOR_COUNT = "100,000"


class LegendPanel(forms.Section):
    """Legend, filter, and choice of the class that new nuclei get."""

    def __init__(self, session: MuseSession) -> None:
        super().__init__("Classes", session)
        self._grid = QGridLayout()
        self._grid.setColumnStretch(0, 1)
        self.shown: list[QCheckBox] = []
        self.counts: list[QLabel] = []
        self.for_new: list[QRadioButton] = []
        self.total = forms.wrapped("")
        below = forms.row(self.total, self.edit, stretch=0)
        forms.column(self, self._grid, below, _symbol_key())
        self._classes: tuple[NucleusClass, ...] = ()
        self.follow(self.refresh, session.annotations_changed)
        self.follow(self._update_shown, session.nuclei.shown_changed)
        self.refresh()

    @forms.button("Edit …")
    def edit(self) -> None:
        """Add, rename, recolour or merge classes, and choose their keys."""
        self.edit_classes()

    def edit_classes(self) -> ClassDialog:
        """Open the dialog of the classes; raises UserError where no slide is open."""
        self._session.require_slide()
        dialog = ClassDialog(self._session, self)
        dialog.open()
        return dialog

    def choose_new(self, index: int) -> None:
        """Choose the class of new nuclei."""
        self.for_new[index].setChecked(True)

    def show_next_class(self) -> None:
        """Show one class alone, then the next, and after the last all again."""
        alone = [box.isChecked() for box in self.shown]
        only = alone.index(True) if sum(alone) == 1 and len(alone) > 1 else -1
        wanted = 0 if all(alone) else only + 1
        for index, box in enumerate(self.shown):
            box.setChecked(wanted >= len(self.shown) or index == wanted)

    def refresh(self) -> None:
        """Show the classes and counts."""
        classes = self._session.annotations.scheme.classes
        if classes != self._classes:
            self._rebuild()
        for label, count in zip(self.counts, self._session.annotations.counts(), strict=True):
            label.setText(f"{count:,}")
        self._update_total()

    def _rebuild(self) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.shown, self.counts, self.for_new = [], [], []
        if self._session.nuclei.hidden_classes:
            self._session.nuclei.hidden_classes.clear()
            self._session.nuclei.request_refresh()
        self._classes = self._session.annotations.scheme.classes
        for at, title in enumerate(("Show", "Key", "Count", "New")):
            head = QLabel(title)
            head.setEnabled(False)
            self._grid.addWidget(head, 0, at, _RIGHT if at else Qt.AlignmentFlag.AlignLeft)
        for index, entry in enumerate(self._classes):
            self._add_row(index, entry)
        ids = self._session.annotations.class_ids
        self.choose_new(ids.index(self._session.nuclei.new_class))

    def _add_row(self, index: int, entry: NucleusClass) -> None:
        name, key = entry.name, entry.key
        box, count, new = _class_box(entry), QLabel("0"), QRadioButton()
        box.toggled.connect(lambda on: self._on_toggle(index, on))
        # Room for what is to come, so that counting up does not shift the columns.
        count.setMinimumWidth(count.fontMetrics().horizontalAdvance(_ROOM_FOR_COUNT))
        count.setAlignment(_RIGHT | Qt.AlignmentFlag.AlignVCenter)
        new.setToolTip(as_it_is(f"New nuclei are {name}; in add mode press {key}" if key else name))
        new.toggled.connect(lambda on: self._on_new(index, on))
        self._grid.addWidget(box, index + 1, 0)
        for at, widget in enumerate((QLabel(key), count, new), start=1):
            self._grid.addWidget(widget, index + 1, at, _RIGHT)
        self.shown.append(box)
        self.counts.append(count)
        self.for_new.append(new)

    def _on_toggle(self, index: int, on: bool) -> None:
        class_id = self._session.annotations.class_ids[index]
        hidden = self._session.nuclei.hidden_classes
        if on:
            hidden.discard(class_id)
        else:
            hidden.add(class_id)
        self._session.nuclei.refresh()

    def _on_new(self, index: int, on: bool) -> None:
        if on:
            self._session.nuclei.new_class = self._session.annotations.class_ids[index]

    def _update_shown(self) -> None:
        """Tick the classes that are shown, and say how many nuclei are."""
        hidden = self._session.nuclei.hidden_classes
        for box, number in zip(self.shown, self._session.annotations.class_ids, strict=False):
            if box.isChecked() == (number in hidden):
                with QSignalBlocker(box):
                    box.setChecked(number not in hidden)
        self._update_total()

    def _update_total(self) -> None:
        total = int(self._session.annotations.counts().sum())
        text = f"{total:,} nuclei"
        in_view = self._session.nuclei.in_view
        if in_view > MAX_IN_VIEW:
            text += f"; the images show how dense {in_view:,} are, zoom in to see each"
        self.total.setText(text)


def _class_box(entry: NucleusClass) -> QCheckBox:
    """Return the tick of a class with its colour and, as far as there is room, its name."""
    swatch = QPixmap(_SWATCH_PX, _SWATCH_PX)
    swatch.fill(QColor(entry.color))
    box = forms.check_box("", as_it_is(f"Show or hide the nuclei of class {entry.name}"), on=True)
    metrics, words = box.fontMetrics(), " ".join(entry.name.split())
    elided = metrics.elidedText(words, Qt.TextElideMode.ElideRight, _LONGEST_NAME_PX)
    box.setText(for_button(elided))
    box.setIcon(QIcon(swatch))
    return box


def _symbol_key() -> QLabel:
    label = QLabel("○ predicted   ● confirmed\n□ corrected   ◇ added")
    label.setToolTip(
        "A ring is what the model says; it is filled where a person has confirmed it."
        " A square was given another class or place, a diamond was added."
    )
    return label
