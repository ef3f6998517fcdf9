"""MuseSession: connects viewer, slide, nuclei and layers. No widgets here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from psygnal import Signal
from qtpy.QtCore import QTimer

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.nucleus_file import WHOLE_SLIDE
from muse_core.slides import PolygonRegion, Region, Slide
from napari_muse.annotations.class_maps import ClassMaps
from napari_muse.annotations.coordinates import Placement
from napari_muse.annotations.new_regions import add_areas
from napari_muse.annotations.opened_annotations import OpenedAnnotations
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.interaction.asking import Ask, decline
from napari_muse.interaction.following import relay
from napari_muse.io.file_import import take_over_layers
from napari_muse.io.reader import SLIDE_KEY
from napari_muse.io.typed_scale import recall_scale, remember_scale
from napari_muse.jobs.background import Background
from napari_muse.jobs.wait_window import wait_with_window
from napari_muse.layers.drawn_areas import (
    claim_areas,
    drawn_polygons,
    rescale_areas,
    show_areas,
    wipe_areas,
)
from napari_muse.layers.field_of_view import show_area
from napari_muse.layers.layer_keeper import LayerKeeper
from napari_muse.layers.nucleus_layer import NucleusLayer
from napari_muse.layers.picture_layers import PictureLayers
from napari_muse.layers.rereading import Rereading
from napari_muse.layers.slide_guard import FIXED_KEY, SlideGuard
from napari_muse.layers.slide_layers import (
    agree_on_units,
    agree_without_slide,
    first_layer_of,
    first_placement,
    leave_other_slides,
    placement_of,
    raise_overlays,
    show_alone,
    shows,
    slide_layers,
    slide_of,
)
from napari_muse.layers.whole_view import WholeView
from napari_muse.napari_compat import before_units_are_compared, is_closed

if TYPE_CHECKING:
    from napari.components import ViewerModel

_NUCLEUS = ClassScheme.from_names(["nucleus"])
IN_THE_WINDOW = "in the field “µm/pixel” of the MUSE panel"
"""Where the user can enter the scale of a slide."""


class MuseSession:
    """The state of one viewer behind the MUSE panel; it outlives the panel.

    Each slide keeps its nuclei while the window is open; the current slide is the one whose image
    layer was added or made active last. Make or find it with :meth:`of`.
    """

    trouble: str
    """Why the annotations of the current slide cannot be opened, a sentence, or ""."""
    slide_changed = Signal()
    annotations_changed = Signal()
    regions_changed = Signal()
    settled = Signal()
    """A person has confirmed or changed nuclei."""
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
        self._opened = OpenedAnnotations(_NUCLEUS, wait_with_window, Background().do, self._on_read)
        self._followed: WeakSet[Any] = WeakSet()
        self.class_maps = ClassMaps()
        self.ask: Ask = decline
        """Asks the user: a question, what the button says, and what to do on yes and on no."""
        self.annotations = SlideAnnotations(_NUCLEUS)
        self.trouble = ""
        self._dropped: Any = None
        self._guard = SlideGuard(viewer, self.refused.emit)
        self._rereading = Rereading(viewer, self.refused.emit)
        self._whole = WholeView(self)
        there = list(viewer.layers)
        slides = slide_layers(viewer)
        # In the slide's units from the start: napari warns of layers that differ in theirs.
        self.nuclei = NucleusLayer(viewer, self.annotations, first_placement(viewer))
        relay(self.nuclei.refused, self.refused)
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
        """The viewer's session: the one it has, or a new one."""
        # Found by the signals it follows; its layer may have been deleted by a person.
        followers = (c[0]() for c in viewer.layers.events.removed.callbacks if isinstance(c, tuple))
        for session in followers:
            if isinstance(session, cls):
                session.resume()
                return session
        return cls(viewer)

    def resume(self) -> None:
        """Go on after :meth:`rest`; annotations that another program has spoilt are read anew."""
        if self.slide is not None and not self._opened.resume(self.slide):
            self._use(self.slide, self.image_layer)

    def attempt(self, act: Callable[[], object]) -> bool:
        """Call a function; a UserError is shown to the user, and False returned."""
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
        """Remove a layer from the viewer, if both are there; None is ignored."""
        if layer is not None and layer in self.viewer.layers and not is_closed(self.viewer):
            self._dropped = layer
            self.viewer.layers.remove(layer)
            self._dropped = None

    def rest(self) -> None:
        """Close all files until they are needed again."""
        self.nuclei.take_edits()
        self._opened.rest()
        if self.slide is not None:
            self.slide.rest()

    def rest_unseen(self) -> None:
        """Close what work that has ended has kept open of slides that are not shown."""
        self._opened.rest_unseen()

    @property
    def mpp(self) -> float | None:
        """Microns per level-0 pixel of the current slide."""
        return self.slide.mpp if self.slide else None

    @property
    def placement(self) -> Placement:
        """Placement of the current slide and its overlays in napari's world."""
        return placement_of(self.image_layer, self.slide)

    def set_mpp(self, mpp: float) -> None:
        """Set the scale of the current slide, whatever its file states, and rescale layers.

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

    def offer_scheme(self, scheme: ClassScheme) -> None:
        """Use a model's classes for slides without annotations, so that nuclei can be added."""
        self._opened.default_scheme = scheme
        if self.annotations.pristine:
            self.annotations.adopt_scheme(scheme)

    def activate_nuclei(self) -> None:
        """Make the nuclei layer active instead of a drawing layer, so that keys act on nuclei."""
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
        show_area(self.viewer, self.placement, area)

    def keep_areas(self) -> int:
        """Make regions of the drawn areas; returns how many.

        Raises:
            UserError: Nothing is drawn, or the store cannot be written; the shapes stay then.
        """
        self.require_slide()
        areas = self.drawn_polygons()
        add_areas(self.annotations, areas)
        wipe_areas(self.viewer, self.slide)
        return len(areas)

    def _on_inserted(self, event: Any) -> None:
        layer = event.value
        claim_areas(layer, self.slide)
        if layer.metadata.get(FIXED_KEY):
            self._guard.keep(layer)
        self.adopt(layer)
        self._agree_on_units()

    def _agree_on_units(self) -> None:
        """Make all layers agree on their units, since napari warns otherwise."""
        if self.slide is not None:
            agree_on_units(self.viewer, self.placement.unit)
        else:
            agree_without_slide(self.viewer, self.owns, str(self.nuclei.layer.units[-1]))

    def _on_active(self, event: Any) -> None:
        layer = event.value
        if layer is not None and layer is not self.image_layer and slide_of(layer) is not None:
            self.adopt(layer)

    def _on_shown(self, event: Any) -> None:
        """A slide that the user makes visible becomes the current one."""
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
            # After this event: other listeners have yet to hear of the removal.
            QTimer.singleShot(0, self._restore_nuclei)
        if gone is None or event.value is self._dropped:
            return
        if not shows(self.viewer, gone):
            self.told.emit(self._opened.close(gone))

    def lay_anew(self) -> None:
        """Place all overlays again, after the place or scale of the current layer has changed.

        Does nothing while there is no slide.
        """
        slide = slide_of(self.image_layer) if self.image_layer is not None else None
        if slide is not None:
            rescale_areas(self.viewer, slide)
            self._use(slide, self.image_layer)

    def let_go(self, layer: Any) -> None:
        """Switch to another slide if a layer no longer shows the current one."""
        if layer is not self.image_layer:
            return
        others = slide_layers(self.viewer)
        if others:
            self.adopt(others[-1])
        else:
            self._use(None, None)

    def _restore_nuclei(self) -> None:
        """Restore a deleted nuclei layer while its slide is open; it can only be hidden."""
        if self.slide is not None and self.nuclei.layer not in self.viewer.layers:
            self.viewer.layers.append(self.nuclei.layer)
            self.nuclei.refresh()

    def adopt(self, layer: Any) -> None:
        """Make the slide of a layer current, or import the nuclei of a file's layer."""
        slide = slide_of(layer)
        if slide is not None:
            self._use_layer(slide, layer)
        take_over_layers(self)

    def _use_layer(self, slide: Slide, layer: Any) -> None:
        """Make a layer's slide current; of two layers of one file, the first is kept."""
        remembered, first = None, first_layer_of(self.viewer, slide, layer)
        if first is not None:
            QTimer.singleShot(0, partial(self._drop_double, layer, first))
            self.refused.emit(f"{slide.title} is open already.")
            slide, layer = slide_of(first) or slide, first
        is_other = self.slide is None or slide.key != self.slide.key
        if layer not in self._followed or (layer is self.image_layer and is_other):
            remembered = recall_scale(slide)
        if remembered is not None:
            slide = layer.metadata[SLIDE_KEY] = slide.with_mpp(remembered)
        # What is opened again may have what it lacked before.
        if layer is not self.image_layer or slide is not self.slide or self.trouble:
            self._use(slide, layer)
        if remembered is not None:
            self.told.emit(f"{slide.title}: {slide.mpp:g} µm/pixel, as you entered it before.")

    def _drop_double(self, double: Any, kept: Any) -> None:
        self.drop(double)
        if kept in self.viewer.layers:
            self.viewer.layers.selection.active = kept

    def _use(self, slide: Slide | None, layer: Any) -> None:
        whole = self._whole.is_due(slide, layer, layer not in self._followed)
        self.slide, self.image_layer = slide, layer
        self._guard.on = slide is not None
        self._guard.flatten()
        for own, others in self._relayed():
            own.disconnect(others.emit)
        self.annotations, self.trouble = self._opened.of(slide)
        self._follow_annotations()
        size = (slide.width, slide.height) if slide else (1, 1)
        origin = (slide.scanned.x, slide.scanned.y) if slide else WHOLE_SLIDE
        with self._guard.placing():
            if slide is not None:
                # Before anything that makes napari draw.
                agree_on_units(self.viewer, self.placement.unit)
                try:
                    self._place(slide, layer)
                    self.trouble = self.trouble or self._rereading.refusal(layer)
                except UserError as error:
                    # Its file has gone meanwhile; napari would try again with every step.
                    layer.visible = False
                    self.trouble = str(error)
            self.nuclei.show_annotations(self.annotations, self.mpp, self.placement, size, origin)
        if slide is not None:
            self._restore_nuclei()
            raise_overlays(self.viewer, layer, self.nuclei.layer)
            leave_other_slides(self.viewer, layer)
            self.viewer.canvas.overlays.scale_bar.visible = True
        if whole or self._whole.is_out_of_view():
            # napari does so only for the first layer of a viewer, which is that of the nuclei.
            self.viewer.reset_view()
        self.slide_changed.emit()
        self.annotations_changed.emit()
        if self.trouble:
            self.refused.emit(self.trouble)

    def _on_read(self, annotations: SlideAnnotations, refusal: str) -> None:
        if annotations is self.annotations:
            if refusal:
                self._use(self.slide, self.image_layer)
            take_over_layers(self)

    def _place(self, slide: Slide, layer: Any) -> None:
        """Show a slide's layer, and no other slide's, at the slide's scale."""
        self.placement.apply(layer)
        self._guard.keep(layer)
        if layer not in self._followed:
            self._followed.add(layer)
            self._rereading.watch(layer)
            layer.events.visible.connect(self._on_shown)
        show_alone(self.viewer, layer)
        show_areas(self.viewer, slide)

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
            relay(own, others)
