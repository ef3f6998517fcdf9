from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from muse_core.classify.class_head import NumpyClassHead, read_class_head
from muse_core.classify.feature_folder import (
    FeatureFacts,
    append_features,
    features_beside,
    folder_of_model,
)
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.whole import relearn, summary
from muse_core.errors import UserError
from muse_core.files import sha256_of
from muse_core.models.registry import resolve_model
from muse_core.nuclei import ClassScheme, NucleusClass, Status, nucleus_table
from muse_core.nuclei.store import AnnotationStore, SlideIdentity

from ...cli.running import run

N = 800


@dataclass
class Slide:
    """A store of nuclei with features, and their true classes."""

    store: AnnotationStore
    ids: npt.NDArray[np.int64]
    true: list[str]
    head: NumpyClassHead
    facts: FeatureFacts

    @property
    def root(self) -> Path:
        return features_beside(self.store.path)

    def names(self) -> list[str]:
        names: list[str] = self.store.nuclei()["class_name"].tolist()
        return names

    def correct(self, which: npt.ArrayLike) -> None:
        for i in np.asarray(which).tolist():
            self.store.set_class([self.ids[i]], self.true[i])


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[Slide]:
    """Nuclei that the bundled model has classified; it does not know one of their kinds."""
    path = resolve_model(None)
    head = read_class_head(path)
    rng = np.random.default_rng(0)
    kind = rng.standard_normal(N) > 0
    drawn = rng.standard_normal((N, head.n_features))
    drawn[:, :40] += 2.0 * kind[:, None]
    features = drawn.astype(np.float16)
    given = head.logits(features).argmax(axis=1)
    names = head.class_names
    true = [names[0] if k else names[g] for g, k in zip(given, kind, strict=True)]
    xy = rng.permutation(N)[:, None] * [3.0, 5.0] + [7.25, 9.5]
    identity = SlideIdentity("a.svs", 99, "e" * 64)
    facts = FeatureFacts(head.card.name, sha256_of(path), names, head.n_features, 99, "e" * 64, 0.5)
    table = nucleus_table(xy[:, 0], xy[:, 1], [names[g] for g in given], 0.9, model=head.card.name)
    with AnnotationStore.create(
        tmp_path / "a.svs.muse", identity, ClassScheme.from_json(head.card.classes)
    ) as store:
        append_features(features_beside(store.path), facts, xy, features, given)
        yield Slide(store, store.insert(table), true, head, facts)


def test_without_corrections_nothing_changes(slide: Slide) -> None:
    before = slide.names()
    done = relearn(slide.store)
    assert done.changed == 0
    assert done.examples == 0
    assert slide.names() == before
    assert summary(done) == "Nothing is corrected yet: 0 nuclei got the model's own class."


@pytest.mark.parametrize("method", ["logistic", "knn"])
def test_corrections_reach_the_others_and_stay_themselves(slide: Slide, method: str) -> None:
    before = slide.names()
    slide.correct(range(60))
    slide.store.delete([slide.ids[700]])
    done = relearn(slide.store, config=RelearnConfig(method=method))
    after = slide.store.nuclei(with_deleted=True)
    assert after["class_name"].tolist()[:60] == slide.true[:60]
    assert set(after["status"][:60]) <= {"corrected", "confirmed"}
    assert after["status"][700] == "deleted"
    right = [
        np.mean(np.array(n)[60:] == np.array(slide.true)[60:])
        for n in (before, after["class_name"])
    ]
    assert right[1] > right[0] + (0.05 if method == "logistic" else 0.0)
    assert done.examples == 60
    assert done.nuclei == N - 1
    assert done.changed == sum(done.moved.values()) > 0
    assert list(done.moved.values()) == sorted(done.moved.values(), reverse=True)
    assert done.agreement is not None
    assert summary(done).startswith(f"Learnt from 60 nuclei; {done.changed} others changed class.")


def test_undo_takes_all_of_it_back_at_once_and_redo_brings_it_again(slide: Slide) -> None:
    slide.correct(range(40))
    before = slide.names()
    relearn(slide.store)
    after = slide.names()
    assert after != before
    slide.store.undo()
    assert slide.names() == before
    slide.store.redo()
    assert slide.names() == after


def test_a_second_time_with_the_same_corrections_changes_nothing(slide: Slide) -> None:
    slide.correct(range(40))
    relearn(slide.store)
    assert relearn(slide.store).changed == 0


def test_a_reviewed_field_is_learnt_from_and_left_alone(slide: Slide) -> None:
    slide.correct(range(30))
    table = slide.store.nuclei()
    order = table["x"].to_numpy().argsort()
    inside = order[:100]
    edge = float(table["x"].to_numpy()[order[100]]) - 0.1
    slide.store.add_region([(0, 0), (edge, 0), (edge, 9000), (0, 9000)], reviewed=True)
    before = np.array(slide.names())[inside]
    done = relearn(slide.store)
    assert done.examples == len({*range(30), *inside.tolist()})
    assert (np.array(slide.names())[inside] == before).all()
    assert (slide.store.rows()["status"][inside[inside >= 30]] == Status.PREDICTED).all()


def test_a_class_new_to_the_model_is_taught(slide: Slide) -> None:
    slide.store.add_class(NucleusClass("mitosis", "#ffffff", "9"))
    rows = np.arange(40)
    slide.correct(rows[10:])
    slide.store.set_class(slide.ids[:4], "mitosis")
    four = relearn(slide.store)
    assert "mitosis has 4 of the 5 examples that a class new to the model needs." in four.notes
    slide.store.set_class(slide.ids[:10], "mitosis")
    ten = relearn(slide.store)
    assert not any("mitosis" in note for note in ten.notes)
    assert ten.examples == 40


def test_added_and_moved_nuclei_have_no_features_and_stay(slide: Slide) -> None:
    slide.correct(range(30))
    slide.store.add(5000.0, 1.0, slide.true[0])
    slide.store.move([slide.ids[200]], [7000.0], [10.0])
    done = relearn(slide.store)
    assert "2 nuclei have no features and kept what was there." in done.notes
    assert done.examples == 30


def test_one_class_only_is_a_sentence_and_loses_nothing(slide: Slide) -> None:
    slide.store.set_class(slide.ids[:6], slide.true[0])
    revision = slide.store.revision
    with pytest.raises(UserError, match="All corrections so far are of class"):
        relearn(slide.store)
    assert slide.store.revision == revision


def test_features_of_another_model_or_of_one_that_is_gone(slide: Slide, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(resolve_model(None).read_bytes() + b" ")
    with pytest.raises(UserError, match="are of another model, "):
        relearn(slide.store, model=str(other))
    folder = folder_of_model(slide.root, slide.facts.model_sha256)
    about = folder / "about.json"
    about.write_text(about.read_text().replace(slide.facts.model_sha256, "0" * 64))
    with pytest.raises(UserError, match="which is not on this machine"):
        relearn(slide.store)


def test_a_cut_file_is_a_note_and_the_rest_is_learnt(slide: Slide) -> None:
    slide.correct(range(30))
    path = folder_of_model(slide.root, slide.facts.model_sha256) / "features.f16"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    done = relearn(slide.store)
    assert any("was cut short" in note for note in done.notes)
    assert done.nuclei == N // 2


def test_the_command_says_what_was_done(slide: Slide, capsys: pytest.CaptureFixture[str]) -> None:
    slide.correct(range(40))
    slide.store.close()
    assert run("relearn", slide.store.path) == 0
    assert "Learnt from 40 nuclei; " in capsys.readouterr().out
    assert run("relearn", slide.store.path, "--json", "--method", "knn") == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 40


def test_the_command_refuses_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with AnnotationStore.create(
        tmp_path / "b.muse", SlideIdentity("b", 1, "f"), ClassScheme.from_names(["a"])
    ):
        pass
    assert run("relearn", tmp_path / "b.muse") == 2
    said = "error: There are no features in b.muse.features: detect with features first.\n"
    assert capsys.readouterr().err == said


def test_the_package_is_the_function(slide: Slide) -> None:
    package: Any = importlib.import_module("muse_core.classify.relearn")
    assert package(slide.store).examples == 0


def test_the_command_writes_a_model_to_detect_with(slide: Slide, tmp_path: Path) -> None:
    slide.correct(range(40))
    slide.store.close()
    out = tmp_path / "mine.safetensors"
    assert run("relearn", slide.store.path, "--save-model", out) == 0
    assert read_class_head(out).card.parent == slide.head.card.name
