"""Frechet distance between two sets of features (Heusel et al. 2017, Equation 6)."""
from __future__ import annotations

import numpy as np

from ..errors import CoModError


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) of features real [N,D] and fake [M,D]; unit: squared feature.

    Computed by singular values, so that few rows (a singular C) do no harm. Raises CoModError for fewer than two rows
    or different widths.
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1] or min(len(real), len(fake)) < 2:
        raise CoModError(f"frechet_distance: features {real.shape} and {fake.shape}; expected [N,D] and [M,D] "
                         "with N and M above 1.")
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    mean_gap = real.mean(axis=0) - fake.mean(axis=0)
    a = (real - real.mean(axis=0)) / np.sqrt(len(real) - 1)
    b = (fake - fake.mean(axis=0)) / np.sqrt(len(fake) - 1)
    # with C = a^T a and C' = b^T b, tr (C C')^(1/2) is the nuclear norm of a b^T; a = QR leaves a^T a = R^T R
    a, b = (np.linalg.qr(x, mode="r") if len(x) > x.shape[1] else x for x in (a, b))
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(mean_gap @ mean_gap + np.square(a).sum() + np.square(b).sum() - 2 * root)
