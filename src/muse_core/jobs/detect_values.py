"""Build detect jobs from plain values by name, as in a file or of ``--set``. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from muse_core.config_file import configuration
from muse_core.detect.config import DetectConfig
from muse_core.jobs.specs import DetectJob
from muse_core.slides.mpp import check_mpp
from muse_core.strict import Wording, parse_strictly, plain_values, unknown_field

_OF_ONE_SLIDE = {"slide", "out_csv", "polygons", "keep_in", "features_in", "focus"}
"""Fields of a job that differ between slides, or that only the window uses."""
_HOW_RUN = {"resume", "scheduler"}
"""Fields on which no result depends."""


def detect_job(values: Mapping[str, Any], slide: str, name: str) -> DetectJob:
    """Build a job from values.

    Args:
        values: Fields of :class:`DetectJob`, but for those of one slide, and of
            :class:`DetectConfig`, by name. ``features`` is checked and left to the caller, who
            knows where features are kept.
        slide: File or folder of the slide.
        name: Origin of the values, for error messages.

    Raises:
        UserError: A field is unknown, missing or wrong.
    """
    mpp = values.get("mpp")
    if isinstance(mpp, int | float) and not isinstance(mpp, bool):
        check_mpp(mpp)  # says which values it can have
    of_job = {f.name for f in fields(DetectJob)} - _OF_ONE_SLIDE - {"settings"}
    of_config = {f.name for f in fields(DetectConfig)}
    for unknown in sorted(values.keys() - of_job - of_config):
        raise unknown_field(f"{name} has an unknown field", unknown, of_job | of_config)
    config = configuration(DetectConfig, {k: v for k, v in values.items() if k in of_config}, name)
    usual = asdict(DetectConfig())
    settings = {
        field: value
        for field, value in asdict(config).items()
        if field not in of_job and field != "features" and value != usual[field]
    }
    wording = Wording(
        unknown=f"{name} has an unknown field",
        wrong=f"{name}: the field",
        unreadable=f"{name} holds a value that is not understood",
    )
    given = {k: v for k, v in values.items() if k in of_job}
    return parse_strictly(
        DetectJob, {**given, "slide": slide, "settings": settings or None}, wording
    )


def detect_values(job: DetectJob, config: DetectConfig) -> dict[str, object]:
    """Return all values that the result of a job depends on, for :func:`detect_job`.

    Args:
        job: What was done.
        config: All its settings, with their defaults.
    """
    left_out = _OF_ONE_SLIDE | _HOW_RUN | {"settings"}
    values = {k: v for k, v in plain_values(job).items() if k not in left_out}
    return {**values, **plain_values(config)}
