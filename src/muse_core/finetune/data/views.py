"""Views: crops of a given size at a given MPP, rotated and flipped, with their nuclei.

Source: MPP-based cropping of Yang et al., "MUSE", AAAI 2026; rotation and flips are part of the
same affine map here, so that pixels are interpolated once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from muse_core.array_types import FloatArray

# A turned view still shows a point this far from its centre, as a share of half its side.
_REACH = 0.7


@dataclass(frozen=True)
class ViewGeometry:
    """An affine map from view pixels to source pixels, both with the origin at a corner.

    ``source = matrix @ view + origin``.

    Attributes:
        matrix: (2, 2), rotation, flip and scale.
        origin: (2,), source position of the view's corner.
        size_px: Side of the square view.
    """

    matrix: FloatArray
    origin: FloatArray
    size_px: int

    @classmethod
    def around(
        cls, centre: FloatArray, size_px: int, scale: float, angle: float, flip: bool
    ) -> ViewGeometry:
        """A view centred on a source point.

        Args:
            centre: (2,) x and y in source pixels.
            size_px: Side of the view.
            scale: Source pixels per view pixel (MPP_o / MPP_e).
            angle: Rotation in radians.
            flip: Whether to mirror the view.
        """
        cos, sin = np.cos(angle), np.sin(angle)
        matrix = scale * np.array([[cos, -sin], [sin, cos]])
        if flip:
            matrix[:, 0] *= -1
        half = np.full(2, size_px / 2)
        return cls(matrix, np.asarray(centre, dtype=np.float64) - matrix @ half, size_px)

    def to_view(self, xy: npt.ArrayLike) -> FloatArray:
        """Source points (N, 2) to view pixels."""
        points = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        return (points - self.origin) @ np.linalg.inv(self.matrix).T

    def to_source(self, xy: npt.ArrayLike) -> FloatArray:
        """View points (N, 2) to source pixels."""
        points = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        return points @ self.matrix.T + self.origin


def random_geometry(
    rng: np.random.Generator,
    source_size: tuple[int, int],
    size_px: int,
    scale: float,
    rotate: bool,
    focus: tuple[float, float, float, float] | None = None,
) -> ViewGeometry:
    """Draw a random view; its centre is placed so that little of it falls outside the source.

    With a focus, a random point of it lies at a random place of the view.

    Args:
        rng: Source of randomness.
        source_size: Height and width of the source in pixels.
        size_px: Side of the view.
        scale: Source pixels per view pixel.
        rotate: Any angle; False leaves multiples of 90 degrees.
        focus: x0, y0, x1, y1 in source pixels; None is anywhere.
    """
    angle = rng.uniform(0, 2 * np.pi) if rotate else np.pi / 2 * rng.integers(4)
    reach = size_px * scale / 2
    sides = np.array([source_size[1], source_size[0]], dtype=np.float64)
    # Corners of a rotated view may leave a source that is large enough for its inscribed circle.
    low = np.minimum(reach, sides / 2)
    high = np.maximum(sides - low, low + 1e-9)
    if focus is None:
        centre = rng.uniform(low, high)
    else:
        point = rng.uniform(focus[:2], focus[2:])
        centre = np.clip(point + _REACH * rng.uniform(-reach, reach, 2), low, high)
    return ViewGeometry.around(centre, size_px, scale, angle, bool(rng.integers(2)))


def render(image: npt.NDArray[np.uint8], geometry: ViewGeometry) -> tuple[Tensor, Tensor]:
    """Draw a view.

    Args:
        image: (H, W, 3) uint8 source.
        geometry: The view.

    Returns:
        The view (3, S, S) float32 in 0..1, and (S, S) bool, True where it shows the source.
    """
    height, width = image.shape[:2]
    part, corner = _needed_part(image, geometry)
    source = _source_grid(geometry)
    inside = ((source >= 0) & (source <= [width, height])).all(axis=-1)
    # grid_sample with align_corners=False counts from corner to corner, as this project does.
    sides = np.array([part.shape[1], part.shape[0]], dtype=np.float64)
    normed = torch.from_numpy((source * (2 / sides) - (2 * corner / sides + 1)).astype(np.float32))
    # A copy: what was read from a slide may not be writable, which torch warns of.
    view = functional.grid_sample(
        torch.from_numpy(part.copy()).permute(2, 0, 1)[None].float() / 255,
        normed[None],
        mode="bilinear",
        padding_mode="reflection",
        align_corners=False,
    )
    return view[0].clamp(0, 1), torch.from_numpy(inside)


def look_up(mask: npt.NDArray[np.bool_], geometry: ViewGeometry) -> Tensor:
    """A mask of the source (H, W) as the view shows it, (S, S) bool; False off the source."""
    height, width = mask.shape
    columns, rows = np.moveaxis(np.floor(_source_grid(geometry)).astype(int), -1, 0)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    shown = np.zeros(inside.shape, dtype=bool)
    shown[inside] = mask[rows[inside], columns[inside]]
    return torch.from_numpy(shown)


def _source_grid(geometry: ViewGeometry) -> FloatArray:
    """Source positions of the centres of a view's pixels, (S, S, 2)."""
    centres = np.arange(geometry.size_px) + 0.5
    across = centres[:, None] * geometry.matrix[:, 0]
    down = centres[:, None] * geometry.matrix[:, 1]
    return across[None] + (down + geometry.origin)[:, None]


def _needed_part(
    image: npt.NDArray[np.uint8], geometry: ViewGeometry
) -> tuple[npt.NDArray[np.uint8], FloatArray]:
    """The part of the source under the view, with a margin for reflection, and its corner."""
    height, width = image.shape[:2]
    side = geometry.size_px
    corners = geometry.to_source([[0, 0], [side, 0], [0, side], [side, side]])
    low = np.clip(np.floor(corners.min(axis=0)) - 2, 0, [width - 1, height - 1]).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 2, low + 1, [width, height]).astype(int)
    return image[low[1] : high[1], low[0] : high[0]], low.astype(np.float64)
