"""Density images of each class, shown where nuclei are too many to draw."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.utils.colormaps import Colormap
from qtpy.QtCore import QTimer

from muse_core.nuclei.scheme import NucleusClass
from napari_muse.annotations.coordinates import Placement
from napari_muse.layers.slide_guard import FIXED_KEY
from napari_muse.napari_compat import drawn_once, is_closed

if TYPE_CHECKING:
    from napari.components import ViewerModel

_LONGEST_SIDE = 1500
_SMALLEST_BIN_PX = 32.0
_FULL_SHARE = 0.9
"""Quantile of the bins' counts above which a bin is opaque."""


@dataclass(frozen=True, eq=False)
class Densities:
    """Nuclei in square bins that start at the slide's corner.

    Attributes:
        counts: (K, rows, columns) float32, nuclei of each class.
        bin_px: Side of a bin, level-0 pixels.
    """

    counts: npt.NDArray[np.float32]
    bin_px: float

    def full(self, classes: Sequence[int]) -> float:
        """Return how many nuclei of these classes together make a bin opaque, at least 1."""
        total = self.counts[list(classes)].sum(axis=0)
        filled = total[total > 0]
        return float(np.quantile(filled, _FULL_SHARE)) if len(filled) else 1.0


class DensityLayers:
    """An image of the whole slide for each class, so that panning costs nothing.

    The opacity of a bin grows with its count. All classes have the same scale, so that where they
    overlap their colours mix in proportion.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layers: list[Any] = []
        self._densities: Densities | None = None
        self._showing: Any = None
        self._placed: Placement | None = None

    def show(
        self,
        densities: Densities,
        classes: Sequence[NucleusClass],
        hidden: Collection[int],
        placement: Placement,
    ) -> None:
        """Show the images of the classes that are not hidden and have nuclei.

        Images that are unchanged are not updated, because panning calls this with every step.
        """
        showing = (densities, tuple(classes), frozenset(hidden), placement)
        if showing == self._showing and all(x in self._viewer.layers for x in self._layers):
            return
        self._fit(len(classes), placement)
        self._name([f"Density: {nucleus_class.name}" for nucleus_class in classes])
        shown = [i for i in range(len(classes)) if i not in hidden]
        full = densities.full(shown)
        place = _place(densities.bin_px, placement)
        for index, (layer, nucleus_class) in enumerate(zip(self._layers, classes, strict=True)):
            counts = densities.counts[index]
            if densities is not self._densities:
                layer.data = counts
            # Even a value that a layer has already makes napari draw it anew.
            if layer.colormap.name != _name_of(nucleus_class.color):
                layer.colormap = _colormap(nucleus_class.color)
            if layer.contrast_limits != [0.0, full]:
                layer.contrast_limits = (0.0, full)
            if place != self._placed:
                place.apply(layer)
        self._make_visible({i for i in shown if densities.counts[i].any()})
        self._densities, self._showing, self._placed = densities, showing, place

    def prepare(self, n_classes: int, placement: Placement, wanted: Callable[[], bool]) -> None:
        """Create the images that :meth:`show` will need, one in each turn of the event loop.

        Creating several of them at a time would hold up the interface.

        Args:
            n_classes: Number of images.
            placement: Placement of the slide.
            wanted: Whether they are still needed, asked before each.
        """

        def create_one() -> None:
            if len(self._layers) < n_classes and wanted() and not is_closed(self._viewer):
                self._fit(len(self._layers) + 1, placement)
                QTimer.singleShot(0, create_one)

        QTimer.singleShot(0, create_one)

    def hide(self) -> None:
        """Hide the images; they are kept for the next time."""
        self._showing = None
        self._make_visible(())

    def _make_visible(self, shown: Collection[int]) -> None:
        """Show the images of some classes, by their index, and hide the others."""
        wanted = [index in shown for index in range(len(self._layers))]
        changed = [(x, on) for x, on in zip(self._layers, wanted, strict=True) if x.visible != on]
        if not changed:
            return
        with drawn_once(self._viewer):
            for layer, visible in changed:
                layer.visible = visible

    def _fit(self, n_classes: int, placement: Placement) -> None:
        """Have one layer for each class; layers that the user has deleted are created again."""
        layers = self._viewer.layers
        self._layers = [layer for layer in self._layers if layer in layers]
        for surplus in self._layers[n_classes:]:
            layers.remove(surplus)
        del self._layers[n_classes:]
        if len(self._layers) == n_classes:
            return
        # The images there belong to other classes now.
        self._densities = self._placed = None
        with drawn_once(self._viewer):
            while len(self._layers) < n_classes:
                self._layers.append(self._new_layer(placement))
        self._nuclei_on_top()

    def _name(self, names: Sequence[str]) -> None:
        if [layer.name for layer in self._layers] == names:
            return
        # No two layers have one name, not even while two classes exchange theirs.
        for layer in self._layers:
            layer.name = "Density"
        for layer, name in zip(self._layers, names, strict=True):
            layer.name = name

    def _new_layer(self, placement: Placement) -> Any:
        return self._viewer.add_image(
            np.zeros((1, 1), np.float32),
            name="Density",
            interpolation2d="linear",
            blending="translucent_no_depth",
            visible=False,
            metadata={FIXED_KEY: True},
            # Set at creation: all layers of a viewer must agree on their units.
            **placement.settings,
        )

    def _nuclei_on_top(self) -> None:
        """Move the images below the topmost other layer, the nuclei, which stays active."""
        layers = self._viewer.layers
        others = [layer for layer in layers if layer not in self._layers]
        if not others:
            return
        top = others[-1]
        layers.move(layers.index(top), len(layers))
        layers.selection.active = top


def densities(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    class_index: npt.NDArray[np.intp],
    n_classes: int,
    size: tuple[float, float],
) -> Densities:
    """Count the nuclei of each class in square bins.

    Args:
        x: (N,) level-0 pixels.
        y: (N,) level-0 pixels.
        class_index: (N,) index into the classes.
        n_classes: Number of classes, K.
        size: Width and height of the slide, pixels.
    """
    bin_px = max(_SMALLEST_BIN_PX, max(size) / _LONGEST_SIDE)
    columns, rows = (max(1, int(np.ceil(side / bin_px))) for side in size)
    column = np.clip(x / bin_px, 0, columns - 1).astype(np.intp)
    row = np.clip(y / bin_px, 0, rows - 1).astype(np.intp)
    flat = (class_index * rows + row) * columns + column
    counts = np.bincount(flat, minlength=n_classes * rows * columns)
    return Densities(counts.reshape(n_classes, rows, columns).astype(np.float32), bin_px)


def _colormap(color: str) -> Colormap:
    """From nothing to a class's colour."""
    rgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return Colormap([[*rgb, 0.0], [*rgb, 1.0]], name=_name_of(color))


def _name_of(color: str) -> str:
    """Name of the colour map of a class's colour."""
    return f"density {color}"


def _place(bin_px: float, placement: Placement) -> Placement:
    """Return scale, translation and units of an image of bins."""
    # napari places the centre of the first bin, not its corner.
    y, x = placement.to_world([bin_px / 2], [bin_px / 2])[0].tolist()
    bin_h, bin_w = (side * bin_px for side in placement.scale)
    return Placement((bin_h, bin_w), (y, x), placement.unit)
