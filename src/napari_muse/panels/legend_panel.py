"""The classes with colour, key and count; a tick shows or hides a class."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QGridLayout, QGroupBox, QLabel, QRadioButton, QVBoxLayout

from napari_muse.layer import MAX_SHOWN
from napari_muse.session import MuseSession

_SWATCH_PX = 14
_LONGEST_NAME_PX = 110
_ROOM_FOR_COUNT = "100,000"


class LegendPanel(QGroupBox):
    """Legend, filter, and choice of the class that new nuclei get."""

    def __init__(self, session: MuseSession) -> None:
        super().__init__("Classes")
        self._session = session
        self._grid = QGridLayout()
        self._grid.setColumnStretch(0, 1)
        self.shown: list[QCheckBox] = []
        self.counts: list[QLabel] = []
        self.for_new: list[QRadioButton] = []
        self.total = QLabel()
        self.total.setWordWrap(True)
        whole = QVBoxLayout(self)
        whole.addLayout(self._grid)
        whole.addWidget(self.total)
        whole.addWidget(_symbol_key())
        self._names: tuple[str, ...] = ()
        session.book_changed.connect(self.update_counts)
        session.nuclei.shown_changed.connect(self._update_total)
        self.update_counts()

    def disconnect_all(self) -> None:
        """Stop following the session."""
        self._session.book_changed.disconnect(self.update_counts)
        self._session.nuclei.shown_changed.disconnect(self._update_total)

    def choose_new(self, index: int) -> None:
        """Choose the class of new nuclei."""
        self.for_new[index].setChecked(True)

    def update_counts(self) -> None:
        """Show the book's classes and counts."""
        scheme = self._session.book.scheme
        if scheme.names != self._names:
            self._rebuild()
        for label, count in zip(self.counts, self._session.book.counts(), strict=True):
            label.setText(f"{count:,}")
        self._update_total()

    def _rebuild(self) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.shown, self.counts, self.for_new = [], [], []
        self._session.nuclei.hidden_classes.clear()
        self._names = self._session.book.scheme.names
        for column, title in enumerate(("Show", "Key", "Count", "New")):
            head = QLabel(title)
            head.setEnabled(False)
            if column:
                head.setAlignment(Qt.AlignmentFlag.AlignRight)
            self._grid.addWidget(head, 0, column)
        for index, entry in enumerate(self._session.book.scheme.classes):
            self._add_row(index, entry.name, entry.color, entry.key)
        self.choose_new(min(self._session.nuclei.new_class, len(self._names) - 1))

    def _add_row(self, index: int, name: str, color: str, key: str) -> None:
        swatch = QPixmap(_SWATCH_PX, _SWATCH_PX)
        swatch.fill(QColor(color))
        box = QCheckBox()
        elide = Qt.TextElideMode.ElideRight
        box.setText(box.fontMetrics().elidedText(name, elide, _LONGEST_NAME_PX))
        box.setIcon(QIcon(swatch))
        box.setChecked(True)
        box.setToolTip(f"Show or hide the nuclei of class {name}")
        box.toggled.connect(lambda on: self._on_toggle(index, on))
        count = QLabel("0")
        # Room for what is to come, so that counting up does not shift the columns.
        count.setMinimumWidth(count.fontMetrics().horizontalAdvance(_ROOM_FOR_COUNT))
        count.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        new = QRadioButton()
        new.setToolTip(f"New nuclei are {name}; in add mode press {key}" if key else name)
        new.toggled.connect(lambda on: self._on_new(index, on))
        right = Qt.AlignmentFlag.AlignRight
        self._grid.addWidget(box, index + 1, 0)
        self._grid.addWidget(QLabel(key), index + 1, 1, right)
        self._grid.addWidget(count, index + 1, 2, right)
        self._grid.addWidget(new, index + 1, 3, right)
        self.shown.append(box)
        self.counts.append(count)
        self.for_new.append(new)

    def _on_toggle(self, index: int, on: bool) -> None:
        hidden = self._session.nuclei.hidden_classes
        if on:
            hidden.discard(index)
        else:
            hidden.add(index)
        self._session.nuclei.refresh()

    def _on_new(self, index: int, on: bool) -> None:
        if on:
            self._session.nuclei.new_class = index

    def _update_total(self) -> None:
        total = int(self._session.book.counts().sum())
        text = f"{total:,} nuclei"
        in_view = self._session.nuclei.in_view
        if in_view > MAX_SHOWN:
            text += f"; the image shows how dense {in_view:,} are, zoom in to see each"
        self.total.setText(text)


def _symbol_key() -> QLabel:
    label = QLabel("○ predicted   ● confirmed\n□ corrected   ◇ added")
    label.setToolTip(
        "A ring is what the model says; it is filled where a person has confirmed it."
        " A square was given another class or place, a diamond was added."
    )
    return label
