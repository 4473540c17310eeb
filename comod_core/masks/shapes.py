"""Holes of simple shape: boxes, halves, and the frame around a picture that is to be extended."""
from __future__ import annotations

import operator

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import CoModError
from .sampler import seeded
from .values import as_mask, as_size

_SIDES = ("left", "right", "top", "bottom")


def _whole(**numbers: int) -> tuple[int, ...]:
    """The numbers as ints. Raises CoModError, with the name, when one of them is not whole."""
    for name, number in numbers.items():
        try:
            operator.index(number)
        except TypeError:
            raise CoModError(f"{name} is {number!r}: give a whole number of pixels.") from None
    return tuple(operator.index(number) for number in numbers.values())


def box(size: int | tuple[int, int], top: int, left: int, height: int, width: int) -> torch.Tensor:
    """Mask of one rectangular hole, float32 [1,1,H,W].

    All in pixels; (top, left) is the first hole pixel. What lies outside of the picture is cut off.
    Raises CoModError when the box has no pixel or lies wholly outside of the picture.
    """
    picture = as_size(size)
    top, left, height, width = _whole(top=top, left=left, height=height, width=width)
    rows = slice(max(top, 0), max(top + height, 0))
    columns = slice(max(left, 0), max(left + width, 0))
    mask = torch.zeros(1, 1, *picture)
    if height < 1 or width < 1 or mask[..., rows, columns].numel() == 0:
        raise CoModError(
            f"the box of {height}x{width} at row {top}, column {left} covers no pixel of a {picture[0]}x{picture[1]} "
            "picture: give a height and width of at least 1 and a corner from which it reaches into the picture."
        )
    mask[..., rows, columns] = 1
    return mask


def random_box(
    size: int | tuple[int, int], seed: int, side_range: tuple[float, float] = (0.25, 0.75)
) -> torch.Tensor:
    """Mask of one random rectangular hole that lies wholly inside of the picture, float32 [1,1,H,W].

    Height and width are drawn on their own, evenly between the two shares of the picture's height and width in
    `side_range` (0..1), and are at least one pixel; the place is drawn evenly. The same seed (0..2**64-1) gives the
    same box on every machine. Raises CoModError when `side_range` is not 0 <= low <= high <= 1.
    """
    picture = as_size(size)
    try:
        low, high = (float(share) for share in side_range)
    except (TypeError, ValueError):
        low = high = -1.0
    if not 0 <= low <= high <= 1:
        raise CoModError(f"side_range is {side_range!r}: give a pair (low, high) with 0 <= low <= high <= 1.")
    u_height, u_width, u_top, u_left = seeded(seed).random(4).tolist()
    height, width = (
        max(1, round(side * (low + u * (high - low)))) for side, u in zip(picture, (u_height, u_width), strict=True)
    )
    top, left = int(u_top * (picture[0] - height + 1)), int(u_left * (picture[1] - width + 1))
    return box(picture, top, left, height, width)


def half(size: int | tuple[int, int], side: str) -> torch.Tensor:
    """Mask of the "left", "right", "top" or "bottom" half, float32 [1,1,H,W].

    Of an odd number of pixels the middle one belongs to the right or bottom half; so the two halves fill the picture.
    """
    height, width = as_size(size)
    if side not in _SIDES:
        raise CoModError(f"side is {side!r}: give one of {', '.join(_SIDES)}.")
    mask = torch.zeros(1, 1, height, width)
    rows = {"top": slice(0, height // 2), "bottom": slice(height // 2, height)}.get(side, slice(None))
    columns = {"left": slice(0, width // 2), "right": slice(width // 2, width)}.get(side, slice(None))
    mask[..., rows, columns] = 1
    return mask


def _margins(left: int, top: int, right: int, bottom: int) -> tuple[int, int, int, int]:
    margins = _whole(left=left, top=top, right=right, bottom=bottom)
    if min(margins) < 0:
        raise CoModError(
            f"the margins are left {left}, top {top}, right {right}, bottom {bottom}: give 0 or more pixels a side "
            "(crop the picture first to make it smaller)."
        )
    return margins


def outpaint_frame(size: int | tuple[int, int], left: int, top: int, right: int, bottom: int) -> torch.Tensor:
    """Mask of a picture extended by margins in pixels: hole in the margins, known inside.

    size: (H, W) of the picture before. Returns float32 [1, 1, top + H + bottom, left + W + right].
    Raises CoModError when a margin is negative.
    """
    left, top, right, bottom = _margins(left, top, right, bottom)
    return F.pad(torch.zeros(1, 1, *as_size(size)), (left, right, top, bottom), value=1.0)


def outpaint(
    image: torch.Tensor, mask: torch.Tensor | np.ndarray | None, left: int, top: int, right: int, bottom: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture and mask extended by margins in pixels, ready to be completed.

    image: [N,C,H,W] in [-1,1]. mask: 1 = hole, of the picture's own size, or None for no hole inside.
    Returns the image [N, C, top + H + bottom, left + W + right] and its mask, hole in the margins, of the mask's
    batch size (1 for None). The margins of the image are grey, and transparent where there is alpha (C = 4); nothing
    depends on them, for they are hole. Raises CoModError when a margin is negative or when the mask has another size
    than the image.
    """
    left, top, right, bottom = _margins(left, top, right, bottom)
    if not isinstance(image, torch.Tensor) or image.ndim != 4 or 0 in image.shape:
        shape = list(image.shape) if hasattr(image, "shape") else type(image).__name__
        raise CoModError(f"image is {shape}: give a tensor [N,C,H,W] with at least one pixel.")
    size = tuple(image.shape[-2:])
    mask = torch.zeros(1, 1, *size, device=image.device) if mask is None else as_mask(mask)
    if tuple(mask.shape[-2:]) != size:
        raise CoModError(
            f"the mask is {mask.shape[-2]}x{mask.shape[-1]} and the image {size[0]}x{size[1]}: bring the mask to the "
            "image's size first (to_size)."
        )
    padding = (left, right, top, bottom)
    extended = F.pad(image, padding)
    if image.shape[1] == 4:
        extended[:, 3:] = F.pad(image[:, 3:], padding, value=-1.0)
    return extended, F.pad(mask, padding, value=1.0)
