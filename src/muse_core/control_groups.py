"""Control groups, by which Linux limits what containers and jobs of a cluster use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ControlGroups:
    """The groups that a process belongs to.

    Attributes:
        named: /proc/self/cgroup, which names them.
        folder: /sys/fs/cgroup, of version 1 or 2.
    """

    named: Path = Path("/proc/self/cgroup")
    folder: Path = Path("/sys/fs/cgroup")

    def limits(self, controller: str, *files: tuple[str, ...]) -> Iterator[list[float]]:
        """Yield what limits the groups and those they lie in.

        Args:
            controller: What is limited, such as "cpu".
            files: Names of the files that hold the numbers of one limit, by version.

        Yields:
            The numbers of each limit that is set.
        """
        for place in self._places(controller):
            for names in files:
                try:
                    words = " ".join((place / name).read_text("utf-8") for name in names).split()
                    yield [float(word) for word in words]
                except (OSError, ValueError):  # none of this version, or "max"
                    continue

    def _places(self, controller: str) -> Iterator[Path]:
        try:
            lines = self.named.read_text("utf-8").splitlines()
        except OSError:
            return
        # In a container its own group may be at the top.
        for line in lines:
            _, controllers, group = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            top = self.folder / controller if controllers else self.folder
            here = top / group.lstrip("/")
            yield from (place for place in (here, *here.parents) if place.is_relative_to(top))
