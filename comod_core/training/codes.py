"""What a picture looks like from afar, as values of a z."""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import CoModError
from .neighbourhoods import SIDE, thumbnails

PICTURES = 16384        # that the components and their distribution are found from, at most
LOUDER = 3.0            # what is guided, beside all that is not
QUANTILES = 1025        # of each component's values


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


class PictureCodes:
    """Principal components of pictures' thumbnails of SIDE x SIDE cells, each made as a standard normal is distributed.

    So a random z stands for a picture as well. images uint8 [N,S,S,3]: the training set; size: how many components, the
    largest first. Raises CoModError for more components than there can be.
    """

    def __init__(self, images: np.ndarray, size: int):
        rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), PICTURES)).astype(int))
        found = thumbnails(np.stack([images[i] for i in rows])).astype(np.float64)
        if not 1 <= size <= min(found.shape):
            raise CoModError(f"Training: {size} components of {len(rows)} pictures' thumbnails of {found.shape[1]} "
                             f"values; take 1 to {min(found.shape)}.")
        self.mean = found.mean(axis=0)
        self.axes = np.linalg.eigh(np.cov(found.T, bias=True))[1][:, ::-1][:, :size]
        shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
        self.quantiles = np.quantile((found - self.mean) @ self.axes, shares, axis=0)
        self.normal = torch.special.ndtri(torch.from_numpy(shares)).numpy()

    def __call__(self, pictures: Tensor) -> Tensor:
        """Pictures [N,3,R,R] in [-1,1] -> float32 [N,size] on their device."""
        small = F.adaptive_avg_pool2d(pictures.detach().float() * 0.5 + 0.5, SIDE).permute(0, 2, 3, 1)
        values = (small.flatten(1).cpu().double().numpy() - self.mean) @ self.axes
        codes = [np.interp(column, known, self.normal)
                 for column, known in zip(values.T, self.quantiles.T, strict=True)]
        return torch.from_numpy(np.stack(codes, axis=1)).to(pictures.device, torch.float32)
