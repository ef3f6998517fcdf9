"""A slide that can be learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muse_core.classify.class_head import read_class_head
from muse_core.classify.feature_folder import FeatureFacts, append_features, features_beside
from muse_core.files import sha256_of
from muse_core.models.registry import resolve_model
from muse_core.nuclei import ClassScheme
from napari_muse.panels.muse_panel import MusePanel

from .relearn_actions import N


@pytest.fixture
def featured(panel: MusePanel, small_slide: Path, qtbot: Any) -> MusePanel:
    """The small slide with 300 nuclei, their features, and a kind that the model does not know.

    That kind lies in the left half, and is of the first class.
    """
    viewer = panel.session.viewer
    viewer.open(small_slide, plugin="napari-muse")
    viewer.reset_view()
    path = resolve_model(None)
    head = read_class_head(path)
    rng = np.random.default_rng(0)
    x = (np.arange(N) % 20) * 19.0 + 10
    y = (np.arange(N) // 20) * 19.0 + 10
    drawn = rng.standard_normal((N, head.n_features))
    drawn[:, :40] += 2.0 * (x < 200)[:, None]
    features = drawn.astype(np.float16)
    given = head.logits(features).argmax(axis=1)
    annotations = panel.session.annotations
    annotations.adopt_scheme(ClassScheme.from_json(head.card.classes))
    annotations.append(
        x, y, np.array(annotations.class_ids)[given], np.full(N, 0.9), head.card.name, 6.0
    )
    store = annotations.store
    slide = store.slide
    facts = FeatureFacts(
        head.card.name, sha256_of(path), head.class_names, head.n_features,
        slide.size_bytes, slide.fingerprint, 0.5,
    )  # fmt: skip
    append_features(features_beside(store.path), facts, np.stack([x, y], axis=1), features, given)
    panel.session.nuclei.refresh()
    panel.tabs.setCurrentIndex(1)
    qtbot.wait(100)
    return panel
