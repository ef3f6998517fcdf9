"""Caches of what napari and vispy compute from the same texts and functions again and again.

It is computed once per test process, by their own code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from inspect import isfunction, ismethod
from typing import Any

import pytest
from app_model import Application
from napari.utils.events import EventEmitter
from npe2 import PluginManifest
from vispy.gloo import glir
from vispy.gloo.program import Program
from vispy.visuals.shaders.function import Function


@contextmanager
def read_once() -> Iterator[None]:
    """Context in which what has been read is not read again."""
    with pytest.MonkeyPatch.context() as patch:
        # Each viewer searches for plugins again, and finds the same ones.
        found = list(PluginManifest.discover())
        patch.setattr(PluginManifest, "discover", lambda **_: iter(found))
        patch.setattr(EventEmitter, "_check_signature", staticmethod(_signatures()))
        patch.setattr(Function, "_clean_code", _cleaned_code())
        patch.setattr(Program, "_parse_variables_from_code", _variables())
        patch.setattr(glir, "_convert_desktop_shader", cache(glir._convert_desktop_shader))
        patch.setattr(Application, "dispose", _disposing())
        yield


def _disposing() -> Any:
    """The end of an application: its menus are not rebuilt for each entry that is removed."""
    dispose = Application.dispose

    def quietly(application: Application) -> None:
        with application.menus.menus_changed.blocked():
            dispose(application)

    return quietly


def _signatures() -> Any:
    """Whether a callback takes the event: looked up 1,200 times in a test."""
    read, known = EventEmitter._check_signature, dict[tuple[Any, ...], bool]()

    def check(callback: Any) -> bool:
        key = _signature_key(callback)
        if key is None:
            return bool(read(callback))
        if key not in known:
            known[key] = bool(read(callback))
        return known[key]

    return check


def _signature_key(callback: Any) -> tuple[Any, ...] | None:
    """The key that determines the signature, or None if it is unknown."""
    if isinstance(callback, partial):
        inner = _signature_key(callback.func)
        return inner and (inner, len(callback.args), *sorted(callback.keywords))
    if isinstance(callback, EventEmitter):
        return (type(callback),)
    function = getattr(callback, "__func__", callback)
    if not isfunction(function) or hasattr(function, "__wrapped__"):
        return None
    return function.__code__, function.__defaults__ is None, ismethod(callback)


def _cleaned_code() -> Any:
    """A shader's text without its indentation, which depends only on the text."""
    clean = cache(partial(Function._clean_code, None))
    return lambda _, code: clean(code)


def _variables() -> Any:
    """The variables of a program, which depend only on its text."""
    read, known = Program._parse_variables_from_code, dict[tuple[str, ...], dict[str, Any]]()

    def parse(program: Any, update_variables: bool = True) -> None:
        key = tuple(shader.code for shader in program._shaders)
        if key not in known:
            read(program, update_variables=False)
            known[key] = program._code_variables
        program._code_variables = dict(known[key])
        if update_variables:
            program._process_pending_variables()

    return parse
