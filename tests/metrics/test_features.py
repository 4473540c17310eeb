"""Metrics on features against scikit-learn, published formulas written out, and cases known by hand."""
import logging

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.svm import LinearSVC

from comod_core import CoModError, metrics
from comod_core.metrics import kernel


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(120, 8))
    return real.astype(np.float32), (0.7 * real + 0.6 * rng.normal(size=(120, 8)) + 0.2).astype(np.float32)


def hinge_by_newton(rows, sign):
    """Weights that minimise |w|^2 / 2 + sum of squared hinge, the offset penalised like a weight (liblinear's)."""
    x, w = np.c_[rows, np.ones(len(rows))], np.zeros(rows.shape[1] + 1)
    for _ in range(50):
        short = np.maximum(1 - sign * (x @ w), 0)
        active = x[short > 0]
        w -= np.linalg.solve(np.eye(len(w)) + 2 * active.T @ active, w - 2 * x.T @ (sign * short))
    return w


def test_pids_and_uids_are_the_published_protocol(features):
    real, fake = (x.astype(np.float64) for x in features)
    rows, labels = np.r_[real, fake], np.r_[np.ones(120), np.zeros(120)]
    svm = LinearSVC(dual=False).fit(rows, labels)
    assert metrics.uids(real, fake) == pytest.approx(1 - svm.score(rows, labels), abs=1e-12)
    assert metrics.pids(real, fake) == np.mean(svm.decision_function(fake) > svm.decision_function(real))
    weights = hinge_by_newton(rows, 2 * labels - 1)
    side = np.c_[rows, np.ones(240)] @ weights
    assert metrics.uids(real, fake) == pytest.approx(np.mean((side > 0) != labels), abs=1e-12)
    assert metrics.pids(real, fake) == pytest.approx(np.mean(side[120:] > side[:120]), abs=1e-12)
    assert 0 < metrics.pids(real, fake) < metrics.uids(real, fake) < 0.5


def test_pids_and_uids_by_hand():
    real, fake = np.array([[1.0], [2.0], [-1.0]]), np.array([[-1.0], [-2.0], [1.0]])    # one pair the wrong way round
    assert metrics.uids(real, fake) == pytest.approx(1 / 3) and metrics.pids(real, fake) == pytest.approx(1 / 3)
    apart = np.arange(6.0).reshape(6, 1)
    assert metrics.discriminative_scores(apart + 100, apart) == (0, 0)
    assert metrics.pids(apart, apart) == 0 and metrics.uids(apart, apart) == pytest.approx(0.5)


def test_few_pairs_are_warned_of_and_many_are_not(features, caplog):
    with caplog.at_level(logging.WARNING, "comod"):
        metrics.pids(*features)
        assert "120 pairs" in caplog.text and "10,000" in caplog.text
        caplog.clear()
        metrics.uids(np.repeat(features[0], 84, axis=0), np.repeat(features[1], 84, axis=0))
        assert not caplog.text


def test_order_of_pairs_matters_to_pids_alone(features):
    real, fake = features
    assert metrics.uids(real, fake[::-1]) == pytest.approx(metrics.uids(real, fake), abs=1e-9)
    assert metrics.pids(real, fake[::-1]) != metrics.pids(real, fake)


def squared_mmd(x, y):
    """Equation 3 of Gretton et al. 2012, term by term."""
    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    m = len(x)
    within = sum(k(x[i], x[j]) + k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within - 2 * sum(k(a, b) for a in x for b in y) / m ** 2


def test_kernel_distance_of_all_rows(features):
    real, fake = (x[:30].astype(np.float64) for x in features)
    assert metrics.kernel_distance(real, fake) == (pytest.approx(squared_mmd(real, fake), abs=1e-9), 0)


@pytest.mark.parametrize("most", [4096, 10])
def test_kernel_distance_over_subsets(features, monkeypatch, most):
    monkeypatch.setattr(kernel, "GRAM_ROWS", most)
    real, fake = (x.astype(np.float64) for x in features)
    rng, found = np.random.RandomState(7), []
    for _ in range(3):
        found.append(squared_mmd(real[rng.choice(120, 20, replace=False)], fake[rng.choice(120, 20, replace=False)]))
    mean, deviation = metrics.kernel_distance(real, fake, subsets=3, subset_size=20, seed=7)
    assert mean == pytest.approx(np.mean(found), abs=1e-9) and deviation == pytest.approx(np.std(found), abs=1e-9)


def test_kernel_distance_by_hand():
    x = np.array([[1.0], [-1.0]])       # k(1,1) = 8, k(1,-1) = 0
    assert metrics.kernel_distance(x, x)[0] == pytest.approx(0 - 2 * 4)


def test_neighbour_scores_are_the_published_formulas(features, monkeypatch):
    monkeypatch.setattr("comod_core.metrics.neighbours.ROWS", 50)       # several blocks, the last one smaller
    real, fake = features[0], features[1][:90]
    for k in (1, 3, 5):
        between = cdist(real, fake)
        real_ball, fake_ball = (np.sort(cdist(x, x), axis=1)[:, k] for x in (real, fake))
        inside = between <= real_ball[:, None]
        expected = (inside.any(0).mean(), (between <= fake_ball).any(1).mean(), inside.sum(0).mean() / k,
                    (between.min(1) <= real_ball).mean())
        found = metrics.precision_recall(real, fake, k) + metrics.density_coverage(real, fake, k)
        assert found == pytest.approx(expected, abs=1e-12)
        assert 0 < found[0] < 1 and 0 < found[3] < 1


def test_neighbour_scores_by_hand():
    real, fake = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [9.0], [9.5]])     # real balls: 1, 1, 2
    assert metrics.precision_recall(real, fake, k=1) == (pytest.approx(1 / 3), pytest.approx(3 / 3))
    assert metrics.density_coverage(real, fake, k=1) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_perceptual_distance_and_diversity():
    a, b, c = (np.array(v, float).reshape(1, 2, 1, 1) for v in ((3, 0), (0, 5), (2, 2)))
    assert metrics.perceptual_distance([a], [b]) == pytest.approx(2)            # unit vectors at a right angle
    assert metrics.perceptual_distance([a, a], [b, a]) == pytest.approx(2)      # layers are added
    wide = [np.concatenate([a, b], axis=3)], [np.concatenate([b, b], axis=3)]
    assert metrics.perceptual_distance(*wide) == pytest.approx(1)               # places are averaged
    half = 2 - np.sqrt(2)
    assert metrics.pairwise_diversity([np.concatenate([a, b, c])]) == pytest.approx((2 + half + half) / 3)


@pytest.mark.parametrize("call, words", [
    (lambda x: metrics.pids(x, x[:-1]), "as many of both"),
    (lambda x: metrics.uids(x, x[:, :2]), "expected"),
    (lambda x: metrics.kernel_distance(x[:1], x), "at least 2"),
    (lambda x: metrics.precision_recall(x[:3], x, k=3), "at least 4"),
    (lambda x: metrics.density_coverage(x, x, k=0), "at least 1"),
    (lambda x: metrics.pids(x, np.where(x > 1, np.nan, x)), "NaN"),
    (lambda x: metrics.pairwise_diversity([np.zeros((1, 2, 3, 3))]), "at least 2"),
    (lambda x: metrics.perceptual_distance([np.zeros((1, 2, 3, 3))], [np.zeros((2, 2, 3, 3))]), "same"),
])
def test_bad_features_are_named(features, call, words):
    with pytest.raises(CoModError, match=words):
        call(features[0])
