"""Types of the fields of configurations that a script makes.

Configurations from files are checked by muse_core.strict. Importing this loads no pydantic.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from muse_core.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_SHOWN = 60
_NAMES: dict[object, str] = {
    int: "a whole number",
    float: "a finite number",
    bool: "True or False",
    str: "a text",
    Path: "a path",
    NoneType: "None",
}


def require_field_types(config: DataclassInstance) -> None:
    """Check that the values of a dataclass are of the types that its fields state.

    Numbers of NumPy become Python's, lists tuples, and texts paths where these are meant, so that
    the dataclass can be written as JSON and compared; it may be frozen.

    Raises:
        UserError: A value is of another type, or no finite number.
    """
    hints = _hints(type(config))
    for field in fields(config):
        value, hint = getattr(config, field.name), hints[field.name]
        try:
            plain = _plain(value, hint)
        except TypeError:
            shown = repr(value)
            shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
            raise UserError(f"{field.name} is {shown}; it must be {_named(hint)}.") from None
        if plain is not value:
            object.__setattr__(config, field.name, plain)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _plain(value: Any, hint: Any) -> Any:
    """Return a value as the type that a field states; TypeError if it is of another one."""
    if get_origin(hint) in (Union, UnionType):
        return _plain_of_any(value, get_args(hint))
    if get_origin(hint) is Literal:
        if not isinstance(value, str) or value not in get_args(hint):
            raise TypeError
        return value
    if get_origin(hint) is tuple:
        return _plain_tuple(value, get_args(hint))
    if hint in (int, float):
        return _plain_number(value, hint)
    if hint is Path and isinstance(value, str | os.PathLike):
        return value if isinstance(value, Path) else Path(value)
    wanted = Mapping if get_origin(hint) is Mapping else hint
    wanted = get_origin(wanted) or wanted
    if not isinstance(value, wanted):
        raise TypeError
    return value


def _plain_of_any(value: Any, hints: tuple[Any, ...]) -> Any:
    for hint in hints:
        try:
            return _plain(value, hint)
        except TypeError:
            continue
    raise TypeError


def _plain_number(value: Any, hint: type[int | float]) -> int | float:
    # Python's and NumPy's booleans are no quantities.
    is_number = isinstance(value, Integral if hint is int else Real)
    if isinstance(value, bool) or not is_number:
        raise TypeError
    try:
        if hint is float and not math.isfinite(value):
            raise TypeError
    except OverflowError:  # an int that no float can hold
        raise TypeError from None
    # An int is a float too, as for Python's type checkers.
    plain: int | float = value if type(value) in (int, float) else hint(value)
    return plain


def _plain_tuple(value: Any, hints: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError
    each = hints[:1] * len(value) if hints[-1] is Ellipsis else hints
    if len(each) != len(value):
        raise TypeError
    return tuple(_plain(one, hint) for one, hint in zip(value, each, strict=True))


def _named(hint: Any) -> str:
    """What a field wants, in words."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_named(one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        if inner[-1] is Ellipsis:
            return f"a sequence, each {_named(inner[0])}"
        return f"a sequence of {len(inner)}, each {_named(inner[0])}"
    known = _NAMES.get(hint)
    return known if known is not None else f"of type {getattr(hint, '__name__', hint)}"
