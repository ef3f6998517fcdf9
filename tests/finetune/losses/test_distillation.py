from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from scipy.special import rel_entr

from muse_core.finetune.config import LossConfig
from muse_core.finetune.losses.distillation import (
    TeacherAnswer,
    distillation_loss,
    teacher_answer,
)
from muse_core.models.checkpoint import load_model
from muse_core.models.heads import Proposals
from muse_core.models.muse_model import MuseModel

from ...job_inputs import write_model

CONFIG = LossConfig(nucleus=2.0, regression=0.5, classes=3.0, background=0.25)


@pytest.fixture
def teacher(tmp_path: Path) -> MuseModel:
    return load_model(write_model(tmp_path / "m.safetensors"))


def an_answer() -> TeacherAnswer:
    return TeacherAnswer(
        score=torch.tensor([[0.9, 0.1, 0.0]]),
        xy=torch.tensor([[[2.0, 2.0], [6.0, 2.0], [10.0, 2.0]]]),
        image=torch.tensor([0]),
        nucleus_xy=torch.tensor([[2.0, 2.0]]),
        class_probs=torch.tensor([[0.7, 0.3]]),
    )


def proposals_of(logit: torch.Tensor, xy: torch.Tensor) -> Proposals:
    return Proposals(torch.zeros(3, 2), xy, logit)


def test_it_is_zero_with_no_gradient_where_the_student_says_the_same() -> None:
    answer = dataclasses.replace(an_answer(), score=torch.tensor([[0.9, 0.1, 0.5]]))
    logit = answer.score.logit().requires_grad_()
    classes = answer.class_probs.log().requires_grad_()
    loss = distillation_loss(proposals_of(logit, answer.xy), classes, answer, CONFIG)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    for values in (logit, classes):
        assert values.grad is not None
        torch.testing.assert_close(values.grad, torch.zeros_like(values), atol=1e-6, rtol=0)


def test_each_part_is_what_the_formula_says() -> None:
    answer = an_answer()
    student = torch.tensor([[0.6, 0.2, 0.3]])
    xy = answer.xy + torch.tensor([4.0, 2.0])
    logits = torch.tensor([[1.0, -1.0]])
    loss = distillation_loss(proposals_of(student.logit(), xy), logits, answer, CONFIG)

    p, q = answer.score.double().numpy(), student.double().numpy()
    divergence = rel_entr(p, q) + rel_entr(1 - p, 1 - q)
    n = 1.0  # of at least one nucleus: 0.9 + 0.1
    nucleus = (divergence * (p + 0.25 * (1 - p))).sum() / n
    regression = (p * (1.0**2 + 0.5**2) / 2).sum() / n
    probs = logits.double().softmax(1).numpy()
    classes = rel_entr(answer.class_probs.double().numpy(), probs).sum()
    expected = 2.0 * nucleus + 0.5 * regression + 3.0 * classes
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_teacher_that_finds_nothing_teaches_background() -> None:
    answer = dataclasses.replace(
        an_answer(),
        score=torch.zeros(1, 3),
        image=torch.zeros(0, dtype=torch.long),
        nucleus_xy=torch.zeros(0, 2),
        class_probs=torch.zeros(0, 2),
    )
    logit = torch.zeros(1, 3, requires_grad=True)
    loss = distillation_loss(proposals_of(logit, answer.xy), torch.zeros(0, 2), answer, CONFIG)
    loss.backward()
    assert logit.grad is not None
    assert (logit.grad > 0).all()


def test_the_answer_is_what_the_teacher_predicts(teacher: MuseModel) -> None:
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        scores = teacher(image)[1].logit.sigmoid()
    threshold = float(scores.median())
    answer = teacher_answer(teacher, image, threshold)
    assert torch.equal(answer.score, scores)
    assert not answer.class_probs.requires_grad
    for b, expected in enumerate(teacher.predict(image, threshold)):
        found = answer.nucleus_xy[answer.image == b]
        order = found[:, 0].argsort()
        sought = torch.from_numpy(expected.xy)
        by_x = sought[:, 0].argsort()
        torch.testing.assert_close(found[order], sought[by_x])
        torch.testing.assert_close(
            answer.class_probs[answer.image == b][order],
            torch.from_numpy(expected.class_probs)[by_x],
        )
