"""Pixel metrics against formulas written out with scipy, and cases known by hand."""
import numpy as np
import pytest
from scipy.ndimage import correlate

from comod_core import CoModError, metrics
from comod_core.metrics.pixels import IDENTICAL_DB


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (3, 3, 20, 24), np.uint8)
    return real, np.clip(real + rng.normal(0, [[[[5]]], [[[20]]], [[[60]]]], real.shape), 0, 255).astype(np.uint8)


def reference_ssim(x, y):
    """One channel [H,W], by the two-dimensional window of Wang et al. 2004."""
    place = np.arange(11) - 5
    window = np.exp(-(place[:, None] ** 2 + place ** 2) / (2 * 1.5 ** 2))
    window /= window.sum()

    def mean(z):
        return correlate(z, window)[5:-5, 5:-5]

    x, y = x.astype(float), y.astype(float)
    mx, my, c1, c2 = mean(x), mean(y), 2.55 ** 2, 7.65 ** 2
    vx, vy, cov = mean(x * x) - mx ** 2, mean(y * y) - my ** 2, mean(x * y) - mx * my
    return np.mean((2 * mx * my + c1) * (2 * cov + c2) / ((mx ** 2 + my ** 2 + c1) * (vx + vy + c2)))


def test_ssim_is_the_published_formula(pictures):
    expected = [np.mean([reference_ssim(x, y) for x, y in zip(a, b, strict=True)])
                for a, b in zip(*pictures, strict=True)]
    assert metrics.ssim(*pictures) == pytest.approx(expected, abs=1e-9)
    assert metrics.ssim(pictures[0], pictures[0]) == pytest.approx(1)
    assert (np.diff(metrics.ssim(*pictures)) < 0).all(), "more noise is less similar"


def test_psnr_and_l1_by_hand():
    black, grey = np.zeros((1, 3, 12, 12), np.uint8), np.full((1, 3, 12, 12), 51, np.uint8)
    assert metrics.psnr(black, grey) == pytest.approx(20 * np.log10(5))
    assert metrics.psnr(grey, grey) == IDENTICAL_DB
    assert metrics.l1(black, grey) == pytest.approx(51) and metrics.l1(grey, black) == pytest.approx(51)
    half = grey.copy()
    half[..., :6] = 0
    mask = np.zeros((1, 1, 12, 12))
    mask[..., 4:8] = 1
    assert metrics.l1(black, half) == pytest.approx(25.5) and metrics.l1(black, half, mask) == pytest.approx(25.5)
    mask[..., :6] = 0
    assert metrics.l1(black, half, mask) == pytest.approx(51)
    assert np.isnan(metrics.l1(black, half, mask * 0)).all()


@pytest.mark.parametrize("call, words", [
    (lambda x: metrics.psnr(x, x[:, :, :5]), "one shape"),
    (lambda x: metrics.l1(x.astype(float), x), "uint8"),
    (lambda x: metrics.ssim(x[..., :8], x[..., :8]), "11 pixels"),
    (lambda x: metrics.l1(x, x, np.zeros((1, 1, 20, 24))), "masks"),
])
def test_bad_pictures_are_named(pictures, call, words):
    with pytest.raises(CoModError, match=words):
        call(pictures[0])
