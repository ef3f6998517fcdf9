"""Job specs: frozen dataclasses that describe a job and are sent as JSON. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar

from annotated_types import Interval

from muse_core.detect.backends.names import PrecisionName
from muse_core.errors import UserError
from muse_core.finetune.config import FinetuneConfig
from muse_core.models.device_names import DeviceName
from muse_core.strict import STRICT, StrictOptions, Wording, parse_strictly, plain_values

if TYPE_CHECKING:
    from muse_core.slides.choice import ImageChoice


Mpp = Annotated[float, Interval(ge=0.01, le=100.0)]
"""Microns per pixel, in the range of :mod:`muse_core.slides.mpp`, which is slow to import."""


@dataclass(frozen=True)
class JobSpec:
    """Base class of job specs; :func:`job` registers a subclass.

    Attributes:
        kind: Its "kind" in JSON.
        title: Name of the job in error messages.
        runner: "module:function" that runs it, imported on first use.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    runner: ClassVar[str]
    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    def to_json(self) -> dict[str, object]:
        """A JSON-able dictionary with "kind", the inverse of :meth:`from_json`."""
        return {"kind": self.kind, **plain_values(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a spec; raises UserError for unknown, missing or mistyped fields."""
        kind = cls.kind
        if data.get("kind", kind) != kind:
            raise UserError(f"This is a {data['kind']!r} job, not a {kind!r} job.")
        wording = Wording(
            unknown=f"A {kind} job has no field",
            wrong=f"A {kind} job's field",
            unreadable=f"A {kind} job holds a value that is no JSON",
        )
        return parse_strictly(cls, {k: v for k, v in data.items() if k != "kind"}, wording)


_S = TypeVar("_S", bound=type[JobSpec])
_KINDS: dict[str, type[JobSpec]] = {}


def job(kind: str, title: str, runner: str) -> Callable[[_S], _S]:
    """Register a kind of job, see the attributes of :class:`JobSpec`.

    The function is called with the spec, ``emit`` and ``should_cancel``, and returns an Outcome.
    """

    def register(spec: _S) -> _S:
        spec.kind, spec.title, spec.runner = kind, title, runner
        _KINDS[kind] = spec
        return spec

    return register


class OfImage:
    """Mixin of jobs on one image of a slide, with fields image, plane and channels."""

    image: int | None
    plane: int | None
    channels: str | None

    @property
    def choice(self) -> ImageChoice:
        """Return the chosen image and plane; raises UserError where the choice is impossible."""
        from muse_core.slides.choice import ImageChoice

        return ImageChoice(self.image, self.plane, self.channels)


@job("detect", "Detection", "muse_core.jobs.detect_job:run_detect")
@dataclass(frozen=True)
class DetectJob(OfImage, JobSpec):
    """Detect and classify the nuclei of a slide.

    Attributes:
        slide: File or folder of the slide.
        model: Name or path of a model; None is the default model.
        out_csv: File to write the nuclei to, in the format of its name, or None to only report
            them as events.
        mpp: Microns per pixel of the slide at full resolution (level 0), where the file does not
            say.
        force_mpp: Whether mpp counts also where the file states another scale.
        region: Rectangle [x, y, w, h] in level-0 pixels.
        polygons: Polygons, each a list of [x, y] in level-0 pixels. Region and polygons together
            are a union; neither means the whole slide.
        device: Where the network runs: auto, cpu, cuda or mps.
        min_score: Nucleus probability from which a nucleus is reported; None takes the model's.
        image: Number of a tissue image of the slide, from 1; None is the one it opens with.
        plane: Number of a plane of a stack, from 1; None is the middle one.
        channels: Which channels are colours, as in :class:`muse_core.slides.ImageChoice`.
        settings: Further fields of :class:`muse_core.detect.DetectConfig` by name.
        keep_in: Folder in which the run is kept until it is finished, so that the same job goes on
            where it stopped; None is beside out_csv.
        resume: Whether to go on from what is kept.
        scheduler: Address of a dask.distributed scheduler whose workers do the work.
        backend: auto, torch or openvino, as in :class:`muse_core.detect.DetectConfig`.
        precision: What the network computes in: auto, float32 or int8.
        features_in: Folder to keep the nuclei's features in, for learning from corrections; see
            :mod:`muse_core.classify.feature_folder`.
        focus: Place [x, y] in level-0 pixels around which is looked first; None goes row by row.
    """

    slide: str
    model: str | None = None
    out_csv: str | None = None
    mpp: Mpp | None = None
    region: Sequence[float] | None = None
    polygons: Sequence[Sequence[Sequence[float]]] | None = None
    device: DeviceName = "auto"
    min_score: Annotated[float, Interval(ge=0.0, le=1.0)] | None = None
    image: int | None = None
    plane: int | None = None
    channels: str | None = None
    force_mpp: bool = False
    settings: Mapping[str, Any] | None = None
    keep_in: str | None = None
    resume: bool = True
    scheduler: str | None = None
    backend: str = "auto"
    precision: PrecisionName = "auto"
    features_in: str | None = None
    focus: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.region is not None and len(self.region) != 4:
            raise UserError("The region of a detect job is four numbers x, y, w, h.")
        if self.focus is not None and len(self.focus) != 2:
            raise UserError("The focus of a detect job is two numbers x, y.")
        _ = self.choice


@job("finetune", "Training", "muse_core.jobs.finetune_job:run_finetune")
@dataclass(frozen=True)
class FinetuneJob(JobSpec):
    """Train a model on points-folders, on what is reviewed in annotation stores, or on both.

    Attributes:
        config: The run.
    """

    config: FinetuneConfig


@dataclass(frozen=True)
class StoreJob(OfImage, JobSpec):
    """Base class of jobs on the nuclei of an annotation store, which is only read.

    Attributes:
        slide: File or folder of the slide.
        store: Its annotation store.
        model: Name or path of the model that sees the nuclei; None is the default model.
        mpp: Microns per level-0 pixel, where the file does not say.
        device: Where the network runs: auto, cpu, cuda or mps.
        image: Number of a tissue image of the slide, from 1; None is the one it opens with.
        plane: Number of a plane of a stack, from 1; None is the middle one.
        channels: Which channels are colours, as in :class:`muse_core.slides.ImageChoice`.
        force_mpp: Whether mpp counts also where the file states another scale.
    """

    slide: str
    store: str
    model: str | None = None
    mpp: float | None = None
    device: DeviceName = "auto"
    image: int | None = None
    plane: int | None = None
    channels: str | None = None
    force_mpp: bool = False

    def __post_init__(self) -> None:
        _ = self.choice


@job("disagree", "Comparing nuclei", "muse_core.jobs.disagree_job:run_disagree")
@dataclass(frozen=True)
class DisagreeJob(StoreJob):
    """Compare each nucleus of a store with those that look most like it to the model's backbone.

    Attributes:
        seed: Of the draw among very many nuclei.
    """

    seed: int = 0


@job("features", "Computing features", "muse_core.jobs.features_job:run_features")
@dataclass(frozen=True)
class FeaturesJob(StoreJob):
    """Compute the missing features of a store's nuclei and write them beside the store."""


def job_from_json(data: object) -> JobSpec:
    """Rebuild any job by its "kind".

    Raises:
        UserError: It is no JSON object, its kind is unknown, or a field is wrong.
    """
    if not isinstance(data, Mapping):
        raise UserError("A job is a JSON object.")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UserError(f"Unknown job kind {kind!r}; it is one of {', '.join(_KINDS)}.")
    return _KINDS[kind].from_json(data)
