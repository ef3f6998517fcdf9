"""Leaves out torch's compiler, a second and 65 MB that nothing here needs.

timm and torchvision name ``torch._dynamo`` as they are imported: one of its decorators, and one of
its functions for later. That loads it, and sympy with it, before the first nucleus is found. Every
step of an optimiser names it too, to tell it what not to compile, and Lightning, to see what is.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

_COMPILER = "torch._dynamo"


@contextmanager
def compiler_left_out() -> Iterator[None]:
    """While this is entered, ``torch._dynamo`` is a stand-in unless it has been loaded before.

    Whatever is asked of the stand-in beyond what it has comes from the compiler, loaded then; so is
    all that is asked once this has been left.
    """
    if _COMPILER in sys.modules:
        yield
        return
    whole, utils = _StandIn(_COMPILER), _StandIn(f"{_COMPILER}.utils")
    whole.__path__ = []
    whole.__dict__.update(
        utils=utils, disable=_disable, graph_break=_graph_break, OptimizedModule=_OptimizedModule
    )
    utils.__dict__.update(is_compile_supported=_is_compile_supported)
    for module in (whole, utils):
        sys.modules[module.__name__] = module
    try:
        yield
    finally:
        _withdraw()


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _withdraw()
        return getattr(importlib.import_module(self.__name__), name)


def _withdraw() -> None:
    """Let the next import load the compiler itself."""
    for name in (_COMPILER, f"{_COMPILER}.utils"):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
    if isinstance(vars(torch).get("_dynamo"), _StandIn):
        del torch._dynamo


def _disable(function: Any = None, recursive: bool = True, **_: Any) -> Any:
    """Keeps a function from being compiled; none of these networks is."""
    return function if function is not None else lambda decorated: decorated


def _graph_break(*_: Any, **__: Any) -> None:
    """Ends what is compiled at once; nothing is."""


class _OptimizedModule(torch.nn.Module):
    """The class of compiled networks, of which there are none here."""


def _is_compile_supported(*arguments: Any) -> Any:
    """Asked when an operator of torchvision is called."""
    ask: Callable[..., Any] = importlib.import_module(f"{_COMPILER}.utils").is_compile_supported
    return ask(*arguments)
