"""Events of a job: one dataclass for each kind, and its JSON line.

Every job ends in exactly one of Done, Cancelled and Failed. Imports neither torch nor numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

from muse_core.errors import UserError
from muse_core.strict import STRICT, StrictOptions, Wording, parse_strictly


@dataclass(frozen=True)
class Event:
    """Base class of job events; ``name`` is its "event" in JSON."""

    name: ClassVar[str]
    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    def to_json(self) -> dict[str, object]:
        """Return a JSON-able dictionary with "event", the inverse of :func:`event_from_json`."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"event": self.name, **own}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild an event; raises UserError for unknown, missing or mistyped fields."""
        wording = Wording(
            unknown=f"An event {cls.name} has no field",
            wrong=f"An event {cls.name}'s field",
            unreadable=f"An event {cls.name} holds a value that is no JSON",
        )
        return parse_strictly(cls, {k: v for k, v in data.items() if k != "event"}, wording)


@dataclass(frozen=True)
class Progress(Event):
    """Progress of a job.

    Attributes:
        done: Tiles, steps or bytes done.
        total: Of how many; 0 while that is not known.
        message: What it is doing, for the user.
        eta_s: Seconds left, or None while that cannot be told.
    """

    name: ClassVar[str] = "progress"

    done: int
    total: int
    message: str
    eta_s: float | None = None

    @property
    def time_left(self) -> str:
        """Return the end of a sentence: how long it will take, "" while that cannot be told."""
        if self.eta_s is None:
            return ""
        minutes, rest = divmod(round(self.eta_s), 60)
        return f", {minutes} min {rest:02d} s left" if minutes else f", {rest} s left"


@dataclass(frozen=True)
class DetectionStarted(Event):
    """The first event of a detection, once its inputs are checked.

    Attributes:
        classes: Of the model, as ClassScheme.to_json gives them.
        model: Name of the model.
        mpp: Microns per level-0 pixel of the slide.
    """

    name: ClassVar[str] = "started"

    classes: Sequence[Mapping[str, Any]]
    model: str
    mpp: float


@dataclass(frozen=True)
class NucleiFound(Event):
    """Settled nuclei; each is in exactly one such event.

    Attributes:
        x: Level-0 pixels from the corner of the first pixel.
        y: See ``x``.
        class_index: Index of each one's class in the model's scheme.
        score: Nucleus probability, 0 to 1.
        entropy: Of the classes and background, 0 to 1.
        margin: Between the two likeliest of them, 0 to 1.
    """

    name: ClassVar[str] = "nuclei"

    x: Sequence[float]
    y: Sequence[float]
    class_index: Sequence[int]
    score: Sequence[float]
    entropy: Sequence[float]
    margin: Sequence[float]


@dataclass(frozen=True)
class DisagreementFound(Event):
    """Disagreement of nuclei: how far those that look alike differ in class.

    Attributes:
        ids: Of nuclei in the store.
        disagreement: Of each with its neighbours, 0 to 1.
    """

    name: ClassVar[str] = "disagreement"

    ids: Sequence[int]
    disagreement: Sequence[float]


@dataclass(frozen=True)
class LossMeasured(Event):
    """The loss of a training step."""

    name: ClassVar[str] = "loss"

    step: int
    loss: float


@dataclass(frozen=True)
class MetricsMeasured(Event):
    """Figures of a validation.

    Attributes:
        figures: By name: "step", and "f_det", "f_avg", "threshold" ... where there are.
    """

    name: ClassVar[str] = "metrics"

    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Ended(Event):
    """The last event of a job.

    Attributes:
        message: One sentence for the user.
    """

    name: ClassVar[str] = ""

    message: str

    @property
    def result(self) -> Mapping[str, Any]:
        """Figures by name; empty where there are none."""
        return {}


@dataclass(frozen=True)
class _WithResult(Ended):
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def result(self) -> Mapping[str, Any]:
        """Figures by name."""
        return self.figures

    def to_json(self) -> dict[str, object]:
        """See :meth:`Event.to_json`; the figures are called "result"."""
        return {"event": self.name, "message": self.message, "result": dict(self.figures)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """See :meth:`Event.from_json`."""
        renamed = {"figures" if key == "result" else key: value for key, value in data.items()}
        return super().from_json(renamed)


@dataclass(frozen=True)
class Done(_WithResult):
    """The job has finished."""

    name: ClassVar[str] = "done"


@dataclass(frozen=True)
class Cancelled(_WithResult):
    """The job was cancelled; partial results are kept."""

    name: ClassVar[str] = "cancelled"


@dataclass(frozen=True)
class Failed(Ended):
    """The job has failed.

    Attributes:
        detail: A traceback for the log; empty when the message says all there is to say.
    """

    name: ClassVar[str] = "failed"

    detail: str = ""


Emit = Callable[[Event], None]

_EVENTS: Mapping[str, type[Event]] = {
    kind.name: kind
    for kind in (
        Progress,
        DetectionStarted,
        NucleiFound,
        DisagreementFound,
        LossMeasured,
        MetricsMeasured,
        Done,
        Cancelled,
        Failed,
    )
}


def event_from_json(data: object) -> Event:
    """Rebuild any event by its "event".

    Raises:
        UserError: It is no JSON object, no such event is known, or a field is wrong.
    """
    name = data.get("event") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(name, str) or name not in _EVENTS:
        raise UserError(f"There is no event {name!r}.")
    return _EVENTS[name].from_json(data)
