"""Pictures and holes of a training step, as functions of (seed, step) alone, so that a resumed run sees the same."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import CoModError
from ..masks import free_form
from .config import TrainConfig


class Pictures:
    """A uint8 array [N,S,S,C] (memory-mapped is fine), shuffled anew each epoch by the seed."""

    def __init__(self, images: np.ndarray, seed: int, mirror: bool = False):
        if images.ndim != 4 or images.dtype != np.uint8 or len(images) == 0:
            raise CoModError(f"Training pictures: expected uint8 [N,S,S,C] with N > 0, got {images.dtype} "
                             f"{list(images.shape)}. Render or prepare the data set first.")
        self.images, self.seed, self.mirror = images, seed, mirror
        self._epoch, self._order = -1, None

    def batch(self, step: int, size: int) -> Tensor:
        """Pictures [size,C,S,S] in [-1,1] of this step."""
        rows = [self._row(step * size + i) for i in range(size)]
        batch = self.images[sorted(rows)]
        if self.mirror:
            flips = np.random.default_rng((self.seed, 1, step)).random(size) < 0.5
            batch = np.where(flips[:, None, None, None], batch[:, :, ::-1], batch)
        return torch.from_numpy(np.ascontiguousarray(batch)).permute(0, 3, 1, 2).float() / 127.5 - 1

    def _row(self, index: int) -> int:
        epoch, position = divmod(index, len(self.images))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.images))
        return int(self._order[position])


def hole_batch(config: TrainConfig, step: int, size: int) -> Tensor:
    """Masks [size,1,R,R], 1 = hole: free-form ones, and rectangles in the share of `structured_masks`."""
    resolution = config.network.resolution
    rng = np.random.default_rng((config.seed, 2, step))
    masks = []
    for _ in range(size):
        seed = int(rng.integers(2 ** 63))
        if rng.random() < config.structured_masks:
            masks.append(_rectangle(resolution, rng))
        else:
            masks.append(free_form(resolution, seed, config.hole_range, brush_width=config.brush_width))
    return torch.cat(masks)


def _rectangle(resolution: int, rng: np.random.Generator) -> Tensor:
    """A half of the picture, or a box of 0.25 to 0.85 of each side anywhere."""
    mask = torch.zeros(1, 1, resolution, resolution)
    if rng.random() < 0.5:
        mask[..., :resolution // 2] = 1
        return torch.rot90(mask, int(rng.integers(4)), (2, 3)).contiguous()
    height, width = (int(side) for side in rng.uniform(0.25, 0.85, 2) * resolution)
    top, left = int(rng.integers(resolution - height + 1)), int(rng.integers(resolution - width + 1))
    mask[..., top:top + height, left:left + width] = 1
    return mask
