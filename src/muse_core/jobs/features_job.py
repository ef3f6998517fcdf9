"""The features job: computes the missing features of a store's nuclei."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from muse_core.jobs.events import Emit
from muse_core.jobs.keep_features import feature_facts
from muse_core.jobs.on_slide import nuclei_on_slide
from muse_core.jobs.outcome import Outcome
from muse_core.jobs.progress import ProgressReporter
from muse_core.jobs.specs import FeaturesJob

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from muse_core.classify.feature_folder import FeatureFacts

_TITLE = "Computing features"


def run_features(job: FeaturesJob, emit: Emit, should_cancel: Callable[[], bool]) -> Outcome:
    """Compute the missing features, tile by tile; those done before a cancel are kept.

    Raises:
        UserError: The slide, the store, the model or the device cannot be used, or the slide was
            changed meanwhile.
    """
    from pathlib import Path

    from muse_core.classify.feature_folder import append_features, cut_features, features_beside
    from muse_core.classify.features import FeatureSpec, FeatureTally, iter_features
    from muse_core.models.card import read_card
    from muse_core.models.checkpoint import load_backbone
    from muse_core.models.device import choose_device
    from muse_core.models.registry import resolve_model
    from muse_core.nuclei.store import AnnotationStore, SlideChangedError, unchanged
    from muse_core.slides import open_slide

    with AnnotationStore.open(job.store, read_only=True) as store:
        table = store.nuclei()
    path = resolve_model(job.model)
    card = read_card(path)
    card.require_detector()
    root = features_beside(Path(job.store))
    with open_slide(job.slide, job.mpp, job.choice, job.force_mpp) as slide:
        xy = nuclei_on_slide(table, slide)[["x", "y"]].to_numpy()
        backbone, _ = load_backbone(path)
        facts = feature_facts(slide, path, card, backbone.out_channels)
        xy = _missing(root, facts, xy)
        report = ProgressReporter(emit)
        tally = FeatureTally()
        spec, device = FeatureSpec(card.mpp, card.fov_px), choose_device(job.device)
        before: int | None = None
        try:
            with unchanged(slide.location, slide.part):
                for chunk in iter_features(slide, xy, backbone, spec, device, should_cancel):
                    if len(chunk.rows):
                        end = append_features(root, facts, xy[chunk.rows], chunk.features)
                        before = end if before is None else before
                    tally.add(chunk)
                    report(chunk.tiles_done, chunk.tiles_total, _TITLE)
        except SlideChangedError:
            if before is not None:
                cut_features(root, facts, before)
            raise
    cancelled = tally.is_cut_short(len(xy))
    kept = "Cancelled; " if cancelled else ""
    message = f"{kept}{tally.done:,} of {len(xy):,} nuclei got their features. {tally.note()}"
    result = {"nuclei": tally.done, "missing": len(xy) - tally.done}
    return Outcome(cancelled, message.rstrip(), result)


def _missing(
    root: Path, facts: FeatureFacts, xy: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Places where there are no features of this model, slide and scale yet."""
    from muse_core.classify.feature_folder import folder_of_model, open_features
    from muse_core.classify.places import rows_at
    from muse_core.errors import UserError

    try:
        there = open_features(folder_of_model(root, facts.model_sha256))
    except UserError:
        return xy
    return xy if there.facts != facts else xy[rows_at(there.places, xy) < 0]
