"""What a picture shows beyond what a network is given of it, seen from afar, as values of a z."""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import CoModError
from .neighbourhoods import SIDE, thumbnails

PICTURES = 16384        # that mean and covariance are found from, at most
EXAMPLES = 512          # holes that the distribution of the codes is found from
LOUDER = 3.0            # what is guided, beside all that is not
QUANTILES = 513         # of each code's values
WITHIN = 0.005          # variance of colours in [0,1] within a cell: how little a part of it says of the whole
SURE = 0.02             # of a cell's pixels, the share that is in doubt where all of them are known
FAINT = 1e-4            # of the largest component's variance: differences below it are noise
RIDGE = 0.01            # of the mean variance of a condition's values, added to that of each


@torch.no_grad()
def listen(weight: Tensor, count: int) -> None:
    """Make a layer hear its first `count` inputs LOUDER times as much as all others, in place, unless it does already.

    weight [O,I]; what comes out of it keeps its variance for inputs of variance 1.
    """
    first, rest = weight[:, :count], weight[:, count:]
    loud, quiet = first.square().sum(), rest.square().sum()
    if quiet * LOUDER ** 2 > 4 * loud:
        total, first_share = loud + quiet, LOUDER ** 2 / (LOUDER ** 2 + 1)
        first *= (total * first_share / loud).sqrt()
        rest *= (total * (1 - first_share) / quiet).sqrt()


class HoleCodes:
    """How a picture differs in its hole from what one would expect there, as values that are distributed as a z is.

    Thumbnails of SIDE x SIDE cells are taken for normally distributed, so what is known of one gives mean and
    covariance of the rest. A code is the difference from that mean along the principal components of the set, whitened
    by that covariance: it says what the surroundings of the hole leave open and nothing else, and a random z
    contradicts none of them. What is not normal about the values is made so, value by value.

    images uint8 [N,S,S,3]: the training set; size: how many components, the largest first; holes [M,1,S,S], 1 = hole:
    examples, from which the distribution of the codes is found. Raises CoModError for more components than there can
    be.
    """

    def __init__(self, images: np.ndarray, size: int, holes: Tensor):
        rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), PICTURES)).astype(int))
        found = thumbnails(np.stack([images[i] for i in rows])).astype(np.float64)
        _check_size(size, found)
        self.mean, self.covariance = found.mean(axis=0), np.cov(found.T, bias=True)
        values, axes = np.linalg.eigh(self.covariance)
        self.axes, self.faint = axes[:, ::-1][:, :size], FAINT * max(values[-1], 1e-9)
        spread = np.linspace(0, len(images) - 1, len(holes)).astype(int)
        pictures = torch.from_numpy(np.stack([images[i] for i in spread])).permute(0, 3, 1, 2) / 127.5 - 1
        seen = np.stack([self._white(*one) for one in zip(*_cells(pictures, holes), strict=True)])
        self.quantiles, self.normal = _distribution(seen)

    def __call__(self, pictures: Tensor, holes: Tensor) -> Tensor:
        """Pictures [N,3,R,R] in [-1,1] and their holes [N,1,R,R] -> float32 [N,size] on their device."""
        values = np.stack([self._white(*one) for one in zip(*_cells(pictures, holes), strict=True)])
        return _as_normal(values, self.quantiles, self.normal).to(pictures.device)

    def _white(self, whole: np.ndarray, known: np.ndarray, open_: np.ndarray) -> np.ndarray:
        """whole, known [V]: the mean colours of all pixels of a cell, and of those outside of the hole; open_ [V]: the
        share of its pixels in the hole."""
        noise = WITHIN * (open_ + SURE) / np.maximum(1 - open_, 1e-6)
        gain = np.linalg.solve(self.covariance + np.diag(noise), self.covariance).T
        gap = whole - self.mean - gain @ (known - self.mean)
        left = self.covariance - gain @ self.covariance
        spread = self.axes.T @ left @ self.axes + self.faint * np.eye(self.axes.shape[1])
        return np.linalg.solve(np.linalg.cholesky((spread + spread.T) / 2), self.axes.T @ gap)


class ConditionCodes:
    """How a picture differs from what one would expect of its condition, as values that are distributed as a z is.

    Expected is what a ridge regression makes of the condition's mean values in SIDE x SIDE cells. A code is what it
    leaves of the picture's thumbnail along the principal components of all that it leaves, whitened, and made normal
    value by value. Of a line drawing that is mostly the colours.

    images uint8 [N,S,S,3] and conditions [N,C,R,R], both of the same examples; size: how many components, the largest
    first. Raises CoModError for more components than there can be.
    """

    def __init__(self, images: np.ndarray, conditions: Tensor, size: int):
        found, given = thumbnails(images).astype(np.float64), _pooled(conditions)
        _check_size(size, found)
        self.mean, self.usual = found.mean(axis=0), given.mean(axis=0)
        x, y = given - self.usual, found - self.mean
        square = x.T @ x
        weight = RIDGE * max(np.trace(square) / len(square), 1e-9)
        self.gain = np.linalg.solve(square + weight * np.eye(len(square)), x.T @ y)
        left = y - x @ self.gain
        values, axes = np.linalg.eigh(left.T @ left / len(left))
        self.axes = (axes / np.sqrt(values.clip(FAINT * max(values[-1], 1e-9))))[:, ::-1][:, :size]
        self.quantiles, self.normal = _distribution(left @ self.axes)

    def __call__(self, pictures: Tensor, conditions: Tensor) -> Tensor:
        """Pictures [N,3,R,R] in [-1,1] and their conditions [N,C,R,R] -> float32 [N,size] on their device."""
        cells = F.adaptive_avg_pool2d(pictures.detach().float().cpu() * 0.5 + 0.5, SIDE)
        found = cells.permute(0, 2, 3, 1).flatten(1).double().numpy()
        left = found - self.mean - (_pooled(conditions) - self.usual) @ self.gain
        return _as_normal(left @ self.axes, self.quantiles, self.normal).to(pictures.device)


def _check_size(size: int, found: np.ndarray) -> None:
    """Raise CoModError for more components than thumbnails [N,V] can have."""
    if not 1 <= size <= min(found.shape):
        raise CoModError(f"Training: {size} components of {len(found)} pictures' thumbnails of {found.shape[1]} "
                         f"values; take 1 to {min(found.shape)}.")


def _pooled(conditions: Tensor) -> np.ndarray:
    """[N,C,R,R] -> [N,C*SIDE*SIDE]."""
    return F.adaptive_avg_pool2d(conditions.detach().float().cpu(), SIDE).flatten(1).double().numpy()


def _distribution(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of each column [QUANTILES,size], and those of a normal distribution [QUANTILES]."""
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.quantile(values, shares, axis=0), torch.special.ndtri(torch.from_numpy(shares)).numpy()


def _as_normal(values: np.ndarray, quantiles: np.ndarray, normal: np.ndarray) -> Tensor:
    """Values [N,size] of which these are the quantiles, each made normal: float32."""
    codes = [np.interp(column, known, normal) for column, known in zip(values.T, quantiles.T, strict=True)]
    return torch.from_numpy(np.stack(codes, axis=1)).float()


def _cells(pictures: Tensor, holes: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each picture's cells [N,V]: mean colours in [0,1] of all pixels, of the known ones, and the hole's share."""
    pictures, holes = pictures.detach().float().cpu() * 0.5 + 0.5, holes.detach().float().cpu()
    mean = [F.adaptive_avg_pool2d(x, SIDE) for x in (pictures, pictures * (1 - holes), holes.expand_as(pictures))]
    known = mean[1] / (1 - mean[2]).clamp_min(1e-6)
    return tuple(x.permute(0, 2, 3, 1).flatten(1).double().numpy() for x in (mean[0], known, mean[2]))
