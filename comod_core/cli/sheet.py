"""A contact sheet: the picture, its hole, and the completions beside each other."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images import open_picture, save_picture

TILE, GAP, COLUMNS = 256, 8, 4


def write_sheet(path: Path, image: Tensor, mask: Tensor, results: Sequence[Path]) -> None:
    """Write the sheet as a picture: `image` [1,C,H,W] in [-1,1], the same with `mask` [1,1,h,w] grey, then `results`.

    Files of `results` that are not there (yet) are left out. A tile is at most 256 pixels wide and high.
    """
    mask = F.interpolate(mask, image.shape[-2:], mode="nearest")
    tiles = [image, torch.where(mask > 0.5, 0.0, image)]
    tiles += [open_picture(result).image for result in results if result.is_file()]
    save_picture(path, sheet([tile(one) for one in tiles]))


def sheet(tiles: Sequence[Tensor], columns: int = COLUMNS) -> Tensor:
    """Tiles [1,3,h,w] of one size on white, row by row: [1,3,H,W]."""
    height, width = tiles[0].shape[-2:]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    canvas = torch.ones(1, 3, rows * (height + GAP) + GAP, columns * (width + GAP) + GAP)
    for i, tile in enumerate(tiles):
        top, left = (GAP + at * (side + GAP) for at, side in zip(divmod(i, columns), (height, width), strict=True))
        canvas[..., top:top + height, left:left + width] = tile
    return canvas


def tile(image: Tensor) -> Tensor:
    """RGB on white, at most TILE pixels on a side; small pictures are enlarged to it."""
    if image.shape[1] == 4:
        alpha = (image[:, 3:] + 1) / 2
        image = image[:, :3] * alpha + (1 - alpha)
    scale = TILE / max(image.shape[-2:])
    size = tuple(max(1, round(side * scale)) for side in image.shape[-2:])
    image = image.expand(-1, 3, -1, -1)
    return F.interpolate(image, size, mode="bicubic", antialias=True).clamp(-1, 1)
