"""MuseSession: what ties viewer, slide, nuclei and model together. No widgets here."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari.layers import Layer
from psygnal import Signal
from qtpy.QtCore import QTimer

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NucleusFile, placed_on_slide
from muse_core.nuclei.nucleus_file import WHOLE_SLIDE
from muse_core.nuclei.store import StorePlace
from muse_core.slides import PolygonRegion, Region, Slide
from napari_muse.annotations.coordinates import Placement
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.io.file_import import NOTHING, take_over
from napari_muse.io.reader import FILE_KEY, SLIDE_KEY, slide_layer
from napari_muse.io.typed_scale import recall_scale, remember_scale
from napari_muse.jobs.wait_window import wait_with_window
from napari_muse.layers.drawn_areas import (
    claim_areas,
    drawn_polygons,
    rescale_areas,
    show_areas,
    wipe_areas,
)
from napari_muse.layers.layer_keeper import LayerKeeper
from napari_muse.layers.nucleus_layer import NucleusLayer
from napari_muse.layers.picture_layers import PictureLayers
from napari_muse.layers.slide_guard import FIXED_KEY, PERSONS_KEY, SlideGuard
from napari_muse.layers.slide_layers import (
    SlideKey,
    agree_on_units,
    first_placement,
    placement_of,
    raise_overlays,
    show_alone,
    slide_key,
    slide_layers,
    slide_of,
    unit_of_others,
)
from napari_muse.napari_compat import before_units_are_compared

if TYPE_CHECKING:
    from napari.components import ViewerModel

Ask = Callable[[str, str, Callable[[], None], Callable[[], None]], None]
_NO_CLASSES = ClassScheme.from_names(["nucleus"])
_AREA_MARGIN = 1.2
_SESSION_KEY = "muse_session"
IN_THE_WINDOW = "in the field “µm/pixel” of the MUSE panel"
"""How a person gives the scale of a slide here."""


class MuseSession:
    """The state of one viewer behind the MUSE panel; it outlives the panel.

    Each slide keeps its nuclei while the window is open; the current slide is the one whose image
    layer was added or made active last. Make or find it with :meth:`of`.
    """

    trouble: str
    """Why the nuclei of the current slide can be neither seen nor kept; empty where they can."""
    slide_changed = Signal()
    annotations_changed = Signal()
    regions_changed = Signal()
    settled = Signal()
    """A person has said of nuclei what they are."""
    refused = Signal(str)
    """A sentence for the user: why something was not done."""
    told = Signal(str)
    """A sentence for the user: what was done."""
    done = Signal(str)
    """A sentence for the user: what was done, which undo takes back."""

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.slide: Slide | None = None
        self.image_layer: Any = None
        self._annotations_of_slides: dict[SlideKey, SlideAnnotations] = {}
        self._followed: WeakSet[Any] = WeakSet()
        self._class_maps: dict[tuple[object, str], dict[str, str]] = {}
        self._default_scheme = _NO_CLASSES
        self.ask: Ask = decline
        """Asks the user: a question, what the button says, and what to do on yes and on no."""
        self.annotations = SlideAnnotations(_NO_CLASSES)
        self.trouble = ""
        self._dropped: Any = None
        self._guard = SlideGuard(viewer, self.refused.emit)
        there = list(viewer.layers)
        slides = slide_layers(viewer)
        # In the slide's units from the start: napari warns of layers that differ in theirs.
        self.nuclei = NucleusLayer(viewer, self.annotations, first_placement(viewer))
        self.nuclei.refused.connect(self.refused.emit)
        self.nuclei.layer.metadata[_SESSION_KEY] = self
        self._guard.keep(self.nuclei.layer)
        self._keeper = LayerKeeper(self, self.refused.emit)
        self._follow_annotations()
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._on_active)
        for layer in slides or there:
            self.adopt(layer)
        self.pictures = PictureLayers(self)
        before_units_are_compared(viewer, self._agree_on_units)

    @classmethod
    def of(cls, viewer: ViewerModel) -> MuseSession:
        """The viewer's session: the one it has, whose nuclei are in it, or a new one."""
        for layer in viewer.layers:
            session = layer.metadata.get(_SESSION_KEY)
            if isinstance(session, cls) and session.viewer is viewer:
                return session
        return cls(viewer)

    def attempt(self, act: Callable[[], object]) -> bool:
        """Do something; a refusal becomes a sentence for the user, and False."""
        try:
            act()
        except UserError as error:
            self.refused.emit(str(error))
            return False
        return True

    def owns(self, layer: Any) -> bool:
        """Whether a layer is a slide, or what MUSE draws over it."""
        fixed = layer.metadata.get(FIXED_KEY)
        return bool(fixed) or layer is self.nuclei.layer or slide_of(layer) is not None

    def drop(self, layer: Any) -> None:
        """Take a layer out of the viewer, if it is there; None is no layer."""
        if layer is not None and layer in self.viewer.layers:
            self._dropped = layer
            self.viewer.layers.remove(layer)
            self._dropped = None

    def rest(self) -> None:
        """Let go of all files until they are needed again."""
        for opened in self._annotations_of_slides.values():
            opened.rest()
        if self.slide is not None:
            self.slide.rest()

    @property
    def mpp(self) -> float | None:
        """Microns per level-0 pixel of the current slide."""
        return self.slide.mpp if self.slide else None

    @property
    def placement(self) -> Placement:
        """Placement of the current slide, and of all that is drawn on it, in napari's world."""
        return placement_of(self.image_layer, self.slide)

    def set_mpp(self, mpp: float) -> None:
        """Say how large a pixel of the current slide is, whatever its file says; rescale layers.

        Raises:
            UserError: No slide is open, or the value is not plausible.
        """
        slide = self.require_slide().with_mpp(mpp)
        self.attempt(lambda: remember_scale(slide))
        self.image_layer.metadata[SLIDE_KEY] = slide
        before = self.placement
        self.lay_anew()
        if self.placement != before:
            self.viewer.reset_view()

    def replace_slide(self, slide: Slide) -> None:
        """Show another image or plane of the current slide's file in place of the current one.

        Between planes the scale stays that which the user has given.

        Args:
            slide: It is open; what is current is closed.
        """
        old, layer = self.require_slide(), self.image_layer
        if slide_key(slide) == slide_key(old):
            slide.close()
            return
        same_image = old.image.number == slide.image.number
        if same_image and old.mpp is not None and slide.mpp != old.mpp:
            slide = slide.with_mpp(old.mpp)
        data, settings, kind = slide_layer(slide)
        self.viewer.layers.insert(
            self.viewer.layers.index(layer), Layer.create(data, settings, kind)
        )
        self.drop(layer)
        old.close()
        if not same_image:
            self.viewer.reset_view()

    def offer_scheme(self, scheme: ClassScheme) -> None:
        """Use a model's classes for slides that have no nuclei yet, so that some can be added."""
        self._default_scheme = scheme
        if self.annotations.pristine:
            self.annotations.adopt_scheme(scheme)

    def class_map(self, model: str) -> dict[str, str]:
        """Return the person's names on this slide for a model's classes."""
        return self._class_maps.get(self._map_key(model), {})

    def class_map_of(self, model_name: str) -> dict[str, str]:
        """As :meth:`class_map`, for the model's own name."""
        here = self._map_key("")[0]
        maps = self._class_maps.items()
        return next((m for (s, p), m in maps if s == here and Path(p).stem == model_name), {})

    def keep_class_map(self, model: str, mapping: dict[str, str]) -> None:
        """Remember what the classes of a model, by its file, are called on this slide."""
        self._class_maps[self._map_key(model)] = mapping

    def _map_key(self, model: str) -> tuple[object, str]:
        return (slide_key(self.slide) if self.slide else None, model)

    def activate_nuclei(self) -> None:
        """Leave a layer one draws in, so that the keys reach the nuclei."""
        selection = self.viewer.layers.selection
        if selection.active not in (self.image_layer, self.nuclei.layer):
            selection.active = self.nuclei.layer

    def require_slide(self) -> Slide:
        """The current slide; raises UserError when none is open."""
        if self.slide is None:
            raise UserError("Open a slide first: File > Open, or drop it on the window.")
        return self.slide

    def visible_region(self) -> Region:
        """The part of the slide on screen, level-0 pixels.

        Raises:
            UserError: No slide is open, or it is out of view.
        """
        slide = self.require_slide()
        seen = self.nuclei.field_of_view().intersect(slide.bounds)
        if seen is None:
            raise UserError("The slide is out of view; press the home button to bring it back.")
        return seen

    def drawn_polygons(self) -> list[PolygonRegion]:
        """All areas drawn on the slide, level-0 pixels; raises UserError when there are none."""
        return drawn_polygons(self.viewer, self.slide)

    def show_area(self, area: Region) -> None:
        """Bring a part of the slide into view, with a margin."""
        height, width = self.viewer.canvas.size
        placement = self.placement
        row, column = placement.to_world([area.x + area.w / 2], [area.y + area.h / 2])[0]
        camera = self.viewer.scene.camera
        camera.zoom = min(width / area.w, height / area.h) / placement.pixel / _AREA_MARGIN
        camera.center = (0.0, float(row), float(column))

    def mark_reviewed(self, area: Region) -> None:
        """Say that every nucleus in a rectangle has been looked at.

        Raises:
            UserError: The store cannot be written.
        """
        x, y, x1, y1 = area.x, area.y, area.x1, area.y1
        (name,) = self._new_region_names("field", 1)
        self.annotations.add_region(((x, y), (x1, y), (x1, y1), (x, y1)), reviewed=True, name=name)

    def keep_areas(self) -> int:
        """Make regions of the drawn areas; returns how many.

        Raises:
            UserError: Nothing is drawn, or the store cannot be written; what is drawn stays then.
        """
        self.require_slide()
        areas = self.drawn_polygons()
        names = self._new_region_names("region", len(areas))
        self.annotations.add_regions(
            (area.vertices, False, name) for area, name in zip(areas, names, strict=True)
        )
        wipe_areas(self.viewer, self.slide)
        return len(areas)

    def _new_region_names(self, stem: str, count: int) -> list[str]:
        taken = set(self.annotations.regions()["name"])
        free = (name for i in itertools.count(1) if (name := f"{stem} {i}") not in taken)
        return list(itertools.islice(free, count))

    def _on_inserted(self, event: Any) -> None:
        layer = event.value
        claim_areas(layer, self.slide)
        if layer.metadata.get(FIXED_KEY):
            self._guard.keep(layer)
        self.adopt(layer)
        self._agree_on_units()

    def _agree_on_units(self) -> None:
        """Have no layers that napari would warn of, for they differ in their units."""
        if self.slide is not None:
            agree_on_units(self.viewer, self.placement.unit)
            return
        layer, unit = self.nuclei.layer, unit_of_others(self.viewer)
        if unit is not None and {str(u) for u in layer.units} != {unit}:
            layer.units = (unit, unit)

    def _on_active(self, event: Any) -> None:
        layer = event.value
        if layer is not None and layer is not self.image_layer and slide_of(layer) is not None:
            self.adopt(layer)

    def _on_shown(self, event: Any) -> None:
        """A slide that a person makes visible becomes the current one."""
        layer = event.source
        if layer.visible and layer is not self.image_layer and layer in self.viewer.layers:
            self.adopt(layer)

    def _on_removed(self, event: Any) -> None:
        gone = slide_of(event.value)
        if gone is not None:
            gone.rest()
        if event.value is self.image_layer:
            self.let_go(event.value)
        elif event.value is self.nuclei.layer:
            # Not within the removal, of which others have yet to hear.
            QTimer.singleShot(0, self._restore_nuclei)
        if gone is not None and event.value is not self._dropped:
            self.told.emit(f"{gone.title} was closed. Its nuclei are kept; open it again to go on.")

    def lay_anew(self) -> None:
        """Lay everything on the slide of the current layer anew, whose place or scale is another.

        Does nothing while there is no slide.
        """
        slide = slide_of(self.image_layer) if self.image_layer is not None else None
        if slide is not None:
            rescale_areas(self.viewer, slide)
            self._use(slide, self.image_layer)

    def let_go(self, layer: Any) -> None:
        """Go on to another slide where a layer that showed the current one does so no more."""
        if layer is not self.image_layer:
            return
        others = slide_layers(self.viewer)
        if others:
            self.adopt(others[-1])
        else:
            self._use(None, None)

    def _restore_nuclei(self) -> None:
        """Bring the nuclei back while their slide is open: only hiding them makes sense."""
        if self.slide is not None and self.nuclei.layer not in self.viewer.layers:
            self.viewer.layers.append(self.nuclei.layer)
            self.nuclei.refresh()

    def adopt(self, layer: Any) -> None:
        """Make the slide of a layer the current one; take over the nuclei of a file's layer."""
        slide = slide_of(layer)
        if slide is not None:
            self._use_layer(slide, layer)
            for waiting in [x for x in self.viewer.layers if _file_of(x) is not None]:
                self._take_file(waiting)
        elif _file_of(layer) is not None and self.slide is not None:
            self._take_file(layer)

    def _use_layer(self, slide: Slide, layer: Any) -> None:
        """Make a layer's slide the current one; of two layers of one file the first is kept."""
        key, remembered = slide_key(slide), None
        for other in slide_layers(self.viewer):
            known = slide_of(other)
            mine = not any(x.metadata.get(PERSONS_KEY) for x in (layer, other))
            if known is not None and other is not layer and mine and slide_key(known) == key:
                QTimer.singleShot(0, partial(self._drop_double, layer, other))
                self.refused.emit(f"{slide.title} is open already.")
                slide, layer = known, other
                break
        is_other = self.slide is None or slide.key != self.slide.key
        if layer not in self._followed or (layer is self.image_layer and is_other):
            remembered = recall_scale(slide)
        if remembered is not None:
            slide = layer.metadata[SLIDE_KEY] = slide.with_mpp(remembered)
        if layer is not self.image_layer or slide is not self.slide:
            self._use(slide, layer)
        if remembered is not None:
            self.told.emit(f"{slide.title}: {slide.mpp:g} µm/pixel, as you entered it before.")

    def _drop_double(self, double: Any, kept: Any) -> None:
        self.drop(double)
        if kept in self.viewer.layers:
            self.viewer.layers.selection.active = kept

    def _take_file(self, layer: Any) -> None:
        """Take over the nuclei of a file; its own layer has done its duty."""
        layer.visible = False
        self.placement.apply(layer)
        slide = self.require_slide()
        content = placed_on_slide(layer.metadata.pop(FILE_KEY), slide.scanned)
        take_over(self, content, self.annotations, slide, self._say_taken)
        QTimer.singleShot(0, lambda: self.drop(layer))

    def _say_taken(self, sentence: str) -> None:
        # Why nothing was taken has been said.
        if sentence != NOTHING:
            self.done.emit(sentence)

    def _use(self, slide: Slide | None, layer: Any) -> None:
        first = self.slide is None and slide is not None
        self.slide, self.image_layer = slide, layer
        self._guard.on = slide is not None
        for own, others in self._relayed():
            own.disconnect(others.emit)
        self.annotations = self._annotations_of(slide)
        self._follow_annotations()
        size = (slide.width, slide.height) if slide else (1, 1)
        origin = (slide.scanned.x, slide.scanned.y) if slide else WHOLE_SLIDE
        with self._guard.placing():
            if slide is not None:
                # Before anything that makes napari draw.
                agree_on_units(self.viewer, self.placement.unit)
                try:
                    self._place(slide, layer)
                except UserError as error:
                    # Its file has gone meanwhile; napari would try again with every step.
                    layer.visible = False
                    self.trouble = str(error)
            self.nuclei.show_annotations(self.annotations, self.mpp, self.placement, size, origin)
        if slide is not None:
            self._restore_nuclei()
            raise_overlays(self.viewer, layer, self.nuclei.layer)
            self.viewer.canvas.overlays.scale_bar.visible = True
        if first or self._is_out_of_view():
            # napari does so for the first layer of all, which the nuclei were.
            self.viewer.reset_view()
        self.slide_changed.emit()
        self.annotations_changed.emit()
        if self.trouble:
            self.refused.emit(self.trouble)

    def _place(self, slide: Slide, layer: Any) -> None:
        """Show a slide's layer, and no other slide's, at the slide's scale."""
        self.placement.apply(layer)
        self._guard.keep(layer)
        if layer not in self._followed:
            self._followed.add(layer)
            layer.events.visible.connect(self._on_shown)
        show_alone(self.viewer, layer)
        show_areas(self.viewer, slide)

    def _is_out_of_view(self) -> bool:
        slide = self.slide
        return slide is not None and not self.nuclei.field_of_view().intersect(slide.bounds)

    def _relayed(self) -> tuple[tuple[Any, Any], ...]:
        """Signals of the current annotations, and those of the session they become."""
        return (
            (self.annotations.changed, self.annotations_changed),
            (self.annotations.scheme_changed, self.annotations_changed),
            (self.annotations.regions_changed, self.regions_changed),
            (self.annotations.settled, self.settled),
        )

    def _follow_annotations(self) -> None:
        for own, others in self._relayed():
            own.connect(others.emit)

    def _annotations_of(self, slide: Slide | None) -> SlideAnnotations:
        self.trouble = ""
        if slide is None:
            return SlideAnnotations(self._default_scheme)
        key = slide_key(slide)
        if key not in self._annotations_of_slides:
            try:
                place = StorePlace.of(slide.path, slide.part, beside=slide.is_file)
                opened = SlideAnnotations(self._default_scheme, place)
                opened.wait = wait_with_window
                self._annotations_of_slides[key] = opened
            except UserError as error:
                # The slide can be looked at; what is in the way must not be overwritten.
                self.trouble = str(error)
                return SlideAnnotations(self._default_scheme, refusal=self.trouble)
        return self._annotations_of_slides[key]


def decline(
    question: str, button: str, then: Callable[[], None], otherwise: Callable[[], None]
) -> None:
    """Answer no, where there is no window to ask in."""
    otherwise()


def _file_of(layer: Any) -> NucleusFile | None:
    content = layer.metadata.get(FILE_KEY)
    return content if isinstance(content, NucleusFile) else None
