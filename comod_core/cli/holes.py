"""Where the hole of each picture comes from: a file, a folder of files or the sampler, and room added at the sides."""
from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from torch import Tensor

from .. import masks
from ..errors import CoModError
from ..images import open_mask
from .folders import MaskFolder, Source
from .journal import file_mark
from .options import RANDOM


@dataclasses.dataclass
class Holes:
    """mask (a file, a folder, or "random"), or outpaint (pixels left, top, right, bottom), or both.

    hole_range and mask_seed are for random holes: a picture's hole depends on its name and mask_seed alone.
    Raises CoModError when the mask file or folder is not there, or a number is out of range.
    """

    mask: str | None = None
    outpaint: tuple[int, int, int, int] | None = None
    hole_range: tuple[float, float] = (0.0, 1.0)
    mask_seed: int = 0

    def __post_init__(self):
        if self.outpaint is not None and min(self.outpaint) < 0:
            raise CoModError(f"--outpaint {self.outpaint}: give 0 or more pixels a side.")
        low, high = self.hole_range
        if not 0 <= low < high <= 1:
            raise CoModError(f"--hole-range {low:g},{high:g}: give two shares of the picture, 0 <= LOW < HIGH <= 1.")
        self.random = self.mask == RANDOM and not Path(RANDOM).exists()
        path = Path(self.mask) if self.mask and not self.random else None
        if path is not None and not path.exists():
            raise CoModError(f"--mask {path}: there is no such file or folder.")
        self.folder = MaskFolder(path) if path is not None and path.is_dir() else None
        self.file = path if self.folder is None else None

    def settings(self, source: Source) -> dict:
        """What decides the hole of a picture, for the journal. Raises CoModError when its mask is missing."""
        found = {} if self.outpaint is None else {"outpaint": list(self.outpaint)}
        if self.random:
            found["random_hole"] = {"hole_range": list(self.hole_range), "mask_seed": self.mask_seed}
        elif self.mask:
            found["mask"] = file_mark(self._mask_file(source))
        return found

    def apply(self, source: Source, image: Tensor) -> tuple[Tensor, Tensor]:
        """The picture [1,C,H,W] in [-1,1], larger when outpainting, and its mask [1,1,H,W], 1 = hole."""
        size = tuple(image.shape[-2:])
        mask = None
        if self.random:
            mask = self._drawn(source, size)
        elif self.mask:
            mask = open_mask(self._mask_file(source))
        if self.outpaint is None:
            return image, mask
        return masks.outpaint(image, None if mask is None else masks.to_size(mask, size), *self.outpaint)

    def _drawn(self, source: Source, size: tuple[int, int]) -> Tensor:
        digest = hashlib.sha256(f"{source.name}:{self.mask_seed}".encode()).digest()
        seed = int.from_bytes(digest[:8], "little")
        return masks.free_form(size, seed, self.hole_range, brush_width=masks.scaled_brush(size))

    def _mask_file(self, source: Source) -> Path:
        return self.file if self.folder is None else self.folder.of(source)
