"""The detect job: slide in, nuclei out as events and as CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muse_core.errors import UserError
from muse_core.files import check_writable
from muse_core.jobs.events import DetectionStarted, Emit, NucleiFound, Progress
from muse_core.jobs.outcome import Outcome
from muse_core.jobs.peak_rss import peak_rss_mb
from muse_core.jobs.progress import ProgressReporter
from muse_core.jobs.specs import DetectJob

if TYPE_CHECKING:
    import pandas as pd

    from muse_core.detect import DetectResult
    from muse_core.nuclei import ClassScheme
    from muse_core.slides import PolygonRegion, Region, Slide

_COARSE = 1.5
"""From this many times the model's microns per pixel on, the user is warned."""


def run_detect(job: DetectJob, emit: Emit, should_cancel: Callable[[], bool]) -> Outcome:
    """Run a detect job; everything that can be refused is refused before the network is loaded.

    The first event is DetectionStarted.

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
        shapes = _shapes(job)
        notes = [*slide.notes, *_notes(slide, shapes)]
        model_path = resolve_model(job.model)
        card = read_card(model_path)
        card.require_detector()
        if mpp > _COARSE * card.mpp:
            notes.append(
                f"The slide has {mpp:g} um/px, much coarser than the {card.mpp:g} um/px that "
                f"{card.name} was trained at; expect nuclei to be missed."
            )
        scheme = ClassScheme.from_json(card.classes)
        emit(DetectionStarted(scheme.to_json(), card.name, mpp))
        emit(Progress(0, 0, "Loading the model"))
        result = _detect(job, slide, shapes, model_path, scheme.names, emit, should_cancel)
        if out is not None:
            notes += _write(out, result.table, scheme, slide)
        which = {
            "mpp": slide.mpp,
            "mpp_from": slide.scale.source.value,
            "image": slide.image.number,
            "images": slide.n_images,
            "plane": slide.plane,
        }
    return _outcome(job, result, card.name, scheme.names, notes, which)


def _detect(
    job: DetectJob,
    slide: Slide,
    shapes: Sequence[Region | PolygonRegion],
    model_path: Path,
    class_names: Sequence[str],
    emit: Emit,
    should_cancel: Callable[[], bool],
) -> DetectResult:
    from muse_core.detect import DetectConfig, Detector
    from muse_core.models.checkpoint import load_model

    index = {name: i for i, name in enumerate(class_names)}

    def on_nuclei(chunk: pd.DataFrame) -> None:
        emit(
            NucleiFound(
                x=chunk["x"].round(3).tolist(),
                y=chunk["y"].round(3).tolist(),
                class_index=[index[name] for name in chunk["class_name"]],
                score=chunk["score"].astype(float).round(4).tolist(),
                entropy=chunk["entropy"].astype(float).round(4).tolist(),
                margin=chunk["margin"].astype(float).round(4).tolist(),
            )
        )

    config = DetectConfig(device=job.device, min_score=job.min_score)
    detector = Detector(load_model(model_path), config)
    return detector.detect(
        slide,
        list(shapes) or None,
        on_progress=ProgressReporter(emit),
        on_nuclei=on_nuclei,
        should_cancel=should_cancel,
    )


def detect_target(job: DetectJob) -> Path | None:
    """The file to write, or None.

    Raises:
        UserError: It cannot be written, or its name ends like no format of nuclei.
    """
    from muse_core.nuclei import WRITABLE_SUFFIXES

    if not job.out_csv:
        return None
    target = check_writable(job.out_csv, unlike=job.slide)
    known = target.name.lower().endswith(WRITABLE_SUFFIXES)
    if target.suffix and not known and (target.is_file() or not target.exists()):
        ends = ", ".join(WRITABLE_SUFFIXES)
        raise UserError(f"Cannot write {target}: the name must end in one of {ends}.")
    return target


def _write(out: Path, table: pd.DataFrame, scheme: ClassScheme, slide: Slide) -> tuple[str, ...]:
    """Write the nuclei as files of them are exchanged; what has no ending is written as CSV."""
    from muse_core.nuclei import NucleusFile, write_csv, write_nuclei
    from muse_core.nuclei.csv import CSV_SUFFIXES
    from muse_core.nuclei.nucleus_file import WHOLE_SLIDE
    from muse_core.nuclei.store import identify_slide

    which = identify_slide(slide.path, slide.part).recorded
    origin = (slide.scanned.x, slide.scanned.y)
    content = NucleusFile(table, scheme, slide.mpp, origin_px=WHOLE_SLIDE).counted_from(origin)
    if not out.suffix or out.name.lower().endswith(CSV_SUFFIXES):
        write_csv(content.table, out, slide.require_mpp(), origin, which)
        return ()
    return write_nuclei(out, content.table, scheme, slide.mpp, origin_px=origin, slide=which)


def _shapes(job: DetectJob) -> list[Region | PolygonRegion]:
    from muse_core.slides import PolygonRegion, Region

    shapes: list[Region | PolygonRegion] = []
    if job.region is not None:
        shapes.append(Region(*map(float, job.region)))
    for polygon in job.polygons or ():
        if any(len(vertex) != 2 for vertex in polygon):
            raise UserError("Each vertex of a polygon is two numbers, x and y.")
        shapes.append(PolygonRegion(tuple((float(x), float(y)) for x, y in polygon)))
    if job.polygons is not None and not shapes:
        raise UserError("There is no polygon to look in.")
    return shapes


def _notes(slide: Slide, shapes: Sequence[Region | PolygonRegion]) -> list[str]:
    """What the user should know although it is no error; refuses what is wholly outside."""
    from muse_core.slides import Region

    size = f"{slide.width} x {slide.height} px"
    if not shapes:
        return []
    clipped = [shape.bounds.intersect(slide.bounds) for shape in shapes]
    if all(c is None for c in clipped):
        raise UserError(f"The region lies outside the slide, which is {size}.")
    if any(c != shape.bounds for c, shape in zip(clipped, shapes, strict=True)):
        inside = next(c for c in clipped if c is not None)
        where = ",".join(f"{v:g}" for v in (inside.x, inside.y, inside.w, inside.h))
        rest = f"; looking at {where}" if len(shapes) == 1 and isinstance(shapes[0], Region) else ""
        return [f"The region reaches beyond the slide, which is {size}{rest}."]
    return []


def _outcome(
    job: DetectJob,
    result: DetectResult,
    model: str,
    class_names: Sequence[str],
    notes: list[str],
    which: dict[str, Any],
) -> Outcome:
    counts = result.table["class_name"].value_counts()
    found = len(result.table)
    where = f", written to {job.out_csv}" if job.out_csv else ""
    if result.cancelled:
        message = (
            f"Cancelled after {result.tiles_done:,} of {result.tiles_total:,} tiles; "
            f"{found:,} nuclei found until then are kept{where}."
        )
    elif not result.tiles_total:
        message = f"There is no tissue here: 0 nuclei{where}."
    else:
        message = f"{found:,} nuclei in {result.tissue_mm2:.3g} mm² of tissue{where}."
    return Outcome(
        cancelled=result.cancelled,
        message=message,
        result={
            "nuclei": found,
            "counts": {name: int(counts.get(name, 0)) for name in class_names},
            "tissue_mm2": round(result.tissue_mm2, 6),
            "seconds": round(result.seconds, 3),
            "mm2_per_s": round(result.tissue_mm2 / result.seconds, 6) if result.seconds else 0.0,
            "peak_rss_mb": peak_rss_mb(),
            "model": model,
            "device": result.device,
            "out_csv": job.out_csv,
            "tiles_done": result.tiles_done,
            "tiles_total": result.tiles_total,
            "notes": notes,
            **which,
        },
    )
