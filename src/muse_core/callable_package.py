"""Packages that can be called like the function of the same name, such as ``muse.detect(...)``."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """A package that can be called: ``muse.detect(...)`` beside ``muse.detect.plan``.

    A function of the same name in the parent package would not do: importing anything from the
    package replaces it by the package.
    """

    _function: tuple[str, str]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, importing it when it is first used."""
        module, name = self._function
        return getattr(import_module(module), name)(*args, **kwargs)


def make_callable(package: str, module: str, name: str) -> None:
    """Let a package be called.

    Args:
        package: Its full name, ``__name__``.
        module: Full name of the module the function is in.
        name: Name of the function.
    """
    found = sys.modules[package]
    found.__class__ = CallablePackage
    found._function = (module, name)  # type: ignore[attr-defined]
