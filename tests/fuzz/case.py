"""One case: a target and a number, which determine everything else."""

from __future__ import annotations

import importlib
import random
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from muse_core.errors import UserError

from .mutation import mutated
from .target import Target

ROOMS = ("slides", "tables", "models")
_LONGEST_SENTENCE = 1000


@cache
def targets_in(room: str) -> Mapping[str, Target]:
    """The targets of a module of this package, by name."""
    module = importlib.import_module(f"{__package__}.{room}")
    found: Mapping[str, Target] = module.TARGETS
    return found


class Samples:
    """A target's valid files, kept in memory."""

    def __init__(self, name: str, target: Target, scratch: Path) -> None:
        self._name, self._target = name, target
        self._folder = scratch / name
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self.path = target.make(self._folder)
        target.read(self.path)
        self._restore_from_scratch()

    def _restore_from_scratch(self) -> None:
        # Created again: reading may have changed it.
        shutil.rmtree(self._folder)
        self._folder.mkdir()
        self._target.make(self._folder)
        files = sorted(p for p in self._folder.rglob("*") if p.is_file())
        self._files = {p.relative_to(self._folder): p.read_bytes() for p in files}
        self._folders = [p.relative_to(self._folder) for p in self._folder.rglob("*") if p.is_dir()]

    def damage(self, number: int) -> None:
        """Write the files, one or two of them damaged."""
        shutil.rmtree(self._folder)
        for folder in (Path(), *self._folders):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        rng = random.Random(f"{self._name}:{number}")
        known = [p for p, content in self._files.items() if content]
        chosen = rng.sample(known, min(len(known), rng.choice((1, 1, 1, 2))))
        for path, content in self._files.items():
            damaged = mutated(content, rng) if path in chosen else content
            (self._folder / path).write_bytes(damaged)

    def run(self, number: int) -> str:
        """Read a damaged file.

        Returns:
            "" if it gives a result or an error message, else a description of the failure.
        """
        self.damage(number)
        try:
            self._target.read(self.path)
        except UserError as error:
            text = str(error)
            if not text or "\n" in text or len(text) > _LONGEST_SENTENCE:
                return f"no sentence for people: {text[:300]!r}"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            where = _where(error)
            return f"{type(error).__name__}: {str(error)[:200]!r} {where}"
        return ""


def _where(error: BaseException) -> str:
    """The last places in this project's code that an error passed through."""
    places = []
    at = error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if "muse" in code.co_filename:
            places.append(f"{Path(code.co_filename).name}:{at.tb_lineno}")
        at = at.tb_next
    return " < ".join(reversed(places[-3:]))
