"""Kernel distance between two sets of features: KID (Binkowski et al., ICLR 2018)."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .arrays import feature_arrays

GRAM_ROWS = 4096    # up to here kernel values are computed once (128 MiB a matrix) and subsets choose among them


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
    rng, count = np.random.RandomState(seed), 1 if size == n == m else subsets
    drawn = [(rng.choice(n, size, replace=False), rng.choice(m, size, replace=False)) for _ in range(count)]
    if max(n, m) <= GRAM_ROWS:
        found = _of_all(real, fake, drawn)
    else:
        found = np.concatenate([_of_all(real[i], fake[j], [(slice(None), slice(None))]) for i, j in drawn])
    return float(found.mean()), float(found.std())


def _of_all(real: np.ndarray, fake: np.ndarray, drawn: Sequence[tuple]) -> np.ndarray:
    """Unbiased squared MMD (Gretton et al. 2012, Equation 3) of each subset, given by its rows of real and of fake.

    A subset's sums are u^T K v, with u and v 1 at its rows and 0 elsewhere.
    """
    u, v = np.zeros((len(drawn), len(real))), np.zeros((len(drawn), len(fake)))
    for k, (i, j) in enumerate(drawn):
        u[k, i] = v[k, j] = 1
    size = u[0].sum()
    within = 0
    for rows, chosen in ((real, u), (fake, v)):
        kernel = _kernel(rows, rows)
        within = within + ((chosen @ kernel) * chosen).sum(axis=1) - chosen @ np.diag(kernel)
    across = ((u @ _kernel(real, fake)) * v).sum(axis=1)
    return within / (size * (size - 1)) - 2 * across / size ** 2


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    values = a @ b.T / a.shape[1] + 1
    return values * values * values
