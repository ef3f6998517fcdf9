"""Detector: finds the nuclei of a slide or of regions of it and streams them tile by tile."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from muse_core.array_types import RgbArray
from muse_core.detect.area import SearchArea, Shape
from muse_core.detect.backends import InferenceBackend
from muse_core.detect.backends.backend import Wanted
from muse_core.detect.collector import Collector
from muse_core.detect.config import ALIGN_PX, DetectConfig
from muse_core.detect.kept_run import KeptRun, RunState
from muse_core.detect.merge import TileMerge, TileReport
from muse_core.detect.model import PointModel
from muse_core.detect.plan import Tile, TilePlan, plan_tiles
from muse_core.detect.resize import padded_to, to_model_scale
from muse_core.detect.tile_log import TileLog
from muse_core.models.tile_detections import TileDetections
from muse_core.nuclei import nucleus_table
from muse_core.progress import OnProgress
from muse_core.slides import Slide, TissueMask, slide_from_arrays, tissue_mask
from muse_core.slides.mpp import require_fine
from muse_core.slides.readable import ReadablePixels, read_readable
from muse_core.slides.reading_ahead import Ahead, read_ahead, usual_readers
from muse_core.slides.unreadable import Unreadable, place_of

AS_STORED = 0.02
"""A level this near to the model's resolution is not resampled: slides sold as 20x have 0.49 to
0.51 um/px, F1 is the same over that range, and resampling costs more than decoding."""

_ONE_PIECE_PX = 2048
"""Larger images would take gigabytes of the network's memory in one pass, 180 bytes a pixel."""
_BEHIND = 4
"""Further batches for each stream but one: results are taken in order, and while a large tile is
computed the other streams would else have nothing to do."""
_ROUNDING_PX = 1.0
"""Upper bound on the rounding of positions when they are converted to level-0 pixels."""


@dataclass(frozen=True)
class DetectResult:
    """Result of a detection.

    Attributes:
        nuclei: All nuclei, in level-0 pixels, with ids from 0 that are the same for the same input.
            They may be on the disk and are read part by part.
        tissue_mm2: Tissue looked at.
        seconds: Time it took, with that of the runs it goes on from.
        cancelled: Whether it stopped early; it then holds what was found until then.
        tiles_done: Tiles that went through the network.
        tiles_total: Tiles with tissue in the wanted area.
        device: Where the network ran: cuda, mps or cpu.
        backend: What computed it: torch or openvino.
        precision: Arithmetic of the network: float32, bfloat16, float16 or int8.
        notes: Sentences for the user about how the detection ran.
        unreadable: Places that could not be read, by tiles in the order of the plan.
        tiles_resumed: Tiles that were done by an earlier run.
        half_jpeg: Whether JPEG tiles were decoded at half size.
    """

    nuclei: Collector
    tissue_mm2: float
    seconds: float
    cancelled: bool
    tiles_done: int
    tiles_total: int
    device: str
    backend: str
    precision: str
    notes: tuple[str, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    tiles_resumed: int = 0
    half_jpeg: bool = False

    @cached_property
    def table(self) -> pd.DataFrame:
        """NucleusTable of all nuclei; ``attrs["unreadable_px"]`` says which places it lacks."""
        table = self.nuclei.table()
        if self.unreadable:
            table.attrs["unreadable_px"] = [place_of(u.region) for u in self.unreadable]
        return table


@dataclass(frozen=True)
class Search:
    """Area of a slide in which nuclei are looked for.

    Attributes:
        plan: The tiles, in their order.
        area: Where nuclei are wanted.
        tissue: Where there is tissue.
        focus: Place from which the tiles are taken outwards, if there is one.
    """

    plan: TilePlan
    area: SearchArea
    tissue: TissueMask
    focus: tuple[float, float] | None


@dataclass(frozen=True)
class DetectListener:
    """Callbacks of a detection.

    Attributes:
        on_progress: Called with tiles done, tiles in all, and a message.
        should_cancel: Asked between batches of tiles.
        on_nuclei: Called with nuclei as they are settled, in level-0 pixels; together and in this
            order they are the result. Arrays, because making a table of each tile's nuclei takes a
            tenth as long as finding them.
    """

    on_progress: OnProgress = lambda done, total, message: None
    should_cancel: Callable[[], bool] = lambda: False
    on_nuclei: Callable[[TileDetections], None] | None = None


class Detector:
    """A model on a device, ready to find nuclei."""

    def __init__(
        self, model: PointModel | InferenceBackend, config: DetectConfig | None = None
    ) -> None:
        """Move a torch model to its device, or use a backend that is loaded already.

        Raises:
            UserError: The device is not available.
        """
        self.config = config or DetectConfig()
        self.backend = _backend_of(model, self.config)
        self.card = self.backend.card
        self.min_score = (
            self.card.score_threshold if self.config.min_score is None else self.config.min_score
        )

    def detect(
        self,
        slide: Slide,
        region: Shape | Sequence[Shape] | None = None,
        *,
        listener: DetectListener | None = None,
        run: KeptRun | None = None,
        focus: tuple[float, float] | None = None,
    ) -> DetectResult:
        """Find every nucleus once.

        Args:
            slide: An open slide with a known MPP.
            region: Where to look, level-0 pixels; None is the whole slide. Parts outside the slide
                are ignored; overlapping shapes count once.
            listener: Receives progress and nuclei, and can cancel.
            run: Keeps the reports of tiles and the result on disk; tiles it already has from the
                same run are not computed again. None keeps the result in memory.
            focus: Place x, y in level-0 pixels from which tiles are taken outwards; None takes them
                row by row. The nuclei are the same, their ids are not.

        Raises:
            UserError: The slide has no MPP, the region lies outside it, not one tile of the file
                can be read, or there is too little memory for a single tile.
            OSError: The run cannot be kept, as on a full disk.
        """
        begin = time.perf_counter()
        listener = listener or DetectListener()
        search = self.search(slide, region, focus)
        plan = search.plan
        state = run.begin(self._facts(plan)) if run else RunState()
        names = [c["name"] for c in self.card.classes]
        collector = Collector(self.card.name, names, listener.on_nuclei, state.spool)
        seconds = _clock(begin, state.log)
        merge = TileMerge(plan, self._seam_radius_px, collector, state.log, seconds)
        missing = [tile for tile in plan.tiles if tile.index not in merge]
        fresh = self.reports(slide, search, missing, listener.should_cancel)
        merge.take_all(fresh, listener.on_progress, listener.should_cancel)
        return DetectResult(
            nuclei=collector,
            tissue_mm2=_tissue_mm2(search, slide.require_mpp(), merge.done),
            seconds=seconds(),
            cancelled=merge.done < len(plan.tiles),
            tiles_done=merge.done,
            tiles_total=len(plan.tiles),
            device=self.backend.device,
            backend=self.backend.name,
            precision=self.backend.precision,
            notes=tuple(self.backend.notes),
            unreadable=tuple(merge.unreadable),
            tiles_resumed=state.resumed,
            half_jpeg=self._halves(slide, plan.scale),
        )

    def detect_image(self, rgb: RgbArray, mpp: float) -> pd.DataFrame:
        """Return all nuclei of an image; one above 2048 model pixels a side is read in tiles.

        Args:
            rgb: (H, W, 3) uint8.
            mpp: Microns per pixel of ``rgb``.

        Returns:
            NucleusTable in pixels of ``rgb``, best first within the image.
        """
        height, width = rgb.shape[:2]
        if max(height, width) * mpp / self.card.mpp > _ONE_PIECE_PX:
            table = self.detect(slide_from_arrays(rgb, mpp)).table
            return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)
        scaled, scale_x, scale_y = to_model_scale(rgb, mpp, self.card.mpp)
        found = self.backend.run([scaled], Wanted(self.min_score))[0].scaled(scale_x, scale_y)
        x, y = found.x, found.y
        # The network may see something in the padding beside the image.
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        kept = found.take(inside)
        names = np.array([c["name"] for c in self.card.classes], dtype=object)
        return nucleus_table(
            x[inside], y[inside], names[kept.class_index].tolist(), kept.score, model=self.card.name
        )

    def _facts(self, plan: TilePlan) -> dict[str, object]:
        """Return what reports of tiles depend on besides model and slide, as JSON-able values."""
        return {
            "device": self.backend.device,
            "backend": self.backend.name,
            "precision": self.backend.precision,
            "features": self.config.features,
            "min_score": self.min_score,
            "seam_radius_um": self.config.seam_radius_um,
            "plan": plan.digest(),
        }

    @property
    def _margin_px(self) -> float:
        """Width of the border of a tile whose nuclei are never used, not even to settle seams."""
        return self.config.halo_px - self._seam_radius_px - _ROUNDING_PX

    @property
    def _seam_radius_px(self) -> float:
        return self.config.seam_radius_um / self.card.mpp

    def _tile_px(self) -> int:
        """Largest side of a tile that the backend computes with bounded memory."""
        return max(self.backend.tile_px, 4 * ALIGN_PX + 2 * self.config.halo_px)

    def _halves(self, slide: Slide, scale: float) -> bool:
        """Whether the tiles of a slide are decoded at half size."""
        return self.config.half_jpeg and slide.can_halve(scale)

    def scale_on(self, slide: Slide) -> float:
        """Level-0 pixels per pixel that the network sees.

        Where a level of the slide has nearly the resolution that the model expects, it is that
        level's own: its pixels are taken as they are.
        """
        scale = self.card.mpp / slide.require_mpp()
        exact = slide.exact_downsamples(self.config.half_jpeg)
        nearest = min(exact, key=lambda down: abs(math.log(down / scale)))
        return nearest if abs(nearest / scale - 1) <= AS_STORED else scale

    def search(
        self,
        slide: Slide,
        region: Shape | Sequence[Shape] | None,
        focus: tuple[float, float] | None = None,
    ) -> Search:
        """Return the tiles of a slide that go through the network; see :meth:`detect`."""
        require_fine(slide.require_mpp(), self.card.mpp, slide.scale.notes)
        area = SearchArea.within(slide.width, slide.height, region)
        tissue = tissue_mask(slide)
        plan = plan_tiles(
            area,
            self.scale_on(slide),
            replace(self.config, tile_px=self.config.tile_px or self._tile_px()),
            lambda x, y: tissue.fractions(x, y) > self.config.min_tissue,
        )
        plan = plan.outwards(focus)
        if self.backend.prepares_sizes and self.config.tile_px is None:
            plan = plan.with_shared_sizes()
        self.backend.check_batch([plan.network_size(tile) for tile in plan.tiles])
        return Search(plan, area, tissue, focus)

    def reports(
        self,
        slide: Slide,
        search: Search,
        tiles: Sequence[Tile],
        should_cancel: Callable[[], bool],
    ) -> Iterator[list[TileReport]]:
        """Yield the reports of tiles, batch by batch in the order given; ends early on cancel."""
        streams = self.backend.streams
        most = streams + _BEHIND * (streams - 1)
        with ThreadPoolExecutor(streams, thread_name_prefix="network") as network:
            computing: deque[Future[list[TileReport]]] = deque()
            for batch in self._batches(slide, search.plan, tiles, should_cancel):
                # While the network has these batches, the caller merges those before.
                computing.append(network.submit(self._computed, search, batch))
                if len(computing) > most:
                    yield computing.popleft().result()
            while computing:
                yield computing.popleft().result()

    def _computed(
        self, search: Search, batch: Sequence[tuple[Tile, ReadablePixels]]
    ) -> list[TileReport]:
        """Put a batch of tiles through the network."""
        images = [pixels.image for _, pixels in batch if pixels.image is not None]
        wanted = Wanted(self.min_score, self.config.features, self._margin_px)
        answers = iter(self.backend.run(images, wanted) if images else ())
        reports: list[TileReport] = []
        for tile, (image, unreadable) in batch:
            if image is None:
                reports.append(TileReport(tile, None, unreadable))
                continue
            found = next(answers).moved(tile.x_px, tile.y_px)
            x, y = found.x * search.plan.scale, found.y * search.plan.scale
            # Dust and pigment on glass look like nuclei; the mask passes them over.
            inside = search.area.contains(x, y) & search.tissue.contains(x, y)
            for place in unreadable:
                inside &= ~place.region.contains(x, y)
            reports.append(TileReport(tile, found.take(inside), unreadable))
        return reports

    def _batches(
        self,
        slide: Slide,
        plan: TilePlan,
        wanted: Sequence[Tile],
        should_cancel: Callable[[], bool],
    ) -> Iterator[list[tuple[Tile, ReadablePixels]]]:
        """Tiles of one size with their pixels, in the order given; ends early on cancel."""
        readers = self.config.readers or usual_readers(slide)
        return read_ahead(
            wanted,
            lambda tile: self._read(slide, plan, tile),
            Ahead(self.backend.batch, readers),
            should_cancel,
            plan.network_size,
        )

    def _read(self, slide: Slide, plan: TilePlan, tile: Tile) -> ReadablePixels:
        mpp = plan.scale * slide.require_mpp()
        found = read_readable(slide, plan.read_region(tile), mpp, self.config.half_jpeg)
        if found.image is None:
            return found
        if found.image.shape != (*plan.read_size(tile), 3):
            raise RuntimeError(f"read a tile of shape {found.image.shape}")
        return found._replace(image=padded_to(found.image, plan.network_size(tile)))


def detect_image(
    model: PointModel, rgb: RgbArray, mpp: float, config: DetectConfig | None = None
) -> pd.DataFrame:
    """:meth:`Detector.detect_image` for a model that is not in a Detector yet."""
    return Detector(model, config).detect_image(rgb, mpp)


def _backend_of(model: PointModel | InferenceBackend, config: DetectConfig) -> InferenceBackend:
    if isinstance(model, InferenceBackend):
        return model
    # Not before it is needed: a converted model needs no torch.
    from muse_core.detect.backends.torch_backend import TorchBackend
    from muse_core.models.device import choose_device

    return TorchBackend(model, choose_device(config.device), config.batch, config.precision)


def _tissue_mm2(search: Search, mpp: float, tiles_done: int) -> float:
    """Tissue in the wanted area; for a cancelled run, scaled by the share of tiles done."""
    plan, area, tissue = search.plan, search.area, search.tissue
    # Several shapes may overlap, and count once like the nuclei in them.
    wanted = tissue.area_mm2(mpp, area.shapes[0] if len(area.shapes) == 1 else area)
    if tiles_done == len(plan.tiles):
        return wanted
    weights = [tissue.fraction(plan.tile_region(t)) for t in plan.tiles]
    return float(wanted * sum(weights[:tiles_done]) / sum(weights))


def _clock(begin: float, log: TileLog | None) -> Callable[[], float]:
    """Return a function that gives the seconds since ``begin`` and of earlier runs of the log."""
    before = log.seconds if log is not None else 0.0
    return lambda: before + time.perf_counter() - begin
