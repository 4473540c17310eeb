"""Pixel metrics: how close completions are to what was there. One number a picture, on uint8 pictures [N,C,H,W]."""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import CoModError

IDENTICAL_DB = 100.0    # PSNR of equal pictures, so that means stay finite
WINDOW, SIGMA = 11, 1.5


def l1(real: np.ndarray, fake: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Mean absolute difference of 0..255, float64 [N]; with a mask [N,1,H,W], 1 = hole, over the hole alone.

    NaN for a picture whose mask is empty. Raises CoModError for other shapes or types.
    """
    real, fake = _check(real, fake)
    gap = np.abs(real - fake).mean(axis=1)
    if mask is None:
        return gap.mean(axis=(1, 2))
    hole = np.asarray(mask, np.float64)
    if hole.shape != (len(real), 1, *real.shape[2:]):
        raise CoModError(f"l1: masks {hole.shape} for pictures {real.shape}; expected [N,1,H,W].")
    area = hole.sum(axis=(1, 2, 3))
    return np.where(area > 0, (gap * hole[:, 0]).sum(axis=(1, 2)) / np.maximum(area, 1), np.nan)


def psnr(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB, 10 log10(255^2 / MSE) over all pixels and channels; float64 [N].

    Equal pictures get IDENTICAL_DB. Raises CoModError for other shapes or types.
    """
    real, fake = _check(real, fake)
    error = np.square(real - fake).mean(axis=(1, 2, 3))
    return np.where(error > 0, 10 * np.log10(255 ** 2 / np.maximum(error, 1e-12)), IDENTICAL_DB)


def ssim(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Structural similarity, mean over places and channels; float64 [N], 1 for equal pictures.

    Wang et al. 2004: Gaussian window of 11 pixels and deviation 1.5, K1 0.01, K2 0.03, population variances, only
    places where the whole window lies in the picture. Raises CoModError for pictures below 11x11, other shapes, types.
    """
    real, fake = _check(real, fake)
    if min(real.shape[2:]) < WINDOW:
        raise CoModError(f"ssim: pictures of {real.shape[3]}x{real.shape[2]}; its window needs {WINDOW} pixels a side.")
    return np.array([_ssim(*pair) for pair in zip(real, fake, strict=True)])


def _ssim(real: np.ndarray, fake: np.ndarray) -> float:
    """Of one picture [C,H,W], Equation 13."""
    x, y = (torch.from_numpy(picture)[:, None] for picture in (real, fake))
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x ** 2, _blur(y * y) - mean_y ** 2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float((index / ((mean_x ** 2 + mean_y ** 2 + c1) * (var_x + var_y + c2))).mean())


def _blur(planes: torch.Tensor) -> torch.Tensor:
    """[C,1,H,W] through the Gaussian window, valid places only."""
    place = torch.arange(WINDOW, dtype=planes.dtype) - WINDOW // 2
    window = torch.exp(-place ** 2 / (2 * SIGMA ** 2))
    window /= window.sum()
    return F.conv2d(F.conv2d(planes, window.reshape(1, 1, -1, 1)), window.reshape(1, 1, 1, -1))


def _check(real: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    real, fake = np.asarray(real), np.asarray(fake)
    if real.dtype != np.uint8 or fake.dtype != np.uint8 or real.ndim != 4 or real.shape != fake.shape or not real.size:
        raise CoModError(f"pictures {real.dtype} {real.shape} and {fake.dtype} {fake.shape}; expected uint8 [N,C,H,W], "
                         "both of one shape.")
    return real.astype(np.float64), fake.astype(np.float64)
