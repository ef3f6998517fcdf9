"""The detect job: slide in, nuclei out as events and as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from muse_core.errors import UserError
from muse_core.files import (
    GOES_ON,
    destination,
    is_special,
    sha256_of,
    shortened,
)
from muse_core.files.remote import without_secrets
from muse_core.jobs.detect_checks import detect_target, job_shapes, region_notes
from muse_core.jobs.detect_values import detect_values
from muse_core.jobs.events import DetectionStarted, Emit, NucleiFound, Progress
from muse_core.jobs.keep_features import FeatureTarget
from muse_core.jobs.outcome import Outcome
from muse_core.jobs.peak_rss import peak_rss_mb
from muse_core.jobs.processor import give_large_blocks_back
from muse_core.jobs.progress import ProgressReporter
from muse_core.jobs.specs import DetectJob

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from muse_core.detect import DetectConfig, Detector, DetectResult
    from muse_core.detect.kept_run import KeptRun
    from muse_core.models.card import ModelCard
    from muse_core.models.tile_detections import TileDetections
    from muse_core.nuclei import ClassScheme
    from muse_core.slides import Slide

_NAME_BYTES = 150
_COARSE = 1.5
"""The user is warned about slides coarser than this multiple of the model's microns per pixel."""


def load_detector(model: Path, config: DetectConfig) -> Detector:
    """Load a model file into a detector."""
    from muse_core.detect import Detector
    from muse_core.detect.backends.kept import kept_backend

    give_large_blocks_back()
    return Detector(kept_backend(model, config), config)


def detector_maker(job: DetectJob) -> MakeDetector:
    """Return the function that loads a job's model, here or on the workers of a cluster.

    Raises:
        UserError: The cluster cannot be reached.
    """
    if job.scheduler is None:
        return load_detector
    from muse_core.jobs.cluster import connected

    return connected(job.scheduler)


MakeDetector = Callable[[Path, "DetectConfig"], "Detector"]


def run_detect(
    job: DetectJob,
    emit: Emit,
    should_cancel: Callable[[], bool],
    make: MakeDetector | None = None,
) -> Outcome:
    """Run a detect job; all inputs are checked before the network is loaded.

    The first event is DetectionStarted.

    Args:
        job: What to do.
        emit: Takes the events.
        should_cancel: Asked between batches of tiles.
        make: Loads the model; None loads it as the job says. Several jobs may share one, which
            loads the model only once.

    Raises:
        UserError: The slide, model, region, device or output cannot be used.
    """
    from muse_core.models.card import read_card
    from muse_core.models.registry import resolve_model
    from muse_core.nuclei import ClassScheme
    from muse_core.slides import open_slide

    with open_slide(job.slide, job.mpp, job.choice, job.force_mpp) as slide:
        out = detect_target(job)
        mpp = slide.require_mpp()
        shapes = job_shapes(job)
        notes = [*slide.notes, *region_notes(slide, shapes)]
        model_path = resolve_model(job.model)
        card = read_card(model_path)
        card.require_detector()
        notes += _notes_on_scale(slide, card)
        scheme = ClassScheme.from_json(card.classes)
        emit(DetectionStarted(scheme.to_json(), card.name, mpp))
        emit(Progress(0, 0, "Loading the model"))
        with kept_job(job, out, slide, model_path) as run:
            detector = (make or detector_maker(job))(model_path, detect_config(job))
            result = _detect(job, detector, slide, emit, should_cancel, run)
            writes = _is_written(result)
            if out is not None and writes:
                notes += _write(out, result, scheme, slide)
            if job.features_in is not None and writes:
                target = FeatureTarget(Path(job.features_in), slide, model_path, card)
                target.write(result.nuclei, anew=not shapes and not result.cancelled)
            if run is not None:
                run.state.finished = not result.cancelled
                notes += [run.state.note] if run.state.note else []
        which = {
            "mpp": slide.mpp,
            "mpp_from": slide.scale.source.value,
            "image": slide.image.number,
            "images": slide.n_images,
            "plane": slide.plane,
        }
    return _outcome(job, result, card.name, scheme.names, [*notes, *result.notes], which)


def nuclei_found(found: TileDetections) -> NucleiFound:
    """The event that tells of nuclei in level-0 pixels."""
    from muse_core.detect.uncertainty import ENTROPY, MARGIN, uncertainty

    unsure = uncertainty(found.score, found.class_probs)
    return NucleiFound(
        x=found.x.round(3).tolist(),
        y=found.y.round(3).tolist(),
        class_index=found.class_index.tolist(),
        score=_rounded(found.score),
        entropy=_rounded(unsure[:, ENTROPY]),
        margin=_rounded(unsure[:, MARGIN]),
    )


def _rounded(values: npt.NDArray[np.float32]) -> list[float]:
    rounded: list[float] = values.astype(float).round(4).tolist()
    return rounded


def _notes_on_scale(slide: Slide, card: ModelCard) -> list[str]:
    """A warning about a coarse slide; raises UserError about one where no nucleus can be seen."""
    from muse_core.slides.mpp import require_fine

    mpp = slide.require_mpp()
    require_fine(mpp, card.mpp, slide.scale.notes)
    if mpp <= _COARSE * card.mpp:
        return []
    return [
        f"The slide has {mpp:g} um/px, much coarser than the {card.mpp:g} um/px that "
        f"{card.name} was trained at; expect nuclei to be missed."
    ]


def _detect(
    job: DetectJob,
    detector: Detector,
    slide: Slide,
    emit: Emit,
    should_cancel: Callable[[], bool],
    run: KeptRun | None,
) -> DetectResult:
    from muse_core.detect import DetectListener
    from muse_core.nuclei.store import SlideChangedError, unchanged

    try:
        with unchanged(slide.location, slide.part):
            return detector.detect(
                slide,
                job_shapes(job) or None,
                listener=DetectListener(
                    ProgressReporter(emit), should_cancel, lambda found: emit(nuclei_found(found))
                ),
                run=run,
                focus=None if job.focus is None else (job.focus[0], job.focus[1]),
            )
    except SlideChangedError:
        if run is not None:
            run.state.spoilt = True
        raise


def detect_config(job: DetectJob) -> DetectConfig:
    """The settings of a job.

    Raises:
        UserError: One is unknown or wrong.
    """
    from muse_core.config_file import configuration
    from muse_core.detect.config import DetectConfig

    given: dict[str, object] = {"device": job.device, "min_score": job.min_score}
    chosen = {"backend": job.backend, "precision": job.precision}
    given |= {name: value for name, value in chosen.items() if value != "auto"}
    if job.features_in is not None:
        given["features"] = True
    return configuration(DetectConfig, {**(job.settings or {}), **given}, "the job")


@contextmanager
def kept_job(
    job: DetectJob, out: Path | None, slide: Slide, model: Path
) -> Iterator[KeptRun | None]:
    """Open the folder that keeps a job until it is finished; None where there is none.

    Raises:
        UserError: The job failed; the message says whether it can be resumed.
    """
    from muse_core.detect.kept_run import RunPlace, kept_run

    stem = _stem(job, out)
    if stem is None:
        yield None
        return
    key = run_key(job, slide, model)
    about = {"job": replace(job, slide=without_secrets(job.slide)).to_json()}
    run = None
    try:
        with kept_run(RunPlace(stem, key, about, out, job.resume)) as run:
            yield run
    except UserError as error:
        if run is not None and run.resumable and job.out_csv:
            raise UserError(f"{error} {GOES_ON}") from error
        raise


def run_key(job: DetectJob, slide: Slide, model: Path) -> dict[str, object]:
    """Return the key of a job: all that its result depends on and that needs no loaded model."""
    from muse_core import __version__
    from muse_core.nuclei.store.identity import identify_slide

    identity = identify_slide(slide.location, slide.part)
    return {
        "version": __version__,
        "model": _digest_of_version(model, model.stat().st_mtime_ns, model.stat().st_size),
        # Without its name, which may change.
        "slide": (identity.size_bytes, identity.fingerprint),
        "channels": job.channels,
        "mpp": slide.mpp,
        "region": job.region,
        "polygons": job.polygons,
        "settings": {k: v for k, v in asdict(detect_config(job)).items() if k != "readers"},
    }


def content_of_key(key: Mapping[str, object]) -> str:
    """Fingerprint of the slide in a key of :func:`run_key`, without image and plane."""
    _, fingerprint = cast(tuple[int, str], key["slide"])
    return fingerprint.partition("#")[0]


@lru_cache(maxsize=4)
def _digest_of_version(path: Path, mtime_ns: int, size: int) -> str:
    """Return the digest of a model's file, computed once for the many slides of a run."""
    return sha256_of(path)


def _stem(job: DetectJob, out: Path | None) -> Path | None:
    if job.keep_in is not None:
        return Path(job.keep_in) / "detect"
    if out is None or is_special(out):
        return None
    target = destination(out)
    return target.with_name(f".{shortened(target.name, _NAME_BYTES)}.muse")


def _write(out: Path, result: DetectResult, scheme: ClassScheme, slide: Slide) -> tuple[str, ...]:
    """Write the nuclei as files of them are exchanged; what has no ending is written as CSV."""
    from muse_core.nuclei import NucleusFile, empty_table, write_nuclei_parts
    from muse_core.nuclei.formats.csv import CSV_SUFFIXES, write_csv_parts
    from muse_core.nuclei.nucleus_file import WHOLE_SLIDE
    from muse_core.nuclei.store import identify_slide
    from muse_core.slides.unreadable import place_of

    origin = (slide.scanned.x, slide.scanned.y)
    content = NucleusFile(
        empty_table(),
        scheme,
        slide.mpp,
        origin_px=origin,
        slide=identify_slide(slide.location, slide.part).recorded,
        unreadable_px=tuple(place_of(u.region) for u in result.unreadable),
        plane_zt=slide.plane_zt,
    )
    found = result.nuclei.tables()
    parts = (NucleusFile(t, origin_px=WHOLE_SLIDE).counted_from(origin).table for t in found)
    if not out.suffix or out.name.lower().endswith(CSV_SUFFIXES):
        write_csv_parts(parts, out, slide.require_mpp(), origin, content.slide)
        return ()
    return write_nuclei_parts(out, parts, content)


def _is_written(result: DetectResult) -> bool:
    """Whether there is a result: cancelled before the first tile, an earlier one is left there."""
    return bool(result.tiles_done) or not result.cancelled


def _outcome(
    job: DetectJob,
    result: DetectResult,
    model: str,
    class_names: Sequence[str],
    notes: list[str],
    which: Mapping[str, object],
) -> Outcome:
    from muse_core.slides.unreadable import place_of, unreadable_note

    if result.tiles_resumed:
        earlier = f"{result.tiles_resumed:,} of {result.tiles_total:,}"
        notes.append(f"{earlier} tiles had been done by an earlier run.")
    if result.unreadable:
        notes.append(unreadable_note(result.unreadable))
    counts = result.nuclei.class_counts
    written = job.out_csv if _is_written(result) else None
    return Outcome(
        cancelled=result.cancelled,
        message=_sentence(job, result, written),
        result={
            "nuclei": result.nuclei.count,
            "counts": {name: counts.get(name, 0) for name in class_names},
            "tissue_mm2": round(result.tissue_mm2, 6),
            "seconds": round(result.seconds, 3),
            "mm2_per_s": round(result.tissue_mm2 / result.seconds, 6) if result.seconds else 0.0,
            "peak_rss_mb": peak_rss_mb(),
            "model": model,
            "device": result.device,
            "backend": result.backend,
            "precision": result.precision,
            "half_jpeg": result.half_jpeg,
            "out_csv": written,
            "config": detect_values(job, detect_config(job)),
            "tiles_done": result.tiles_done,
            "tiles_total": result.tiles_total,
            "tiles_resumed": result.tiles_resumed,
            "unreadable_px": [place_of(u.region) for u in result.unreadable],
            "notes": notes,
            **which,
        },
    )


def _sentence(job: DetectJob, result: DetectResult, written: str | None) -> str:
    """How a job has ended and what it found, for the user; ``written`` is the file, if any."""
    from muse_core.nuclei.counted import counted_nuclei

    found, where = result.nuclei.count, f", written to {written}" if written else ""
    if job.out_csv and not written:
        return f"Cancelled before the first of {result.tiles_total:,} tiles; nothing is written."
    if result.cancelled:
        kept = (
            f"Cancelled after {result.tiles_done:,} of {result.tiles_total:,} tiles; "
            f"{found:,} nuclei found until then are kept{where}."
        )
        return f"{kept} {GOES_ON}" if written else kept
    if not result.tiles_total:
        return f"There is no tissue here: 0 nuclei{where}."
    return f"{counted_nuclei(found)} in {result.tissue_mm2:.3g} mm² of tissue{where}."
