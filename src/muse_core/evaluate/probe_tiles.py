"""Annotated images cut into the tiles of MUSE's probing protocol.

Each image is divided into cells of 224 px, and a nucleus is seen in the tile around its cell. A
field of view of 512 px adds context on all sides. Beyond its border the image is mirrored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_core.data.points_folder import AnnotatedImage
from muse_core.detect.resize import to_model_scale
from muse_core.errors import UserError

CELL_PX = 224
FIELDS_OF_VIEW_PX = (224, 512)


@dataclass(frozen=True)
class ProbeTile:
    """A tile and its nuclei.

    Attributes:
        image: Index of the image it is of.
        x_px: Its left side in the mirrored image.
        y_px: Its top side in the mirrored image.
        xy: (n, 2) float32, nuclei in pixels of the tile.
        labels: (n,) int64, their classes.
    """

    image: int
    x_px: int
    y_px: int
    xy: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class ProbeSet:
    """Tiles of a set of images; those without a nucleus are left out.

    Attributes:
        tiles: The tiles, image by image.
        fov_px: Their side.
        n_images: Number of images, those without a nucleus too.
    """

    tiles: tuple[ProbeTile, ...]
    fov_px: int
    n_images: int
    _mirrored: tuple[npt.NDArray[np.uint8], ...]

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) classes of all nuclei, tile by tile."""
        return _joined([tile.labels for tile in self.tiles])

    @property
    def image_of_nucleus(self) -> npt.NDArray[np.int64]:
        """(N,) index of the image of each nucleus, tile by tile."""
        return _joined([np.full(len(t.labels), t.image, dtype=np.int64) for t in self.tiles])

    def pixels(self, tile: ProbeTile) -> npt.NDArray[np.uint8]:
        """(fov_px, fov_px, 3) uint8."""
        image = self._mirrored[tile.image]
        return image[tile.y_px : tile.y_px + self.fov_px, tile.x_px : tile.x_px + self.fov_px]


def probe_set(
    images: Sequence[AnnotatedImage], class_names: Sequence[str], mpp: float, fov_px: int
) -> ProbeSet:
    """Cut images into tiles.

    Args:
        images: Annotated images, rescaled to ``mpp``.
        class_names: Names in the order of the labels.
        mpp: Microns per pixel of the tiles.
        fov_px: 224 or 512.

    Raises:
        UserError: The field of view is another one, or an image holds another class.
    """
    if fov_px not in FIELDS_OF_VIEW_PX:
        raise UserError("The field of view of the probing protocol is 224 or 512 px.")
    index = {name: i for i, name in enumerate(class_names)}
    tiles: list[ProbeTile] = []
    mirrored = []
    for number, image in enumerate(images):
        unknown = set(image.class_names) - set(index)
        if unknown:
            raise UserError(
                f"{image.name} holds the class {sorted(unknown)[0]!r}, which the training images"
                " lack."
            )
        padded, scale_x, scale_y = to_model_scale(image.image, image.mpp, mpp)
        height, width = image.image.shape[:2]
        pixels = padded[: round(height / scale_y), : round(width / scale_x)]
        mirrored.append(_mirror(pixels, (fov_px - CELL_PX) // 2))
        xy = (image.xy / np.array([scale_x, scale_y])).astype(np.float32)
        labels = np.array([index[name] for name in image.class_names], dtype=np.int64)
        tiles.extend(_cut(number, xy, labels, pixels.shape[:2], (fov_px - CELL_PX) // 2))
    return ProbeSet(tuple(tiles), fov_px, len(images), tuple(mirrored))


def _cut(
    number: int,
    xy: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    size: tuple[int, int],
    margin_px: int,
) -> list[ProbeTile]:
    # Points on the far border belong to the last cell.
    last = (np.array(size[::-1]) - 1) // CELL_PX
    cells = np.clip(np.floor(xy / CELL_PX).astype(np.int64), 0, last)
    tiles = []
    for x, y in sorted({(int(x), int(y)) for x, y in cells}, key=lambda c: (c[1], c[0])):
        inside = (cells == (x, y)).all(axis=1)
        # The margin around the image puts a tile's corner where its cell's corner was.
        corner = np.array([x, y], dtype=np.float32) * CELL_PX
        local = (xy[inside] - corner + margin_px).astype(np.float32)
        tiles.append(ProbeTile(number, x * CELL_PX, y * CELL_PX, local, labels[inside]))
    return tiles


def _mirror(pixels: npt.NDArray[np.uint8], margin_px: int) -> npt.NDArray[np.uint8]:
    """Add the margin all around, and at right and bottom what the last cells lack."""
    height, width = pixels.shape[:2]
    return np.pad(
        pixels,
        (
            (margin_px, margin_px + -height % CELL_PX),
            (margin_px, margin_px + -width % CELL_PX),
            (0, 0),
        ),
        mode="symmetric",
    )


def _joined(parts: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
