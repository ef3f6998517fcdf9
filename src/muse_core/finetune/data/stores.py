"""Find the slides of annotation stores and read their reviewed fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from muse_core.errors import UserError
from muse_core.files import entries
from muse_core.finetune.data.fields import Field, read_fields
from muse_core.finetune.holdout.shared_slides import holdout_area, join_holdouts
from muse_core.finetune.inputs import StoreSource
from muse_core.nuclei import ClassScheme, NucleusClass
from muse_core.nuclei.reviewed import (
    AnnotationSummary,
    ReviewedField,
    require_enough,
    reviewed_fields,
    summarise,
)
from muse_core.nuclei.store import AnnotationStore, SlideIdentity, identify_slide, unchanged
from muse_core.slides import ImageChoice, can_open, open_slide
from muse_core.slides.window.key import LAYER_SUFFIX


@dataclass(frozen=True, eq=False)
class StoreContents:
    """Reviewed fields of a store, with its classes.

    Attributes:
        name: File name of the store.
        slide: File of its slide.
        fingerprint: Of the slide's content, the same for all planes of a stack.
        choice: Which image and plane of the slide.
        mpp: Microns per level-0 pixel.
        classes: The store's classes.
        fields: The reviewed fields.
    """

    name: str
    slide: Path
    fingerprint: str
    choice: ImageChoice
    mpp: float
    classes: ClassScheme
    fields: tuple[ReviewedField, ...]


def read_stores(sources: Sequence[StoreSource]) -> tuple[StoreContents, ...]:
    """Read the reviewed fields of each store; stores of one slide share their holdout.

    Raises:
        UserError: A store or its slide cannot be found or read, or the slide's scale is unknown.
    """
    contents = [_read_store(source) for source in sources]
    for fingerprint in {content.fingerprint for content in contents}:
        same = [i for i, content in enumerate(contents) if content.fingerprint == fingerprint]
        together = join_holdouts([contents[i].fields for i in same])
        for i, fields in zip(same, together, strict=True):
            contents[i] = dataclasses.replace(contents[i], fields=fields)
    return tuple(contents)


def summary_of(contents: Sequence[StoreContents]) -> AnnotationSummary:
    """Return what a training on the stores would use; raises UserError when it is too little."""
    summary = summarise([(c.fields, c.mpp) for c in contents], scheme_of(contents).names)
    require_enough(summary)
    return summary


def scheme_of(contents: Sequence[StoreContents]) -> ClassScheme:
    """Union of the stores' classes; colour and key come from the first store that has a class."""
    classes: list[NucleusClass] = []
    for content in contents:
        for own in content.classes.classes:
            if own.name in {c.name for c in classes}:
                continue
            taken = own.key in {c.key for c in classes}
            classes.append(dataclasses.replace(own, key="") if taken else own)
    return ClassScheme(tuple(classes))


def fields_of_stores(
    contents: Sequence[StoreContents], mpp: float, margin_px: int, correction_weight: float
) -> list[Field]:
    """Read the pixels of all fields; see :func:`muse_core.finetune.data.fields.read_fields`.

    Raises:
        UserError: A slide cannot be read, or was changed meanwhile.
    """
    fields = []
    for content in contents:
        same = [c for c in contents if c.fingerprint == content.fingerprint]
        holdout = holdout_area([field for c in same for field in c.fields])
        opened = open_slide(content.slide, content.mpp, content.choice, force_mpp=True)
        with opened as slide, unchanged(slide.location, slide.part):
            fields += read_fields(slide, content.fields, mpp, margin_px, correction_weight, holdout)
    return fields


def find_slide(store_path: Path, identity: SlideIdentity, given: Path | None) -> Path:
    """The slide of a store, recognised by its content.

    Args:
        store_path: File of the store.
        identity: The slide as the store knows it.
        given: Where the user says it is; None looks in the folder of the store.

    Raises:
        UserError: The given file is another one, or none in the folder is the right one.
    """
    if given is not None:
        if not identify_slide(given, identity.part).same_content(identity):
            raise UserError(
                f"{store_path.name} belongs to the slide {identity.name}, not to {given.name}."
            )
        return given
    # The name is the store's word, and the store may be from elsewhere.
    name = Path(identity.name).name or store_path.name
    folders = list(dict.fromkeys(p.parent for p in (store_path, store_path.resolve())))
    others = [p for f in folders for p in entries(f) if p.name != name and can_open(p)]
    for path in [*(folder / name for folder in folders), *others]:
        # A fingerprint takes a while; the size rules most files out at once.
        if not path.exists() or (path.is_file() and path.stat().st_size != identity.size_bytes):
            continue
        if identify_slide(path, identity.part).same_content(identity):
            return path
    if identity.name.endswith(LAYER_SUFFIX):
        raise UserError(
            f"{store_path.name} belongs to an image of a napari window, of which there is no file;"
            " learn from it in the MUSE panel of that window."
        )
    raise UserError(
        f"The slide {identity.name} of {store_path.name} is not in the folder of the store;"
        " say where it is with --slide."
    )


def _read_store(source: StoreSource) -> StoreContents:
    with AnnotationStore.open(source.store, read_only=True) as store:
        identity, classes = store.slide, store.classes
        fields = reviewed_fields(store)
    slide_path = find_slide(source.store, identity, source.slide)
    choice = replace(ImageChoice.of_part(identity.part), channels=source.channels)
    with open_slide(slide_path, source.mpp, choice, source.force_mpp) as slide:
        mpp = slide.require_mpp("with --slide-mpp on the command line")
        found = slide.choice
    return StoreContents(
        source.store.name, slide_path, identity.tissue, found, mpp, classes, fields
    )
