"""Where the hole of each picture comes from: a file, a folder of files, the sampler, or room added at the sides."""
from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from torch import Tensor

from .. import masks
from ..completion import outpaint
from ..errors import CoModError
from ..images import open_mask
from .folders import MaskFolder, Source
from .journal import file_mark
from .options import RANDOM


@dataclasses.dataclass
class Holes:
    """One of: mask (a file, a folder, or "random"), or outpaint (pixels left, top, right, bottom).

    hole_range and mask_seed are for random holes: a picture's hole depends on its name and mask_seed alone.
    Raises CoModError when the mask file or folder is not there.
    """

    mask: str | None = None
    outpaint: tuple[int, int, int, int] | None = None
    hole_range: tuple[float, float] = (0.0, 1.0)
    mask_seed: int = 0

    def __post_init__(self):
        self.random = self.mask == RANDOM and not Path(RANDOM).exists()
        path = Path(self.mask) if self.mask and not self.random else None
        if path is not None and not path.exists():
            raise CoModError(f"--mask {path}: there is no such file or folder.")
        self.folder = MaskFolder(path) if path is not None and path.is_dir() else None
        self.file = path if self.folder is None else None

    def settings(self, source: Source) -> dict:
        """What decides the hole of a picture, for the journal. Raises CoModError when its mask is missing."""
        if self.outpaint is not None:
            return {"outpaint": list(self.outpaint)}
        if self.random:
            return {"random_hole": {"hole_range": list(self.hole_range), "mask_seed": self.mask_seed}}
        return {"mask": file_mark(self._mask_file(source))}

    def apply(self, source: Source, image: Tensor) -> tuple[Tensor, Tensor]:
        """The picture [1,C,H,W] in [-1,1], larger when outpainting, and its mask [1,1,H,W], 1 = hole."""
        if self.outpaint is not None:
            return outpaint(image, *self.outpaint)
        if not self.random:
            return image, open_mask(self._mask_file(source))
        size = tuple(image.shape[-2:])
        digest = hashlib.sha256(f"{source.name}:{self.mask_seed}".encode()).digest()
        seed = int.from_bytes(digest[:8], "little")
        return image, masks.free_form(size, seed, self.hole_range, brush_width=masks.scaled_brush(size))

    def _mask_file(self, source: Source) -> Path:
        return self.file if self.folder is None else self.folder.of(source)
