"""The picture that is edited and its hole, and what the editor in the browser shows of them.

The browser gets a copy of at most DISPLAY_SIDE pixels a side and gives back what was painted on it. The picture itself
stays here as a file, so nothing of it is lost on the way, whatever its size and depth.
"""
from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..comod_core.errors import CoModError
from ..comod_core.images import Picture, open_picture, to_integers
from ..comod_core.masks import to_size

DISPLAY_SIDE = 1536
HOLE_COLOUR = (255, 45, 120)
HOLE_OPACITY = 0.6
HOLE = 0.5                          # mask values above it are hole
_OPAQUE = round(255 * HOLE_OPACITY)


@dataclasses.dataclass(frozen=True)
class Source:
    """A picture file to complete. `hole` [1,1,H,W] in [0,1] is what was put on it other than with the brush, or None.

    name: for the names of results. size: (H, W). previous: the source that this one was made from, or None.
    """

    path: Path
    name: str
    size: tuple[int, int]
    hole: Tensor | None = None
    previous: Source | None = None

    @property
    def display_size(self) -> tuple[int, int]:
        """(h, w) of the copy in the browser."""
        scale = min(1.0, DISPLAY_SIDE / max(self.size))
        return tuple(max(1, round(side * scale)) for side in self.size)

    def with_hole(self, hole: Tensor | None) -> Source:
        """The same picture with another hole. Raises CoModError when the hole is of another shape."""
        if hole is not None and tuple(hole.shape) != (1, 1, *self.size):
            raise CoModError(f"the hole is {list(hole.shape)}, the picture {list(self.size)}.")
        return dataclasses.replace(self, hole=hole)


def open_source(path: str | Path, name: str | None = None, previous: Source | None = None) -> Source:
    """A picture file as source. Raises CoModError as `open_picture`, with the file's name in place of its path."""
    picture = read(path)
    return Source(Path(path), name or Path(path).stem, tuple(picture.image.shape[-2:]), previous=previous)


def read(path: str | Path) -> Picture:
    """`open_picture` with the file's name instead of its whole path in the errors."""
    return named(open_picture, path)


def named(reader: Any, path: str | Path) -> Any:
    """`reader(path)`, with the file's name instead of its whole path in its CoModError."""
    try:
        return reader(path)
    except CoModError as error:
        raise CoModError(str(error).replace(str(path), Path(path).name)) from error


def editor_value(source: Source) -> dict[str, Any]:
    """What the editor shows: the picture's copy, and its hole as a layer of colour."""
    layers = [] if source.hole is None else [_layer(_shown(source))]
    return {"background": display_copy(source), "layers": layers, "composite": None}


def display_copy(source: Source) -> Image.Image:
    """8 bits, RGB or RGBA, of `source.display_size`."""
    values = to_integers(read(source.path).image)
    picture = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)
    picture = picture if picture.mode == "RGBA" else picture.convert("RGB")
    height, width = source.display_size
    return picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.LANCZOS)


def painted_hole(source: Source, editor: dict[str, Any] | None) -> Tensor:
    """The hole [1,1,H,W] in [0,1] at the picture's size: `source.hole` with what the brush and the eraser changed.

    editor: the editor's value; its layers are RGBA pictures, opaque where painted.
    """
    layers = [np.asarray(layer.convert("RGBA"))[..., 3] for layer in (editor or {}).get("layers") or []]
    layers = [torch.from_numpy(layer > _OPAQUE // 2)[None, None].float() for layer in layers]
    painted = torch.zeros(1, 1, *source.display_size)
    for layer in layers:
        painted = torch.maximum(painted, F.interpolate(layer, source.display_size, mode="nearest"))
    hole = _enlarged(painted, source.size)
    if source.hole is None:
        return hole
    changed = F.interpolate((painted != _shown(source)).float(), source.size, mode="nearest")
    return torch.where(changed > 0, hole, source.hole)


def _enlarged(painted: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(painted.shape[-2:]) == size:
        return painted
    return (F.interpolate(painted, size, mode="bilinear", align_corners=False) > HOLE).float()


def _shown(source: Source) -> Tensor:
    """The source's hole as the editor's layer has it: 0 or 1, at the size of the display."""
    return (to_size(source.hole, source.display_size) > HOLE).float()


def _layer(painted: Tensor) -> Image.Image:
    pixels = np.zeros((*painted.shape[-2:], 4), np.uint8)
    pixels[painted[0, 0].numpy() > 0] = (*HOLE_COLOUR, _OPAQUE)
    return Image.fromarray(pixels)
