"""OME-Zarr 0.4 (Zarr v2) and 0.5 (Zarr v3), from a local folder."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.errors import ZarrUserWarning

from muse_core.errors import UserError
from muse_core.files import is_litter
from muse_core.files.remote import name_of, without_secrets
from muse_core.slides.channels import ChannelPlan, plan_channels
from muse_core.slides.choice import ImageChoice
from muse_core.slides.images import (
    DefaultChoice,
    pick_image,
    pick_plane,
    plane_number,
    plane_zt,
    taken,
)
from muse_core.slides.lost_pieces import Box, lost_pieces
from muse_core.slides.ome_zarr.images import ZarrImage, describe_images, finest_shape, zarr_images
from muse_core.slides.ome_zarr.local_store import FolderStore
from muse_core.slides.ome_zarr.missing_chunks import missing_chunks
from muse_core.slides.ome_zarr.remote_store import PatientStore, remote_store
from muse_core.slides.ome_zarr.scale import same_extent, zarr_mpp
from muse_core.slides.ome_zarr.zip_store import open_zipped
from muse_core.slides.pixels import Colours, Samples
from muse_core.slides.sampled_level import SampledLevel, settle_samples
from muse_core.slides.slide import SlideSource, pyramid

_AS_IT_IS = ImageChoice()
_PIECE_PX = 512
"""Small chunks are fetched together up to this size, since every request to zarr costs time."""
_TYPES = ("u1", "u2", "f2", "f4", "f8")
_SMALL_CHUNK_PX, _MAX_SMALL_CHUNKS = 16, 1 << 16
"""Chunks smaller than this need thousands of requests for one piece; only small levels may have
them."""


def open_ome_zarr(path: Path, choice: ImageChoice = _AS_IT_IS) -> SlideSource:
    """Open an image of an OME-Zarr folder, or of one in a zip archive; only metadata are read.

    The folder is an image, or holds several: scenes of bioformats2raw, or the fields of a plate;
    the first is taken where none is chosen. Axes are taken by their names: RGB may come first
    (c, y, x) or last (y, x, c), further axes stack planes. The scale is read where the metadata
    give a unit of length.

    Raises:
        UserError: The folder is no OME-Zarr, its pixels or channels cannot be read, or there is
            nothing of what is chosen.
        PermissionError: A file in it may not be read.
    """
    close: Callable[[], None] = _nothing
    try:
        if path.is_file():
            zipped = open_zipped(path)
            close = zipped.close
            source = _open(zipped.group, path, choice, zipped.has_pixels)
            is_there = zipped.has_file
        else:
            source = _open(
                _group(FolderStore(path), path.name), path, choice, partial(_has_chunks, path)
            )
            is_there = partial(_has_file, path)
        levels = [level for level in source.levels if isinstance(level, ZarrLevel)]
        lost = lost_pieces(levels, partial(missing_chunks, is_there))
        return replace(source, notes=(*source.notes, *lost), close=close)
    except (UserError, PermissionError):
        close()
        raise
    except Exception as error:
        close()
        # zarr raises its own errors, KeyError, JSONDecodeError and more on broken metadata.
        raise _unreadable(path.name, error) from error


def open_remote_ome_zarr(address: str, choice: ImageChoice = _AS_IT_IS) -> SlideSource:
    """Like :func:`open_ome_zarr`, for a folder on the network.

    Raises:
        UnreachableError: The server gives nothing.
        UserError: As there, or it may not be read.
    """
    path, store = Path(name_of(address)), remote_store(address)
    try:
        group = _group(store, path.name)
        # What is in a folder cannot be asked for everywhere.
        return replace(_open(group, path, choice, lambda _: True), address=address)
    except UserError:
        raise
    except Exception as error:
        if store.refused:
            raise UserError(f"{without_secrets(address)} may not be read.") from error
        raise _unreadable(without_secrets(address), error) from error


def _unreadable(name: str, error: Exception) -> UserError:
    """What to say of an error; zarr and numcodecs have a class of one name for codecs."""
    if type(error).__name__ != "UnknownCodecError":
        return UserError(f"{name} is not a readable OME-Zarr image.")
    codec = str(error).rpartition(": ")[2].strip("'")
    return UserError(
        f"{name} is compressed with {codec}, which cannot be read; save it with Blosc or Zstandard."
    )


def _group(store: FolderStore | PatientStore, name: str) -> zarr.Group:
    with warnings.catch_warnings():
        # Where there are metadata of both versions of Zarr, the newer ones count.
        warnings.simplefilter("ignore", ZarrUserWarning)
        try:
            return zarr.open_group(store, mode="r")
        except (ValueError, OSError) as error:
            if not _is_array(store):
                raise
            raise UserError(
                f"{name} is an array of Zarr, which says nothing of an image; open the OME-Zarr"
                " that it belongs to, or save it as one."
            ) from error


def _is_array(store: FolderStore | PatientStore) -> bool:
    try:
        zarr.open_array(store, mode="r")
    except Exception:
        # Broken metadata raise what zarr's own libraries raise.
        return False
    return True


def _nothing() -> None:
    """Folders are not kept open."""


def _open(
    group: Any, path: Path, choice: ImageChoice, has_pixels: Callable[[str], bool]
) -> SlideSource:
    images = zarr_images(group, path.name)
    facts = describe_images(images)
    default = next(i.number or 1 for i in facts if i.number)
    wanted = pick_image(facts, default, choice, path.name)
    image = images[facts.index(wanted)]
    multiscale = image.metadata["multiscales"][0]
    shape, axes = finest_shape(image)
    stack = [(a, n) for a, n in zip(axes, shape, strict=True) if a not in "yxc" and n > 1]
    plane = pick_plane(stack, choice, path.name)
    at = {axis: i for (axis, _), i in zip(stack, plane, strict=True)}
    arrays = _arrays(image, path.name)
    plan = _plan(image, arrays[0], axes, path.name, choice)
    levels = [ZarrLevel(array, axes, plan, at, path.name) for array in arrays]
    _require_pixels(arrays, has_pixels, path.name)
    kept, downsamples = pyramid(same_extent(levels, multiscale))
    notes = settle_samples(kept)
    mpp, note = zarr_mpp(multiscale)
    middle = plane_number(stack, pick_plane(stack, ImageChoice(), path.name))
    number = plane_number(stack, plane)
    return SlideSource(
        path,
        f"OME-Zarr {_version(image)}",
        kept,
        downsamples,
        mpp,
        note,
        tuple(i.name.lower() for i in facts if i.number is None and i.name),
        notes=(*((plan.note,) if plan.note else ()), *notes),
        taken=taken(facts, number, choice, path.name, DefaultChoice(default, "the first", middle)),
        plane_zt=plane_zt(stack, plane),
    )


def _arrays(image: ZarrImage, name: str) -> list[Any]:
    """Levels of an image, finest first.

    Raises:
        UserError: One is not there, as after a copy that broke off.
    """
    arrays = []
    for dataset in image.metadata["multiscales"][0]["datasets"]:
        try:
            arrays.append(image.group[dataset["path"]])
        except KeyError as error:
            level = dataset.get("path", "without a path")
            raise UserError(f"{name} is incomplete: its level {level} is missing.") from error
    return arrays


def _require_pixels(arrays: list[Any], has_pixels: Callable[[str], bool], name: str) -> None:
    """Raise UserError where a level has no pixels, which would be taken for an empty slide."""
    empty = [array.path for array in arrays if not has_pixels(array.path)]
    if len(empty) == len(arrays):
        raise UserError(f"{name} is incomplete: it has metadata but no pixels.")
    if empty:
        raise UserError(f"{name} is incomplete: its level {empty[0]} has no pixels.")


def _version(image: ZarrImage) -> Any:
    return image.metadata["multiscales"][0].get("version") or image.metadata.get("version")


def _plan(
    image: ZarrImage, array: Any, axes: Sequence[str], name: str, choice: ImageChoice
) -> ChannelPlan:
    count = dict(zip(axes, array.shape, strict=True)).get("c", 1)
    omero = image.metadata.get("omero", {}).get("channels", [])
    names = [str(c.get("label") or "") for c in omero if isinstance(c, dict)]
    return plan_channels(
        count, names if any(names) else [], name, choice, array.dtype == np.uint8, axes[-1] == "c"
    )


def _has_chunks(root: Path, array: str) -> bool:
    """Whether an array's folder holds more than metadata; looks at few entries only."""
    with os.scandir(root / array) as entries:
        return any(
            e.name not in (".zarray", ".zattrs", "zarr.json") and not is_litter(e.name)
            for e in entries
        )


def _has_file(root: Path, name: str) -> bool:
    return (root / name).exists()


def _piece_px(chunk_px: int) -> int:
    """Return the side of a piece: as many whole chunks as there is room for, at least one."""
    return chunk_px * max(1, _PIECE_PX // chunk_px)


class ZarrLevel(SampledLevel):
    """A Zarr array with named axes as RGB pieces."""

    def __init__(
        self,
        array: zarr.Array[Any],
        axes: Sequence[str],
        plan: ChannelPlan,
        at: Mapping[str, int],
        name: str,
    ) -> None:
        if len(axes) != array.ndim or not {"x", "y"} <= set(axes):
            raise UserError(f"{name} is damaged: its axes {', '.join(axes)} do not fit its array.")
        sizes = dict(zip(axes, array.shape, strict=True))
        if any(at.get(a, 0) >= n for a, n in sizes.items()) or max(plan.order) >= sizes.get("c", 1):
            raise UserError(f"{name} is damaged: its levels differ in planes or channels.")
        if array.dtype.str[1:] not in _TYPES:
            raise UserError(
                f"{name} has pixels of type {array.dtype}; only unsigned ones of 8 and 16 bits and"
                " floating point can be read."
            )
        chunks = dict(zip(axes, array.chunks, strict=True))
        many = math.prod(-(-sizes[a] // chunks[a]) for a in "yx") > _MAX_SMALL_CHUNKS
        if many and min(chunks["y"], chunks["x"]) < _SMALL_CHUNK_PX:
            raise UserError(
                f"{name} is stored in chunks of {chunks['x']} x {chunks['y']} pixels, "
                "which are too small to read; save it with larger ones."
            )
        super().__init__(
            name,
            (sizes["y"], sizes["x"]),
            (_piece_px(chunks["y"]), _piece_px(chunks["x"])),
            samples=Samples(
                Colours.GRAY if len(plan.order) == 1 else Colours.RGB,
                plan.alpha,
                needs_scaling=array.dtype != np.uint8,
            ),
            stored_type=array.dtype,
        )
        self._array, self._axes, self._at = array, tuple(axes), dict(at)
        self._channels = list(plan.order)
        run = list(range(self._channels[0], self._channels[0] + len(self._channels)))
        self._as_stored = self._channels == run
        kept = [a for a in axes if a in "yxc"]
        self._order = [kept.index(a) for a in ("y", "x", "c") if a in kept]

    @property
    def empty_colour(self) -> npt.NDArray[np.uint8]:
        """(3,) colour of chunks that are not there."""
        # Zarr 2 allows for none.
        value = self._array.fill_value or 0
        empty = np.full((1, 1, len(self._channels)), value, self.stored_type)
        colour: npt.NDArray[np.uint8] = self.samples.to_rgb(empty)[0, 0]
        return colour

    def chunk_at(self, x: int, y: int) -> tuple[str, Box]:
        """The file with a pixel below the store's folder, and the pixels x0, y0, x1, y1 in it."""
        sizes = self._array.shards or self._array.chunks
        at = {**self._at, "y": y, "x": x, "c": self._channels[0]}
        chunk = tuple(at.get(a, 0) // n for a, n in zip(self._axes, sizes, strict=True))
        file = f"{self._array.path}/{self._array.metadata.encode_chunk_key(chunk)}"
        (w, h), sides = (self.width, self.height), dict(zip(self._axes, sizes, strict=True))
        x0, y0 = x // sides["x"] * sides["x"], y // sides["y"] * sides["y"]
        return file, (x0, y0, min(x0 + sides["x"], w), min(y0 + sides["y"], h))

    def _stored(self, row: int, col: int) -> np.ndarray:
        top, left = row * self.piece_h, col * self.piece_w
        spans = {
            "y": slice(top, min(top + self.piece_h, self.height)),
            "x": slice(left, min(left + self.piece_w, self.width)),
            "c": slice(min(self._channels), max(self._channels) + 1),
        }
        where = tuple(spans.get(a, self._at.get(a, 0)) for a in self._axes)
        pixels = np.asarray(self._array[where]).transpose(self._order)
        pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
        first = min(self._channels)
        return pixels if self._as_stored else pixels[:, :, [c - first for c in self._channels]]
