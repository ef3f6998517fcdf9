"""Validate external data as dataclasses: no conversion, no unknown fields, errors as sentences.

Importing this loads no pydantic.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Hashable, Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import PurePath
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypedDict,
    TypeVar,
    cast,
    get_args,
    get_type_hints,
)

from muse_core.errors import UserError
from muse_core.ordinary import require_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic import TypeAdapter

_T = TypeVar("_T")
_BEYOND = 2**63
"""Larger integers are valid in Python but not in NumPy or torch."""
_LONG = re.compile(r"\d{19}")
_NULL = r"\u0000"
"""In JSON; no path can hold it."""
_SHOWN = 40
_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


class StrictOptions(TypedDict):
    """pydantic's options for a dataclass."""

    strict: bool
    allow_inf_nan: bool
    extra: Literal["forbid"]


STRICT: StrictOptions = {"strict": True, "allow_inf_nan": False, "extra": "forbid"}
"""The ``__pydantic_config__`` of a dataclass that :func:`parse_strictly` makes."""


@dataclass(frozen=True)
class Wording:
    """Wording of error messages.

    Attributes:
        unknown: Text before the name of an unknown field.
        wrong: Text before the name of a field that is missing or mistyped.
        unreadable: Text before the reason why a value is not valid JSON.
    """

    unknown: str
    wrong: str
    unreadable: str


def parse_strictly(cls: type[_T], data: object, wording: Wording) -> _T:
    """Build a dataclass from plain values.

    Args:
        cls: The dataclass; it and those in it have ``STRICT``.
        data: Values of its fields by name, as JSON has them; paths may be paths.
        wording: For errors.

    Raises:
        UserError: A field is unknown, missing or mistyped, the dataclass refuses its value, or a
            name is no text.
    """
    from pydantic import ValidationError

    try:
        # By way of text, where strictness still lets a JSON array be a sequence or a pair.
        text = json.dumps(data, default=_path_as_text, ensure_ascii=False)
        if _NULL in text:
            raise ValueError("a text holds a null character")
        if _LONG.search(text):
            json.loads(text, parse_int=_of_64_bits)
        return cast(_T, _adapter(cast(Hashable, cls)).validate_json(_encoded(text)))
    except ValidationError as error:
        # A misspelt field is unknown as well as missing.
        first = min(error.errors(), key=lambda found: found["type"] not in _UNKNOWN)
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, UserError):
            raise UserError(str(cause)) from error
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] in _UNKNOWN:
            raise unknown_field(wording.unknown, where, set(field_names(cls))) from error
        raise UserError(f"{wording.wrong} {where!r} is wrong: {first['msg']}.") from error
    except UserError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{wording.unreadable}: {error}.") from error


def _encoded(text: str) -> bytes:
    """JSON as UTF-8; raises UserError with the name in it that is no text."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        before, after = text[: error.start], text[error.start :]
        require_text(before.rpartition('"')[2] + after.partition('"')[0])
        raise


def unknown_field(start: str, name: str, known: Collection[str]) -> UserError:
    """Return the error of an unknown name, with a known one that may be meant.

    Args:
        start: Text before the name.
        name: Dotted; parts that are numbers are places in a list.
        known: Dotted names.
    """
    part, _, last = ".".join(p for p in name.split(".") if not p.isdecimal()).rpartition(".")
    before = f"{part}." if part else ""
    beside = {k.removeprefix(before) for k in known if k.rpartition(".")[0] == part}
    meant = [before + near for near in get_close_matches(last, sorted(beside), 1)]
    meant += sorted(k for k in known if k.rpartition(".")[2] == last)
    return UserError(f"{start} {name!r}" + (f"; perhaps {meant[0]!r} is meant." if meant else "."))


def field_names(cls: Any, before: str = "") -> Iterator[str]:
    """Yield the dotted names of a dataclass's fields, and of those of dataclasses in it."""
    kinds = get_type_hints(cls)
    for field in fields(cls):
        yield before + field.name
        part = _dataclass_in(kinds[field.name])
        if part is not None:
            yield from field_names(part, f"{before}{field.name}.")


def _dataclass_in(kind: Any) -> type | None:
    """Return the first dataclass in a type such as ``tuple[Part, ...]`` or ``Part | None``."""
    if is_dataclass(kind):
        return cast(type, kind)
    return next((found for part in get_args(kind) if (found := _dataclass_in(part))), None)


def plain_values(instance: DataclassInstance) -> dict[str, Any]:
    """Return a dataclass as JSON-able values, paths as text; :func:`parse_strictly` is the inverse.

    Raises:
        TypeError: It holds a value that cannot be written as JSON.
    """
    # By way of text, so that tuples are lists here and not only once they come from a file.
    values: dict[str, Any] = json.loads(json.dumps(asdict(instance), default=_path_as_text))
    return values


def _path_as_text(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    # os.fspath would hand bytes back as they are, which json takes for a circle.
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _of_64_bits(digits: str) -> int:
    value = int(digits)
    if not -_BEYOND <= value < _BEYOND:
        raise ValueError(f"{digits[:_SHOWN]} is too large for a whole number")
    return value


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    """Made once for each dataclass, which takes far longer than to use it."""
    from pydantic import TypeAdapter

    return TypeAdapter(cls)
