"""Features of a slide's nuclei as plain arrays on disk, which are never read whole.

A folder for each model: ``features.f16`` (N, C) float16, ``places.f64`` (N, 2) float64 level-0
pixels, ``classes.u8`` (N,) uint8, the class the model gave (255: unknown), and ``about.json``;
beside them the logits of :mod:`muse_core.classify.kept_logits`. Rows are matched with nuclei by
position, because ids differ between stores; a nucleus that is moved has no feature until it is
computed again. Rows are only ever appended. Of several rows at one position the last counts, and
rows that a crash has cut off are ignored. Imports no torch.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError, cannot
from muse_core.files import FileRows, entries, locked, make_folder, remove_deletable, replacing
from muse_core.nuclei.store import SlideIdentity

UNKNOWN = 255
"""Class of a nucleus that the model has not classified."""
FEATURES_SUFFIX = ".features"
LOGITS = "logits.f32"
"""(n, K) float32 of the first n rows; see :mod:`muse_core.classify.kept_logits`."""
_FEATURES, _PLACES, _CLASSES, _ABOUT = "features.f16", "places.f64", "classes.u8", "about.json"
LOGIT_BYTES = 4
_ZARR = (".zgroup", "zarr.json")
_MOST_CHANNELS = 1 << 16
_FORMAT = 1
_HASH_CHARACTERS = 16


@dataclass(frozen=True)
class FeatureFacts:
    """Identity of the features in a folder: slide, model and nuclei they were computed from.

    Attributes:
        model: Name of the model.
        model_sha256: Of its file.
        class_names: Its classes.
        channels: C.
        slide_size_bytes: Size of the slide's file, see :class:`SlideIdentity`.
        slide_fingerprint: Fingerprint of its content.
        mpp: Microns per level-0 pixel that the slide was read with.
    """

    model: str
    model_sha256: str
    class_names: tuple[str, ...]
    channels: int
    slide_size_bytes: int
    slide_fingerprint: str
    mpp: float

    def of_slide(self, slide: SlideIdentity) -> bool:
        """Whether they are of a slide, renamed or not."""
        return (self.slide_size_bytes, self.slide_fingerprint) == (
            slide.size_bytes,
            slide.fingerprint,
        )


@dataclass(frozen=True)
class FeatureFolder:
    """Features of a model on disk, with their places and classes in memory.

    Attributes:
        path: The folder.
        facts: Slide, model and scale they were computed with.
        features: (N, C) float16, in the file.
        places: (N, 2) float64, level-0 pixels.
        classes: (N,) uint8 index into the model's classes, or :data:`UNKNOWN`.
        notes: Sentences for the user: what is missing.
    """

    path: Path
    facts: FeatureFacts
    features: FileRows
    places: npt.NDArray[np.float64]
    classes: npt.NDArray[np.uint8]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.places)


def features_beside(store: Path) -> Path:
    """The folder that holds, for each model, the features of a store's nuclei."""
    return store.with_name(store.name + FEATURES_SUFFIX)


def folder_of_model(root: Path, model_sha256: str) -> Path:
    """Folder of one model's features in that of :func:`features_beside`."""
    return root / model_sha256[:_HASH_CHARACTERS]


def append_features(
    root: Path,
    facts: FeatureFacts,
    xy: npt.ArrayLike,
    features: npt.NDArray[np.floating],
    classes: npt.NDArray[np.integer] | None = None,
    anew: bool = False,
) -> int:
    """Append features to those of the same model.

    Args:
        root: The folder of :func:`features_beside`; created if it is missing.
        facts: Slide, model and scale; features of another slide or scale are replaced.
        xy: (n, 2) level-0 pixels.
        features: (n, C).
        classes: (n,) classes that the model gave; None where it has not been asked.
        anew: Whether to replace the features of this model.

    Returns:
        How many rows were there before.

    Raises:
        UserError: The folder cannot be written.
    """
    places = np.asarray(xy, np.float64).reshape(-1, 2)
    named = np.full(len(places), UNKNOWN) if classes is None else classes
    if features.shape != (len(places), facts.channels) or len(named) != len(places):
        raise ValueError("places, features and classes are not of the same nuclei")
    folder = folder_of_model(root, facts.model_sha256)
    make_folder(folder)
    with locked(folder):
        _begin(folder, facts, anew)
        end = _whole_rows(folder, facts.channels)
        # Rows that were cut short are written over; what was computed of them goes first.
        _cut(folder / LOGITS, end * LOGIT_BYTES * len(facts.class_names))
        # Features before places: what is cut short has no place, and so is not there.
        for name, values, width in (
            (_FEATURES, np.ascontiguousarray(features, np.float16), 2 * facts.channels),
            (_CLASSES, np.ascontiguousarray(named, np.uint8), 1),
            (_PLACES, places, 16),
        ):
            _append(folder / name, values.tobytes(), end * width)
    return end


def cut_features(root: Path, facts: FeatureFacts, rows: int) -> None:
    """Take back what was appended to features of the same model after the first rows.

    Raises:
        UserError: The folder cannot be written.
    """
    folder = folder_of_model(root, facts.model_sha256)
    with locked(folder):
        logits = (LOGITS, LOGIT_BYTES * len(facts.class_names))
        for name, width in (logits, *_widths(facts.channels)):
            _cut(folder / name, rows * width)


def move_features(source: Path, root: Path) -> None:
    """Bring the features of one folder of :func:`features_beside` to another, which may have some.

    Raises:
        UserError: They cannot be written.
    """
    for folder in entries(source) if source.is_dir() else ():
        target = root / folder.name
        try:
            if not target.exists():
                make_folder(root)
                shutil.move(folder, target)
                continue
        except OSError as error:
            raise cannot("write", root, error) from error
        _append_all(open_features(folder), root)
    shutil.rmtree(source, ignore_errors=True)


def _append_all(kept: FeatureFolder, root: Path) -> None:
    append_features(root, kept.facts, kept.places, kept.features[:], kept.classes)


def open_features(folder: Path) -> FeatureFolder:
    """Open the features of one model.

    Raises:
        UserError: There are none, or the folder is damaged.
    """
    facts = _read_facts(folder)
    rows = _whole_rows(folder, facts.channels)
    if not rows:
        raise UserError(f"{folder.parent.name} holds no features yet: detect with features first.")
    most = max((folder / n).stat().st_size // w for n, w in _widths(facts.channels))
    notes = []
    if most > rows:
        notes.append(
            f"{folder.parent.name} was cut short: of {most - rows:,} nuclei there are no features."
        )
    name = folder.parent.name
    try:
        return FeatureFolder(
            folder,
            facts,
            FileRows(folder / _FEATURES, np.float16, (rows, facts.channels), name),
            FileRows(folder / _PLACES, np.float64, (rows, 2), name)[:],
            FileRows(folder / _CLASSES, np.uint8, (rows,), name)[:],
            tuple(notes),
        )
    except OSError as error:
        raise cannot("read", folder, error) from error


def keeps_features(root: Path) -> bool:
    """Whether detection has kept features in a folder, of any slide and model."""
    return root.is_dir() and bool(_folders_in(root))


def _folders_in(root: Path) -> list[Path]:
    return [path for path in entries(root) if (path / _ABOUT).is_file()]


def find_features(root: Path, slide: SlideIdentity, model_sha256: str = "") -> FeatureFolder:
    """The features beside a store: of one model, or of that which has most.

    Args:
        root: See :func:`features_beside`.
        slide: The slide they must be of.
        model_sha256: The model; empty takes any.

    Raises:
        UserError: There are none, those that are there are of another slide or model, or they are
            damaged.
    """
    nothing = f"There are no features in {root.name}: detect with features first."
    if not root.is_dir():
        raise UserError(nothing)
    folders = _folders_in(root)
    if not folders and any((root / name).is_file() for name in _ZARR):
        raise UserError(
            f"{root.name} was written by muse features; those that detection keeps are needed here:"
            " detect with features."
        )
    refusal = ""
    found = []
    for path in folders:
        try:
            opened = open_features(path)
        except UserError as error:
            refusal = str(error)
            continue
        if not opened.facts.of_slide(slide):
            refusal = f"The features in {root.name} are of another slide than {slide.name}."
        elif model_sha256 and opened.facts.model_sha256 != model_sha256:
            refusal = (
                f"The features in {root.name} are of another model, {opened.facts.model}; detect"
                " again with features, or choose that model."
            )
        else:
            found.append(opened)
    if not found:
        raise UserError(refusal or nothing)
    return max(found, key=len)


def _begin(folder: Path, facts: FeatureFacts, anew: bool) -> None:
    """Create a folder for these facts; rows of other facts, or all if ``anew``, are dropped."""
    try:
        same = _read_facts(folder) == facts
    except UserError:
        same = False
    if same and not anew:
        return
    # Not cut to nothing: who has opened them goes on reading what they held.
    for name in (LOGITS, *(name for name, _ in _widths(facts.channels))):
        try:
            remove_deletable(folder / name)
        except OSError as error:
            raise cannot("write", folder, error) from error
    text = json.dumps({"format": _FORMAT, **asdict(facts)}, indent=1)
    with replacing(folder / _ABOUT) as partial:
        partial.write_text(text, encoding="utf-8")


def _widths(channels: int) -> tuple[tuple[str, int], ...]:
    """Files and their bytes for each nucleus."""
    return ((_FEATURES, 2 * channels), (_PLACES, 16), (_CLASSES, 1))


def _whole_rows(folder: Path, channels: int) -> int:
    """Return the number of nuclei whose data is complete."""
    try:
        return min((folder / name).stat().st_size // width for name, width in _widths(channels))
    except OSError:
        return 0


def _append(path: Path, data: bytes, at: int) -> None:
    try:
        with path.open("r+b" if path.exists() else "wb") as file:
            file.truncate(at)
            file.seek(at)
            file.write(data)
    except OSError as error:
        raise cannot("write", path, error) from error


def _cut(path: Path, most_bytes: int) -> None:
    """Truncate a file, if it exists, to at most the given number of bytes."""
    try:
        if path.exists() and path.stat().st_size > most_bytes:
            os.truncate(path, most_bytes)
    except OSError as error:
        raise cannot("write", path, error) from error


def _read_facts(folder: Path) -> FeatureFacts:
    damaged = f"The features in {folder.parent.name} are damaged"
    try:
        data: Any = json.loads((folder / _ABOUT).read_text(encoding="utf-8")[: 1 << 20])
        if data.pop("format") != _FORMAT:
            raise UserError(f"{folder.parent.name} was written by another napari-muse; update it.")
        data["class_names"] = _names(data["class_names"])
        facts = FeatureFacts(**data)
        sound = (
            all(isinstance(t, str) for t in (facts.model, facts.model_sha256))
            and isinstance(facts.channels, int)
            and 0 < facts.channels <= _MOST_CHANNELS
            and len(facts.class_names) < UNKNOWN
        )
    except UserError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{damaged}: {_ABOUT} cannot be read.") from error
    if not sound:
        raise UserError(f"{damaged}: {_ABOUT} makes no sense.")
    return facts


def _names(values: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise ValueError("no list of names")
    return tuple(values)
