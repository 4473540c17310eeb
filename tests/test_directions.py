"""Semantic directions: they find what differs, move along it, and say when there is nothing to find."""
from __future__ import annotations

import sys

import pytest
import torch

from comod_core.directions import Direction, learn, move
from comod_core.errors import CoModError


@pytest.fixture(scope="module")
def groups():
    """Positives are higher by 2 in the first channel of the left half, below noise of deviation 1."""
    g = torch.Generator().manual_seed(0)
    truth = torch.zeros(4, 8, 8)
    truth[0, :, :4] = 2
    return torch.randn(200, 4, 8, 8, generator=g) + truth, torch.randn(200, 4, 8, 8, generator=g), truth


@pytest.fixture(scope="module")
def direction(groups):
    return learn(*groups[:2])


def test_it_finds_what_differs(groups, direction):
    truth = groups[2] / groups[2].norm()
    assert direction.vector.shape == (4, 8, 8) and direction.vector.norm() == pytest.approx(1, abs=1e-5)
    assert (direction.vector * truth).sum() > 0.8
    assert direction.accuracy > 0.95


def test_one_is_the_way_between_the_groups(groups, direction):
    positives, negatives, _ = groups
    means = [(maps.mean(dim=0) * direction.vector).sum() for maps in (positives, negatives)]
    assert direction.gap == pytest.approx((means[0] - means[1]).item(), rel=1e-4)
    there = move(negatives, direction, 1)
    assert (there.mean(dim=0) * direction.vector).sum() == pytest.approx(means[0].item(), abs=1e-3)
    torch.testing.assert_close(move(there, direction, -1), negatives)
    assert torch.equal(move(negatives, direction, 0), negatives)


def test_under_a_mask_the_rest_stays(groups, direction):
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :9, :8] = 1  # touches two cells
    changed = move(groups[1], direction, 2, mask) != groups[1]
    assert changed.any(dim=(0, 1)).sum() == 2 and changed[:, 0, :2, 0].all()
    half = move(groups[1], direction, 2, mask / 2) - groups[1]
    torch.testing.assert_close(2 * half, move(groups[1], direction, 2, mask) - groups[1], rtol=1e-3, atol=1e-5)


def test_the_same_examples_give_the_same_direction(groups, direction):
    with torch.inference_mode():
        again = learn(*groups[:2])
    assert torch.equal(again.vector, direction.vector) and again.gap == direction.gap


def test_examples_that_do_not_differ_are_told_apart_by_chance_only():
    g = torch.Generator().manual_seed(1)
    found = learn(torch.randn(60, 2, 4, 4, generator=g), torch.randn(60, 2, 4, 4, generator=g))
    assert found.accuracy < 0.7


def test_few_examples():
    g = torch.Generator().manual_seed(1)
    a, b = torch.randn(1, 2, 4, 4, generator=g), torch.randn(3, 2, 4, 4, generator=g)
    assert learn(a, b).accuracy is None
    with pytest.raises(CoModError, match="look the same"):
        learn(a, a)


@pytest.mark.parametrize(("call", "words"), [
    (lambda a, d: learn(a, a[:, :3]), "two groups"), (lambda a, d: learn(a[:0], a), "two groups"),
    (lambda a, d: learn(a.flatten(1), a.flatten(1)), "two groups"),
    (lambda a, d: move(a[..., :4], d, 1), "does not fit"), (lambda a, d: move(a, d, float("inf")), "strength"),
    (lambda a, d: move(a, d, 1, torch.full((1, 1, 8, 8), 2.0)), "mask holds")])
def test_what_does_not_fit_is_refused(groups, direction, call, words):
    with pytest.raises(CoModError, match=words):
        call(groups[0], direction)


def test_without_scikit_learn_it_says_what_to_install(groups, direction, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(CoModError, match="pip install scikit-learn"):
        learn(*groups[:2])
    assert move(groups[1], Direction(direction.vector, 1.0), 1).shape == groups[1].shape
