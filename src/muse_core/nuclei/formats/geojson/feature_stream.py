"""Stream the features of a GeoJSON file of any length, a few megabytes at a time.

JSON parsers need the whole text, and a million outlines as Python objects take gigabytes. Here the
text is cut between features by looking at brackets and quotes only; a parser reads the pieces.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import orjson

from muse_core.errors import UserError
from muse_core.nuclei.formats.geojson.shapes import GEOMETRIES

_FEATURE_BYTES = 1 << 28
"""Longest single feature: some programs write all nuclei of a class as one."""
_FEATURE_BRACKETS = 15_000_000
"""Most lists and objects in a feature; as Python objects they take 50 times the text's size."""
_KEY_BEFORE = re.compile(rb'"features"\s*:\s*$')
_BETWEEN = b" \t\r\n\x1e"
"""Space, and what RFC 8142 puts before each text of a sequence."""
_BOM = b"\xef\xbb\xbf"
_QUOTE, _BACKSLASH = 34, 92
_KEYS_SHOWN = 100
_STEP = np.zeros(256, np.int8)
_STEP[[ord("{"), ord("[")]] = 1
_STEP[[ord("}"), ord("]")]] = -1
_MARKED = _STEP != 0
_MARKED[_QUOTE] = True


class FeatureStream:
    """Iterates over lists of features: of a FeatureCollection, a plain list, or single ones.

    Single features, or geometries without properties, follow each other with nothing between them
    but space, as programs write one a line.

    Attributes:
        members: Once iterated, the other members of the FeatureCollection.
        recoded: Whether a text in it was not UTF-8 and was read as Windows-1252.
    """

    def __init__(self, file: BinaryIO, name: str, block_bytes: int = 1 << 22) -> None:
        """Prepare to read.

        Args:
            file: Bytes of the JSON text.
            name: How to call the file in errors.
            block_bytes: How much to read at a time.
        """
        self.members: dict[str, object] = {}
        self.recoded = False
        self._file = file
        self._name = name
        self._block_bytes = block_bytes
        self._scanner = _Scanner()
        self._around = bytearray()
        self._pending = bytearray()
        self._opened = 0
        self._inside: int | None = None
        self._begun = False
        self._closed = False
        self._single = False

    def __iter__(self) -> Iterator[list[Any]]:
        for block in _blocks(self._file, self._block_bytes):
            yield from self._take(block)
            if max(len(self._pending), len(self._around)) > _FEATURE_BYTES:
                raise UserError(f"{self._name} holds a single object of more than 256 MB.")
            if self._opened > _FEATURE_BRACKETS:
                raise UserError(
                    f"{self._name} holds a single object of more than {_FEATURE_BRACKETS:,} points."
                )
        self._finish()

    def _take(self, block: bytes) -> Iterator[list[Any]]:
        places, depths, opens = self._scanner.scan(block)
        start = 0
        if self._inside is None and not self._closed:
            start = self._find_array(block, places, depths, opens)
        if self._inside is None and not self._closed:
            yield from self._take_single(block, places, depths, opens)
            return
        if self._inside is None:
            self._around += block
            self._opened += int(opens.sum())
            return
        later = places >= start
        places, depths, opens = places[later], depths[later], opens[later]
        ends = places[depths < self._inside]
        if len(ends):
            self._pending += block[start : ends[0]]
            self._around += block[ends[0] :]
            self._opened = int(opens[places >= ends[0]].sum())
            self._inside, self._closed = None, True
            yield self._parse_pending()
            return
        cuts = places[(depths == self._inside) & ~opens]
        cut = int(cuts[-1]) + 1 if len(cuts) else start
        self._pending += block[start:cut]
        if len(cuts):
            self._opened = 0
            yield self._parse_pending()
        self._pending += block[cut:]
        self._opened += int(opens[places >= cut].sum())

    def _find_array(
        self,
        block: bytes,
        places: npt.NDArray[np.intp],
        depths: npt.NDArray[np.int64],
        opens: npt.NDArray[np.bool_],
    ) -> int:
        """Look for the list of features; returns where its content starts, or 0."""
        for i in np.flatnonzero(opens & (depths <= 2)):
            place = int(places[i])
            if block[place] != ord("["):
                continue
            before = bytes(self._around[-256:]) + block[max(0, place - 256) : place]
            if depths[i] == 1 or _KEY_BEFORE.search(before):
                self._inside = int(depths[i])
                self._around += block[: place + 1]
                return place + 1
        return 0

    def _take_single(
        self,
        block: bytes,
        places: npt.NDArray[np.intp],
        depths: npt.NDArray[np.int64],
        opens: npt.NDArray[np.bool_],
    ) -> Iterator[list[Any]]:
        """Yield the features that end in the block, each an object of its own."""
        features, start = [], 0
        for end in places[(depths == 0) & ~opens]:
            text = (bytes(self._around) + block[start : end + 1]).strip(_BETWEEN)
            features.append(self._as_feature(self._parse(text)))
            self._around.clear()
            self._opened, start = 0, int(end) + 1
        self._around += block[start:]
        self._opened += int(opens[places >= start].sum())
        if features:
            self._single = True
            yield features

    def _as_feature(self, root: Any) -> Any:
        """The feature itself, or one without properties around a geometry that stands alone."""
        kind = root.get("type") if isinstance(root, dict) else None
        if kind in GEOMETRIES:
            return {"type": "Feature", "geometry": root, "properties": {}}
        if kind != "Feature":
            raise self._no_features(root)
        return root

    def _parse_pending(self) -> list[Any]:
        text = bytes(self._pending).strip()
        self._pending.clear()
        if self._begun and text and not text.startswith(b","):
            raise UserError(f"{self._name} lacks a comma between two features.")
        if self._begun:
            text = text[1:]
        self._begun = True
        features = self._parse(b"[" + text + b"]")
        assert isinstance(features, list)
        return features

    def _finish(self) -> None:
        if self._inside is not None or (self._single and self._around.strip(_BETWEEN)):
            raise UserError(f"{self._name} ends in the middle; it is not complete.")
        if self._single:
            return
        root = self._parse(bytes(self._around))
        if isinstance(root, dict):
            self.members = {key: value for key, value in root.items() if key != "features"}
            # The list was cut out between its brackets; of several of one key the last is here.
            if self._closed and root.get("features", []) != []:
                raise UserError(
                    f"{self._name} has more than one list of features; which of them counts cannot"
                    " be told: put them into one."
                )
        if not self._closed:
            raise self._no_features(root)

    def _no_features(self, root: Any) -> UserError:
        """The error of JSON of other programs, by whose keys a person knows them."""
        keys = ", ".join(map(str, root)) if isinstance(root, dict) else ""
        shown = keys if len(keys) <= _KEYS_SHOWN else f"{keys[:_KEYS_SHOWN]}..."
        which = f"; it has {shown}" if shown else ""
        return UserError(f"{self._name} is not a GeoJSON file with features{which}.")

    def _parse(self, text: bytes) -> Any:
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(text)
        # QuPath writes NaN for measurements it could not make, which JSON does not know.
        with contextlib.suppress(UnicodeDecodeError, ValueError, RecursionError):
            return json.loads(text.decode("utf-8"))
        with contextlib.suppress(ValueError, RecursionError):
            root = json.loads(text.decode("cp1252"))
            self.recoded = True
            return root
        raise UserError(f"{self._name} is not a readable GeoJSON file.")


class _Scanner:
    """Finds brackets outside of texts, block after block."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_text = False

    def scan(
        self, block: bytes
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Places of brackets, how deep it is after each, and which of them open.

        Args:
            block: Bytes that do not end in a backslash.
        """
        codes = np.frombuffer(block, np.uint8)
        places = np.flatnonzero(_MARKED[codes])
        marks = codes[places]
        quotes = marks == _QUOTE
        if b"\\" in block:
            quotes &= ~_escaped(codes)[places]
        n_quotes = np.cumsum(quotes) + self._in_text
        outside = (n_quotes % 2 == 0) & (marks != _QUOTE)
        self._in_text = bool(n_quotes[-1] % 2) if len(n_quotes) else self._in_text
        steps = _STEP[marks[outside]]
        depths = np.cumsum(steps, dtype=np.int64) + self._depth
        self._depth = int(depths[-1]) if len(depths) else self._depth
        return places[outside], depths, steps > 0


def _escaped(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return which bytes follow an odd number of backslashes."""
    slashes = np.flatnonzero(codes == _BACKSLASH)
    first = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
    length = np.diff(first, append=len(slashes))
    after = (slashes[first] + length)[length % 2 == 1]
    escaped = np.zeros(len(codes), np.bool_)
    escaped[after[after < len(codes)]] = True
    return escaped


def _blocks(file: BinaryIO, block_bytes: int) -> Iterator[bytes]:
    """Blocks of the file without byte order mark, none of which ends in a backslash."""
    carried = b""
    first = True
    while raw := file.read(block_bytes):
        raw = carried + (raw.removeprefix(_BOM) if first else raw)
        first = False
        block = raw.rstrip(b"\\")
        carried = raw[len(block) :]
        if len(carried) > _FEATURE_BYTES:
            return
        if block:
            yield block
    if carried:
        yield carried
