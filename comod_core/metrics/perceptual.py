"""Perceptual distance from a network's feature maps, and the diversity of completions measured with it.

LPIPS (Zhang et al., CVPR 2018, Equation 1) without its learnt weights: numbers made with a network X are called
diversity-X and never LPIPS.
"""
from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..errors import CoModError

EPSILON = 1e-10


def perceptual_distance(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """Distance between picture i of a and of b, float64 [N].

    Features are scaled to unit length along the channels; squared gaps are summed over channels, averaged over places
    and summed over layers. a, b: one feature map [N,C,h,w] a layer. Raises CoModError when their shapes differ.
    """
    if not len(a) or [np.shape(x) for x in a] != [np.shape(x) for x in b] or any(np.ndim(x) != 4 for x in a):
        raise CoModError(f"perceptual_distance: layers {[np.shape(x) for x in a]} and {[np.shape(x) for x in b]}; "
                         "expected the same [N,C,h,w] in both.")
    return sum(np.square(_unit(x) - _unit(y)).sum(axis=1).mean(axis=(1, 2)) for x, y in zip(a, b, strict=True))


def pairwise_diversity(maps: Sequence[np.ndarray]) -> float:
    """Mean perceptual distance between all pairs of K completions of one hole; maps: [K,C,h,w] a layer, K above 1."""
    count = len(maps[0]) if len(maps) else 0
    if count < 2:
        raise CoModError(f"pairwise_diversity: {count} completions; give at least 2 of one hole.")
    i, j = np.array(list(combinations(range(count), 2))).T
    return float(perceptual_distance([layer[i] for layer in maps], [layer[j] for layer in maps]).mean())


def _unit(layer: np.ndarray) -> np.ndarray:
    layer = np.asarray(layer, np.float64)
    return layer / np.sqrt(np.square(layer).sum(axis=1, keepdims=True) + EPSILON)
