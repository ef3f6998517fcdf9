"""Export the nuclei of a slide from its store, not from the layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from muse_core.nuclei import NucleusFile, write_nuclei
from muse_core.nuclei.counted import counted_nuclei
from muse_core.nuclei.nucleus_file import FIRST_PLANE, WHOLE_SLIDE, Origin, PlaneZT
from muse_core.nuclei.store.locate import STORE_SUFFIX
from muse_core.slides import Slide
from muse_core.slides.window.key import safe_name


@dataclass(frozen=True)
class Exported:
    """Result of an export.

    Attributes:
        path: The file.
        n_nuclei: How many.
        notes: Sentences about what the format cannot hold.
    """

    path: Path
    n_nuclei: int
    notes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """For the user."""
        saved = f"{counted_nuclei(self.n_nuclei)} saved to {self.path.name}."
        return " ".join((saved, *self.notes))


def suggested_export(slide: Slide | None) -> str:
    """A file name beside the slide; each image and plane of a file has its own."""
    if slide is None:
        return "nuclei.csv"
    part = slide.part.replace("=", "").replace("&", "-")
    if not part and slide.n_images > 1:
        part = f"image{slide.image.number}"
    name = f"{slide.path.stem}-{part}" if part else slide.path.stem
    return str(slide.path.with_name(f"{name}.csv")) if slide.is_file else f"{name}.csv"


def suggested_project(slide: Slide | None) -> str:
    """A name for the project of an image that is no file."""
    return f"{safe_name(slide.title) if slide else 'image'}{STORE_SUFFIX}"


def export_content(
    content: NucleusFile,
    target: Path,
    mpp: float | None,
    origin_px: Origin = WHOLE_SLIDE,
    plane_zt: PlaneZT = FIRST_PLANE,
) -> Exported:
    """Write all nuclei that are not deleted, with classes and regions; may run in any thread.

    Args:
        content: Of an annotation store.
        target: File to write, in the format of its name.
        mpp: Microns per level-0 pixel.
        origin_px: Origin of coordinates in the file: the corner of the scanned area.
        plane_zt: Index of the slide's focal plane and point of time.

    Raises:
        UserError: The format is unknown or needs the MPP, or the file cannot be written.
    """
    content = content.counted_from(origin_px)
    notes = write_nuclei(target, replace(content, mpp=mpp, plane_zt=plane_zt))
    return Exported(target, len(content.table), (*notes, *content.notes))
