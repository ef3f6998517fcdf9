"""Panel with the legend: classes with colour, key and count, and a box to show each."""

from __future__ import annotations

from itertools import chain

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap, QResizeEvent
from qtpy.QtWidgets import QCheckBox, QLabel, QRadioButton, QSizePolicy

from muse_core.nuclei import NucleusClass
from muse_core.nuclei.named import named
from napari_muse.layers.shown_classes import show_all_classes, show_class, total_text
from napari_muse.panels import forms
from napari_muse.panels.class_dialog import ClassDialog
from napari_muse.panels.page import UpDownArea
from napari_muse.plain_text import as_it_is, for_button
from napari_muse.session import MuseSession

_RIGHT = Qt.AlignmentFlag.AlignRight
_SWATCH_PX = 14
_LONGEST_NAME_PX = 110
_LEAST_PX = 130
"""Height of a few classes; more of them scroll where the window is low."""
_MOST_OF_SCREEN = 0.3
_ROOM_FOR_COUNT = "100,000"


class LegendPanel(forms.Section):
    """Legend, filter, and choice of the class that new nuclei get."""

    def __init__(self, session: MuseSession) -> None:
        super().__init__("Classes", session)
        self._rows = _Rows()
        self.shown: list[_NameBox] = []
        self.counts: list[QLabel] = []
        self.for_new: list[QRadioButton] = []
        self.total = forms.wrapped("")
        below = forms.row(self.total, self.edit, stretch=0)
        forms.column(self, self._rows, below, _symbol_key())
        self._keys: list[QLabel] = []
        self._classes: tuple[NucleusClass, ...] = ()
        self._shown_annotations = session.annotations
        self.follow(self._update_shown, session.nuclei.shown_changed)
        self.follow_now(self.refresh, session.annotations_changed)

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

    def refresh(self) -> None:
        """Show the classes and counts."""
        annotations = self._session.annotations
        if annotations is not self._shown_annotations:
            # On another slide a class that is hidden would be missed.
            self._shown_annotations = annotations
            show_all_classes(self._session.nuclei)
        before, self._classes = self._classes, annotations.scheme.classes
        if len(before) != len(self._classes):
            self._rebuild()
            before = ()
        # Of many classes one or two have changed; to make widgets for all would take long.
        for at, entry in enumerate(self._classes):
            if before[at : at + 1] != (entry,):
                self._show_class(at, entry)
        if before != self._classes:
            self.choose_new(annotations.class_ids.index(self._session.nuclei.new_class))
            self._update_shown()
        for label, count in zip(self.counts, annotations.counts(), strict=True):
            label.setText(f"{count:,}")
        self._update_total()

    def _rebuild(self) -> None:
        """Make the widgets of all classes anew; :meth:`_show_class` then says what they are for."""
        self.shown = [self._class_box(at) for at in range(len(self._classes))]
        self._keys = keys = [QLabel() for _ in self._classes]
        self.counts = [_count_label() for _ in self._classes]
        self.for_new = [self._new_button(at) for at in range(len(self._classes))]
        heads = [QLabel(title) for title in ("Show", "Key", "Count", "New")]
        for head in heads:
            head.setEnabled(False)
        lines = (heads, *zip(self.shown, keys, self.counts, self.for_new, strict=True))
        grid = forms.grid(len(heads), *chain.from_iterable(lines))
        grid.setColumnStretch(0, 1)
        for widget in chain.from_iterable(line[1:] for line in lines):
            grid.setAlignment(widget, _RIGHT)
        before = self._rows.takeWidget()
        if before is not None:
            # What is clicked in there may have led here.
            before.deleteLater()
        self._rows.setWidget(forms.within(grid))
        controls = chain.from_iterable(zip(self.shown, self.for_new, strict=True))
        forms.in_tab_order(self._rows, *controls, self.edit)

    def _class_box(self, index: int) -> _NameBox:
        box = _NameBox()
        box.setChecked(True)
        box.clicked.connect(lambda on: show_class(self._session.nuclei, self._id(index), on))
        return box

    def _new_button(self, index: int) -> QRadioButton:
        """Return the radio button that makes a class that of new nuclei."""
        new = QRadioButton()
        new.toggled.connect(lambda on: self._on_new(index, on))
        return new

    def _show_class(self, index: int, entry: NucleusClass) -> None:
        """Show the colour, the key and as much of the name of a class as fits."""
        box, new, name, key = self.shown[index], self.for_new[index], entry.name, entry.key
        swatch = QPixmap(_SWATCH_PX, _SWATCH_PX)
        swatch.fill(QColor(entry.color))
        box.setIcon(QIcon(swatch))
        box.name(name)
        box.setToolTip(as_it_is(f"Show or hide the nuclei of {named('class', name)}"))
        self._keys[index].setText(key)
        new.setAccessibleName(f"New nuclei are {name}")
        new.setToolTip(as_it_is(f"New nuclei are {name}; in add mode press {key}" if key else name))

    def _id(self, index: int) -> int:
        """Id of a class of the slide as it is now, whose classes may have other ids by then."""
        return self._session.annotations.class_ids[index]

    def _on_new(self, index: int, on: bool) -> None:
        if on:
            self._session.nuclei.new_class = self._id(index)

    def _update_shown(self) -> None:
        """Tick the classes that are shown, and say how many nuclei are."""
        hidden = self._session.nuclei.hidden_classes
        for box, number in zip(self.shown, self._session.annotations.class_ids, strict=False):
            box.setChecked(number not in hidden)
        self._update_total()

    def _update_total(self) -> None:
        if self._session.annotations.reading:
            self.total.setText("The nuclei are being read …")
            return
        total = int(self._session.annotations.counts().sum())
        self.total.setText(total_text(total, self._session.nuclei.in_view))


class _NameBox(QCheckBox):
    """Box to tick, with as much of a name as there is room for; it asks for little."""

    _words = _shown = ""

    def name(self, name: str) -> None:
        """Show another name."""
        self._words = " ".join(name.split())
        self._elide(_LONGEST_NAME_PX)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Size with the beginning of a long name."""
        wanted = super().sizeHint()
        name = min(self.fontMetrics().horizontalAdvance(self._words), _LONGEST_NAME_PX)
        return QSize(self._beside(wanted) + name, wanted.height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """The same."""
        return self.sizeHint()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Show more of the name, or less."""
        super().resizeEvent(event)
        self._elide(self.width() - self._beside(super().sizeHint()))

    def _beside(self, whole: QSize) -> int:
        """Width of what is beside the name, in the present style."""
        return whole.width() - self.fontMetrics().horizontalAdvance(self._shown)

    def _elide(self, width_px: int) -> None:
        right = Qt.TextElideMode.ElideRight
        self._shown = self.fontMetrics().elidedText(self._words, right, width_px)
        self.setText(for_button(self._shown))


class _Rows(UpDownArea):
    """As high as its content, or lower: many classes leave room for the tabs."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Size of the content, and of the frame that the style may add; a part of the screen."""
        content, frame, screen = self.widget(), 2 * self.frameWidth(), self.screen()
        if content is None or screen is None:
            return super().sizeHint()
        wanted = content.sizeHint() + QSize(frame, frame)
        most = max(_LEAST_PX, int(screen.availableGeometry().height() * _MOST_OF_SCREEN))
        return QSize(wanted.width(), min(wanted.height(), most))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """The height of a few classes is enough."""
        return QSize(super().minimumSizeHint().width(), min(self.sizeHint().height(), _LEAST_PX))


def _count_label() -> QLabel:
    """Return a label wide enough for large numbers, so that counting does not shift columns."""
    label = QLabel("0")
    label.setMinimumWidth(label.fontMetrics().horizontalAdvance(_ROOM_FOR_COUNT))
    label.setAlignment(_RIGHT | Qt.AlignmentFlag.AlignVCenter)
    return label


def _symbol_key() -> QLabel:
    label = QLabel("○ predicted   ● confirmed\n□ corrected   ◇ added")
    label.setToolTip(
        "A ring is what the model says; it is filled where a person has confirmed it."
        " A square was given another class or place, a diamond was added."
    )
    return label
