"""Panel for regions: a table of counts and densities, and a chart of the classes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTableWidget, QTableWidgetItem
from superqt.utils import qthrottled

from muse_core.errors import UserError
from napari_muse.interaction.careful_edits import CarefulEdits
from napari_muse.layers.drawn_areas import draw_area
from napari_muse.layers.region_layer import RegionFigures, RegionLayer, region_figures
from napari_muse.panels import forms
from napari_muse.panels.charts import chart, show_counts
from napari_muse.panels.row_table import RowTable, cell
from napari_muse.session import MuseSession

_CHART_HEIGHT_PX = 130
_TABLE_HEIGHT_PX = 170
_REVIEWED_COLUMN = 1
_SOON_MS = 300


class RegionPanel(forms.Section):
    """Lists the regions of the store; the chart shows the chosen region or the whole slide."""

    def __init__(self, session: MuseSession, edits: CarefulEdits) -> None:
        super().__init__("Regions", session)
        self._edits = edits
        self._figures: dict[int, RegionFigures] = {}
        self.outlines = RegionLayer(session)
        self.table = RowTable(
            tooltip="Nuclei of each region. A ticked region is reviewed: all nuclei in it have been"
            " looked at. Double-click goes there, F2 renames",
            least_px=_TABLE_HEIGHT_PX,
        )
        self.table.setEditTriggers(QTableWidget.EditTrigger.EditKeyPressed)
        self.chart = chart("Nuclei of each class", _CHART_HEIGHT_PX)
        buttons = forms.grid(2, self.draw, self.keep, self.field, self.remove)
        forms.column(self, buttons, self.table, self.chart)
        self.table.edited.connect(self._on_edit)
        self.table.itemDoubleClicked.connect(self._on_double_click)
        self.table.itemSelectionChanged.connect(self._draw_chart)
        self._refresh_soon = qthrottled(self.refresh, _SOON_MS, leading=False, parent=self)
        # Nuclei change every second during corrections or a detection.
        self.follow(self._refresh_soon, session.annotations_changed)
        self.follow(self.refresh, session.regions_changed)
        self.follow(self._on_slide, session.slide_changed)
        self.in_the_end(self._refresh_soon.cancel, self.outlines.close)

    @forms.button("Draw")
    def draw(self) -> None:
        """Draw rectangles or outlines on the slide, then press Keep."""
        draw_area(self._session.viewer, self._session.slide, "add_polygon")

    @forms.button("Keep")
    def keep(self) -> None:
        """Make regions of what is drawn; they are saved with the nuclei."""
        self._session.keep_areas()

    @forms.button("Field reviewed")
    def field(self) -> None:
        """Say that every nucleus in the visible field has been looked at (R)."""
        self._edits.mark_field_reviewed()

    @forms.button("Remove")
    def remove(self) -> None:
        """Remove the chosen region; its nuclei stay. Undo brings it back."""
        chosen = self.table.chosen
        if chosen is None:
            raise UserError("Choose a region in the table first.")
        self._session.annotations.delete_region(chosen)

    def refresh(self) -> None:
        """Update the counts, if the panel is visible."""
        self._refresh_soon.cancel()
        if not self.isVisible():
            return
        self._figures = {figures.id: figures for figures in region_figures(self._session)}
        names = self._session.annotations.scheme.names
        self.table.set_heads(("Region", "Reviewed", "Nuclei", "per mm²", *names))
        self.table.fill({number: _cells(figures) for number, figures in self._figures.items()})
        self._draw_chart()

    def _on_slide(self) -> None:
        # What is being typed must not name a region of this slide that has the same number.
        self.table.fill({})
        self.refresh()

    def _on_edit(self, number: int, item: QTableWidgetItem) -> None:
        annotations = self._session.annotations
        if item.column() != _REVIEWED_COLUMN:
            change = partial(annotations.change_region, number, name=item.text())
        elif item.checkState() == Qt.CheckState.Checked:
            count = int(self._figures[number].counts.sum())
            change = partial(self._edits.mark_region_reviewed, number, count, self.refresh)
        else:
            change = partial(annotations.change_region, number, reviewed=False)
        if not self.attempt(change):
            self.refresh()

    def _on_double_click(self, item: QTableWidgetItem) -> None:
        self._session.show_area(self._figures[self.table.number_of(item)].polygon.bounds)

    def _draw_chart(self) -> None:
        annotations, number = self._session.annotations, self.table.chosen
        chosen = None if number is None else self._figures.get(number)
        heading = chosen.name if chosen else "Whole slide"
        counts = chosen.counts if chosen else annotations.counts()
        # Right after a change of classes those of a region are old; a refresh follows.
        if len(counts) == len(annotations.scheme.classes):
            show_counts(self.chart, heading, annotations.scheme.classes, counts)


def _cells(figures: RegionFigures) -> Iterator[QTableWidgetItem]:
    """Cells of a region: name, check box for reviewed, and numbers."""
    yield cell(figures.name, editable=True)
    reviewed = QTableWidgetItem()
    flags = Qt.ItemFlag
    reviewed.setFlags(flags.ItemIsEnabled | flags.ItemIsSelectable | flags.ItemIsUserCheckable)
    states = Qt.CheckState
    reviewed.setCheckState(states.Checked if figures.reviewed else states.Unchecked)
    yield reviewed
    yield from (cell(text, right=True) for text in figures.figures)
