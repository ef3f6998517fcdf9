"""Detection on the workers of a dask.distributed cluster, which compute bands of tiles.

A task has the path of a slide and the numbers of some tiles, and returns their reports. The result
does not depend on where or how often a task runs, so that another worker repeats the work of one
that dies. The program that was started merges the reports and writes the files; it needs no GPU.
Workers must see slide and model under the same paths as that program.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muse_core import __version__
from muse_core.detect.backends import InferenceBackend
from muse_core.detect.backends.backend import Wanted
from muse_core.detect.config import DetectConfig
from muse_core.detect.detector import Detector, Search
from muse_core.detect.merge import TileReport
from muse_core.detect.packing import pack, unpack
from muse_core.detect.plan import Tile
from muse_core.errors import UserError
from muse_core.files import sha256_of
from muse_core.slides import ImageChoice, Slide, open_slide
from muse_core.slides.unreadable import Unreadable

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as Task

    from muse_core.detect.area import Shape

BAND_TILES = 8
"""Tiles in a task, some seconds of work: much more than its overhead, and little to repeat."""
_AHEAD = 2
"""Bands per worker thread, running or queued."""
_PATIENCE_S = 120.0
"""How long a cluster may be without any worker, as while a queue starts them."""
_POLL_S = 0.2
_CONNECT_S = 20
_SLIDES_OPEN = 2
GPU = "GPU"
"""Resource that workers with a GPU declare: ``dask worker ... --resources GPU=1``."""
Answer = tuple[int, "bytes | None", tuple[Unreadable, ...]]


@dataclass(frozen=True)
class Network:
    """Model and settings of a worker, which must be the same on all workers."""

    version: str
    model: str
    backend: str
    device: str
    precision: str
    tile_px: int
    prepares_sizes: bool


@dataclass(frozen=True)
class Band:
    """Some tiles of a slide, as they travel to a worker.

    Attributes:
        model: File of the model.
        config: Settings, by name.
        slide: File of the slide, with mpp, image, plane and channels.
        shapes: Area in which nuclei are wanted.
        focus: Place from which tiles are taken outwards; None is row by row.
        plan: Digest of the tile plan, which the worker computes itself.
        tiles: Numbers of the tiles in the plan.
        network: Model and settings that the worker must have.
    """

    model: str
    config: dict[str, Any]
    # Workers log the tasks that fail, and an address may hold a password.
    slide: tuple[str, float | None, tuple[Any, ...]] = field(repr=False)
    shapes: tuple[Shape, ...]
    focus: tuple[float, float] | None
    plan: str
    tiles: tuple[int, ...]
    network: Network


class WorkerState:
    """State of a worker between bands: one loaded model and the slides used last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._made: tuple[object, Detector, Network] | None = None
        self._open: OrderedDict[Any, tuple[Slide, Search]] = OrderedDict()

    def detector(self, model: str, config: dict[str, Any]) -> tuple[Detector, Network]:
        """The model, loaded once."""
        key = (model, _stamp(model), config)
        if self._made is None or self._made[0] != key:
            from muse_core.detect.backends.choosing import open_backend

            settings = DetectConfig(**config)
            made = open_backend(Path(model), settings)
            network = Network(
                __version__,
                sha256_of(Path(model)),
                made.name,
                made.device,
                made.precision,
                made.tile_px,
                made.prepares_sizes,
            )
            self._made = (key, Detector(made, settings), network)
        return self._made[1:]

    def search(self, band: Band, detector: Detector) -> tuple[Slide, Search]:
        """The slide, open, and its plan, made once."""
        key = (band.slide, _stamp(band.slide[0]), band.shapes, band.focus, band.plan)
        if key not in self._open:
            path, mpp, choice = band.slide
            slide = open_slide(path, mpp, ImageChoice(*choice), force_mpp=mpp is not None)
            self._open[key] = slide, detector.search(slide, band.shapes, band.focus)
            while len(self._open) > _SLIDES_OPEN:
                self._open.popitem(last=False)[1][0].close()
        self._open.move_to_end(key)
        return self._open[key]


def _stamp(path: str) -> tuple[int, int] | None:
    """What changes when a file is replaced; None of an address."""
    try:
        facts = Path(path).stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size


def describe(model: str, config: dict[str, Any]) -> Network:
    """On a worker: what computes there."""
    state = _state()
    with state.lock:
        return state.detector(model, config)[1]


def reports_of(band: Band) -> list[Answer]:
    """Compute the reports of a band's tiles; runs on a worker.

    Raises:
        UserError: The slide cannot be read there, or its device or precision differs from others.
    """
    state = _state()
    with state.lock:
        detector, network = state.detector(band.model, band.config)
        if network != band.network:
            raise UserError(
                f"A worker computes with {_told(network)}, another with {_told(band.network)};"
                " their results would not be the same."
            )
        slide, search = state.search(band, detector)
        if search.plan.digest() != band.plan:
            raise UserError(f"A worker sees another slide under {band.slide[0]}.")
        tiles = [search.plan.tiles[index] for index in band.tiles]
        return [
            (tile.index, None if found is None else pack(found), unreadable)
            for reports in detector.reports(slide, search, tiles, lambda: False)
            for tile, found, unreadable in reports
        ]


def _state() -> WorkerState:
    from distributed import get_worker

    worker: Any = get_worker()
    if not hasattr(worker, "napari_muse"):
        worker.napari_muse = WorkerState()
    state: WorkerState = worker.napari_muse
    return state


def _told(network: Network) -> str:
    return f"{network.backend} on {network.device} in {network.precision} (v{network.version})"


class _ElsewhereBackend(InferenceBackend):
    """Stands for the workers' backend where nothing is computed."""

    def __init__(self, card: Any, network: Network) -> None:
        super().__init__(card, network.device, network.precision, 1, network.tile_px)
        self.name = network.backend
        self.prepares_sizes = network.prepares_sizes

    def try_run(self, images: Sequence[Any], wanted: Wanted) -> None:
        """Nothing is run here."""
        raise RuntimeError("the network runs on the workers")


class ClusterDetector(Detector):
    """A detector whose tiles are read and searched by the workers of a cluster."""

    def __init__(self, cluster: Cluster, model: Path, config: DetectConfig) -> None:
        from muse_core.models.card import read_card

        self._cluster, self._model = cluster, str(model.absolute())
        self._network = cluster.describe(self._model, config)
        if (self._network.version, self._network.model) != (__version__, sha256_of(model)):
            raise UserError(
                f"The workers have another version ({self._network.version}) or another model under"
                f" {self._model} than this program ({__version__})."
            )
        super().__init__(_ElsewhereBackend(read_card(model), self._network), config)

    def reports(
        self,
        slide: Slide,
        search: Search,
        tiles: Sequence[Tile],
        should_cancel: Callable[[], bool],
    ) -> Iterator[list[TileReport]]:
        """See :meth:`Detector.reports`."""
        choice = (slide.choice.image, slide.choice.plane, slide.choice.channels)
        where = slide.location
        path = str(where.absolute() if isinstance(where, Path) else where)
        what = (path, slide.mpp, choice)
        shapes, plan = search.area.shapes, search.plan.digest()
        by_number = {tile.index: tile for tile in tiles}
        numbers = list(by_number)
        bands = (
            Band(
                self._model,
                asdict(self.config),
                what,
                shapes,
                search.focus,
                plan,
                tuple(numbers[i : i + BAND_TILES]),
                self._network,
            )
            for i in range(0, len(numbers), BAND_TILES)
        )
        for answers in self._cluster.answers(bands, should_cancel):
            yield [
                TileReport(
                    by_number[number], None if packed is None else unpack(packed), unreadable
                )
                for number, packed, unreadable in answers
            ]


class Cluster:
    """A connection to a scheduler."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def slots(self) -> int:
        """Bands that can be worked on at once; those with a GPU count where there are any."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        gpus = sum(int(w["resources"].get(GPU, 0)) for w in workers)
        return gpus or sum(int(w["nthreads"]) for w in workers)

    @property
    def _resources(self) -> dict[str, int]:
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return {GPU: 1} if any(w["resources"].get(GPU) for w in workers) else {}

    def describe(self, model: str, config: DetectConfig) -> Network:
        """Return the backend, device and precision that a worker computes with."""
        self._await_workers(lambda: False)
        task = self._client.submit(
            describe, model, asdict(config), pure=False, resources=self._resources
        )
        found = self._answer(task, lambda: False)
        assert isinstance(found, Network)
        return found

    def answers(
        self, bands: Iterator[Band], should_cancel: Callable[[], bool]
    ) -> Iterator[list[Answer]]:
        """Yield the reports of bands, in their order; ends early on cancel.

        Raises:
            UserError: A slide cannot be read, workers die again and again, or none is left.
        """
        waiting: deque[Task] = deque()
        coming = iter(bands)
        try:
            while not should_cancel():
                more = _AHEAD * max(1, self.slots) - len(waiting)
                for band in islice(coming, max(0, more)):
                    waiting.append(
                        self._client.submit(reports_of, band, pure=False, resources=self._resources)
                    )
                if not waiting:
                    return
                answer = self._answer(waiting.popleft(), should_cancel)
                if answer is None:
                    return
                yield answer
        finally:
            self._client.cancel(list(waiting))

    def _answer(self, task: Task, should_cancel: Callable[[], bool]) -> Any:
        """The result of a task; None on cancel."""
        from distributed import CancelledError, KilledWorker, TimeoutError
        from distributed.comm import CommClosedError

        try:
            while True:
                try:
                    return task.result(timeout=_POLL_S)
                except TimeoutError:
                    if task.status == "error":
                        raise  # the task's own, as of a share that does not answer
                    if should_cancel():
                        task.cancel()
                        return None
                    self._await_workers(should_cancel)
        except KilledWorker as error:
            raise UserError(
                "Workers died again and again over the same tiles; look into their logs: too little"
                " memory is the usual reason."
            ) from error
        except (CancelledError, CommClosedError, OSError) as error:
            own = task.status == "error" and not isinstance(error, CommClosedError)
            lost = "The connection to the cluster was lost."
            raise UserError(f"A worker failed: {error}." if own else lost) from error

    def _await_workers(self, should_cancel: Callable[[], bool]) -> None:
        """Wait for a worker, up to a timeout."""
        until = time.monotonic() + _PATIENCE_S
        while not self.slots and not should_cancel():
            if time.monotonic() > until:
                raise UserError(f"The cluster has had no worker for {_PATIENCE_S:.0f} s.")
            time.sleep(_POLL_S)


class Connected:
    """Makes detectors whose work a cluster does; see :data:`MakeDetector`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def __call__(self, model: Path, config: DetectConfig) -> Detector:
        """A detector whose model is loaded on the workers."""
        return ClusterDetector(self.cluster, model, config)


def connected(scheduler: str) -> Connected:
    """Connect to a scheduler.

    Args:
        scheduler: Its address, such as tcp://10.0.0.1:8786.

    Raises:
        UserError: dask.distributed is not installed, or there is no scheduler.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError(
            "A cluster needs more packages: pip install napari-muse[cluster]."
        ) from error
    try:
        # In a thread, because the calling one may have a loop of its own, as in a notebook.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _greet(scheduler)).result()
        client = Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError, MemoryError) as error:
        raise UserError(
            f"There is no dask scheduler at {scheduler}; its port is usually 8786, that of its"
            " dashboard 8787."
        ) from error
    return Connected(Cluster(client))


async def _greet(scheduler: str) -> None:
    """Connect once and disconnect.

    ``Client`` would wait without end for another kind of server that accepts the connection.

    Raises:
        OSError, ValueError, TimeoutError: Nothing answers, or the address is none.
        MemoryError: Another kind of server answers; its first bytes are taken for a size.
    """
    from distributed import Security
    from distributed.comm import connect

    arguments = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(scheduler, timeout=_CONNECT_S, **arguments), _CONNECT_S)
    await comm.close()
