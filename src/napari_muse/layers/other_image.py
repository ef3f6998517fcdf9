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

    Between planes the scale stays that which the user has given.

    Args:
        session: Of the viewer.
        slide: It is open; what is current is closed.

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
