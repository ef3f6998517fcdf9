"""Remember the scale that a user has entered for a slide."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from muse_core.errors import UserError
from muse_core.files.atomic import replacing
from muse_core.files.user_folders import user_data_folder
from muse_core.nuclei.store.identity import identify_slide
from muse_core.nuclei.store.locate import ANNOTATIONS_VARIABLE
from muse_core.slides import Slide
from muse_core.slides.mpp import check_mpp

_FOLDER = "scales"
_LONGEST = 1000


def remember_scale(slide: Slide) -> None:
    """Save a slide's scale, unless its file states the same.

    The slide is identified by its content, so that the file may be moved. The scale is kept apart
    from the annotations, which may not exist yet.

    Raises:
        UserError: It cannot be kept.
    """
    path = _place_of(slide)
    try:
        if slide.mpp is None or slide.mpp == slide.scale.stated_mpp:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The scale cannot be kept: {error.strerror or error}.") from error
    with replacing(path) as partial:
        partial.write_text(json.dumps({"name": slide.title, "mpp": slide.mpp}), encoding="utf-8")


def recall_scale(slide: Slide) -> float | None:
    """The scale that was kept for a slide, where it differs from what is known; else None."""
    try:
        with _place_of(slide).open(encoding="utf-8") as file:
            mpp = check_mpp(float(json.loads(file.read(_LONGEST))["mpp"]))
    except (OSError, ValueError, TypeError, KeyError, UserError):
        # There is no file, or it has been changed: the user is asked again.
        return None
    return None if mpp == slide.mpp else mpp


def _place_of(slide: Slide) -> Path:
    """A file for an image of a slide; all planes of a stack share one."""
    identity = identify_slide(slide.path)
    facts = f"{identity.size_bytes} {identity.fingerprint} {slide.image.number}"
    folder = os.environ.get(ANNOTATIONS_VARIABLE)
    root = Path(folder) if folder else user_data_folder()
    return root / _FOLDER / f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.json"
