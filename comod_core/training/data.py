"""Pictures of a training step, as functions of (seed, step, row) alone, so that a resumed run sees the same."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import CoModError


class Pictures:
    """A uint8 array [N,S,S,C] (memory-mapped is fine), shuffled anew each epoch by the seed.

    beside: what else is known of each picture, arrays [N,...] by name. Raises CoModError when a length differs.
    """

    def __init__(self, images: np.ndarray, seed: int, mirror: bool = False,
                 beside: Mapping[str, np.ndarray] | None = None):
        if images.ndim != 4 or images.dtype != np.uint8 or len(images) == 0:
            raise CoModError(f"Training pictures: expected uint8 [N,S,S,C] with N > 0, got {images.dtype} "
                             f"{list(images.shape)}. Prepare the data set first: comod dataset FOLDER --out DIR.")
        for name, array in (beside or {}).items():
            if len(array) != len(images):
                raise CoModError(f"Training pictures: {name}.npy has {len(array)} rows for {len(images)} pictures. "
                                 "Make both anew together.")
        self.images, self.seed, self.mirror, self.beside = images, seed, mirror, dict(beside or {})
        self._shuffled: tuple[int, np.ndarray | None] = -1, None

    def rows(self, step: int, size: int, rows: Sequence[int]) -> Tensor:
        """Pictures [len(rows),C,S,S] in [-1,1]: these rows of the batch of `size` of this step."""
        return self.take(self.indices(step, size, rows), self.flips(step, rows))

    def take(self, indices: Sequence[int], flips: np.ndarray, name: str | None = None) -> Tensor:
        """Pictures [n,C,S,S] in [-1,1] of these numbers, or what lies beside them as pictures of that name. flips: bool
        [n], which are mirrored."""
        batch = self._mirrored(self.images if name is None else self.beside[name], indices, flips)
        return torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 127.5 - 1

    def labels(self, indices: Sequence[int], flips: np.ndarray) -> Tensor:
        """Part labels uint8 [n,S,S] of these pictures, mirrored as they are."""
        return torch.from_numpy(self._mirrored(self.beside["labels"], indices, flips))

    @staticmethod
    def _mirrored(array: np.ndarray, indices: Sequence[int], flips: np.ndarray) -> np.ndarray:
        found = np.stack([array[index] for index in indices])
        if flips.any():
            found = np.where(flips.reshape(-1, *[1] * (found.ndim - 1)), found[:, :, ::-1], found)
        return np.ascontiguousarray(found)

    def indices(self, step: int, size: int, rows: Sequence[int]) -> list[int]:
        """Which of the pictures these rows are."""
        return [self._row(step * size + row) for row in rows]

    def flips(self, step: int, rows: Sequence[int]) -> np.ndarray:
        """Which of these rows are mirrored: bool [len(rows)]."""
        if not self.mirror:
            return np.zeros(len(rows), bool)
        return np.array([np.random.default_rng((self.seed, 1, step, row)).random() < 0.5 for row in rows])

    def _row(self, index: int) -> int:
        epoch, position = divmod(index, len(self.images))
        shuffled = self._shuffled           # one value, for two threads may draw at a time
        if epoch != shuffled[0]:
            shuffled = epoch, np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.images))
            self._shuffled = shuffled
        return int(shuffled[1][position])
