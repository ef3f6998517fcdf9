"""Class maps: JSON files that map each class of a data set to the model's classes it may be.

``{"classes": {"tumor": "tumor", "background_cell": ["lymphocyte", "stromal"], "nucleus": "*"},
"exhaustive": true}``: each class of the set has the equal class of the model, a list of the classes
that it may be, or "*" for any. An empty list is for marks that may not be nuclei. ``exhaustive``
says whether every nucleus is annotated; the default is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from muse_core.errors import UserError
from muse_core.files import parse_json, read_small, text_of
from muse_core.nuclei.naming import one_spelling

ANY = "*"
"""The nucleus may be of any class."""


def allows(label: Iterable[str], classes: Sequence[str]) -> list[bool]:
    """Return for each of the model's classes whether a label may be of it.

    Args:
        label: Classes that it may be, or ``ANY`` among them.
        classes: The model's classes.
    """
    names = set(label)
    return [ANY in names or name in names for name in classes]


@dataclass(frozen=True)
class ClassMap:
    """Mapping from the classes of a dataset to those that are learnt.

    Attributes:
        classes: Maps each class of the set to the model's classes that it may be, or to ``(ANY,)``;
            to an empty tuple if its marks may not be nuclei.
        exhaustive: Whether every nucleus is annotated. If not, tissue away from annotations never
            counts as background.
    """

    classes: Mapping[str, tuple[str, ...]]
    exhaustive: bool = True


def read_class_map(path: Path) -> ClassMap:
    """Read a class map.

    Raises:
        UserError: The file cannot be read, or is no class map.
    """
    content = read_small(path, "class map", f"the class map {path}")
    try:
        data = parse_json(text_of(content))
    except (ValueError, RecursionError) as error:
        raise UserError(f"The class map {path} cannot be understood: {error}.") from error
    if not isinstance(data, Mapping) or not isinstance(data.get("classes"), Mapping):
        raise UserError(f'{path} is no class map: it needs {{"classes": {{CLASS: CLASSES}}}}.')
    unknown = set(data) - {"classes", "exhaustive"}
    if unknown:
        raise UserError(f"The class map {path} has no field {sorted(unknown)[0]!r}.")
    exhaustive = data.get("exhaustive", True)
    if not isinstance(exhaustive, bool):
        raise UserError(f"In the class map {path} exhaustive is true or false.")
    classes = {
        one_spelling(name): _classes(name, value, path) for name, value in data["classes"].items()
    }
    return ClassMap(classes, exhaustive)


def _classes(name: str, value: object, path: Path) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(n and isinstance(n, str) for n in names):
        raise UserError(
            f"The class map {path} must say of {name!r} which class it is, a list of classes that"
            f" it may be, {ANY!r} for any, or [] where it may be no nucleus."
        )
    return tuple(one_spelling(one) for one in names)
