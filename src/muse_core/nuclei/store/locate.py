"""Path of a slide's store: beside the slide, or in the user's folder where that is read-only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from muse_core.errors import UserError
from muse_core.files import entries
from muse_core.files.user_folders import older_data_folder, user_data_folder
from muse_core.nuclei.scheme import ClassScheme
from muse_core.nuclei.store.database import StoreIsThereError, UnfinishedStoreError
from muse_core.nuclei.store.identity import SlideIdentity, identify_slide
from muse_core.nuclei.store.projects import saved_project
from muse_core.nuclei.store.store import AnnotationStore

STORE_SUFFIX = ".muse"
ANNOTATIONS_VARIABLE = "MUSE_ANNOTATIONS"
"""Environment variable: a folder for all stores, instead of those beside the slides."""
_FOLDER = "annotations"
_MOST_FILES = 2000


@dataclass(frozen=True)
class StorePlace:
    """Finds and makes the store of a slide.

    A slide is recognised by what is in it, so that both may be moved and renamed.

    Attributes:
        slide: The slide's file or folder.
        folder: Where stores are kept; None is beside the slide, or in the user's data folder if
            nothing can be written there.
        part: Which image and plane of the file, as :attr:`muse_core.slides.Slide.part`.
    """

    slide: Path
    folder: Path | None = None
    part: str = ""

    @classmethod
    def of(cls, slide: Path, part: str = "", beside: bool = True) -> StorePlace:
        """Return the place of a slide's store; the environment can name another folder for it.

        Args:
            slide: The slide's file or folder.
            part: Which image and plane of it.
            beside: Whether the store may lie beside it; else it lies in the user's data folder.
        """
        given = os.environ.get(ANNOTATIONS_VARIABLE)
        own = None if beside else user_data_folder() / _FOLDER
        return cls(slide, Path(given) if given else own, part)

    @cached_property
    def identity(self) -> SlideIdentity:
        """Identity of the slide, as it was when first asked for.

        Raises:
            UserError: The slide cannot be read.
        """
        return identify_slide(self.slide, self.part)

    def open(self, annotator: str = "") -> AnnotationStore | None:
        """The slide's store, or None where it has none.

        Raises:
            UserError: The slide cannot be read, its store is of a newer version, or a person has
                saved it as a file that is not there.
        """
        path = self.find()
        return None if path is None else AnnotationStore.open(path, annotator)

    def find(self) -> Path | None:
        """Return the path of the slide's store, or None where it has none; see :meth:`open`."""
        return self._find(self.identity)

    def create(self, classes: ClassScheme, annotator: str = "") -> AnnotationStore:
        """Make a store for the slide.

        Raises:
            StoreIsThereError: Another program has made its store meanwhile.
            UserError: The slide cannot be read, or nothing can be written anywhere.
        """
        identity = self.identity
        # Of two stores of one slide only one would be found again.
        made = self._find(identity)
        if made is not None:
            raise StoreIsThereError(
                f"Another window has made {made.name} for this slide; open the slide again."
            )
        refusal: UserError | None = None
        for folder in self._folders():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                return AnnotationStore.create(
                    self._free_name(folder, identity), identity, classes, annotator
                )
            except StoreIsThereError:
                raise
            except OSError as error:
                refusal = UserError(f"Cannot write to {folder}: {error.strerror or error}.")
            except UserError as error:
                refusal = error
        raise refusal or UserError(f"There is no folder for the annotations of {self.slide}.")

    @property
    def own_folder(self) -> Path:
        """The folder, of those where the slide's store may lie, that is the user's own."""
        return self._folders()[-1]

    def _folders(self) -> tuple[Path, ...]:
        if self.folder is not None:
            return (self.folder,)
        # First beside the file itself, where it is found by whichever link the slide is opened.
        beside = dict.fromkeys((self.slide.resolve().parent, self.slide.absolute().parent))
        return (*beside, user_data_folder() / _FOLDER)

    def _find(self, identity: SlideIdentity) -> Path | None:
        saved = saved_project(self.own_folder, identity)
        if saved is not None and _belongs(saved, identity):
            return saved
        return next((p for p in self._candidates() if _belongs(p, identity)), None)

    def _candidates(self) -> Iterator[Path]:
        """Stores that may be the slide's: those named after it first."""
        older = () if self.folder is not None else (older_data_folder() / _FOLDER,)
        for folder in dict.fromkeys((*self._folders(), *older)):
            try:
                found = entries(folder, f"*{STORE_SUFFIX}")
            except UserError:  # not there, or not to be looked into
                continue
            found.sort(key=lambda p: (not p.name.startswith(self.slide.name), p.name))
            yield from found[:_MOST_FILES]

    def _free_name(self, folder: Path, identity: SlideIdentity) -> Path:
        """A name in a folder; a slide of the same name but other content may have the first."""
        path = folder / f"{identity.file_stem}{STORE_SUFFIX}"
        number = 2
        while path.exists():
            path = folder / f"{identity.file_stem}-{number}{STORE_SUFFIX}"
            number += 1
        return path


def _belongs(path: Path, identity: SlideIdentity) -> bool:
    try:
        with AnnotationStore.open(path, read_only=True) as store:
            return store.slide.same_content(identity)
    except UnfinishedStoreError:
        return False
    except UserError:
        # A newer version is refused by name when it is certain to be this slide's.
        if path.name == f"{identity.file_stem}{STORE_SUFFIX}":
            raise
        return False
