"""An option has the same meaning in every command."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.core import TyperGroup, TyperOption

from muse_core.cli.app import app

from .running import Capture, run

FLAG_IN_ONE = {"--features"}
"""Option that names a folder to read; muse detect writes it beside OUT and takes no path."""


def commands(command: Any, name: str = "muse") -> Iterator[tuple[str, Any]]:
    if isinstance(command, TyperGroup):
        for below, one in command.commands.items():
            yield from commands(one, f"{name} {below}")
    else:
        yield name, command


def options() -> Iterator[tuple[str, str, TyperOption]]:
    for name, command in commands(typer.main.get_command(app)):
        for option in command.params:
            if isinstance(option, TyperOption):
                yield from ((name, spelling, option) for spelling in option.opts)


def test_an_option_takes_a_value_in_every_command_or_in_none() -> None:
    kinds: dict[str, set[bool]] = defaultdict(set)
    for _, spelling, option in options():
        kinds[spelling].add(option.is_flag)
    assert len(kinds) > 40, "the commands are where they are looked for"
    assert {o for o, found in kinds.items() if len(found) > 1} == FLAG_IN_ONE


def test_help_is_wrapped_to_the_terminal_alone() -> None:
    # typer keeps line breaks in a paragraph.
    texts = {name: command.help for name, command in commands(typer.main.get_command(app))}
    assert len(texts) > 10
    assert not {n for n, text in texts.items() if "\n" in text.replace("\n\n", "")}


def test_mpp_is_the_scale_of_what_is_read() -> None:
    said = {name: option.help or "" for name, spelling, option in options() if spelling == "--mpp"}
    assert {"muse detect", "muse rois", "muse finetune", "muse evaluate probe"} <= set(said)
    read = ("of the slide", "of the images", "of --val", "if the file does not say")
    assert not {name: text for name, text in said.items() if not any(r in text for r in read)}


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        (("rois", "s.png", "--out", "r", "--slide-mpp", 0.5), "--mpp"),
        (("models", "fetch", "muse-r50", "--mpp", 0.5), "--model-mpp"),
        (("dataset", "convert", "puma", "d", "--out", "p", "--mpp", 0.5), "--out-mpp"),
    ],
)
def test_another_commands_spelling_is_refused_with_the_right_one(
    arguments: tuple[object, ...], instead: str, capsys: Capture
) -> None:
    assert run(*arguments) == 2
    assert instead in capsys.readouterr().err


@pytest.mark.parametrize(("name", "option"), [(name, option) for name, _, option in options()])
def test_an_option_with_one_value_is_taken_once(
    capsys: Capture, name: str, option: TyperOption
) -> None:
    spelling = option.opts[0]
    value = [] if option.is_flag else ["2"]
    command = name.split()[1:]
    may_come_again = option.multiple or (option.is_flag and not option.secondary_opts)
    run(*command, "s.png", spelling, *value, spelling, *value)
    assert ("is given twice; give it once." in capsys.readouterr().err) is not may_come_again
