"""From a mask to the regions that are completed, one model run each: which holes, which box, which blending alpha."""
from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .blending import ramp
from .geometry import Box, Rect, crop_box, crop_side, fit_any, whole_box

HOLE = 0.5           # a mask value above this is hole
SOFT = 0.1           # one above this, but no hole, is blended: the soft edge of a brush
MAX_BOXES = 8        # model runs for one mask
MERGE = 1.25         # holes share a box where that costs at most this factor of either's resolution
MAX_HOLES = 64       # separate holes that are looked at one by one; more are first joined to their neighbours
COLOR_BAND = 2       # width in model pixels of the hidden band in which colours are compared


@dataclasses.dataclass(frozen=True)
class Region:
    """Geometry of one model run; depends on the mask alone.

    box: what the model sees, in the picture's pixels. rect: the part of the picture that is written.
    alpha: share of the completion there, float32 [h,w] in [0,1], 1 in the hole. hole: holes in the box and the
    picture, bool [h,w], whoever completes them. hidden: [R,R] bool, what the model may not see. band: [R,R] bool,
    cells that are hidden though known; there, completion and picture can be compared.
    """

    box: Box
    rect: Rect
    alpha: Tensor
    hole: Tensor
    hidden: Tensor
    band: Tensor


@dataclasses.dataclass(frozen=True)
class Fit:
    """How holes meet the model: the options of `completion.prepare` that concern geometry."""

    resolution: int
    strategy: str = "crop"
    context: float = 0.5
    feather: float | None = None
    grow: float = 0
    color_match: bool = True


def find_regions(mask: Tensor, fit: Fit) -> list[Region]:
    """Regions of one mask, float32 [H,W] in [0,1]; empty where no value is above 0.5.

    Above 0.5 is hole. From 0.1 to 0.5 the mask is the user's own soft edge: those pixels stay known, and the completion
    is blended over them with alpha rising from 0 to 1; below 0.1 (noise of a compressed file) it is nothing.
    """
    hole = mask > HOLE
    if not bool(hole.any()):
        return []
    soft = ((mask - SOFT) / (HOLE - SOFT)).clamp_(0, 1)
    if fit.grow:
        hole = distance_to(hole) <= fit.grow
    soft = torch.where(hole, 1.0, soft)
    holes = _separate(soft > 0, hole)
    if fit.strategy == "crop":
        groups = _group(holes.rects, lambda rect: _crop_side(rect, fit, mask.shape))
    else:
        groups = [list(range(len(holes.rects)))]
    return [_region(holes, group, soft, hole, fit) for group in groups]


def distance_to(flags: Tensor) -> Tensor:
    """Euclidean distance in pixels from each pixel's centre to the nearest that is True: [H,W] bool -> float32.

    OpenCV's last bit differs from call to call; a squared distance is whole by nature, and rounding it settles that.
    """
    import cv2

    source = np.ascontiguousarray(~flags.numpy()).astype(np.uint8)
    distance = torch.from_numpy(cv2.distanceTransform(source, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    return distance.square_().round_().sqrt_()


@dataclasses.dataclass(frozen=True)
class _Holes:
    """Separate holes with their soft edges: labels [ceil(H/factor),ceil(W/factor)], hole i + 1 bounded by rects[i]."""

    labels: np.ndarray
    factor: int
    rects: list[Rect]
    ids: list[int]

    def select(self, group: Sequence[int], rect: Rect) -> Tensor:
        """True on pixels of `rect` whose label is one of the group's: bool [h,w]."""
        chosen = np.zeros(int(self.labels.max()) + 1, bool)
        chosen[[self.ids[i] for i in group]] = True
        rows, columns = np.arange(rect.top, rect.bottom), np.arange(rect.left, rect.right)
        part = self.labels[rect.slices] if self.factor == 1 else self.labels[np.ix_(rows // self.factor,
                                                                                    columns // self.factor)]
        return torch.from_numpy(chosen[part])


def _separate(active: Tensor, hole: Tensor) -> _Holes:
    """Connected parts of `active` that contain hole. Above MAX_HOLES, neighbours are joined on a coarser grid."""
    import cv2

    height, width = active.shape
    factor, grid, core = 1, active, hole
    while True:
        count, labels, stats, _ = cv2.connectedComponentsWithStats(grid.numpy().astype(np.uint8), connectivity=8)
        present = np.zeros(count, bool)
        present[labels[core.numpy()]] = True
        ids = np.flatnonzero(present).tolist()
        if len(ids) <= MAX_HOLES:
            break
        factor *= 2
        grid, core = (F.max_pool2d(x[None, None].float(), 2, ceil_mode=True)[0, 0] > 0 for x in (grid, core))
    rects = []
    for i in ids:
        left, top, w, h = (int(value) * factor for value in stats[i, :4])
        rects.append(Rect(top, left, min(top + h, height), min(left + w, width)))
    return _Holes(labels, factor, rects, ids)


def _group(rects: Sequence[Rect], side_of: Callable[[Rect], int]) -> list[list[int]]:
    """Which holes share a box: pairs are joined, the smallest joint box first, while the joint box costs little
    resolution (MERGE) or there are more boxes than MAX_BOXES."""
    groups = [(rect, [i], side_of(rect)) for i, rect in enumerate(rects)]
    while len(groups) > 1:
        joints = [(side_of(a[0].union(b[0])), max(a[2], b[2]), i, j)
                  for (i, a), (j, b) in itertools.combinations(enumerate(groups), 2)]
        cheap = [joint for joint in joints if joint[0] <= MERGE * joint[1]]
        if not cheap and len(groups) <= MAX_BOXES:
            break
        side, base, i, j = min(cheap or joints)
        joined = groups[i][0].union(groups[j][0]), groups[i][1] + groups[j][1], base if cheap else side
        groups = [group for k, group in enumerate(groups) if k not in (i, j)] + [joined]
    return sorted(sorted(ids) for _, ids, _ in groups)


def _crop_side(rect: Rect, fit: Fit, shape: Sequence[int]) -> int:
    side = crop_side(rect.extent, *shape, fit.resolution, fit.context)
    rect = rect.expand(_feather(fit, side), *shape)
    return crop_side(rect.extent, *shape, fit.resolution, fit.context)


def _feather(fit: Fit, side: int) -> float:
    """Width in pixels. By itself: 2 of the model's pixels, or a 128th of its size where that is more."""
    if fit.feather is not None:
        return fit.feather
    return max(1.0, max(2.0, fit.resolution / 128) * side / fit.resolution)


def _region(holes: _Holes, group: Sequence[int], soft: Tensor, hole: Tensor, fit: Fit) -> Region:
    shape = height, width = tuple(hole.shape)
    outline = holes.rects[group[0]]
    for i in group[1:]:
        outline = outline.union(holes.rects[i])
    if fit.strategy == "crop":
        side = _crop_side(outline, fit, shape)
        feather = _feather(fit, side)
        box = crop_box(outline.expand(feather, *shape), side, height, width)
    else:
        box = whole_box(height, width)
        feather = _feather(fit, box.side)
    seen, pads = box.inside(height, width), box.pads(height, width)
    hole, mine = hole[seen.slices], holes.select(group, seen)
    distance = distance_to(hole & mine)
    alpha = torch.maximum(ramp(distance, feather), torch.where(mine, soft[seen.slices], 0.0))
    alpha = torch.where(hole & ~mine, 0.0, alpha)
    hidden = hole | (alpha > 0)
    if fit.color_match:
        hidden |= distance <= COLOR_BAND * box.side / fit.resolution
    inside = fit_any(torch.ones_like(hole), pads, fit.resolution)
    cells = fit_any(hidden, pads, fit.resolution)
    band = cells & inside & ~fit_any(hole, pads, fit.resolution)
    rect, alpha = _trim(alpha, seen)
    return Region(box, rect, alpha, hole, cells | ~inside, band)


def _trim(alpha: Tensor, seen: Rect) -> tuple[Rect, Tensor]:
    """The smallest part that holds every alpha above 0, and where it lies in the picture."""
    rows, columns = ((alpha > 0).any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    part = Rect(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    rect = Rect(seen.top + part.top, seen.left + part.left, seen.top + part.bottom, seen.left + part.right)
    return rect, alpha[part.slices].clone()
