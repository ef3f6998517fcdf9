"""Regions with their counts and densities, and a chart of the classes."""

from __future__ import annotations

from functools import partial

import pyqtgraph
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QShowEvent
from qtpy.QtWidgets import QAbstractItemView, QGroupBox, QTableWidgetItem

from napari_muse.interaction.careful_edits import CarefulEdits
from napari_muse.jobs.single_shot import once
from napari_muse.layers.drawn_areas import draw_area
from napari_muse.layers.region_layer import RegionFigures, RegionLayer, region_figures
from napari_muse.panels.charts import chart, set_heading
from napari_muse.panels.forms import (
    Following,
    cell,
    chosen_row,
    column,
    fill_row,
    grid,
    push_button,
    row_table,
)
from napari_muse.session import MuseSession

_CHART_HEIGHT_PX = 130
_HEADING_PT = 9
_TABLE_HEIGHT_PX = 170
_REVIEWED_COLUMN = 1
_SOON_MS = 300


class RegionPanel(Following, QGroupBox):
    """Lists the regions of the store; the chart is of the chosen region or of the whole slide."""

    def __init__(self, session: MuseSession, edits: CarefulEdits) -> None:
        super().__init__("Regions")
        self._session = session
        self._edits = edits
        self._figures: list[RegionFigures] = []
        self._filling = False
        self.outlines = RegionLayer(session)
        self.draw = push_button(
            "Draw", "Draw rectangles or outlines on the slide, then press Keep", self._on_draw
        )
        self.keep = push_button(
            "Keep",
            "Make regions of what is drawn; they are saved with the nuclei",
            lambda: session.attempt(session.keep_areas),
        )
        self.field = push_button(
            "Field reviewed",
            "Say that every nucleus in the visible field has been looked at (R)",
            lambda: session.attempt(edits.mark_field_reviewed),
        )
        self.remove = push_button(
            "Remove",
            "Remove the chosen region; its nuclei stay. Undo brings it back",
            self._on_remove,
        )
        self.table = row_table(
            tooltip="Nuclei of each region. A ticked region is reviewed: all nuclei in it have been"
            " looked at. Double-click goes there, F2 renames",
            least_px=_TABLE_HEIGHT_PX,
        )
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.chart = chart("Nuclei of each class", _CHART_HEIGHT_PX)
        buttons = grid(2, self.draw, self.keep, self.field, self.remove)
        column(self, buttons, self.table, self.chart)
        self.table.itemChanged.connect(self._on_item)
        self.table.itemDoubleClicked.connect(self._on_double_click)
        self.table.itemSelectionChanged.connect(self._draw_chart)
        self._soon = once(self.update_table, _SOON_MS, self)
        self.follow(
            # Nuclei change by the second while one corrects or detects.
            (session.annotations_changed, self._update_soon),
            (session.regions_changed, self.update_table),
            (session.slide_changed, self.update_table),
        )
        self.update_table()

    def disconnect_all(self) -> None:
        """Stop following the session."""
        super().disconnect_all()
        self.outlines.close()

    def update_table(self) -> None:
        """Count anew, if anyone is looking."""
        self._soon.stop()
        if not self.isVisible():
            return
        chosen = self._chosen()
        self._figures = region_figures(self._session)
        names = self._session.annotations.scheme.names
        self._filling = True
        self.table.setColumnCount(4 + len(names))
        self.table.setHorizontalHeaderLabels(["Region", "Reviewed", "Nuclei", "per mm²", *names])
        self.table.setRowCount(len(self._figures))
        for at, figures in enumerate(self._figures):
            numbers = (cell(text, right=True) for text in figures.figures)
            name, reviewed = cell(figures.name, editable=True), _tick(figures.reviewed)
            fill_row(self.table, at, (name, reviewed, *numbers))
            if chosen is not None and figures.id == chosen.id:
                self.table.selectRow(at)
        self._filling = False
        self._draw_chart()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Catch up with what happened while nobody looked."""
        super().showEvent(event)
        self.update_table()

    def _update_soon(self) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def _chosen(self) -> RegionFigures | None:
        row = chosen_row(self.table)
        return self._figures[row] if row is not None and row < len(self._figures) else None

    def _on_item(self, item: QTableWidgetItem) -> None:
        if self._filling:
            return
        figures = self._figures[item.row()]
        number, annotations = figures.id, self._session.annotations
        if item.column() != _REVIEWED_COLUMN:
            change = partial(annotations.change_region, number, name=item.text())
        elif item.checkState() == Qt.CheckState.Checked:
            count = int(figures.counts.sum())
            change = partial(self._edits.mark_region_reviewed, number, count, self.update_table)
        else:
            change = partial(annotations.change_region, number, reviewed=False)
        if not self._session.attempt(change):
            self.update_table()

    def _on_double_click(self, item: QTableWidgetItem) -> None:
        self._session.show_area(self._figures[item.row()].polygon.bounds)

    def _on_draw(self) -> None:
        draw_area(self._session.viewer, self._session.slide, "add_polygon")

    def _on_remove(self) -> None:
        chosen = self._chosen()
        if chosen is None:
            self._session.refused.emit("Choose a region in the table first.")
        else:
            self._session.attempt(lambda: self._session.annotations.delete_region(chosen.id))

    def _draw_chart(self) -> None:
        if self._filling:
            return
        chosen = self._chosen()
        counts = chosen.counts if chosen else self._session.annotations.counts()
        classes = self._session.annotations.scheme.classes
        self.chart.clear()
        set_heading(self.chart, chosen.name if chosen else "Whole slide", _HEADING_PT)
        bars = pyqtgraph.BarGraphItem(
            x=list(range(len(classes))), height=counts, width=0.6,
            brushes=[QColor(c.color) for c in classes],
        )  # fmt: skip
        self.chart.addItem(bars)
        self.chart.getAxis("bottom").setTicks([list(enumerate(c.name[:14] for c in classes))])


def _tick(on: bool) -> QTableWidgetItem:
    item = QTableWidgetItem()
    item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
    item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
    return item
