from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from muse_core.pretrain.losses import Centre, DinoHead, Sinkhorn, dino_loss, nulo_loss
from muse_core.pretrain.matching import NucleusPairs, match_views

TEMPERATURE = 0.1


def _softmax(values: list[float]) -> list[float]:
    top = max(values)
    powers = [math.exp(v - top) for v in values]
    return [p / sum(powers) for p in powers]


def _cross_entropy(target: list[float], output: list[float], temperature: float) -> float:
    probs = _softmax([v / temperature for v in output])
    return -sum(t * math.log(p) for t, p in zip(target, probs, strict=True))


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _pairs(pairs: NucleusPairs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        torch.from_numpy(pairs.teacher),
        torch.from_numpy(pairs.student),
        torch.from_numpy(pairs.pair),
        torch.from_numpy(pairs.pair_size),
    )


def test_centre_sharpens_as_worked_by_hand() -> None:
    centre = Centre(2, momentum=0.9).double()
    centre.mean.copy_(torch.tensor([1.0, 0.0]))
    probs = centre.sharpen(torch.tensor([[1.0, math.log(3.0)]], dtype=torch.float64), 1.0)
    torch.testing.assert_close(probs, torch.tensor([[0.25, 0.75]], dtype=torch.float64))
    sharper = centre.sharpen(torch.tensor([[1.0, math.log(3.0)]], dtype=torch.float64), 0.5)
    torch.testing.assert_close(sharper, torch.tensor([[0.1, 0.9]], dtype=torch.float64))


def test_centre_moves_by_its_momentum_and_stays_where_nothing_was_seen() -> None:
    centre = Centre(2, momentum=0.9)
    centre.update(torch.tensor([20.0, 40.0]), torch.tensor(2))
    torch.testing.assert_close(centre.mean, torch.tensor([1.0, 2.0]))
    centre.update(torch.zeros(2), torch.tensor(0))
    torch.testing.assert_close(centre.mean, torch.tensor([1.0, 2.0]))


def test_dino_loss_equals_the_sum_written_out() -> None:
    outputs, student = _random(2, 3, 5), _random(4, 3, 5, seed=1)
    targets = (outputs / 0.04).softmax(-1)
    terms = [
        _cross_entropy(targets[t, b].tolist(), student[s, b].tolist(), TEMPERATURE)
        for t in range(2)
        for s in range(4)
        for b in range(3)
        if s != t
    ]
    got = dino_loss(targets, student, TEMPERATURE)
    assert float(got) == pytest.approx(sum(terms) / len(terms), rel=1e-12)


def test_dino_loss_by_hand_is_log_two_for_an_undecided_student() -> None:
    targets = torch.tensor([[[0.5, 0.5]]], dtype=torch.float64)
    student = torch.zeros(2, 1, 2, dtype=torch.float64)
    assert float(dino_loss(targets, student, TEMPERATURE)) == pytest.approx(math.log(2), rel=1e-12)


def test_nulo_loss_averages_within_pairs_before_it_averages_pairs() -> None:
    targets = _random(4, 6).softmax(-1)
    student = _random(4, 6, seed=1)
    pair, size = torch.tensor([0, 0, 0, 1]), torch.tensor([3, 1])
    each = [_cross_entropy(targets[i].tolist(), student[i].tolist(), TEMPERATURE) for i in range(4)]
    expected = (sum(each[:3]) / 3 + each[3]) / 2
    got = nulo_loss(targets, student, pair, size, 2, TEMPERATURE)
    assert float(got) == pytest.approx(expected, rel=1e-12)


def test_with_each_nucleus_a_pair_nulo_loss_is_the_mean_over_nuclei() -> None:
    targets = _random(4, 6).softmax(-1)
    student = _random(4, 6, seed=1)
    each = [_cross_entropy(targets[i].tolist(), student[i].tolist(), TEMPERATURE) for i in range(4)]
    got = nulo_loss(targets, student, torch.arange(4), torch.ones(4), 4, TEMPERATURE)
    assert float(got) == pytest.approx(sum(each) / 4, rel=1e-12)


@torch.no_grad()
def test_cosines_are_exact_where_all_else_is_bfloat16() -> None:
    torch.manual_seed(0)
    head = DinoHead(16, 64, hidden_channels=32, bottleneck_channels=8)
    features = torch.randn(10, 16)
    with torch.autocast("cpu", torch.bfloat16):
        bottleneck = head.mlp(features)
        cosines = head(features)
    assert bottleneck.dtype == torch.bfloat16
    assert cosines.dtype == torch.float32
    rows = bottleneck.double() / bottleneck.double().norm(dim=1, keepdim=True)
    prototypes = head.prototypes.double()
    expected = rows @ (prototypes / prototypes.norm(dim=1, keepdim=True)).T
    torch.testing.assert_close(cosines.double(), expected, rtol=0, atol=1e-6)


def test_nulo_loss_of_two_processes_averages_to_that_of_all_pairs() -> None:
    targets, student = _random(5, 6).softmax(-1), _random(5, 6, seed=1)
    pair, size = torch.tensor([0, 1, 1, 2, 2]), torch.tensor([1, 2, 2])
    together = nulo_loss(targets, student, pair, size, 3, TEMPERATURE)
    first = nulo_loss(targets[:1], student[:1], pair[:1], size[:1], 1.5, TEMPERATURE)
    second = nulo_loss(targets[1:], student[1:], pair[1:] - 1, size[1:], 1.5, TEMPERATURE)
    torch.testing.assert_close((first + second) / 2, together)


@pytest.mark.parametrize("n_matched", [0, 1])
def test_nulo_loss_of_no_or_one_matched_nucleus(n_matched: int) -> None:
    student = _random(n_matched, 4).requires_grad_()
    targets = _random(n_matched, 4, seed=1).softmax(-1)
    pair = torch.zeros(n_matched, dtype=torch.int64)
    size = torch.ones(n_matched, dtype=torch.int64)
    loss = nulo_loss(targets, student, pair, size, n_matched, TEMPERATURE)
    loss.backward()
    assert student.grad is not None
    if n_matched:
        expected = _cross_entropy(targets[0].tolist(), student[0].tolist(), TEMPERATURE)
        assert float(loss.detach()) == pytest.approx(expected, rel=1e-12)
    else:
        assert float(loss.detach()) == 0


def test_no_gradient_reaches_the_teacher() -> None:
    teacher, student = _random(2, 3, 5).requires_grad_(), _random(3, 3, 5, seed=1).requires_grad_()
    targets = Centre(5, 0.9).double().sharpen(teacher, 0.04)
    dino_loss(targets, student, TEMPERATURE).backward()
    assert teacher.grad is None
    assert student.grad is not None
    rows = torch.zeros(3, dtype=torch.int64)
    raw = teacher.softmax(-1)[0]
    nulo_loss(raw, student[0], rows, torch.tensor([3]), 1, TEMPERATURE).backward()
    assert teacher.grad is None, "not even where the caller forgot to detach"


def test_nulo_loss_does_not_depend_on_the_order_of_nuclei() -> None:
    rng = np.random.default_rng(0)
    ids = [[np.array([4, 7, 9])], [np.array([9, 1, 4])], [np.array([7])]]
    outputs = {(v, int(i)): _random(6, seed=10 * v + int(i)) for v in range(3) for i in ids[v][0]}

    def loss(order: list[list[np.ndarray]]) -> float:
        rows = torch.stack([outputs[v, int(i)] for v in range(3) for i in order[v][0]])
        teacher, student, pair, size = _pairs(match_views(order, 2, 10, [rng]))
        targets = (rows / 0.04).softmax(-1)[teacher]
        return float(nulo_loss(targets, rows[student], pair, size, len(size), TEMPERATURE))

    shuffled = [[rng.permutation(v[0])] for v in ids]
    assert loss(shuffled) == pytest.approx(loss(ids), rel=1e-12)


def test_matches_equal_those_of_a_plain_search() -> None:
    rng = np.random.default_rng(3)
    views = [[rng.choice(20, 8, replace=False) for _ in range(3)] for _ in range(4)]
    found = match_views(views, 2, 100, [rng] * 3)
    flat = [
        (v, b, int(i)) for v, view in enumerate(views) for b, ids in enumerate(view) for i in ids
    ]
    got = {
        (flat[t], flat[s])
        for t, s in zip(found.teacher.tolist(), found.student.tolist(), strict=True)
    }
    expected = {
        (one, other)
        for one in flat
        for other in flat
        if one[0] < 2 and one[0] != other[0] and one[1:] == other[1:]
    }
    assert got == expected
    assert found.pair_size.sum() == len(expected)
    np.testing.assert_array_equal(np.bincount(found.pair), found.pair_size)


def test_matches_of_a_pair_are_capped() -> None:
    ids = np.arange(50)
    found = match_views([[ids], [ids]], 1, 7, [np.random.default_rng(0)])
    assert found.pair_size.tolist() == [7]
    np.testing.assert_array_equal(found.teacher + 50, found.student)


def test_head_gives_cosines_to_unit_prototypes() -> None:
    head = DinoHead(4, 3, hidden_channels=5, bottleneck_channels=2).double()
    features = _random(6, 4)
    bottleneck = head.mlp(features).detach().numpy()
    prototypes = head.prototypes.detach().numpy()
    expected = [
        [float(z @ p / np.linalg.norm(z) / np.linalg.norm(p)) for p in prototypes]
        for z in bottleneck
    ]
    np.testing.assert_allclose(head(features).detach().numpy(), expected, rtol=1e-9)
    assert head(features[:0]).shape == (0, 3)


def test_normalised_head_sees_what_differs_between_rows() -> None:
    """Features of an untrained network are nearly collinear; batch norm removes their mean."""
    torch.manual_seed(0)
    features = 100 + _random(64, 8)
    plain, normed = (DinoHead(8, 16, 32, 8, batch_norm=on).double() for on in (False, True))
    spread = [head(features).std(dim=0).mean().item() for head in (plain, normed)]
    assert spread[1] > 10 * spread[0]


@pytest.mark.parametrize("rows", [0, 1])
def test_normalised_head_takes_rows_too_few_for_statistics(rows: int) -> None:
    head = DinoHead(4, 3, hidden_channels=5, bottleneck_channels=2, batch_norm=True)
    before = {name: value.clone() for name, value in head.named_buffers()}
    outputs = head(torch.ones(rows, 4, requires_grad=True))
    outputs.sum().backward()
    assert outputs.shape == (rows, 3)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
    assert all(torch.equal(before[name], value) for name, value in head.named_buffers())


def test_sinkhorn_is_its_matrix_scaling() -> None:
    cosines = torch.tanh(_random(5, 3))
    expected = np.exp(cosines.numpy() / 0.5)
    for _ in range(3):
        for k in range(3):
            expected[:, k] /= sum(expected[r, k] for r in range(5))
        for r in range(5):
            expected[r] /= sum(expected[r])
    got = Sinkhorn(lambda value: value).sharpen(cosines, 0.5)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10)


def test_sinkhorn_uses_all_prototypes_although_one_is_nearest_to_all() -> None:
    cosines = 0.05 * torch.tanh(_random(400, 4)) + torch.tensor([0.9, 0.0, 0.0, 0.0])
    probs = Sinkhorn(lambda value: value).sharpen(cosines.float(), 0.04)
    torch.testing.assert_close(probs.sum(dim=1), torch.ones(400))
    assert (probs.mean(dim=0) - 0.25).abs().max() < 0.02


def test_sinkhorn_of_no_rows_is_no_rows() -> None:
    assert Sinkhorn(lambda value: value).sharpen(torch.zeros(0, 4), 0.04).shape == (0, 4)
