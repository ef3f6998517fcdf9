"""Numbers in options are read like those in fields of the window, by every command."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from muse_core.cli.app import app
from muse_core.cli.numbers import integer, number

from .running import run

_READ_BY = {float: number, int: integer}


def _commands(group: typer.Typer) -> Iterator[Callable[..., object]]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield command.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from _commands(inner.typer_instance)


def test_each_option_with_a_number_is_read_in_the_one_way() -> None:
    seen = 0
    for command in _commands(app):
        for name, hint in typing.get_type_hints(command, include_extras=True).items():
            kind, *about = typing.get_args(hint) or (hint,)
            kinds = set(typing.get_args(kind)) - {type(None)} or {kind}
            for plain in kinds & set(_READ_BY):
                seen += 1
                assert about[0].parser is _READ_BY[plain], f"{command.__name__} {name}"
    assert seen > 20


@pytest.mark.parametrize("typed", ["0.25", "0,25", "2.5e-1", "\u0660\u066b\u0662\u0665"])
def test_a_scale_may_have_a_comma(
    typed: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("info", folder / "slide.png", "--mpp", typed, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["mpp_um"] == 0.25


@pytest.mark.parametrize(
    ("option", "typed", "sentence"),
    [
        ("--mpp", "1_0", "OPT: “1_0” is no number"),
        ("--mpp", "nan", "OPT: “nan” is no number"),
        ("--mpp", "inf", "OPT: “inf” is no number"),
        ("--mpp", "1e999", "OPT: “1e999” is too large a number"),
        ("--mpp", "1.234,5", "OPT: “1.234,5” is no number"),
        ("--mpp", "-1", "Microns per pixel must lie between"),
        ("--plane", "1_0", "OPT: “1_0” is no number"),
        ("--plane", "1,5", "OPT: “1,5” is no whole number"),
        ("--plane", "1,000", "OPT: “1,000” can be read in two ways"),
    ],
)
def test_what_is_no_number_is_refused(
    option: str, typed: str, sentence: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in ([option, typed], [f"{option}={typed}"]):
        assert run("info", folder / "slide.png", *given) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert said.startswith(f"error: {sentence.replace('OPT', option)}")


def test_a_region_is_four_numbers_without_underscores(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--region", "1_0,0,5,5", "--mpp", "0.5", "--out", tmp_path / "n.csv")
    assert run("detect", folder / "slide.png", *given) == 2
    assert "A region is four numbers" in capsys.readouterr().err
