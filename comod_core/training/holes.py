"""Holes of a training step, as functions of (seed, step, row) alone, so that a resumed run sees the same."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import CoModError
from ..files import PICTURE_SUFFIXES
from ..images import open_mask
from ..masks import binarise, free_form, to_size

PAPER_SIZE = 256        # the smallest at which the paper's strokes of 12 to 48 pixels were used


class HoleSource:
    """Free-form masks and, in the share `structured`, rectangles and halves; or masks from a folder.

    hole_range: hole ratios of the free-form ones; brush_width: of their strokes in pixels, None for the paper's.
    Raises CoModError when the folder holds no masks.
    """

    def __init__(self, resolution: int, seed: int, *, hole_range: tuple[float, float] = (0.0, 1.0),
                 brush_width: tuple[float, float] | None = None, structured: float = 0.0, folder: str | None = None):
        self.resolution, self.seed, self.hole_range, self.structured = resolution, seed, hole_range, structured
        self.files = _mask_files(folder) if folder else None
        scale = min(resolution / PAPER_SIZE, 1.0)
        self.brush = brush_width or (max(12 * scale, 1.0), max(48 * scale, 1.0))

    def rows(self, step: int, rows: Sequence[int]) -> Tensor:
        """Masks [len(rows),1,R,R], 1 = hole, of these rows of the batch of a step."""
        return torch.cat([self._one(np.random.default_rng((self.seed, 2, step, row))) for row in rows])

    def _one(self, rng: np.random.Generator) -> Tensor:
        if self.files is not None:
            return self._of_file(rng)
        if rng.random() < self.structured:
            return rectangle(self.resolution, rng)
        return free_form(self.resolution, int(rng.integers(2 ** 63)), self.hole_range, brush_width=self.brush)

    def _of_file(self, rng: np.random.Generator) -> Tensor:
        # mirrored and turned upside down by chance
        path = self.files[int(rng.integers(len(self.files)))]
        mask = to_size(binarise(open_mask(path)), self.resolution)
        if not mask.any():
            raise CoModError(f"{path}: this mask has no hole. White, or transparency, marks it; take the file out of "
                             "the folder or invert it.")
        flips = [axis for axis in (2, 3) if rng.random() < 0.5]
        return mask.flip(flips) if flips else mask


def rectangle(resolution: int, rng: np.random.Generator) -> Tensor:
    """A half of the picture, or a box of 0.25 to 0.85 of each side anywhere: [1,1,R,R]."""
    mask = torch.zeros(1, 1, resolution, resolution)
    if rng.random() < 0.5:
        mask[..., :resolution // 2] = 1
        return torch.rot90(mask, int(rng.integers(4)), (2, 3)).contiguous()
    height, width = (int(side) for side in rng.uniform(0.25, 0.85, 2) * resolution)
    top, left = int(rng.integers(resolution - height + 1)), int(rng.integers(resolution - width + 1))
    mask[..., top:top + height, left:left + width] = 1
    return mask


def _mask_files(folder: str) -> list[Path]:
    root = Path(folder)
    if not root.is_dir():
        raise CoModError(f"Masks: {folder} is not a folder. Give one with pictures that are white where the hole is.")
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise CoModError(f"Masks: {folder} holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))}).")
    return found
