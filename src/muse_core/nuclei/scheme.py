"""ClassScheme: which nucleus classes there are, with the colour and key of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from muse_core.errors import UserError
from muse_core.nuclei.naming import fault_of_name, one_spelling

# Okabe and Ito's palette, which colour-blind people can tell apart; without black and yellow, which
# vanish on haematoxylin and on glass.
_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_KNOWN_COLORS = {
    "lymphocyte": "#0057d9",
    "inflammatory": "#0057d9",
    "tumor": "#e8200c",
    "epithelial": "#e8200c",
    "stromal": "#12b312",
}
_KEYS = "123456789"
_HEX_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class NucleusClass:
    """A class of nuclei.

    Attributes:
        name: Name as it appears in tables and files.
        color: ``#rrggbb``.
        key: Digit key "1" to "9" that gives this class, or "" for none.
    """

    name: str
    color: str
    key: str = ""

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), ("colour", self.color), ("key", self.key)):
            if not isinstance(text, str):
                raise UserError(f"The {what} of a nucleus class is a text, not {text!r:.40}.")
        if not self.name.strip():
            raise UserError("A nucleus class needs a name.")
        fault = fault_of_name(self.name)
        if fault:
            raise UserError(f"A nucleus class cannot have a name {fault}.")
        # After the check, so that no null character is removed here.
        object.__setattr__(self, "name", one_spelling(self.name))
        if not _HEX_COLOR.fullmatch(self.color):
            raise UserError(f"The colour of class {self.name!r} must look like #rrggbb.")
        if self.key and (len(self.key) != 1 or self.key not in _KEYS):
            raise UserError(f"The key of class {self.name!r} must be a digit from 1 to 9.")


def _first_double(texts: list[str]) -> str:
    return next(text for text in texts if texts.count(text) > 1)


@dataclass(frozen=True)
class ClassScheme:
    """Ordered classes with distinct names and keys; stored with every model."""

    classes: tuple[NucleusClass, ...]

    def __post_init__(self) -> None:
        names = [c.name for c in self.classes]
        keys = [c.key for c in self.classes if c.key]
        if len(set(names)) != len(names):
            raise UserError(f"Names of classes must differ; two are called {_first_double(names)}.")
        if len(set(keys)) != len(keys):
            raise UserError(f"Keys of classes must differ; two have {_first_double(keys)}.")

    @classmethod
    def from_names(cls, names: Iterable[str]) -> ClassScheme:
        """Give each name a colour of its own and the next digit key."""
        return cls(()).extended(names)

    def extended(self, names: Iterable[str]) -> ClassScheme:
        """With further classes at the end, whose colours and keys are still free.

        A colour is used again, and a key left out, when there are none left.

        Raises:
            UserError: A name is empty or there already, or a single text is given, whose letters
                would be classes.
        """
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise UserError(f"Names of classes are given as a list, not as {names!r:.40}.")
        classes = list(self.classes)
        used = {c.color.lower() for c in classes}
        keys = {c.key for c in classes}
        for name in names:
            color = _KNOWN_COLORS.get(str(name), _PALETTE[len(classes) % len(_PALETTE)])
            if color in used:
                color = next((c for c in _PALETTE if c not in used), color)
            key = next((k for k in _KEYS if k not in keys), "")
            classes.append(NucleusClass(name, color, key))
            used.add(color)
            keys.add(key)
        return ClassScheme(tuple(classes))

    def joined(self, others: Iterable[NucleusClass]) -> ClassScheme:
        """With the classes of others that are not there yet at the end.

        They keep colour and key where these are still free, and else get others that are.
        """
        scheme = self
        for new in others:
            if new.name in scheme.names:
                continue
            fallback = scheme.extended([new.name]).classes[-1]
            used = {c.color.lower() for c in scheme.classes}
            keys = {c.key for c in scheme.classes}
            color = fallback.color if new.color.lower() in used else new.color
            key = fallback.key if new.key in keys | {""} else new.key
            scheme = ClassScheme((*scheme.classes, NucleusClass(new.name, color, key)))
        return scheme

    def with_new_class(self) -> ClassScheme:
        """With a further class at the end, named "class 1" or by the next number that is free."""
        numbered = (f"class {i}" for i in range(1, len(self.classes) + 2))
        return self.extended([next(name for name in numbered if name not in self.names)])

    def changes_for_key(self, name: str, key: str) -> dict[str, NucleusClass]:
        """Return the changed classes, by name, when a class is given a key.

        Keys are unique: the class that had the key gets the one that becomes free.
        """
        entry = self.classes[self.index(name)]
        holders = (c for c in self.classes if key and c.key == key and c.name != name)
        freed = {holder.name: replace(holder, key=entry.key) for holder in holders}
        return {name: replace(entry, key=key), **freed}

    def changes_for_distinct_colors(self) -> dict[str, NucleusClass]:
        """Return the changed classes, by name, in colours that colour-blind people tell apart.

        There are six such colours, for the first six classes; further ones stay as they are.
        """
        given = zip(self.classes, _PALETTE, strict=False)
        return {c.name: replace(c, color=color) for c, color in given if c.color.lower() != color}

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in order."""
        return tuple(c.name for c in self.classes)

    def index(self, name: str) -> int:
        """Position of a class by its name; raises UserError for an unknown one."""
        try:
            return self.names.index(one_spelling(name))
        except ValueError:
            known = ", ".join(self.names)
            raise UserError(f"Unknown class {name!r}; the classes are {known}.") from None

    def color(self, name: str) -> str:
        """Colour ``#rrggbb`` of a class by its name."""
        return self.classes[self.index(name)].color

    def to_json(self) -> list[dict[str, str]]:
        """A JSON-able list, the inverse of :meth:`from_json`."""
        return [asdict(c) for c in self.classes]

    @classmethod
    def from_json(cls, items: Sequence[Mapping[str, str]]) -> ClassScheme:
        """Rebuild a scheme; raises UserError when the list is not one."""
        try:
            return cls(
                tuple(
                    NucleusClass(str(i["name"]), str(i["color"]), str(i.get("key", "")))
                    for i in items
                )
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"This is not a class scheme: {error}.") from error
