"""The fields of a run: those for training, those of the holdout, and their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from muse_core.data.points_folder import class_names_in, read_points_folder
from muse_core.errors import UserError
from muse_core.finetune.config import FinetuneConfig
from muse_core.finetune.data.digests import digest_of_attributes, digest_of_values
from muse_core.finetune.data.fields import Field, fields_of_images
from muse_core.finetune.data.sources import NO_NUCLEUS, read_validation
from muse_core.finetune.data.stores import (
    StoreContents,
    fields_of_stores,
    read_stores,
    scheme_of,
    summary_of,
)
from muse_core.finetune.holdout.evaluator import SAME_FIELDS_NOTE, Holdout
from muse_core.nuclei import ClassScheme


@dataclass(frozen=True, eq=False)
class FieldData:
    """The fields of a run.

    Attributes:
        train: Fields to learn from.
        holdout: Fields to score on.
        scheme: The classes to learn.
        stores: What the stores among the sources hold.
        notes: Sentences for the user.
    """

    train: tuple[Field, ...]
    holdout: tuple[Field, ...]
    scheme: ClassScheme
    stores: tuple[StoreContents, ...]
    notes: tuple[str, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """(K,) nuclei of each class in the fields that train."""
        names = [n for field in self.train for n in field.class_names]
        return tuple(names.count(n) for n in self.scheme.names)

    def digest(self) -> str:
        """Hash of all classes, nuclei and pixels, by which a checkpoint recognises its data."""
        fields = (digest_of_attributes(field) for field in (*self.train, *self.holdout))
        return digest_of_values(self.scheme.names, *fields)

    def to_json(self) -> dict[str, object]:
        """For a model card: counts and hashes, no private paths."""
        return {
            "nuclei": dict(zip(self.scheme.names, self.counts, strict=True)),
            "stores": [
                {
                    "store": c.name,
                    "slide_fingerprint": c.fingerprint,
                    "mpp": c.mpp,
                    "fields": [f.key[:16] for f in c.fields if not f.holdout],
                    "fields_held_back": [f.key[:16] for f in c.fields if f.holdout],
                }
                for c in self.stores
            ],
            "data_sha256": self.digest(),
        }


def load_fields(
    config: FinetuneConfig,
    known: ClassScheme | None,
    mpp: float,
    margin_px: int,
    also_learnt: Sequence[str] = (),
) -> FieldData:
    """Read the fields of a run.

    Each image of a points-folder is a field. Without a folder for validation, some of the images
    are the holdout.

    Args:
        config: The run.
        known: Classes of the model to start from; None where it has none.
        mpp: Microns per pixel to read at.
        margin_px: Margin to read around a training field, pixels at ``mpp``.
        also_learnt: Classes of further nuclei, not in the fields, that the run learns from.

    Raises:
        UserError: Something cannot be read, or there is too little to learn from.
    """
    contents = read_stores(config.stores)
    unused = summary_of(contents).unused_classes if contents else ()
    fields = fields_of_stores(contents, mpp, margin_px, config.correction_weight)
    images = [
        i for f in config.train for i in read_points_folder(f.folder, f.mpp, f.names, f.force_mpp)
    ]
    fields += fields_of_images(images, mpp, with_holdout=config.val is None)
    holdout = [f for f in fields if f.holdout]
    if config.val:
        holdout += fields_of_images(read_validation(config.val), mpp, with_holdout=False)
    train = [f for f in fields if not f.holdout]
    names = tuple(dict.fromkeys((*class_names_in(images), *also_learnt)))
    own = scheme_of(contents) if contents else None
    scheme = scheme_to_learn(own, names, known)
    _check(train, holdout, also_learnt, reviewed=bool(contents))
    notes = _notes(unused, holdout, reviewed=bool(contents))
    return FieldData(tuple(train), tuple(holdout), scheme, contents, notes)


def scheme_to_learn(
    stores: ClassScheme | None, occurring: Sequence[str], known: ClassScheme | None
) -> ClassScheme:
    """Return the classes that a run learns.

    Args:
        stores: Full class list of the annotation stores; None without any.
        occurring: Classes that occur in points-folders, which have no class list.
        known: Classes of the model to start from, kept where they include all others.
    """
    own = stores or ClassScheme(())
    names = tuple(dict.fromkeys((*own.names, *occurring)))
    if known is not None and _in(names, known) and (stores is None or _in(known.names, own)):
        return known
    return own.extended(names[len(own.names) :])


def _in(names: Sequence[str], scheme: ClassScheme) -> bool:
    return set(names) <= set(scheme.names)


def _check(
    train: Sequence[Field], holdout: Sequence[Field], also_learnt: Sequence[str], reviewed: bool
) -> None:
    learnt = {n for field in train for n in field.class_names} | set(also_learnt)
    way_out = "review another field" if reviewed else "add images"
    if not learnt and any(field.class_names for field in holdout):
        raise UserError(
            f"All annotated nuclei lie in holdout fields, which only validate; {way_out}."
        )
    if not learnt:
        raise UserError(NO_NUCLEUS)
    for name in sorted({n for field in holdout for n in field.class_names} - learnt):
        raise UserError(
            f"All nuclei of the class {name!r} lie in holdout fields, which only validate;"
            f" {way_out} with some of them."
        )


def _notes(unused: Sequence[str], holdout: Sequence[Field], reviewed: bool) -> tuple[str, ...]:
    notes = []
    if not holdout:
        way_out = "the next field you review will be" if reviewed else "name tiles to validate on"
        notes.append(
            "No field is in the holdout, so that how good the model is before and after is not"
            f" measured; {way_out}."
        )
    if unused:
        notes.append(
            f"Not in the reviewed fields: {', '.join(map(repr, unused))}. Nothing is learnt"
            " of such nuclei, and no figure counts them."
        )
    if holdout and not Holdout(holdout).apart:
        notes.append(SAME_FIELDS_NOTE)
    return tuple(notes)
