"""Torch model to OpenVINO, checked against torch. Importing this module loads both."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from muse_core.detect.backends.backend import NotConvertedNowError, NotConvertibleError
from muse_core.detect.backends.converted_network import ConvertedNetwork
from muse_core.detect.backends.drawn_tissue import drawn_tissue, many_drawn_tissues
from muse_core.detect.backends.map_features import Float32, MapFeatures
from muse_core.detect.backends.names import INT8
from muse_core.detect.backends.openvino_library import floats_of, openvino
from muse_core.detect.backends.openvino_session import (
    PROPOSALS,
    Session,
    compile_options,
    says_memory_is_full,
    says_threads_are_short,
)
from muse_core.detect.backends.quantisation import quantised
from muse_core.errors import UserError
from muse_core.models.checkpoint import load_model
from muse_core.models.config import ModelConfig
from muse_core.models.encoders import VitEncoder
from muse_core.models.muse_model import MuseModel

# Not square, and of another size than the one that is traced: a shape must not be baked in.
_TRACED_PX, _CHECKED_PX = (256, 256), (288, 416)
_CHECKED_POINTS = 2000
# Relative to the size of what torch gives in float32. Torch's own bfloat16 is off by half a percent
# to one and a half, int8 by one to seven; a convolution with wrong padding or weights by a third
# or more.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.04, "int8": 0.15}


@dataclass(frozen=True)
class Converted:
    """A network ready for OpenVINO.

    Attributes:
        blob: What OpenVINO loads.
        deviation: Of features and proposals from torch in float32, relative.
    """

    blob: bytes
    deviation: dict[str, float]


def convert_model(path: Path, precision: str) -> Converted:
    """Convert a model file.

    Args:
        path: The model.
        precision: float32, bfloat16 or int8.

    Raises:
        NotConvertibleError: OpenVINO cannot compute it, or not as torch does.
        NotConvertedNowError: The system starts no more threads.
        UserError: The model cannot be loaded, int8 has no NNCF, or memory ran out.
    """
    model = load_model(path)
    if isinstance(model.backbone.encoder, VitEncoder):
        raise NotConvertibleError(f"{model.card.name} is a ViT, which only torch computes here.")
    backbone = ModelConfig.from_json(model.card.architecture).backbone
    try:
        blob = _compiled(ConvertedNetwork(model).eval(), precision)
        deviation = _deviation(
            model, MapFeatures.from_file(path, backbone), Session(blob, precision)
        )
    except MemoryError as error:
        raise _no_memory(model) from error
    except RuntimeError as error:
        if says_memory_is_full(error):
            # Not kept as a failure of this model: there may be enough memory the next time.
            raise _no_memory(model) from error
        if says_threads_are_short(error):
            raise NotConvertedNowError(
                f"{model.card.name} is not converted for OpenVINO: the system starts no more"
                " threads."
            ) from error
        raise NotConvertibleError(
            f"{model.card.name} cannot be converted for OpenVINO: {_reason(error)}."
        ) from error
    worst = max(deviation.values())
    if not worst <= _TOLERANCE[precision]:
        raise NotConvertibleError(
            f"OpenVINO's results for {model.card.name} in {precision} differ from torch's by"
            f" {worst:.1%}; torch is used instead."
        )
    return Converted(blob, deviation)


def _reason(error: RuntimeError) -> str:
    """The first line that does not merely say where in OpenVINO's code an error was raised."""
    lines = str(error).strip().splitlines()
    said = [line for line in lines if line and not line.startswith("Exception from ")]
    return (said or lines or [""])[0].rstrip(".")[:160]


def _no_memory(model: MuseModel) -> UserError:
    return UserError(
        f"There is not enough memory to convert {model.card.name} for OpenVINO; close other"
        " programs, or choose the backend torch."
    )


def _compiled(network: nn.Module, precision: str) -> bytes:
    library = openvino()
    example = torch.zeros((1, *_TRACED_PX, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        # torch warns that sizes are traced as constants; the check below runs another size.
        warnings.simplefilter("ignore")
        # Traced once: what OpenVINO's own call would do takes a third longer, for it traces anew
        # to compare, and the check below is the stricter one.
        traced = torch.jit.trace(network, example, strict=False, check_trace=False)
        converted = library.convert_model(traced, example_input=example)
    converted.reshape({0: [1, -1, -1, 3]})
    if precision == INT8:
        converted = quantised(converted, many_drawn_tissues())
    steps = library.preprocess.PrePostProcessor(converted)
    if floats_of(precision) == "bfloat16":
        for number in range(PROPOSALS + 1, len(converted.outputs)):
            steps.output(number).tensor().set_element_type(library.Type.bf16)
    model = library.Core().compile_model(steps.build(), "CPU", compile_options(precision))
    exported: Any = model.export_model()
    return exported if isinstance(exported, bytes) else bytes(exported.getbuffer())


def _deviation(model: MuseModel, features: MapFeatures, session: Session) -> dict[str, float]:
    image = drawn_tissue(*_CHECKED_PX)
    size_px = _CHECKED_PX
    random = np.random.default_rng(0)
    xy = random.uniform((0, 0), size_px[::-1], (_CHECKED_POINTS, 2)).astype(np.float32)
    with torch.inference_mode():
        f_map, _ = model.backbone(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
        sampled = model.backbone.sample(f_map, torch.from_numpy(xy)[None], size_px)[0].numpy()
        head = model.point_head
        proposals = head.out(head.trunk(head.seen(f_map)))[0].numpy()
    with session.computed(image) as (maps, out):
        return {
            "features": _relative(features.at_points(maps, xy, size_px), sampled),
            "proposals": _relative(out, proposals),
        }


def _relative(got: Float32, expected: Float32) -> float:
    return float(np.linalg.norm(got - expected) / max(float(np.linalg.norm(expected)), 1e-12))
