"""What every metric on features asks of its two arrays."""
from __future__ import annotations

import numpy as np

from ..errors import CoModError


def feature_arrays(name: str, real: np.ndarray, fake: np.ndarray, least: int = 2, paired: bool = False,
                   ) -> tuple[np.ndarray, np.ndarray]:
    """The features real [N,D] and fake [M,D] as float64.

    Raises CoModError, with the metric's name, for other shapes, fewer than `least` rows, values that are not finite,
    and, where `paired`, for N that is not M.
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1] or min(len(real), len(fake)) < least:
        raise CoModError(f"{name}: features {real.shape} and {fake.shape}; expected [N,D] and [M,D] with N and M of at "
                         f"least {least}.")
    if paired and len(real) != len(fake):
        raise CoModError(f"{name}: {len(real)} real rows and {len(fake)} fakes; row i of both belongs to picture i, so "
                         "give as many of both.")
    if not (np.isfinite(real).all() and np.isfinite(fake).all()):
        raise CoModError(f"{name}: the features hold NaN or infinite values.")
    return real, fake
