from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.config_file import configuration, merged, read_values, with_settings, write_resolved
from muse_core.errors import UserError
from muse_core.strict import STRICT, StrictOptions, plain_values


@dataclass(frozen=True)
class Part:
    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    size_px: int = 3
    share: float = 0.5


@dataclass(frozen=True)
class Whole:
    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    out: Path
    part: Part = Part()
    names: tuple[str, ...] | None = None


def test_settings_take_the_place_of_values() -> None:
    values = {"steps": 3, "part": {"size_px": 1, "share": 0.25}, "names": ["a"]}
    settings = ["steps=5", "part.size_px = 7", 'names=["b", "c"]', "name=my model", "new.a.b=true"]
    assert with_settings(values, settings) == {
        "steps": 5,
        "part": {"size_px": 7, "share": 0.25},
        "names": ["b", "c"],
        "name": "my model",
        "new": {"a": {"b": True}},
    }
    assert values["part"] == {"size_px": 1, "share": 0.25}


@pytest.mark.parametrize("setting", ["steps", "=3", "a..b=3", ".a=3", ""])
def test_what_is_no_setting_is_refused(setting: str) -> None:
    with pytest.raises(UserError, match="NAME=VALUE"):
        with_settings({}, [setting])


def test_what_is_set_twice_is_refused() -> None:
    with pytest.raises(UserError, match=r"^part\.size_px is set twice; set it once\.$"):
        with_settings({}, ["part.size_px=7", "steps=5", "part.size_px = 8"])


def test_a_line_break_brings_no_second_name() -> None:
    assert with_settings({}, ["a=1\nb=2"]) == {"a": "1\nb=2"}


@given(st.text())
def test_any_text_is_a_value_or_stays_text(text: str) -> None:
    changed = with_settings({}, [f"name={text}"])
    assert changed.keys() == {"name"}


def test_later_parts_win_and_the_others_stay() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "d": {"e": 5}}) == {
        "a": {"b": 1, "c": 4},
        "d": {"e": 5},
    }


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    whole = Whole(Path("a/b"), Part(9, 0.125), ("x", "y"))
    write_resolved(whole, tmp_path / "c.json", ["numpy"])
    assert configuration(Whole, read_values(tmp_path / "c.json"), "c.json") == whole
    written = json.loads((tmp_path / "c.json").read_text())
    assert written["versions"].keys() == {"numpy", "python"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "c.toml: the field 'out' is wrong"),
        ({"out": "a", "part": {"size_px": "9"}}, "the field 'part.size_px' is wrong"),
        ({"out": "a", "part": {"share": True}}, "'part.share'"),
        ({"out": "a", "part": {"share": math.nan}}, "'part.share'"),
        ({"out": "a", "part": 3}, "'part'"),
        ({"out": "a", "part": {"colour": 3}}, "unknown field 'part.colour'"),
        ({"out": "a", "names": "abc"}, "'names'"),
        ({"out": object()}, "not understood"),
    ],
)
def test_what_does_not_fit_gets_a_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        configuration(Whole, values, "c.toml")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize(
    ("name", "text"), [("c.toml", 'out = "müsli"\r\n'), ("C.JSON", '{"out": "müsli"}')]
)
def test_files_as_editors_and_shells_of_windows_write_them(
    name: str, text: str, encoding: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert read_values(tmp_path / name) == {"out": "müsli"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.toml", b"a = ", "cannot be understood"),
        ("c.toml", b"\xff\xfea", "cannot be understood"),
        ("c.toml", b"a = " + b"[" * 100_000, "cannot be understood"),
        ("c.json", b"{" * 3, "cannot be understood"),
        ("c.json", b'{"steps": 1, "steps": 2}', "cannot be understood: 'steps' is there twice"),
        ("c.json", b"[1]", "no names with values"),
        ("c.json", b'{"config": 3}', "no names with values"),
        ("c.toml", b"#" * 1_000_001, "larger than a megabyte"),
        ("c.toml", None, "Cannot read"),
    ],
)
def test_what_is_no_file_of_values_gets_a_sentence(
    name: str, content: bytes | None, words: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_values(tmp_path / name)


def test_paths_are_text_and_nothing_else_is_made_text() -> None:
    assert plain_values(Whole(Path("a"))) == {
        "out": os.fspath(Path("a")),
        "part": {"size_px": 3, "share": 0.5},
        "names": None,
    }

    @dataclass
    class Odd:
        value: object

    with pytest.raises(TypeError):
        plain_values(Odd({1, 2}))
