"""The Frechet distance against the formula with a matrix square root, and against a case known by hand."""
import numpy as np
import pytest
from scipy import linalg

from comod_core import CoModError
from comod_core.metrics import frechet_distance


@pytest.mark.parametrize("n,m", [(200, 150), (40, 300)])
def test_it_is_the_published_formula(n, m):
    rng = np.random.default_rng(0)
    mixer = rng.normal(size=(16, 16))
    real, fake = rng.normal(size=(n, 16)) @ mixer, rng.normal(size=(m, 16)) + 0.5
    c, d = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    gap = real.mean(0) - fake.mean(0)
    expected = gap @ gap + np.trace(c + d - 2 * linalg.sqrtm(c @ d).real)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-6)


def test_by_hand():
    x = np.array([[-1.0], [1.0]])            # variance 2
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(x, x + 3) == pytest.approx(9)
    assert frechet_distance(x, 2 * x) == pytest.approx(2 + 8 - 2 * 4)


def test_bad_features():
    with pytest.raises(CoModError, match="features"):
        frechet_distance(np.zeros((5, 3)), np.zeros((5, 4)))
    with pytest.raises(CoModError, match="features"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
