"""OpenedAnnotations: the annotations of all slides that a window has shown."""

from __future__ import annotations

from collections.abc import Callable

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import StorePlace
from muse_core.slides import Slide
from napari_muse.annotations.row_reading import Later
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.annotations.slide_key import SlideKey, slide_key
from napari_muse.annotations.stored_nuclei import Wait


class OpenedAnnotations:
    """Opens each slide's annotations once, and keeps them while the window is open.

    Attributes:
        default_scheme: Classes of slides that have no annotations yet.
    """

    def __init__(
        self,
        default_scheme: ClassScheme,
        wait: Wait,
        later: Later | None = None,
        read: Callable[[SlideAnnotations, str], None] = lambda *_: None,
    ) -> None:
        """Open nothing yet.

        Args:
            default_scheme: See the class.
            wait: Runs edits that take long, see :attr:`SlideAnnotations.wait`.
            later: Reads many nuclei in a thread, see :class:`SlideAnnotations`.
            read: Called with annotations whose nuclei have been read in a thread, and "" or, where
                that failed, a sentence; the next call of :meth:`of` gives it too.
        """
        self.default_scheme = default_scheme
        self._wait, self._later, self._read = wait, later, read
        self._refusals: dict[SlideKey, str] = {}
        self._by_slide: dict[SlideKey, SlideAnnotations] = {}
        self._closed: set[SlideKey] = set()
        self._shown: SlideKey | None = None

    def of(self, slide: Slide | None) -> tuple[SlideAnnotations, str]:
        """Return a slide's annotations, and a sentence if they cannot be used.

        Args:
            slide: None gives empty annotations that refuse edits.

        Returns:
            Annotations and a sentence. If the store cannot be opened, the annotations are empty and
            refuse edits with the sentence, so that nothing is overwritten; else it is "".
        """
        self._shown = key = None if slide is None else slide_key(slide)
        self.rest_unseen()
        if slide is None or key is None:
            return SlideAnnotations(self.default_scheme), ""
        self._closed.discard(key)
        try:
            refusal = self._refusals.pop(key, "")
            if refusal:
                raise UserError(refusal)
            known = self._by_slide.get(key)
            if known is None or known.is_lost:
                # Another program has moved or deleted the file since: what there is now counts.
                self._by_slide[key] = self._open(slide, key)
            else:
                known.resume()
        except UserError as error:
            self._by_slide.pop(key, None)
            return SlideAnnotations(self.default_scheme, refusal=str(error)), str(error)
        return self._by_slide[key], ""

    def _open(self, slide: Slide, key: SlideKey) -> SlideAnnotations:
        place = StorePlace.of(slide.path, slide.part, beside=slide.is_file)
        opened = SlideAnnotations(self.default_scheme, place, later=self._later)
        opened.wait = self._wait

        def on_read(refusal: str) -> None:
            if refusal:
                self._refusals[key] = refusal
                self._by_slide.pop(key, None)
            self._read(opened, refusal)

        opened.read.connect(on_read)
        return opened

    def close(self, slide: Slide) -> str:
        """Close the file of a slide that is removed from the window.

        Annotations whose file is lost are forgotten, so that the slide can be opened anew.

        Returns:
            A sentence that says what becomes of its annotations.
        """
        opened = self._by_slide.get(key := slide_key(slide))
        if opened is None or not opened.is_lost:
            self._closed.add(key)
            self.rest_unseen()
            return f"{slide.title} was closed. Its nuclei are kept; open it again to go on."
        opened.rest()
        del self._by_slide[key]
        return f"{slide.title} was closed; another program has deleted or replaced its annotations."

    def rest_unseen(self) -> None:
        """Close the files of slides that are not shown, but for those that work under way needs.

        A program may have few files open, 256 on macOS, of which each store takes several. Another
        window, or a copy of the slide in this one, can edit them from then on.
        """
        for key, opened in self._by_slide.items():
            in_use = opened.detecting or (opened.reading and key not in self._closed)
            if key != self._shown and not in_use:
                opened.rest()

    def resume(self, slide: Slide) -> bool:
        """Open a slide's file again after :meth:`rest`.

        Returns:
            Whether that was possible; if not, the annotations are forgotten.
        """
        opened = self._by_slide.get(key := slide_key(slide))
        try:
            if opened is not None:
                opened.resume()
        except UserError:
            del self._by_slide[key]
            return False
        return True

    def rest(self) -> None:
        """Close all files until they are needed again."""
        for opened in self._by_slide.values():
            opened.rest()
