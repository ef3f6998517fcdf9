"""Keep the features of detected nuclei for relearning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from muse_core.files import sha256_of

if TYPE_CHECKING:
    from muse_core.classify.feature_folder import FeatureFacts
    from muse_core.detect.collector import Collector
    from muse_core.models.card import ModelCard
    from muse_core.slides import Slide


def feature_facts(slide: Slide, model: Path, card: ModelCard, channels: int) -> FeatureFacts:
    """Return the facts that identify features: slide, image, model; raises UserError."""
    from muse_core.classify.feature_folder import FeatureFacts
    from muse_core.nuclei.store.identity import identify_slide

    identity = identify_slide(slide.location, slide.part)
    return FeatureFacts(
        card.name,
        sha256_of(model),
        tuple(str(c["name"]) for c in card.classes),
        channels,
        identity.size_bytes,
        identity.fingerprint,
        slide.require_mpp(),
    )


@dataclass(frozen=True)
class FeatureTarget:
    """Folder that the features of a detection are written to.

    Attributes:
        root: Folder beside the nuclei, see :mod:`muse_core.classify.feature_folder`.
        slide: The slide.
        model: File of the model.
        card: Its card.
    """

    root: Path
    slide: Slide
    model: Path
    card: ModelCard

    def write(self, nuclei: Collector, anew: bool) -> int:
        """Write the features of all nuclei that were found; returns their number.

        Args:
            nuclei: The nuclei.
            anew: Whether to replace older features of the model.

        Raises:
            UserError: They cannot be written.
        """
        from muse_core.classify.class_head import read_class_head
        from muse_core.classify.feature_folder import (
            append_features,
            folder_of_model,
            open_features,
        )
        from muse_core.classify.kept_logits import kept_logits

        index = {str(c["name"]): i for i, c in enumerate(self.card.classes)}
        facts = None
        kept = 0
        for table, features in zip(nuclei.tables(), nuclei.features(), strict=True):
            if features is None or not len(table):
                continue
            if facts is None:
                facts = feature_facts(self.slide, self.model, self.card, features.shape[1])
            classes = np.array([index[name] for name in table["class_name"]], np.uint8)
            xy = table[["x", "y"]].to_numpy()
            append_features(self.root, facts, xy, features, classes, anew and not kept)
            kept += len(table)
        if facts is not None:
            # So that the first correction does not wait for them.
            folder = open_features(folder_of_model(self.root, facts.model_sha256))
            kept_logits(folder, read_class_head(self.model))
        return kept
