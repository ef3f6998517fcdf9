from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from muse_core.classify.class_head import NumpyClassHead, read_class_head
from muse_core.classify.feature_folder import (
    LOGITS,
    FeatureFacts,
    FeatureFolder,
    append_features,
    folder_of_model,
    open_features,
)
from muse_core.classify.kept_logits import kept_logits
from muse_core.files import FileRows, sha256_of
from muse_core.models.registry import resolve_model


@dataclass
class Kept:
    """A folder of features of the bundled model that grows."""

    root: Path
    head: NumpyClassHead
    facts: FeatureFacts

    def put(self, n: int, anew: bool = False) -> None:
        rng = np.random.default_rng(n)
        features = rng.standard_normal((n, self.head.n_features))
        append_features(self.root, self.facts, rng.uniform(0, 99, (n, 2)), features, anew=anew)

    def open(self) -> FeatureFolder:
        return open_features(folder_of_model(self.root, self.facts.model_sha256))

    def computed(self) -> npt.NDArray[np.float32]:
        return self.head.logits(self.open().features)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    path = resolve_model(None)
    head = read_class_head(path)
    facts = FeatureFacts(
        head.card.name, sha256_of(path), head.class_names, head.n_features, 9, "e" * 64, 0.5
    )
    return Kept(tmp_path / "a.features", head, facts)


def test_they_are_computed_once_and_read_from_then_on(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.put(50)
    wanted = kept.computed()
    np.testing.assert_array_equal(kept_logits(kept.open(), kept.head), wanted)
    monkeypatch.setattr(NumpyClassHead, "logits", _never)
    again = kept_logits(kept.open(), kept.head)
    np.testing.assert_array_equal(again, wanted)


def test_of_added_rows_only_these_are_computed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.put(50)
    kept_logits(kept.open(), kept.head)
    kept.put(7)
    wanted = kept.computed()
    asked = []
    own: Callable[..., Any] = NumpyClassHead.logits

    def counting(head: NumpyClassHead, features: FileRows, first: int) -> Any:
        asked.append(len(features) - first)
        return own(head, features, first)

    monkeypatch.setattr(NumpyClassHead, "logits", counting)
    np.testing.assert_allclose(kept_logits(kept.open(), kept.head), wanted, atol=1e-5)
    assert asked == [7]


def test_a_folder_begun_anew_does_not_keep_those_of_the_old(kept: Kept) -> None:
    kept.put(50)
    kept_logits(kept.open(), kept.head)
    kept.put(30, anew=True)
    np.testing.assert_array_equal(kept_logits(kept.open(), kept.head), kept.computed())


@pytest.mark.parametrize("name", ["features.f16", "places.f64", "classes.u8", LOGITS])
def test_where_files_were_cut_short_each_row_still_has_its_own(kept: Kept, name: str) -> None:
    kept.put(50)
    kept_logits(kept.open(), kept.head)
    path = kept.open().path / name
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 5 + 1)
    kept.put(9)
    np.testing.assert_allclose(kept_logits(kept.open(), kept.head), kept.computed(), atol=1e-5)


def test_those_of_features_that_have_changed_meanwhile_are_not_kept(kept: Kept) -> None:
    kept.put(50)
    old = kept.open()
    wanted = kept.computed()
    kept.put(60, anew=True)
    np.testing.assert_array_equal(kept_logits(old, kept.head), wanted)
    np.testing.assert_array_equal(kept_logits(kept.open(), kept.head), kept.computed())


@pytest.mark.skipif(sys.platform == "win32", reason="folders there are not made read-only so")
def test_without_the_right_to_write_they_are_there_all_the_same(kept: Kept) -> None:
    kept.put(20)
    folder = kept.open()
    (folder.path / LOGITS).mkdir()  # fails for root too
    np.testing.assert_array_equal(kept_logits(folder, kept.head), kept.computed())


def _never(*args: object) -> None:
    raise AssertionError("computed again")
