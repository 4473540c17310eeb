"""The separate holes of a mask, as boxes."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from ..errors import CoModError
from .values import binarise, one_mask


class Box(NamedTuple):
    """A rectangle of pixels: the first row and column, and the numbers of rows and columns."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """The row after the last."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The column after the last."""
        return self.left + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index with: `image[..., *box.slices]` or `image[(..., *box.slices)]`."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def components(
    mask: torch.Tensor | np.ndarray,
    context: float = 0.0,
    *,
    threshold: float = 0.5,
    crop: Callable[[Box], Box] | None = None,
) -> list[Box]:
    """Tight boxes of the separate holes of one mask, from top to bottom; no box for an empty mask.

    mask: one mask, [H,W], [1,H,W] or [1,1,H,W]; hole is what is above `threshold`, pixels joined by sides or corners.
    context: each box is seen with this share of its longer side added all around; holes whose boxes, seen like that,
        overlap or touch are merged into one, again and again until no two do. The boxes that are returned are tight.
    crop: in place of `context`, the function from a tight box to the box to compare with (say, the crop that would be
        completed); it may reach outside of the picture.
    Raises CoModError for more than one mask, a negative context, or a crop that does not hold its box.
    """
    if not 0 <= context < math.inf:
        raise CoModError(f"context is {context!r}: give a share of the box's longer side, 0 or more.")
    hole = binarise(one_mask(mask), threshold)[0, 0].cpu().numpy().astype(np.uint8)
    seen = crop if crop is not None else lambda box: _with_margin(box, math.ceil(context * max(box.height, box.width)))
    boxes = _labelled(hole)
    while True:
        merged = _merge(boxes, seen, hole.shape)
        if len(merged) == len(boxes):
            return sorted(merged)
        boxes = merged


def _with_margin(box: Box, margin: int) -> Box:
    return Box(box.top - margin, box.left - margin, box.height + 2 * margin, box.width + 2 * margin)


def _labelled(hole: np.ndarray) -> list[Box]:
    import cv2

    stats = cv2.connectedComponentsWithStats(hole, connectivity=8)[2][1:].tolist()
    return [Box(top, left, height, width) for left, top, width, height, _ in stats]


def _merge(boxes: list[Box], seen: Callable[[Box], Box], shape: tuple[int, int]) -> list[Box]:
    """One round: paint the boxes as seen, and give the tight union of the boxes of each connected painted region."""
    import cv2

    # Corner counts, summed over rows and columns, paint any number of boxes in one pass over the picture.
    corners = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)
    for box in boxes:
        wide = seen(box)
        if wide.top > box.top or wide.left > box.left or wide.bottom < box.bottom or wide.right < box.right:
            raise CoModError(f"the crop {tuple(wide)} does not hold its hole {tuple(box)}: it has to enclose it.")
        top, bottom = max(wide.top, 0), min(wide.bottom, shape[0])
        left, right = max(wide.left, 0), min(wide.right, shape[1])
        corners[[top, bottom], [left, right]] += 1
        corners[[top, bottom], [right, left]] -= 1
    painted = (corners.cumsum(0).cumsum(1)[:-1, :-1] > 0).astype(np.uint8)
    labels = cv2.connectedComponents(painted, connectivity=4)[1]
    groups: dict[int, Box] = {}
    for box in boxes:
        label = int(labels[box.top, box.left])
        groups[label] = _union(groups[label], box) if label in groups else box
    return list(groups.values())


def _union(a: Box, b: Box) -> Box:
    top, left = min(a.top, b.top), min(a.left, b.left)
    return Box(top, left, max(a.bottom, b.bottom) - top, max(a.right, b.right) - left)
