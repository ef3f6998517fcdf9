"""Runs that are resumed after any kind of interruption."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.detect import DetectConfig, Detector, DetectResult
from muse_core.detect.detector import DetectListener
from muse_core.detect.kept_run import RunPlace, kept_run, unfinished_runs
from muse_core.detect.tile_log import TileLog
from muse_core.errors import UserError
from muse_core.models.tile_detections import TileDetections
from muse_core.slides import Region, Slide, open_slide

from ..small_disk import fill, small_disk
from .blobs import BlobModel, save_png, scene
from .dot_runs import DAMAGED, BrokenReads

CONFIG = DetectConfig(device="cpu", tile_px=192, halo_px=32, batch=2, readers=2)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    path = save_png(scene(640, 512).rgb, tmp_path_factory.mktemp("dots") / "dots.png")
    return open_slide(path, mpp=0.5)


@pytest.fixture(scope="module")
def whole(slide: Slide) -> DetectResult:
    return Detector(BlobModel(), CONFIG).detect(slide)


class Counting(BlobModel):
    """Counts the tiles that pass through it, and fails at one of them."""

    def __init__(self, dies_at: int | None = None) -> None:
        super().__init__()
        self.seen, self.dies_at = 0, dies_at

    def predict(
        self, image: torch.Tensor, min_score: float | None = None, features: bool = False
    ) -> list[TileDetections]:
        self.seen += len(image)
        if self.dies_at is not None and self.seen > self.dies_at:
            raise KeyboardInterrupt
        return super().predict(image, min_score)


def place(folder: Path, **key: object) -> RunPlace:
    return RunPlace(folder / ".n.csv.muse", key)


def found(rng: np.random.Generator, n: int, channels: int = 0) -> TileDetections:
    return TileDetections(
        rng.uniform(0, 1e5, (n, 2)),
        rng.random(n, np.float32),
        rng.random((n, 3), np.float32),
        rng.random((n, channels)).astype(np.float16) if channels else None,
    )


def equal(a: TileDetections, b: TileDetections) -> bool:
    names = ("xy", "score", "class_probs", "features")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


@given(
    seed=st.integers(0, 2**32),
    batches=st.lists(st.lists(st.integers(0, 6), max_size=3), min_size=1, max_size=6),
    channels=st.sampled_from([0, 3]),
    keep=st.floats(0, 1),
    flip=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_a_log_cut_or_spoilt_anywhere_holds_what_was_whole_before(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    batches: list[list[int]],
    channels: int,
    keep: float,
    flip: bool,
) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("log") / "tiles.log"
    written, ends, tile = [], [], 0
    with TileLog(path) as log:
        for sizes in batches:
            reports = [(tile + i, found(rng, n, channels)) for i, n in enumerate(sizes)]
            tile += len(reports)
            log.append(reports, float(tile))
            written.append(reports)
            ends.append(path.stat().st_size)
    data = bytearray(path.read_bytes())
    cut = int(keep * (len(data) - 1))
    if flip:
        data[cut] ^= 0x40
    else:
        del data[cut:]
    path.write_bytes(data)
    intact = [r for reports, end in zip(written, ends, strict=True) if end <= cut for r in reports]
    with TileLog(path) as log:
        assert len(log) == len(intact)
        assert all(equal(log.read(t), f) for t, f in intact)
        more = found(rng, 4, channels)
        log.append([(999, more)], 7.5)
    with TileLog(path) as log:
        assert len(log) == len(intact) + 1
        assert log.seconds == 7.5
        assert equal(log.read(999), more)


@pytest.mark.parametrize("dies_at", [0, 1, 2, 5, 11])
def test_a_run_that_died_goes_on_and_gives_the_very_same_table(
    slide: Slide, whole: DetectResult, tmp_path: Path, dies_at: int
) -> None:
    with pytest.raises(KeyboardInterrupt), kept_run(place(tmp_path)) as run:
        Detector(Counting(dies_at), CONFIG).detect(slide, run=run)
    kept = dies_at // 2 * 2
    assert len(unfinished_runs(tmp_path / ".n.csv.muse")) == (kept > 0)
    model = Counting()
    told: list[TileDetections] = []
    with kept_run(place(tmp_path)) as run:
        result = Detector(model, CONFIG).detect(
            slide, listener=DetectListener(on_nuclei=told.append), run=run
        )
        table, counts = result.table, result.nuclei.class_counts
        run.state.finished = True
    assert (model.seen, result.tiles_resumed) == (whole.tiles_total - kept, kept)
    pd.testing.assert_frame_equal(table, whole.table)
    assert counts == table["class_name"].value_counts().to_dict()
    # Events of the earlier run are repeated, because this listener has not seen them.
    np.testing.assert_array_equal(TileDetections.join(told).xy, table[["x", "y"]])
    assert list(tmp_path.iterdir()) == []


def test_what_is_cancelled_is_given_out_and_goes_on_too(
    slide: Slide, whole: DetectResult, tmp_path: Path
) -> None:
    done = 0

    def watch(tiles: int, total: int, message: str) -> None:
        nonlocal done
        done = tiles

    for stop in (4, 8):

        def enough(stop: int = stop) -> bool:
            return done >= stop

        with kept_run(place(tmp_path)) as run:
            part = Detector(BlobModel(), CONFIG).detect(
                slide, listener=DetectListener(watch, enough), run=run
            )
            assert part.cancelled
            assert 0 < len(part.table) < len(whole.table)
    with kept_run(place(tmp_path)) as run:
        result = Detector(BlobModel(), CONFIG).detect(slide, run=run)
        pd.testing.assert_frame_equal(result.table, whole.table)
        assert result.tiles_resumed >= 8
        assert not result.cancelled


@pytest.mark.parametrize(
    ("key", "config", "differs"),
    [
        ({"model": "b"}, CONFIG, "model"),
        ({"model": "a"}, replace(CONFIG, tile_px=256), "tiles"),
        ({"model": "a"}, replace(CONFIG, min_score=0.3), "minimum score"),
        ({"model": "b"}, replace(CONFIG, seam_radius_um=1), "model, seam_radius_um"),
        (
            {"model": "a", "settings": {"halo_px": 64, "tile_px": None}, "region": [1, 2, 3, 4]},
            CONFIG,
            "region, halo_px",
        ),
    ],
)
def test_a_run_of_another_kind_never_mixes_in(
    slide: Slide, tmp_path: Path, key: dict[str, object], config: DetectConfig, differs: str
) -> None:
    before = {"settings": {"halo_px": 32, "tile_px": None}} if "settings" in key else {}
    first = place(tmp_path, model="a", region=None, **before)
    with pytest.raises(KeyboardInterrupt), kept_run(first) as run:
        Detector(Counting(6), CONFIG).detect(slide, run=run)
    assert run.state.note == ""
    model = Counting()
    key = {"region": None, **key}
    with kept_run(place(tmp_path, **key)) as run:
        result = Detector(model, config).detect(slide, run=run)
        table = result.table
    said = f"There is an unfinished run with another {differs}; this one begins anew."
    assert run.state.note == said
    assert (result.tiles_resumed, model.seen) == (0, result.tiles_total)
    pd.testing.assert_frame_equal(table, Detector(BlobModel(), config).detect(slide).table)
    assert len(unfinished_runs(tmp_path / ".n.csv.muse")) == 2


def test_a_finished_run_takes_what_others_left_for_the_same_file(
    slide: Slide, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        with pytest.raises(KeyboardInterrupt), kept_run(place(tmp_path, model=name)) as run:
            Detector(Counting(6), CONFIG).detect(slide, run=run)
    with kept_run(place(tmp_path, model="b")) as run:
        Detector(BlobModel(), CONFIG).detect(slide, run=run)
        run.state.finished = True
    assert list(tmp_path.iterdir()) == []


def test_a_spoilt_run_goes_and_takes_no_other_with_it(slide: Slide, tmp_path: Path) -> None:
    for name in ("a", "b"):
        with pytest.raises(KeyboardInterrupt), kept_run(place(tmp_path, model=name)) as run:
            Detector(Counting(6), CONFIG).detect(slide, run=run)
    (other,) = (f for f in unfinished_runs(tmp_path / ".n.csv.muse") if f != run.folder)
    with kept_run(place(tmp_path, model="b")) as run:
        Detector(BlobModel(), CONFIG).detect(slide, run=run)
        assert run.resumable
        run.state.spoilt = True
        assert not run.resumable
    assert unfinished_runs(tmp_path / ".n.csv.muse") == [other]


def test_without_resume_it_starts_anew(slide: Slide, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), kept_run(place(tmp_path)) as run:
        Detector(Counting(6), CONFIG).detect(slide, run=run)
    anew = RunPlace(tmp_path / ".n.csv.muse", {}, resume=False)
    with kept_run(anew) as run:
        assert Detector(BlobModel(), CONFIG).detect(slide, run=run).tiles_resumed == 0


class Meanwhile(BlobModel):
    """Does something else before its first tiles."""

    def __init__(self, what: Callable[[], None]) -> None:
        super().__init__()
        self.what: Callable[[], None] | None = what

    def predict(
        self, image: torch.Tensor, min_score: float | None = None, features: bool = False
    ) -> list[TileDetections]:
        if self.what is not None:
            what, self.what = self.what, None
            what()
        return super().predict(image, min_score)


def test_two_programs_do_not_keep_the_same_run(
    slide: Slide, whole: DetectResult, tmp_path: Path
) -> None:
    where = replace(place(tmp_path), target=Path("n.csv"))

    def second() -> None:
        refused = pytest.raises(
            UserError, match=r"^Cannot write n\.csv: another program is writing"
        )
        with refused, kept_run(where) as run:
            Detector(BlobModel(), CONFIG).detect(slide, run=run)

    with kept_run(where) as run:
        result = Detector(Meanwhile(second), CONFIG).detect(slide, run=run)
        # The refused run removes nothing from the running one.
        (folder,) = unfinished_runs(where.stem)
        assert (folder / "tiles.log").stat().st_size
        pd.testing.assert_frame_equal(result.table, whole.table)
        second()
        run.state.finished = True
    assert list(tmp_path.iterdir()) == []


def test_unreadable_tiles_are_tried_again_by_the_run_that_goes_on(
    slide: Slide, whole: DetectResult, tmp_path: Path
) -> None:
    broken = BrokenReads(slide, Region(200, 100, 100, 200), DAMAGED)
    with kept_run(place(tmp_path)) as run:
        first = Detector(BlobModel(), CONFIG).detect(broken, run=run)
    assert first.unreadable
    with kept_run(place(tmp_path)) as run:
        model = Counting()
        again = Detector(model, CONFIG).detect(slide, run=run)
        assert model.seen == len(first.unreadable)
        pd.testing.assert_frame_equal(again.table, whole.table)


def test_a_full_disk_stops_it_and_it_goes_on_once_there_is_room(
    slide: Slide, whole: DetectResult, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", "256k") as folder:
        fill(folder)
        with (folder / "ballast").open("r+b") as ballast:
            ballast.truncate((folder / "ballast").stat().st_size - 24_000)
        with (
            pytest.raises(UserError, match=r"Cannot write .*: No space left on device\.$"),
            kept_run(place(folder)) as run,
        ):
            Detector(BlobModel(), CONFIG).detect(slide, run=run)
        (folder / "ballast").unlink()
        with kept_run(place(folder)) as run:
            result = Detector(BlobModel(), CONFIG).detect(slide, run=run)
            assert 0 < result.tiles_resumed < result.tiles_total
            pd.testing.assert_frame_equal(result.table, whole.table)


def test_a_folder_of_something_else_under_the_name_is_not_believed(
    slide: Slide, whole: DetectResult, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt), kept_run(place(tmp_path)) as run:
        Detector(Counting(6), CONFIG).detect(slide, run=run)
    (folder,) = unfinished_runs(tmp_path / ".n.csv.muse")
    (folder / "run.json").write_text('{"key": {}}')
    with kept_run(place(tmp_path)) as run:
        result = Detector(BlobModel(), CONFIG).detect(slide, run=run)
        assert result.tiles_resumed == 0
        pd.testing.assert_frame_equal(result.table, whole.table)
    shutil.rmtree(folder, ignore_errors=True)
