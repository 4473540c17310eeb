"""The separate holes of a mask, as boxes."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from ..errors import CoModError
from ..geometry import Rect
from .values import binarise, one_mask


def components(mask: torch.Tensor | np.ndarray, context: float = 0.0, *, threshold: float = 0.5) -> list[Rect]:
    """Tight boxes of the separate holes of one mask, from top to bottom; none for an empty mask.

    mask: one mask, [H,W], [1,H,W] or [1,1,H,W]; hole is what is above `threshold`, pixels joined by sides or corners.
    context: each box is seen with this share of its longer side added all around; holes whose boxes, seen like that,
        overlap or touch become one, again and again until no two do. The boxes that are returned are tight.
    Raises CoModError for more than one mask or a negative context.
    """
    if not 0 <= context < math.inf:
        raise CoModError(f"context is {context!r}: give a share of the box's longer side, 0 or more.")
    hole = binarise(one_mask(mask), threshold)[0, 0].cpu().numpy().astype(np.uint8)
    boxes = _connected(hole)
    while len(merged := _merge(boxes, context, hole.shape)) < len(boxes):
        boxes = merged
    return sorted(boxes, key=lambda box: (box.top, box.left))


def _connected(hole: np.ndarray) -> list[Rect]:
    import cv2

    stats = cv2.connectedComponentsWithStats(hole, connectivity=8)[2][1:].tolist()
    return [Rect(top, left, top + height, left + width) for left, top, width, height, _ in stats]


def _merge(boxes: Sequence[Rect], context: float, shape: tuple[int, int]) -> list[Rect]:
    """One round: paint the boxes with their context, and give the union of the boxes of each connected painted area."""
    import cv2

    # Corner counts, summed over rows and columns, paint any number of boxes in one pass over the picture.
    corners = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)
    for box in boxes:
        seen = box.expand(context * box.extent, *shape)
        corners[[seen.top, seen.bottom], [seen.left, seen.right]] += 1
        corners[[seen.top, seen.bottom], [seen.right, seen.left]] -= 1
    painted = (corners.cumsum(0).cumsum(1)[:-1, :-1] > 0).astype(np.uint8)
    labels = cv2.connectedComponents(painted, connectivity=4)[1]
    groups: dict[int, Rect] = {}
    for box in boxes:
        label = int(labels[box.top, box.left])
        groups[label] = groups[label].union(box) if label in groups else box
    return list(groups.values())
