"""Nucleus detection and classification in H&E histology: slides, models, training, inference.

The names here are the public interface; they are imported on first use, so that
``import muse_core`` is fast.

    >>> import muse_core as muse
    >>> muse.ClassScheme.from_names(["lymphocyte", "tumor"]).names
    ('lymphocyte', 'tumor')
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from muse_core.detect.config import DetectConfig
    from muse_core.detect.whole import detect
    from muse_core.errors import UserError
    from muse_core.finetune.config import FinetuneConfig
    from muse_core.finetune.full.train import finetune
    from muse_core.models.checkpoint import load_model
    from muse_core.nuclei.formats.registry import read_nuclei, write_nuclei
    from muse_core.nuclei.scheme import ClassScheme
    from muse_core.nuclei.store.store import AnnotationStore
    from muse_core.pretrain.config import PretrainConfig
    from muse_core.pretrain.train import pretrain
    from muse_core.slides.arrays import slide_from_arrays
    from muse_core.slides.choice import ImageChoice
    from muse_core.slides.opening import open_slide
    from muse_core.slides.region import PolygonRegion, Region
    from muse_core.slides.slide import Slide

__all__ = [
    "AnnotationStore",
    "ClassScheme",
    "DetectConfig",
    "FinetuneConfig",
    "ImageChoice",
    "PolygonRegion",
    "PretrainConfig",
    "Region",
    "Slide",
    "UserError",
    "__version__",
    "detect",
    "finetune",
    "load_model",
    "open_slide",
    "pretrain",
    "read_nuclei",
    "slide_from_arrays",
    "write_nuclei",
]

_MODULES = {
    "AnnotationStore": "muse_core.nuclei.store.store",
    "ClassScheme": "muse_core.nuclei.scheme",
    "DetectConfig": "muse_core.detect.config",
    "FinetuneConfig": "muse_core.finetune.config",
    "ImageChoice": "muse_core.slides.choice",
    "PolygonRegion": "muse_core.slides.region",
    "PretrainConfig": "muse_core.pretrain.config",
    "Region": "muse_core.slides.region",
    "Slide": "muse_core.slides.slide",
    "UserError": "muse_core.errors",
    "load_model": "muse_core.models.checkpoint",
    "open_slide": "muse_core.slides.opening",
    "read_nuclei": "muse_core.nuclei.formats.registry",
    "slide_from_arrays": "muse_core.slides.arrays",
    "write_nuclei": "muse_core.nuclei.formats.registry",
}
_CALLABLE = ("detect", "finetune", "pretrain")
"""Packages that can be called, see muse_core.callable_package."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("napari-muse")
    if name in _CALLABLE:
        return import_module(f"{__name__}.{name}")
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
