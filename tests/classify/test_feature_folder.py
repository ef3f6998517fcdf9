from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.classify.feature_file import read_features, write_features
from muse_core.classify.feature_folder import (
    FeatureFacts,
    append_features,
    features_beside,
    find_features,
    folder_of_model,
    open_features,
)
from muse_core.classify.places import rows_at
from muse_core.errors import UserError
from muse_core.nuclei import empty_table
from muse_core.nuclei.store import SlideIdentity

SLIDE = SlideIdentity("a.svs", 123, "f" * 64)
FACTS = FeatureFacts("small", "ab" * 32, ("lymphocyte", "tumor"), 4, 123, "f" * 64, 0.5)


def _put(root: Path, n: int, facts: FeatureFacts = FACTS, first: int = 0) -> np.ndarray:
    rng = np.random.default_rng(first)
    features = rng.standard_normal((n, facts.channels)).astype(np.float16)
    xy = first + np.arange(2 * n).reshape(-1, 2)
    append_features(root, facts, xy, features, np.arange(n) % 2)
    return features


def test_what_was_put_in_is_found(tmp_path: Path) -> None:
    root = features_beside(tmp_path / "a.svs.muse")
    one, two = _put(root, 5), _put(root, 3, first=100)
    found = find_features(root, SLIDE)
    np.testing.assert_array_equal(found.features[:], np.concatenate([one, two]))
    assert found.places[5].tolist() == [100, 101]
    assert found.classes.tolist() == [0, 1, 0, 1, 0, 0, 1, 0]
    assert found.facts == FACTS
    assert not found.notes


@pytest.mark.parametrize("name", ["features.f16", "places.f64", "classes.u8"])
def test_rows_that_were_cut_off_are_passed_over_and_written_over(tmp_path: Path, name: str) -> None:
    root = tmp_path / "a.features"
    one = _put(root, 5)
    path = folder_of_model(root, FACTS.model_sha256) / name
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 5 + 1)
    found = find_features(root, SLIDE)
    assert len(found) < 5
    np.testing.assert_array_equal(found.features[:], one[: len(found)])
    assert "was cut short" in found.notes[0]
    two = _put(root, 2, first=50)
    again = find_features(root, SLIDE)
    np.testing.assert_array_equal(again.features[-2:], two)
    assert not again.notes


def test_of_several_models_the_wanted_one_or_the_largest(tmp_path: Path) -> None:
    root = tmp_path / "a.features"
    other = replace(FACTS, model="other", model_sha256="cd" * 32)
    _put(root, 3)
    _put(root, 7, other)
    assert find_features(root, SLIDE).facts == other
    assert find_features(root, SLIDE, FACTS.model_sha256).facts == FACTS
    with pytest.raises(UserError, match=r"are of another model, (small|other)"):
        find_features(root, SLIDE, "ef" * 32)


def test_features_of_another_slide_are_refused(tmp_path: Path) -> None:
    _put(tmp_path / "a.features", 3)
    with pytest.raises(UserError, match=r"are of another slide than b\.svs"):
        find_features(tmp_path / "a.features", replace(SLIDE, name="b.svs", size_bytes=9))
    assert find_features(tmp_path / "a.features", replace(SLIDE, name="renamed.svs")).facts == FACTS


def test_other_facts_begin_the_folder_anew(tmp_path: Path) -> None:
    root = tmp_path / "a.features"
    _put(root, 3)
    _put(root, 2, replace(FACTS, mpp=0.25))
    assert len(find_features(root, SLIDE)) == 2


def test_the_two_kinds_of_folders_are_told_from_each_other(tmp_path: Path) -> None:
    kept, exported = tmp_path / "a.features", tmp_path / "b.features"
    _put(kept, 3)
    with pytest.raises(UserError, match=r"detection keeps for relearning; .* muse features has"):
        read_features(kept)
    write_features(exported, empty_table(), 4, [], {})
    with pytest.raises(UserError, match=r"^b\.features was written by muse features; those"):
        find_features(exported, SLIDE)


def test_none_are_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There are no features in a\.features"):
        find_features(tmp_path / "a.features", SLIDE)
    (tmp_path / "a.features").mkdir()
    with pytest.raises(UserError, match=r"There are no features in a\.features"):
        find_features(tmp_path / "a.features", SLIDE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 1}',
        "{" * 5000,
        json.dumps({"format": 1, "model": "m", "model_sha256": "s", "class_names": ["a"],
                    "channels": -4, "slide_size_bytes": 1, "slide_fingerprint": "", "mpp": 1}),
        json.dumps({"format": 1, "model": 3, "model_sha256": "s", "class_names": ["a"],
                    "channels": 4, "slide_size_bytes": 1, "slide_fingerprint": "", "mpp": 1}),
        json.dumps({"format": 1, "model": "m", "model_sha256": "s", "class_names": "ab",
                    "channels": 4, "slide_size_bytes": 1, "slide_fingerprint": "", "mpp": 1}),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_one_sentence(tmp_path: Path, text: str) -> None:
    root = tmp_path / "a.features"
    _put(root, 3)
    (folder_of_model(root, FACTS.model_sha256) / "about.json").write_text(text)
    with pytest.raises(UserError, match=r"The features in a\.features are damaged"):
        find_features(root, SLIDE)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    root = tmp_path / "a.features"
    _put(root, 3)
    (folder_of_model(root, FACTS.model_sha256) / "features.f16").unlink()
    with pytest.raises(UserError, match=r"holds no features yet"):
        find_features(root, SLIDE)


def test_nothing_is_written_where_shapes_differ(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not of the same nuclei"):
        append_features(tmp_path / "x", FACTS, np.zeros((2, 2)), np.zeros((2, 3), np.float16))
    assert not (tmp_path / "x").exists()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(0, 999))
def test_each_nucleus_finds_its_row(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.permutation(40_000)[:n]
    xy = np.stack([places // 200, places % 200], axis=1) * 3.0 + rng.uniform(0, 1, (n, 2))
    order = rng.permutation(n)
    np.testing.assert_array_equal(rows_at(xy, xy[order]), order)
    np.testing.assert_array_equal(rows_at(xy, xy[order].round(3)), order)
    np.testing.assert_array_equal(rows_at(xy, xy[order] + 0.1), order)
    assert (rows_at(xy, xy[order] + [0.0, -5000.0]) == -1).all()


def test_the_last_row_of_a_place_counts() -> None:
    xy = np.array([[1.0, 1], [2, 2], [1, 1]])
    assert rows_at(xy, xy[:2]).tolist() == [2, 1]
    assert rows_at(np.zeros((0, 2)), xy).tolist() == [-1, -1, -1]


def test_open_without_rows_is_a_sentence(tmp_path: Path) -> None:
    root = tmp_path / "a.features"
    append_features(root, FACTS, np.zeros((0, 2)), np.zeros((0, 4), np.float16))
    with pytest.raises(UserError, match="holds no features yet"):
        open_features(folder_of_model(root, FACTS.model_sha256))


def test_who_has_opened_features_reads_on_while_they_are_begun_anew(tmp_path: Path) -> None:
    root = tmp_path / "a.features"
    one = _put(root, 5)
    before = find_features(root, SLIDE)
    append_features(root, FACTS, [[1, 2]], np.ones((1, 4)), np.array([0]), anew=True)
    np.testing.assert_array_equal(before.features[:], one)
    assert len(find_features(root, SLIDE)) == 1
    del before
    names = {path.name for path in folder_of_model(root, FACTS.model_sha256).iterdir()}
    assert names == {"about.json", "classes.u8", "features.f16", "places.f64"}


def test_features_that_are_cut_short_while_open_give_a_sentence(tmp_path: Path) -> None:
    root = tmp_path / "a.features"
    _put(root, 50_000)
    found = find_features(root, SLIDE)
    (folder_of_model(root, FACTS.model_sha256) / "features.f16").write_bytes(b"")
    with pytest.raises(UserError, match=r"a\.features has been cut short while it was open"):
        found.features[:]
    assert found.places[-1].tolist() == [99_998, 99_999]
    assert found.classes[-1] == 1
