"""Configuration of detection: tiles, batch, thresholds. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from muse_core.detect.backends.names import AUTO, BACKENDS, INT8, OPENVINO, PRECISIONS
from muse_core.detect.backends.tile_size import TILE_PX
from muse_core.errors import UserError
from muse_core.field_types import require_field_types
from muse_core.models.device_names import DEVICES
from muse_core.strict import STRICT, StrictOptions

ALIGN_PX = 32
"""Tiles begin at multiples of this many model pixels, the coarsest stride of the encoders."""


@dataclass(frozen=True)
class DetectConfig:
    """Settings of a detection; pixels are those of the model's resolution.

    Attributes:
        device: One of :data:`DEVICES`; auto takes CUDA, then MPS, then the CPU.
        tile_px: Largest side of a tile with its halo, a multiple of 32; None chooses by backend and
            model, so that the network stays within some hundred megabytes.
        cell_px: Smallest side, about, of the grid cells that tiles consist of: the largest core
            (``tile_px`` less both halos) is divided into as many equal cells as fit. Smaller cells
            follow the tissue more closely.
        halo_px: Context on each side of a tile that it sees but whose nuclei its neighbours
            report, a multiple of 32. Of the nuclei within 25 um of a seam, one in 70 with 64 and
            one in 400 with 96 passes the score threshold in one tile and not in the other.
        batch: Tiles in one pass through the network; None chooses by device.
        min_score: Nucleus probability from which a nucleus is reported; None takes the card's.
        min_tissue: Cells with no more than this share of tissue are skipped.
        readers: Threads that read and resize tiles; None takes one for each core, up to eight, and
            eight for a remote slide.
        seam_radius_um: Margin around its part of the slide within which a tile reports nuclei too;
            up to half of it, two nuclei that two tiles report are the same one.
        backend: One of :data:`BACKENDS`, for models that come as files; auto takes OpenVINO for
            processors where it is installed and can convert the model, torch elsewhere.
        precision: One of :data:`PRECISIONS`. In float32 and with the same ``tile_px`` all backends
            find the same nuclei; in bfloat16 about one in 200, with scores near the threshold, is
            found by one and not by another. In int8, on CPUs only, OpenVINO takes two thirds to
            four fifths of the time, and about one nucleus in 40 differs.
        half_jpeg: Whether JPEG tiles are decoded at half size where the model needs no more, as in
            a 40x slide without a 20x level: faster, and a little different from decoding all of it.
        features: Whether the features of nuclei are kept.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    device: str = "auto"
    tile_px: int | None = None
    cell_px: int = 160
    halo_px: int = 96
    batch: int | None = None
    min_score: float | None = None
    min_tissue: float = 0.0
    readers: int | None = None
    seam_radius_um: float = 2.0
    backend: str = "auto"
    precision: str = "auto"
    half_jpeg: bool = True
    features: bool = False

    def __post_init__(self) -> None:
        require_field_types(self)
        if self.device not in DEVICES:
            raise UserError(f"Unknown device {self.device!r}; choose from {', '.join(DEVICES)}.")
        if self.backend not in BACKENDS:
            raise UserError(f"Unknown backend {self.backend!r}; choose from {', '.join(BACKENDS)}.")
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise UserError(f"Unknown precision {self.precision!r}; choose from {known}.")
        if self.precision == INT8 and self.backend not in (AUTO, OPENVINO):
            raise UserError(f"Only OpenVINO runs in int8, not {self.backend}.")
        if self.halo_px < 0 or self.halo_px % ALIGN_PX or (self.tile_px or 0) % ALIGN_PX:
            raise UserError(f"tile_px and halo_px must be multiples of {ALIGN_PX}.")
        if self.cell_px < 4 * ALIGN_PX:
            raise UserError(f"A cell needs at least {4 * ALIGN_PX} px.")
        if self.tile_px is not None and self.core_px < 4 * ALIGN_PX:
            raise UserError(f"A tile needs at least {4 * ALIGN_PX} px between its halos.")
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise UserError("The minimum score lies between 0 and 1.")
        if not 0 <= self.min_tissue < 1:
            raise UserError("The minimum share of tissue lies between 0 and 1.")
        if any(n is not None and n < 1 for n in (self.batch, self.readers)):
            raise UserError("The batch and the number of readers are at least 1.")
        if self.seam_radius_um <= 0:
            raise UserError("The seam radius must be positive.")

    @property
    def core_px(self) -> int:
        """Largest side of a core, the part of a tile whose nuclei it reports."""
        return (TILE_PX if self.tile_px is None else self.tile_px) - 2 * self.halo_px
