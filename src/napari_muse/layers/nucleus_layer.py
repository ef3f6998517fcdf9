"""Points layer of the nuclei in view, coloured by class; density images if there are too many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal
from qtpy.QtCore import QElapsedTimer, QTimer
from superqt.utils import qdebounced, qthrottled

from muse_core.array_types import Mask
from muse_core.errors import UserError
from muse_core.nuclei import NucleusFile
from muse_core.nuclei.nucleus_file import WHOLE_SLIDE, Origin
from muse_core.slides import Region
from napari_muse.annotations.coordinates import Placement, from_layer, to_layer
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.io.reader import SOURCE_KEY
from napari_muse.layers.density_layers import Densities, DensityLayers, densities
from napari_muse.layers.feature_table import FeatureTable
from napari_muse.layers.field_of_view import field_of_view
from napari_muse.layers.point_positions import PointPositions
from napari_muse.layers.point_style import (
    DIAMETER_PX,
    RING,
    base_style,
    class_colors,
    mark_style,
)
from napari_muse.layers.rows_in_view import MAX_IN_VIEW, rows_in_view
from napari_muse.layers.saved_points import all_points
from napari_muse.layers.tool_points import move_to, positions_on_slide, require_count
from napari_muse.napari_compat import write_points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

_REFRESH_MS = 80
_OUTLINED_MS = 8000


class NucleusLayer:
    """Synchronises the layer with the annotations, in both directions.

    Edits with napari's own tools go to the annotations. The layer is kept, because removing a
    Points layer that had a selection and adding another one crashes software OpenGL.
    """

    selection_changed = Signal()
    shown_changed = Signal()
    refused = Signal(str)
    """A sentence: why what a tool did was not kept."""

    def __init__(
        self, viewer: ViewerModel, annotations: SlideAnnotations, placement: Placement
    ) -> None:
        self._viewer = viewer
        self._annotations = annotations
        self._mpp: float | None = None
        self._placement = placement
        self._updating = False
        self.hidden_classes: set[int] = set()
        """Ids of the classes that are not shown."""
        self._new_class = 0
        self.shown_ids = np.zeros(0, dtype=np.int64)
        self.in_view = 0
        self._shown: Any = annotations.rows[:0]
        self._selected = np.zeros(0, dtype=np.int64)
        self._size, self._origin_px = (1, 1), WHOLE_SLIDE
        self._loaded: Region | None = None
        self._density = DensityLayers(viewer)
        self._densities: Densities | None = None
        self._densities_of: Any = None
        self.layer: Any = viewer.add_points(
            np.zeros((0, 2)),
            name="Nuclei",
            size=DIAMETER_PX,
            border_width=RING,
            border_width_is_relative=True,
            face_color="transparent",
            opacity=1.0,
            metadata={SOURCE_KEY: self._content},
            # From the start: layers of one viewer must agree on their units.
            **placement.settings,
        )
        self._table = FeatureTable(self.layer)
        self._positions = PointPositions(self.layer)
        # napari's menus save a layer, and all layers, by it.
        self.layer.as_layer_data_tuple = lambda: all_points(self.layer, self._annotations)
        self.layer.events.data.connect(self._on_tool)
        self.layer.selected_data.events.items_changed.connect(self._on_selection)
        self.layer.events.visible.connect(self._show_density)
        self._refresh_soon = qthrottled(self.refresh, _REFRESH_MS, leading=False)
        self._since_refresh = QElapsedTimer()
        self._since_refresh.start()
        self._mark_soon = qdebounced(self._mark, 0)
        self._outlined = np.zeros(0, dtype=np.int64)
        self._end_outline_late = qdebounced(self._end_outline, _OUTLINED_MS)
        viewer.scene.camera.events.connect(self._on_camera)
        annotations.changed.connect(self.request_refresh)

    def _content(self) -> NucleusFile:
        """All nuclei, with coordinates relative to the origin of exported files."""
        content = NucleusFile(
            self._annotations.to_table(),
            mpp=self._mpp,
            origin_px=WHOLE_SLIDE,
            slide=self._annotations.recorded_slide,
        )
        return content.counted_from(self._origin_px)

    def show_annotations(
        self,
        annotations: SlideAnnotations,
        mpp: float | None,
        placement: Placement,
        size: tuple[int, int] = (1, 1),
        origin_px: Origin = WHOLE_SLIDE,
    ) -> None:
        """Show the annotations of a slide.

        Args:
            annotations: Its nuclei.
            mpp: Microns per level-0 pixel, or None while that is unknown.
            placement: Its placement in the world.
            size: Width and height, level-0 pixels.
            origin_px: Origin of coordinates in exported files.
        """
        self.take_edits()
        self._size, self._origin_px = size, origin_px
        self._annotations.changed.disconnect(self.request_refresh)
        self._annotations = annotations
        annotations.changed.connect(self.request_refresh)
        self._mpp, self._placement = mpp, placement
        placement.apply(self.layer)
        self._selected = self._selected[:0]
        self.layer.selected_data = set()
        self.refresh()
        if annotations.reading:
            n_classes = len(annotations.class_ids)
            self._density.prepare(n_classes, placement, lambda: annotations is self._annotations)

    @property
    def new_class(self) -> int:
        """Id of the class of new nuclei; the first class if none is chosen or it was removed."""
        ids = self._annotations.class_ids
        return self._new_class if self._new_class in ids else ids[0]

    @new_class.setter
    def new_class(self, class_id: int) -> None:
        self._new_class = class_id

    @property
    def selected_ids(self) -> npt.NDArray[np.int64]:
        """Ids of the selected nuclei, ascending, those out of view too."""
        return self._selected.copy()

    def select(self, ids: npt.ArrayLike) -> None:
        """Select these nuclei and no others."""
        self._selected = np.unique(np.asarray(ids, dtype=np.int64))
        with self._own_update():
            self._select_points()
            self._mark()
        self.selection_changed.emit()

    def uncover(self, ids: Iterable[int]) -> None:
        """Show nuclei whose class is hidden, or that are hidden with all others."""
        rows = self._annotations.rows
        classes = set(rows["class_id"][np.isin(rows["id"], list(ids))].tolist())
        self.show()
        if not self.hidden_classes.isdisjoint(classes):
            self.hidden_classes -= classes
            self.refresh()

    def _select_points(self) -> None:
        """Have napari select those of the selected nuclei that are shown."""
        points = set(np.flatnonzero(np.isin(self.shown_ids, self._selected)).tolist())
        if points != set(self.layer.selected_data):
            self.layer.selected_data = points

    def nearest(self, x: float, y: float, radius_px: float) -> int | None:
        """Id of the shown nucleus nearest to a level-0 point, None beyond the radius."""
        if not 0 < len(self.shown_ids) == len(self.layer.data):
            return None
        shown_x, shown_y = from_layer(self.layer.data)
        distance = np.hypot(shown_x - x, shown_y - y)
        best = int(distance.argmin())
        return int(self.shown_ids[best]) if distance[best] <= radius_px else None

    def show(self) -> None:
        """Show the nuclei again where all are hidden."""
        # napari draws anew even where nothing changes.
        if not self.layer.visible:
            self.layer.visible = True

    def require_shown(self) -> None:
        """Raise UserError if all nuclei are hidden, because they cannot be edited unseen."""
        if not self.layer.visible:
            raise UserError("The nuclei are hidden; press V to show them.")

    def field_of_view(self) -> Region:
        """Return the region that the canvas shows, level-0 pixels."""
        return field_of_view(self._viewer, self._placement)

    def request_refresh(self) -> None:
        """Refresh soon, once for many requests."""
        self._refresh_soon()

    def refresh(self) -> None:
        """Show the nuclei in view, keeping the selection."""
        self._refresh_soon.cancel()
        self.take_edits()
        found = rows_in_view(self._annotations, self.wanted(), self.field_of_view())
        rows, self.in_view, self._loaded = found.rows, found.in_view, found.loaded
        same = len(rows) == len(self._shown) == len(self.layer.data) and all(
            np.array_equal(rows[name], self._shown[name]) for name in ("id", "x", "y")
        )
        before = len(self._selected)
        self._forget_absent()
        with self._own_update():
            if same:
                self._restyle(rows)
            else:
                self._swap(rows)
            self._shown, self.shown_ids = rows, rows["id"].copy()
            self._select_points()
            self._mark()
        self._show_density()
        self._since_refresh.start()
        self.shown_changed.emit()
        if len(self._selected) != before:
            self.selection_changed.emit()

    def preview(self, ids: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]) -> None:
        """Colour nuclei by classes (n,) that are about to be stored, until the next refresh."""
        if not len(ids) or len(self.layer.data) != len(self.shown_ids):
            return
        order = np.argsort(ids)
        at = np.searchsorted(ids[order], self.shown_ids).clip(max=len(ids) - 1)
        known = ids[order][at] == self.shown_ids
        colors = self.layer.border_color.copy()
        colors[known] = class_colors(self._annotations, classes[order[at[known]]])
        write_points(self.layer, {"border_color": colors})
        self.layer.refresh()

    def outline(self, ids: npt.NDArray[np.int64]) -> None:
        """Draw some nuclei larger and bolder for a while."""
        self._outlined = np.sort(ids)
        self._end_outline_late()
        self._mark()

    def _end_outline(self) -> None:
        self._outlined = self._outlined[:0]
        self._mark()

    def _forget_absent(self) -> None:
        """Deselect nuclei that do not exist any more or whose class is hidden."""
        if len(self._selected):
            there, at = self._annotations.find(self._selected)
            self._selected = self._selected[there][self.wanted()[at]]

    def wanted(self) -> Mask:
        """Return (N,) which rows are present and of a class that is shown."""
        wanted = self._annotations.present.copy()
        for class_id in self.hidden_classes:
            wanted &= self._annotations.rows["class_id"] != class_id
        return wanted

    def _show_density(self) -> None:
        if self.in_view <= MAX_IN_VIEW or not self.layer.visible:
            self._density.hide()
            return
        classes = self._annotations.scheme.classes
        of = (self._annotations, self._annotations.version, self._size)
        if self._densities is None or of != self._densities_of:
            x, y = self._annotations.xy
            index = self._annotations.class_index(self._annotations.rows)
            there = self._annotations.present
            self._densities = densities(x[there], y[there], index[there], len(classes), self._size)
            self._densities_of = of
        ids = self._annotations.class_ids
        hidden = {index for index, number in enumerate(ids) if number in self.hidden_classes}
        self._density.show(self._densities, classes, hidden, self._placement)

    def _swap(self, rows: Any) -> None:
        layer = self.layer
        layer.selected_data = set()
        self._positions.write(to_layer(rows["x"], rows["y"]))
        write_points(layer, {"border_width": RING})
        self._restyle(rows)

    def _restyle(self, rows: Any) -> None:
        """Update colours, symbols and features of the points."""
        self._table.write(self._annotations, rows)
        # Shown by _mark, once for all.
        write_points(self.layer, base_style(self._annotations, rows))

    def _mark(self) -> None:
        """Mark the nuclei that are selected or outlined.

        The positions are not set, because the user may be dragging points.
        """
        rows, layer = self._shown, self.layer
        if len(rows) != len(layer.data):
            return  # A tool has added or removed points; a refresh follows.
        selected = np.zeros(len(rows), dtype=bool)
        selected[list(layer.selected_data)] = True
        outlined = np.isin(rows["id"], self._outlined)
        write_points(layer, mark_style(self._annotations, rows, selected, outlined, self._mpp))
        layer.refresh()

    @contextmanager
    def _own_update(self) -> Iterator[None]:
        before, self._updating = self._updating, True
        try:
            yield
        finally:
            self._updating = before

    def _on_camera(self) -> None:
        if len(self._annotations.rows) <= MAX_IN_VIEW:
            return
        view = self.field_of_view()
        if self._loaded is not None and self._loaded.holds(view):
            return
        # At once if the last refresh was long ago, so that the next frame has it and no further
        # frame is needed.
        if self._since_refresh.hasExpired(_REFRESH_MS):
            self.refresh()
        else:
            self.request_refresh()

    def _on_selection(self) -> None:
        self.take_edits()
        if self._updating:
            return
        # A point napari has just added is selected before it is known here.
        shown = [i for i in self.layer.selected_data if i < len(self.shown_ids)]
        chosen = np.unique(self.shown_ids[shown])
        in_view = np.intersect1d(self._selected, self.shown_ids)
        # What is out of view stays selected while one only adds to the selection.
        added = len(in_view) > 0 and bool(np.isin(in_view, chosen).all())
        self._selected = np.union1d(self._selected, chosen) if added else chosen
        self._mark_soon()
        self.selection_changed.emit()

    def take_edits(self) -> None:
        """Take over what napari's table of features, or the console, has written into the layer."""
        self._attempt(lambda: self._table.take(self._annotations, self._shown))
        if moved := self._positions.taken():
            self._attempt(lambda: self._follow_tool("changed", moved))

    def _on_tool(self, event: Any) -> None:
        """The user has added, removed or dragged points with napari's own tools."""
        if not self._updating:
            action, indices = str(getattr(event, "action", "")), list(event.data_indices)
            self._positions.follow(action)
            self._attempt(lambda: self._follow_tool(action, indices))

    def _attempt(self, follow: Callable[[], None]) -> None:
        """Follow what was done to the points; a UserError is shown, and it is undone."""
        try:
            follow()
        except UserError as error:
            self.refused.emit(str(error))
            self._shown = self._shown[:0]
            self.request_refresh()

    def _follow_tool(self, action: str, indices: list[int]) -> None:
        if action == "added":
            x, y = positions_on_slide(self.layer.data[indices], self._size)
            added = self._annotations.add_many(x, y, self.new_class)
            if len(added) < len(x):
                self.refused.emit(
                    f"{len(added):,} of {len(x):,} nuclei added; where the others would be, there"
                    " are nuclei already."
                )
            # napari selects the point it has just added; that must not outlive the swap.
            QTimer.singleShot(0, lambda: self._show_added(added))
        elif action == "removed":
            require_count(self.layer.data, len(self.shown_ids) - len(indices))
            self.require_shown()
            self._annotations.delete(self.shown_ids[indices])
        elif action == "changed":
            require_count(self.layer.data, len(self.shown_ids))
            moved = sorted(i % len(self.shown_ids) for i in indices)
            move_to(self._annotations, self.shown_ids[moved], self.layer.data[moved], self._size)

    def _show_added(self, ids: list[int]) -> None:
        self.uncover(ids)
        self.refresh()
        self.select(ids)
