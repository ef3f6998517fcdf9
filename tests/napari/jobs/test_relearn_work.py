"""Messages about the accuracy and changes of learning; no window is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import numpy as np
import pytest

from muse_core.classify.relearn.learner import LearningResult
from napari_muse.jobs.relearn_work import Learnt

NO_IDS = np.zeros(0, dtype=np.int64)


@pytest.fixture
def learnt() -> Learnt:
    def never(*_: object) -> NoReturn:
        pytest.fail("nothing is to be predicted")

    result = LearningResult(never, 12, None, None, ())  # type: ignore[arg-type]
    moved = np.array([[90, 1_200, 0], [3, 70, 7], [2, 1, 5]])
    changed = np.arange(1_213)
    return Learnt(result, ("a", "b", "c"), moved, changed, NO_IDS, 0, NO_IDS, ())


def test_moves_are_listed_most_first_and_no_class_moves_to_itself(learnt: Learnt) -> None:
    assert learnt.moves_text.split("\n") == ["1,200 a → b", "7 b → c", "3 b → a", "2 c → a"]
    assert replace(learnt, moved=np.diag([5, 6, 7])).moves_text == ""
    assert learnt.moved[0, 0] == 90, "they are looked at and not changed"


def test_agreement_is_said_where_it_could_be_measured(learnt: Learnt) -> None:
    assert learnt.sentence == "12 nuclei teach; 1,213 changed."
    measured = replace(learnt.result, agreement=0.914, agreement_before=0.5)
    assert replace(learnt, result=measured).sentence.endswith(
        "Agreement on corrections left out: 91%, the model alone 50%."
    )
    nothing = replace(learnt.result, n_examples=0)
    assert replace(learnt, result=nothing).sentence.startswith("Nothing is corrected yet")
