"""Kernel distance between two sets of features: KID (Binkowski et al., ICLR 2018)."""
from __future__ import annotations

import numpy as np

from .arrays import feature_arrays

GRAM_ROWS = 4096    # up to here all kernel values are kept (128 MiB a matrix) and subsets only choose among them


def kernel_distance(real: np.ndarray, fake: np.ndarray, subsets: int = 100, subset_size: int = 1000,
                    seed: int = 2020) -> tuple[float, float]:
    """Mean and standard deviation over subsets of the unbiased squared MMD with the kernel (x.y / D + 1)^3.

    real [N,D], fake [M,D]. Subsets are drawn without replacement from numpy's RandomState(seed), as torch-fidelity
    draws them; a subset has at most as many rows as the smaller set. Where it holds all rows, one is enough and the
    deviation is 0. Raises CoModError for features that do not fit.
    """
    real, fake = feature_arrays("kernel_distance", real, fake)
    n, m = len(real), len(fake)
    size = min(subset_size, n, m)
    if size == n == m:
        return _squared_mmd(_kernel(real, real), _kernel(fake, fake), _kernel(real, fake)), 0.0
    keep = max(n, m) <= GRAM_ROWS
    grams = (_kernel(real, real), _kernel(fake, fake), _kernel(real, fake)) if keep else None
    rng, found = np.random.RandomState(seed), []
    for _ in range(subsets):
        i, j = rng.choice(n, size, replace=False), rng.choice(m, size, replace=False)
        if keep:
            found.append(_squared_mmd(grams[0][np.ix_(i, i)], grams[1][np.ix_(j, j)], grams[2][np.ix_(i, j)]))
        else:
            a, b = real[i], fake[j]
            found.append(_squared_mmd(_kernel(a, a), _kernel(b, b), _kernel(a, b)))
    return float(np.mean(found)), float(np.std(found))


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _squared_mmd(aa: np.ndarray, bb: np.ndarray, ab: np.ndarray) -> float:
    """Unbiased estimate (Gretton et al. 2012, Equation 3) from kernel values [m,m]."""
    m = len(aa)
    within = (aa.sum() - np.trace(aa) + bb.sum() - np.trace(bb)) / (m * (m - 1))
    return float(within - 2 * ab.mean())
