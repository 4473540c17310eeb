"""Quality and variety of fakes from nearest neighbours: precision, recall, density, coverage.

Each picture of a set has a ball around its features that reaches to its k-th nearest neighbour in the same set; the
balls together stand for the set's distribution. Distances are Euclidean, in float64, and a ball holds its surface.
"""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import CoModError
from .arrays import feature_arrays

ROWS = 1024     # distances are computed for so many rows at a time, so memory stays at ROWS x N


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Precision: share of fakes inside the real balls. Recall: share of reals inside the fake balls.

    real [N,D], fake [M,D]; both in [0,1] (Kynkaanniemi et al., NeurIPS 2019, Equations 1 to 3). Raises CoModError for
    features that do not fit or with no k neighbours.
    """
    scores = nearest_neighbour_scores(real, fake, k)
    return scores["precision"], scores["recall"]


def density_coverage(real: np.ndarray, fake: np.ndarray, k: int = 5) -> tuple[float, float]:
    """Density: real balls around a fake, mean, over k (may exceed 1). Coverage: share of real balls that hold a fake.

    real [N,D], fake [M,D] (Naeem et al., ICML 2020, Equations 2 and 3). Raises CoModError as `precision_recall`.
    """
    scores = nearest_neighbour_scores(real, fake, k)
    return scores["density"], scores["coverage"]


def nearest_neighbour_scores(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
    """All four with one k: keys precision, recall, density, coverage; see `precision_recall`, `density_coverage`."""
    if k < 1:
        raise CoModError(f"k is {k!r}: give a whole number of at least 1.")
    real, fake = feature_arrays("precision, recall, density and coverage", real, fake, least=k + 1)
    real_radius, fake_radius = _radius(real, k), _radius(fake, k)
    around_fake, recalled, covered = np.zeros(len(fake)), 0, 0
    for rows, distance in _squared_distances(real, fake):
        inside = distance <= real_radius[rows, None]
        around_fake += inside.sum(axis=0)
        covered += inside.any(axis=1).sum()
        recalled += (distance <= fake_radius).any(axis=1).sum()
    return {"precision": float((around_fake > 0).mean()), "recall": float(recalled / len(real)),
            "density": float(around_fake.mean() / k), "coverage": float(covered / len(real))}


def _radius(points: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each point [N,D] to its k-th nearest other point: [N]."""
    radii = []
    for rows, distance in _squared_distances(points, points):
        at = np.arange(rows.start, rows.stop)
        distance[at - rows.start, at] = -1      # the point itself comes first, whatever rounding says
        radii.append(np.partition(distance, k, axis=1)[:, k])
    return np.concatenate(radii)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of a [N,D] and their squared distances to b [M,D], ROWS at a time."""
    b_norm = np.square(b).sum(axis=1)
    for start in range(0, len(a), ROWS):
        rows = slice(start, min(start + ROWS, len(a)))
        part = a[rows]
        yield rows, np.maximum(np.square(part).sum(axis=1)[:, None] + b_norm - 2 * part @ b.T, 0)
