"""The picture that is edited and its hole, and what the editor in the browser shows of them.

The editor has one canvas of CANVAS pixels for every picture, which lies in it as a copy, scaled to fit. (A canvas that
changes its size with the picture misplaces the layers that come from here.) The browser gives back what was painted on
the canvas. The picture itself stays here as a file, so nothing of it is lost on the way, whatever its size and depth.
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

CANVAS = (768, 1024)                # height and width
MARGIN_COLOUR = (236, 238, 242)     # of the canvas around the picture
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
    def frame(self) -> tuple[int, int, int, int]:
        """Where the copy is on the canvas: top, left, height, width."""
        scale = min(canvas / side for canvas, side in zip(CANVAS, self.size, strict=True))
        height, width = (max(1, round(side * scale)) for side in self.size)
        return (CANVAS[0] - height) // 2, (CANVAS[1] - width) // 2, height, width

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
    """What the editor shows: the picture's copy, and its hole as a layer of colour (clear where there is none)."""
    layer = np.zeros((*CANVAS, 4), np.uint8)
    top, left, height, width = source.frame
    layer[top:top + height, left:left + width][_shown(source)[0, 0].numpy() > 0] = (*HOLE_COLOUR, _OPAQUE)
    return {"background": _copy(source), "layers": [Image.fromarray(layer)], "composite": None}


def _copy(source: Source) -> Image.Image:
    """The canvas with the picture on it, RGBA of 8 bits."""
    values = to_integers(read(source.path).image)
    picture = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).convert("RGBA")
    top, left, height, width = source.frame
    canvas = Image.new("RGBA", CANVAS[::-1], (*MARGIN_COLOUR, 255))
    canvas.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (left, top))
    return canvas


def painted_hole(source: Source, editor: dict[str, Any] | None) -> Tensor:
    """The hole [1,1,H,W] in [0,1] at the picture's size: `source.hole` with what the brush and the eraser changed.

    editor: the editor's value; its layers are RGBA pictures of the canvas, opaque where painted.
    """
    painted = torch.zeros(1, 1, *CANVAS)
    for layer in (editor or {}).get("layers") or []:
        alpha = torch.from_numpy(np.asarray(layer.convert("RGBA").resize(CANVAS[::-1]))[..., 3] > _OPAQUE // 2)
        painted = torch.maximum(painted, alpha.float())
    top, left, height, width = source.frame
    painted = painted[..., top:top + height, left:left + width]
    changed = (painted != _shown(source)).float()
    if height >= source.size[0]:
        hole, touched = F.interpolate(painted, source.size, mode="area"), F.adaptive_max_pool2d(changed, source.size)
    else:
        hole = F.interpolate(painted, source.size, mode="bilinear", align_corners=False)
        touched = F.interpolate(changed, source.size, mode="nearest")
    before = torch.zeros_like(hole) if source.hole is None else source.hole
    return torch.where(touched > 0, (hole > HOLE).float(), before)


def _shown(source: Source) -> Tensor:
    """The source's hole as the editor's layer has it: 0 or 1, [1,1,h,w] of the frame."""
    size = source.frame[2:]
    if source.hole is None:
        return torch.zeros(1, 1, *size)
    hole = (source.hole > HOLE).float()
    return F.interpolate(hole, size, mode="nearest") if size[0] >= source.size[0] else to_size(hole, size)
