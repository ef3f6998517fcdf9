"""The OpenVINO backend: converted networks on processors. Loads torch only for a conversion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from muse_core.array_types import RgbArray
from muse_core.blas_threads import one_blas_thread
from muse_core.detect.backends.backend import InferenceBackend, Wanted
from muse_core.detect.backends.converted import converted_session
from muse_core.detect.backends.map_features import MapFeatures
from muse_core.detect.backends.names import AUTO, OPENVINO
from muse_core.detect.backends.numpy_heads import ClassWeights, NumpyHeads
from muse_core.detect.backends.openvino_library import floats_of
from muse_core.detect.backends.tile_size import tile_px_within_memory
from muse_core.models.card import read_card
from muse_core.models.config import ModelConfig
from muse_core.models.duplicates import DUPLICATE_RADIUS_UM
from muse_core.models.tile_detections import TileDetections


class OpenVinoBackend(InferenceBackend):
    """A network that OpenVINO computes, bfloat16 where the processor has it."""

    name = OPENVINO

    def __init__(self, path: Path, precision: str = AUTO) -> None:
        """Load the converted network of a model file, or convert it first.

        Args:
            path: The model.
            precision: auto, float32 or int8.

        Raises:
            NotConvertibleError: OpenVINO cannot compute it, or not as torch does.
            UserError: The model cannot be read, or OpenVINO is missing, or NNCF for int8.
        """
        card = read_card(path)
        card.require_detector()
        floats = floats_of(precision)
        if precision == AUTO:
            precision = floats
        self._session = converted_session(path, precision)
        backbone = ModelConfig.from_json(card.architecture).backbone
        tile_px = tile_px_within_memory(backbone, 2 if floats == "bfloat16" else 4)
        super().__init__(card, "cpu", precision, 1, tile_px)
        self.streams = self._session.streams
        self.prepares_sizes = True
        self._heads = NumpyHeads(
            MapFeatures.from_file(path, backbone),
            ClassWeights.from_file(path),
            DUPLICATE_RADIUS_UM / card.mpp,
        )

    def try_run(
        self, images: Sequence[RgbArray], wanted: Wanted
    ) -> Sequence[TileDetections] | None:
        """See :meth:`InferenceBackend.try_run`."""
        try:
            with one_blas_thread():
                return [self._found(image, wanted) for image in images]
        except MemoryError:
            return None

    def _found(self, image: RgbArray, wanted: Wanted) -> TileDetections:
        height, width = image.shape[:2]
        with self._session.computed(image) as (maps, out):
            return self._heads.detections(maps, out, (height, width), wanted)
