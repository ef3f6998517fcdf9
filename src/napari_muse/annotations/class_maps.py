"""ClassMaps: the user's mapping of each model's classes to those of each slide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from muse_core.slides import Slide
from napari_muse.annotations.slide_key import SlideKey, slide_key


class ClassMaps:
    """Mappings from a model's class names to a slide's, kept while the window is open.

    Models are identified by their files; the slide None stands for "no slide is open".
    """

    def __init__(self) -> None:
        self._maps: dict[tuple[SlideKey | None, str], Mapping[str, str]] = {}

    def keep(self, slide: Slide | None, model: str, mapping: Mapping[str, str]) -> None:
        """Remember the mapping of a model's classes, by its file, on a slide."""
        self._maps[_key(slide), model] = dict(mapping)

    def of_file(self, slide: Slide | None, model: str) -> Mapping[str, str]:
        """Return the mapping for a model's file; empty if there is none."""
        return self._maps.get((_key(slide), model), {})

    def of_name(self, slide: Slide | None, model_name: str) -> Mapping[str, str]:
        """Like :meth:`of_file`, by the name of the model, which is that of its file."""
        here, maps = _key(slide), self._maps.items()
        return next((m for (s, p), m in maps if s == here and Path(p).stem == model_name), {})


def _key(slide: Slide | None) -> SlideKey | None:
    return None if slide is None else slide_key(slide)
