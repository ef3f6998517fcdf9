"""Slides as multiscale image layers, scaled in microns; files of nuclei as points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari import current_viewer
from napari.utils.notifications import show_info

from muse_core.errors import UserError
from muse_core.isolation import CancelledError
from muse_core.models.card import MODEL_SUFFIX, read_card
from muse_core.nuclei import (
    CSV_SUFFIXES,
    NucleusFile,
    is_nucleus_csv,
    is_nucleus_file,
    read_nuclei,
)
from muse_core.nuclei.formats.geojson.packed import ZIP, holds_geojson
from muse_core.nuclei.store.locate import STORE_SUFFIX
from muse_core.slides import ImageChoice, Slide, can_open, open_slide, resting_slide
from muse_core.slides.channels import ChannelsError
from muse_core.slides.choice import RGB
from napari_muse.annotations.coordinates import Placement, to_layer
from napari_muse.io.channel_question import ask_whether_rgb
from napari_muse.io.project_reader import refuse_model, slide_of_store
from napari_muse.io.refusals import say_why
from napari_muse.jobs.overview import OVERVIEW_KEY, Overview
from napari_muse.jobs.wait_window import wait_with_window

_AS_IT_IS = ImageChoice()
SLIDE_KEY = "muse_slide"
"""Layer metadata: the Slide an image layer shows."""
FILE_KEY = "muse_file"
"""Layer metadata: the NucleusFile a points layer was read from."""
SOURCE_KEY = "muse_source"
"""Layer metadata: a function that gives all nuclei behind a layer, a NucleusFile."""
LayerTuple = tuple[Any, dict[str, Any], str]
NO_LAYER: list[Any] = [(None,)]
"""Return value that tells napari that a file was read but has no layer."""

# Many graphics cards do not accept a texture larger than this. napari then asks for coarser levels,
# which are computed once; if there is no room to store them, pixels are skipped instead.
_LARGEST_SIDE_PX = 8192
_LONGEST_HEADER = 4096
_MOST_SHOWN = 20_000


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerTuple]] | None:
    """The reader for a path, or None where it is not ours."""
    say_why()
    first = Path(path if isinstance(path, str) else path[0])
    if first.suffix.lower() == STORE_SUFFIX:
        return read_slides_of_stores
    if first.suffix.lower() == MODEL_SUFFIX:
        return refuse_models if _is_model(first) else None
    if is_nucleus_file(first) and _holds_nuclei(first):
        return read_nucleus_files
    return read_slide if can_open(first) else None


def read_slide(path: str | Sequence[str]) -> list[LayerTuple]:
    """Return an image layer for each slide.

    Raises:
        UserError: A file is missing, damaged, or not a slide.
    """
    paths = [path] if isinstance(path, str) else list(path)
    slides = [_open_or_ask(p) for p in paths]
    for slide in slides:
        for note in slide.notes:
            show_info(note)
    return [slide_layer(slide) for slide in slides]


def read_slides_of_stores(path: str | Sequence[str]) -> list[LayerTuple]:
    """Return an image layer for the slide of each store, whose nuclei come with it.

    Raises:
        UserError: A store cannot be read, or its slide is not to be found.
    """
    viewer = current_viewer()
    layers = viewer.layers if viewer is not None else ()
    shown = [x.metadata[SLIDE_KEY].path for x in layers if SLIDE_KEY in x.metadata]
    paths = [path] if isinstance(path, str) else list(path)
    found = [slide_of_store(Path(p), shown) for p in paths]
    return [slide_layer(open_for_window(slide, choice)) for slide, choice in found]


def refuse_models(path: str | Sequence[str]) -> list[LayerTuple]:
    """Raise UserError, which says how a model can be used."""
    refuse_model(Path(path if isinstance(path, str) else path[0]))


def open_for_window(path: str | Path, choice: ImageChoice = _AS_IT_IS) -> Slide:
    """Open a slide to be shown; may be called in any thread.

    It closes its file while another slide is shown, and opens it again when it is shown.

    Raises:
        UserError: The file is missing, damaged, not a slide, or lacks what is chosen.
    """
    return resting_slide(partial(open_slide, path, choice=choice))


def _open_or_ask(path: str) -> Slide:
    """Open a slide; where its channels are named like dyes, ask whether they are colours."""
    try:
        return open_for_window(path)
    except ChannelsError as error:
        if not ask_whether_rgb(error.what):
            raise
    return open_for_window(path, ImageChoice(channels=RGB))


def read_nucleus_files(path: str | Sequence[str]) -> list[LayerTuple]:
    """Nuclei of files, as points layers; an open MUSE panel imports them into its slide.

    If there are very many, the layer shows an even sample, because points are slow to draw; all are
    imported. Reading can be cancelled in the window, which gives no layer.

    Raises:
        UserError: A file is missing, damaged, or lacks what is needed.
    """
    paths = [path] if isinstance(path, str) else list(path)
    layers: list[LayerTuple] = []
    for p in paths:
        try:
            content = wait_with_window(partial(_read, p), f"Reading {Path(p).name} …")
        except CancelledError:
            return NO_LAYER
        x, y = content.table["x"].to_numpy(), content.table["y"].to_numpy()
        shown = np.linspace(0, len(x) - 1, min(len(x), _MOST_SHOWN)).astype(np.intp)
        settings = {"name": Path(p).stem, "metadata": {FILE_KEY: content}}
        data = to_layer(x[shown], y[shown])
        layers.append((data, settings | _window_settings(content.mpp), "points"))
    return layers


def _read(path: str, should_cancel: Callable[[], bool]) -> NucleusFile:
    return read_nuclei(path, should_cancel=should_cancel)


def _window_settings(mpp: float | None) -> dict[str, object]:
    """Scale, in the units that the layers of the window have so far.

    napari warns at once where a new layer differs in units; the panel puts all of them right.
    """
    settings = Placement.of_mpp(mpp).settings
    viewer = current_viewer()
    units = {layer.units[-2:] for layer in viewer.layers} if viewer is not None else set()
    return settings | ({"units": units.pop()} if len(units) == 1 else {})


def _holds_nuclei(path: Path) -> bool:
    """Whether a file looks like nuclei; other tables and JSON files are left to other readers."""
    if path.name.lower().endswith(CSV_SUFFIXES):
        return is_nucleus_csv(path)
    if path.suffix.lower() == ZIP:
        return holds_geojson(path)
    if path.suffix.lower() != ".json":
        return True
    try:
        with path.open(encoding="utf-8-sig") as file:
            return '"Feature' in file.read(_LONGEST_HEADER)
    except (OSError, UnicodeDecodeError):
        return False


def _is_model(path: Path) -> bool:
    try:
        read_card(path)
    except UserError:
        return False
    return True


def slide_layer(slide: Slide) -> LayerTuple:
    """The image layer of a slide, as napari makes layers of it."""
    levels: list[Any] = list(slide.levels)
    metadata: dict[str, object] = {SLIDE_KEY: slide}
    is_large = max(levels[-1].shape[:2]) > _LARGEST_SIDE_PX
    overview = Overview.of(slide) if is_large else None
    if overview is not None:
        levels += [level.to_dask() for level in overview.levels]
        metadata[OVERVIEW_KEY] = overview
    while max(levels[-1].shape[:2]) > _LARGEST_SIDE_PX:
        levels.append(levels[-1][::4, ::4])
    settings = {
        "name": slide.title,
        "rgb": True,
        "multiscale": len(levels) > 1,
        "metadata": metadata,
        # No cache: levels of an overview change, and the slide caches pixels itself.
        "cache": False,
        **_window_settings(slide.mpp),
    }
    return (levels if len(levels) > 1 else levels[0], settings, "image")
