"""The disagree job: compares the classes of nuclei that look alike, for a slide's store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.jobs.events import DisagreementFound, Emit
from muse_core.jobs.on_slide import nuclei_on_slide
from muse_core.jobs.outcome import Outcome
from muse_core.jobs.progress import ProgressReporter
from muse_core.jobs.specs import DisagreeJob

if TYPE_CHECKING:
    import pandas as pd

    from muse_core.slides import Slide


def run_disagree(job: DisagreeJob, emit: Emit, should_cancel: Callable[[], bool]) -> Outcome:
    """Compare each nucleus of a store with those that look most like it.

    The store is only read; the result is emitted as a DisagreementFound at the end.

    Raises:
        UserError: The slide, the store, the model or the device cannot be used.
    """
    from muse_core.models.registry import resolve_model
    from muse_core.nuclei.store import AnnotationStore
    from muse_core.slides import open_slide

    with AnnotationStore.open(job.store, read_only=True) as store:
        table = store.nuclei()
    with open_slide(job.slide, job.mpp, job.choice, job.force_mpp) as slide:
        slide.require_mpp()
        table = nuclei_on_slide(table, slide)
        if len(table) < 2:
            raise UserError("There are too few nuclei to compare: detect some first.")
        features = _features(job, slide, table, resolve_model(job.model), emit, should_cancel)
    if features is None:
        return Outcome(True, "Cancelled; nothing was compared.", {"nuclei": 0})

    from muse_core.classify.disagreement import neighbour_disagreement

    read = ~np.isnan(features).any(axis=1)
    features, table = features[read], table[read]
    classes = table["class_name"].astype("category").cat.codes.to_numpy()
    found = neighbour_disagreement(features, classes, seed=job.seed)
    ids = table["id"].to_numpy()
    emit(DisagreementFound(ids.tolist(), found.round(4).tolist()))
    message = f"{len(table):,} nuclei were compared with those that look like them."
    return Outcome(False, message, {"nuclei": len(table)})


def _features(
    job: DisagreeJob,
    slide: Slide,
    table: pd.DataFrame,
    model: Path,
    emit: Emit,
    should_cancel: Callable[[], bool],
) -> npt.NDArray[np.float16] | None:
    """(N, D), NaN where the slide cannot be read; None when cancelled."""
    from muse_core.classify.features import FeatureSpec, iter_features
    from muse_core.detect import choose_device
    from muse_core.models.checkpoint import load_backbone

    backbone, card = load_backbone(model)
    report = ProgressReporter(emit)
    features = np.full((len(table), backbone.out_channels), np.nan, dtype=np.float16)
    xy, spec = table[["x", "y"]].to_numpy(), FeatureSpec(card.mpp, card.fov_px)
    device = choose_device(job.device)
    done = 0
    for chunk in iter_features(slide, xy, backbone, spec, device, should_cancel):
        features[chunk.rows] = chunk.features
        done += len(chunk.rows) + len(chunk.unread)
        report(chunk.tiles_done, chunk.tiles_total, "Comparing nuclei")
    return features if done == len(table) else None
