"""Boxes in a picture, and the way of pixels from a box to the model's size and back."""
from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor

# A crop shows at least this share of the hole's extent on every side, whatever the context asked for.
MIN_CONTEXT = 0.125


@dataclasses.dataclass(frozen=True)
class Rect:
    """Rows top..bottom and columns left..right of a picture, in pixels, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def extent(self) -> int:
        return max(self.bottom - self.top, self.right - self.left)

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def union(self, other: Rect) -> Rect:
        return Rect(min(self.top, other.top), min(self.left, other.left),
                    max(self.bottom, other.bottom), max(self.right, other.right))

    def expand(self, margin: float, height: int, width: int) -> Rect:
        """Wider by `margin` on every side, as far as the picture of height x width reaches."""
        margin = math.ceil(margin)
        return Rect(max(self.top - margin, 0), max(self.left - margin, 0),
                    min(self.bottom + margin, height), min(self.right + margin, width))


@dataclasses.dataclass(frozen=True)
class Box:
    """Square of `side` pixels whose first pixel is (top, left). It may reach out of the picture."""

    top: int
    left: int
    side: int

    def inside(self, height: int, width: int) -> Rect:
        """The part of the box that lies in a picture of height x width."""
        return Rect(max(self.top, 0), max(self.left, 0),
                    min(self.top + self.side, height), min(self.left + self.side, width))

    def pads(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Pixels of the box outside of the picture: left, right, top, bottom (the order of torch's pad)."""
        rect = self.inside(height, width)
        return (rect.left - self.left, self.left + self.side - rect.right,
                rect.top - self.top, self.top + self.side - rect.bottom)


def crop_side(extent: int, height: int, width: int, resolution: int, context: float) -> int:
    """Side of the box for a hole of `extent` pixels (the longer side of its bounding box).

    The hole and `context` times its extent on each side; no less than the model's resolution, so that nothing is
    enlarged without need (or the picture's short side, where that is less); no more than the picture's long side.
    """
    wanted = math.ceil(extent * (1 + 2 * max(context, MIN_CONTEXT)))
    return min(max(wanted, min(resolution, height, width)), max(height, width))


def crop_box(rect: Rect, side: int, height: int, width: int) -> Box:
    """Square around the middle of `rect`, shifted into the picture; centred on it along an axis where it is longer."""

    def start(low: int, high: int, length: int) -> int:
        if side >= length:
            return -((side - length) // 2)
        return min(max((low + high - side) // 2, 0), length - side)

    return Box(start(rect.top, rect.bottom, height), start(rect.left, rect.right, width), side)


def whole_box(height: int, width: int) -> Box:
    """The smallest square with the whole picture in its middle."""
    return crop_box(Rect(0, 0, height, width), max(height, width), height, width)


def fit_pixels(pixels: Tensor, known: Tensor, pads: tuple[int, int, int, int], resolution: int) -> Tensor:
    """Box to model size, from known pixels only: [C,h,w] and known [h,w] bool -> [C,R,R] in [-1,1].

    Normalised resampling: unknown pixels are zeroed first and every weighted sum is divided by the weights of its
    known pixels, so that a hole neither bleeds nor darkens what is near it. The filter is the antialiased cubic
    (Keys 1981, a = -0.5). `pads` (left, right, top, bottom) repeat the picture's edge for the filter's sake alone.
    A value counts only where `fit_any` of the unknown pixels is False; there the weights' sum is well above 0.
    """
    weight = _resize(known.float(), pads, resolution).clamp_min(0.05)
    planes = [_resize(torch.where(known, plane, 0.0), pads, resolution) / weight for plane in pixels]
    return torch.stack(planes).clamp_(-1, 1)


def fit_any(flags: Tensor, pads: tuple[int, int, int, int], resolution: int) -> Tensor:
    """Box to model size for flags: [h,w] bool -> [R,R] bool, True where any pixel that the cell touches is True.

    So no hole pixel is lost, however thin. Outside of the picture, as `pads` says, nothing is True.
    """
    padded = F.pad(flags.float(), pads)[None, None]
    return F.adaptive_max_pool2d(padded, resolution)[0, 0] > 0


def enlarge(plane: Tensor, side: int) -> Tensor:
    """Model size back to the box: [R,R] -> [side,side] by the same cubic filter; smooth however large the factor."""
    return _cubic(plane, side)


def _resize(plane: Tensor, pads: tuple[int, int, int, int], side: int) -> Tensor:
    padded = F.pad(plane[None], pads, mode="replicate")[0] if any(pads) else plane
    return _cubic(padded, side)


def _cubic(plane: Tensor, side: int) -> Tensor:
    if plane.shape == (side, side):
        return plane
    return F.interpolate(plane[None, None], (side, side), mode="bicubic", antialias=True, align_corners=False)[0, 0]
