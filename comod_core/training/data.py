"""Pictures of a training step, as functions of (seed, step, row) alone, so that a resumed run sees the same."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import CoModError


class Pictures:
    """A uint8 array [N,S,S,C] (memory-mapped is fine), shuffled anew each epoch by the seed."""

    def __init__(self, images: np.ndarray, seed: int, mirror: bool = False):
        if images.ndim != 4 or images.dtype != np.uint8 or len(images) == 0:
            raise CoModError(f"Training pictures: expected uint8 [N,S,S,C] with N > 0, got {images.dtype} "
                             f"{list(images.shape)}. Prepare the data set first: comod dataset FOLDER --out DIR.")
        self.images, self.seed, self.mirror = images, seed, mirror
        self._epoch, self._order = -1, None

    def rows(self, step: int, size: int, rows: Sequence[int]) -> Tensor:
        """Pictures [len(rows),C,S,S] in [-1,1]: these rows of the batch of `size` of this step."""
        where = [self._row(step * size + row) for row in rows]
        batch = np.stack([self.images[index] for index in where])
        if self.mirror:
            flips = np.array([np.random.default_rng((self.seed, 1, step, row)).random() < 0.5 for row in rows])
            batch = np.where(flips[:, None, None, None], batch[:, :, ::-1], batch)
        return torch.from_numpy(np.ascontiguousarray(batch)).permute(0, 3, 1, 2).float() / 127.5 - 1

    def _row(self, index: int) -> int:
        epoch, position = divmod(index, len(self.images))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.images))
        return int(self._order[position])
