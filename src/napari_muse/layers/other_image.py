"""Another image or plane of a slide's file, shown in place of the current one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Layer

from muse_core.slides import Slide
from napari_muse.annotations.slide_key import slide_key
from napari_muse.io.reader import slide_layer

if TYPE_CHECKING:
    from napari_muse.session import MuseSession


def replace_slide(session: MuseSession, slide: Slide) -> None:
    """Show another image or plane of the current slide's file in place of the current one.

    A scale that the user has given is kept between planes.

    Args:
        session: Session of the viewer.
        slide: The open slide to show; the current one is closed.

    Raises:
        UserError: No slide is current.
    """
    viewer, old, layer = session.viewer, session.require_slide(), session.image_layer
    if slide_key(slide) == slide_key(old):
        slide.close()
        return
    same_image = old.image.number == slide.image.number
    if same_image and old.mpp is not None and slide.mpp != old.mpp:
        slide = slide.with_mpp(old.mpp)
    data, settings, kind = slide_layer(slide)
    viewer.layers.insert(viewer.layers.index(layer), Layer.create(data, settings, kind))
    session.drop(layer)
    old.close()
    if not same_image:
        viewer.reset_view()


def labelled_images(slide: Slide) -> list[tuple[str, int]]:
    """Label and number of each image of a slide's file that shows tissue."""
    labels = []
    for image in slide.images:
        if image.number is not None:
            named = f"{image.name}: " if image.name else ""
            size = f"{image.width} x {image.height} px"
            labels.append((f"{image.number}  {named}{size}", image.number))
    return labels


def hint_of(slide: Slide) -> str:
    """Return a hint for the user about a file with several images or planes."""
    said = []
    if slide.n_images > 1:
        said.append(f"This file holds {slide.n_images} tissue images; one is looked at.")
    if slide.image.planes > 1:
        said.append(f"This is a stack of {slide.image.planes} planes; one is looked at.")
    return " ".join((*said, "Each has nuclei of its own."))
