"""What of each resolution has to be computed so that one box of the output is right."""
from __future__ import annotations

import torch
from torch import Tensor

Box = tuple[int, int, int, int]  # top, bottom, left, right

_GRID, _WHOLE_UP_TO, _WORTH, _BAND_PIXELS = 8, 32, 0.8, 1 << 14


def box_of(mask: Tensor) -> Box | None:
    """The smallest box around what is not zero in [H,W]; None where all is zero."""
    rows, columns = mask.ne(0).any(dim=1).nonzero(), mask.ne(0).any(dim=0).nonzero()
    if not len(rows):
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def boxes(needed: Box, resolution: int) -> dict[int, Box]:
    """Resolution -> box whose features are computed, from `needed` at the highest down to 8.

    At the edge of a box that is not the picture's, a 3x3 convolution spoils one pixel; an up-convolution reads one more
    pixel on each side of half the box. Boxes lie on a grid of 8, and are the whole picture where they are most of it.
    """
    found = {}
    while resolution >= 8:
        top, bottom = _grown(*needed[:2], resolution)
        left, right = _grown(*needed[2:], resolution)
        if resolution <= _WHOLE_UP_TO or (bottom - top) * (right - left) > _WORTH * resolution ** 2:
            top, bottom, left, right = 0, resolution, 0, resolution
        found[resolution] = top, bottom, left, right
        resolution //= 2
        needed = (max(top // 2 - 1, 0), min(bottom // 2 + 1, resolution),
                  max(left // 2 - 1, 0), min(right // 2 + 1, resolution))
    return found


def bands(box: Box, itemsize: int = 4) -> list[Box]:
    """The box from top to bottom in parts so small that what lies between two convolutions stays in the cache; numbers
    have `itemsize` bytes.
    """
    top, bottom, left, right = box
    rows = max(_GRID, _BAND_PIXELS * 4 // (itemsize * (right - left)) // _GRID * _GRID)
    return [(start, min(start + rows, bottom), left, right) for start in range(top, bottom, rows)]


def _grown(low: int, high: int, size: int) -> tuple[int, int]:
    return max(low - 1, 0) // _GRID * _GRID, min(-(-min(high + 1, size) // _GRID) * _GRID, size)


def double(x: Tensor, out: Tensor) -> None:
    """Twice the size by the FIR [1,3,3,1] (gain 4): x [h+2,w+2,C] with one more pixel on each side, out [2h,2w,C]."""
    h, w = x.shape[0] - 2, x.shape[1] - 2
    tall = x.new_empty([h, 2, w + 2, x.shape[2]])
    torch.lerp(x[1:-1], x[:-2], 0.25, out=tall[:, 0])
    torch.lerp(x[1:-1], x[2:], 0.25, out=tall[:, 1])
    tall, wide = tall.flatten(0, 1), out.unflatten(1, (w, 2))
    torch.lerp(tall[:, 1:-1], tall[:, :-2], 0.25, out=wide[:, :, 0])
    torch.lerp(tall[:, 1:-1], tall[:, 2:], 0.25, out=wide[:, :, 1])
