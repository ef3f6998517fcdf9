"""Descriptions and ranges of the fields of a configuration, from its docstring and types."""

from __future__ import annotations

import types
from typing import Annotated, Any, Union, get_args, get_origin

import docstring_parser
from annotated_types import Interval


def descriptions(configuration: type) -> dict[str, str]:
    """Return the description of each field in a dataclass' docstring, on one line."""
    parsed = docstring_parser.parse(configuration.__doc__ or "")
    return {p.arg_name: " ".join((p.description or "").split()) for p in parsed.params}


def range_of(hint: Any) -> tuple[float, float]:
    """The range in the type of a number, ``Annotated[float, Interval(ge=..., le=...)]``."""
    (interval,) = [m for m in _parts(hint) if isinstance(m, Interval)]
    assert interval.ge is not None
    assert interval.le is not None
    return float(interval.ge), float(interval.le)  # type: ignore[arg-type]


def _parts(hint: Any) -> list[Any]:
    """Metadata of an annotated type, or of the members of a union."""
    if get_origin(hint) is Annotated:
        return [*hint.__metadata__, *_parts(get_args(hint)[0])]
    if get_origin(hint) in (Union, types.UnionType):
        return [part for one in get_args(hint) for part in _parts(one)]
    return []
