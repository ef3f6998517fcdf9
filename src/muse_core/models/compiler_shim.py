"""Keeps torch's compiler from being imported, which takes a second and 65 MB and is not used here.

timm and torchvision refer to ``torch._dynamo`` when they are imported, for a decorator and for a
function that they call later, and so load it and sympy. Each step of an optimiser refers to it too,
to exclude functions from compilation, and so does Lightning, to see what is compiled.
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
    """Context in which ``torch._dynamo`` is a stand-in, unless it has been loaded before.

    Attributes that the stand-in lacks, and all of them once the context has been left, are taken
    from the compiler itself, which is then loaded.
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
