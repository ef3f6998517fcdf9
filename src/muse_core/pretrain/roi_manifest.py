"""The manifest of a folder of ROIs: slides, positions and settings of the ROIs. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from muse_core.errors import UserError, cannot
from muse_core.files import check_writable, destination, locked, make_folder, replacing
from muse_core.slides.mpp import check_mpp

MANIFEST_NAME = "manifest.json"
_FORMAT_VERSION = 1


@dataclass(frozen=True)
class RoiSettings:
    """Settings by which ROIs are cut; those of one folder share them.

    Attributes:
        roi_px: Largest side of a ROI in pixels.
        mpp: Microns per pixel of the ROIs; a coarser slide keeps its own.
        min_tissue: Share of a ROI that must be tissue, 0 to 1.
        jpeg_quality: 1 to 100.
        nuclei: Name of the model that found the nuclei, or "points" where they were given.
    """

    roi_px: int = 2048
    mpp: float = 0.25
    min_tissue: float = 0.2
    jpeg_quality: int = 90
    nuclei: str = "points"

    def __post_init__(self) -> None:
        if not 64 <= self.roi_px <= 16384:
            raise UserError("roi_px lies between 64 and 16384.")
        check_mpp(self.mpp)
        if not 0 <= self.min_tissue <= 1:
            raise UserError("min_tissue lies between 0 and 1.")
        if not 1 <= self.jpeg_quality <= 100:
            raise UserError("jpeg_quality lies between 1 and 100.")


@dataclass(frozen=True)
class Roi:
    """A region of interest.

    Attributes:
        file: Image inside the folder; its nuclei are in the file of the same stem ending in .npy.
        width_px: Columns.
        height_px: Rows.
        mpp: Microns per pixel.
        x_px: Left edge in the slide's level-0 pixels.
        y_px: Top edge in the slide's level-0 pixels.
        tissue: Share that is tissue, 0 to 1.
        n_nuclei: Nuclei in it.
    """

    file: str
    width_px: int
    height_px: int
    mpp: float
    x_px: float
    y_px: float
    tissue: float
    n_nuclei: int

    def __post_init__(self) -> None:
        # A manifest may come from anywhere; it must not lead out of its folder.
        path = PurePosixPath(self.file)
        if path.is_absolute() or ".." in path.parts or "\\" in self.file or ":" in self.file:
            raise UserError(f"The manifest names {self.file!r}, which is outside its folder.")
        if min(self.width_px, self.height_px) < 1 or not self.mpp > 0 or self.n_nuclei < 0:
            raise UserError(f"The manifest has impossible figures for {self.file!r}.")

    @property
    def area_um2(self) -> float:
        """Area that it shows, square microns."""
        return self.width_px * self.height_px * self.mpp**2


@dataclass(frozen=True)
class RoiSource:
    """A slide whose ROIs have all been cut.

    Attributes:
        name: File name of the slide.
        key: Identifies the slide; names its folder.
        mpp: Microns per level-0 pixel of the slide.
        rois: Its ROIs.
        left_out: Sentences about ROIs of which a part could not be read.
    """

    name: str
    key: str
    mpp: float
    rois: tuple[Roi, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class RoiManifest:
    """All ROIs of a folder."""

    settings: RoiSettings
    sources: tuple[RoiSource, ...]

    @property
    def rois(self) -> tuple[Roi, ...]:
        """The ROIs of all slides."""
        return tuple(roi for source in self.sources for roi in source.rois)

    def with_source(self, source: RoiSource) -> RoiManifest:
        """The manifest with one slide more, unless it has it."""
        if any(known.key == source.key for known in self.sources):
            return self
        return RoiManifest(self.settings, (*self.sources, source))

    def write(self, folder: Path) -> None:
        """Write the manifest into its folder."""
        data = {"format_version": _FORMAT_VERSION, **asdict(self)}
        with replacing(folder / MANIFEST_NAME) as partial:
            partial.write_text(json.dumps(data, indent=1), encoding="utf-8")


def look_into_roi_folder(folder: Path, settings: RoiSettings) -> RoiManifest:
    """The manifest that :func:`open_roi_folder` would return, without creating the folder.

    So nothing is left behind if the first slide cannot be read.

    Raises:
        UserError: The folder holds ROIs of other settings, or could not be written.
    """
    if (folder / MANIFEST_NAME).is_file():
        return _of_settings(read_manifest(folder), settings, folder)
    try:
        steps = (destination(folder), *destination(folder).parents)
        there = next(step for step in steps if step.exists())
    except OSError as error:
        raise cannot("write", folder, error) from error
    if not there.is_dir():
        raise UserError(f"Cannot write {folder}: {there} is no folder.")
    check_writable(there / MANIFEST_NAME)
    return RoiManifest(settings, ())


def open_roi_folder(folder: Path, settings: RoiSettings) -> RoiManifest:
    """The manifest of a folder to cut into, new or of an earlier call with the same settings.

    Raises:
        UserError: The folder holds ROIs of other settings, or cannot be written.
    """
    make_folder(folder)
    with locked(folder / MANIFEST_NAME):
        if not (folder / MANIFEST_NAME).is_file():
            RoiManifest(settings, ()).write(folder)
        manifest = read_manifest(folder)
    return _of_settings(manifest, settings, folder)


def _of_settings(manifest: RoiManifest, settings: RoiSettings, folder: Path) -> RoiManifest:
    if manifest.settings != settings:
        raise UserError(f"{folder} holds ROIs of other settings; choose another folder.")
    return manifest


def add_source(folder: Path, source: RoiSource) -> RoiManifest:
    """Add a slide to the manifest on disk, to which other processes may have added slides too.

    Raises:
        UserError: The manifest cannot be read or written.
    """
    with locked(folder / MANIFEST_NAME):
        longer = read_manifest(folder).with_source(source)
        longer.write(folder)
    return longer


def read_manifest(folder: str | Path) -> RoiManifest:
    """Read the manifest of a folder.

    Raises:
        UserError: There is none, or it is damaged.
    """
    path = Path(folder) / MANIFEST_NAME
    if not path.is_file():
        raise UserError(f"{folder} holds no ROIs: there is no {MANIFEST_NAME}; run muse rois.")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format_version"] != _FORMAT_VERSION:
            raise UserError(f"{path} has version {data['format_version']}; update napari-muse.")
        sources = tuple(
            RoiSource(
                str(s["name"]),
                str(s["key"]),
                float(s["mpp"]),
                tuple(_roi(r) for r in s["rois"]),
                # Manifests of earlier versions do not have it.
                tuple(str(sentence) for sentence in s.get("left_out", ())),
            )
            for s in data["sources"]
        )
        return RoiManifest(RoiSettings(**data["settings"]), sources)
    except UserError:
        raise
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{path} is not a manifest of ROIs: {error}.") from error


def _roi(data: Mapping[str, Any]) -> Roi:
    kinds = {"file": str, "width_px": int, "height_px": int, "n_nuclei": int}
    return Roi(**{f.name: kinds.get(f.name, float)(data[f.name]) for f in fields(Roi)})
