"""The edge of a hole: grow, shrink, feather, fill what it encloses. Distances are exact and Euclidean, in pixels."""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from ..blending import ramp
from ..errors import CoModError
from .values import as_mask


def _radius(pixels: float) -> float:
    try:
        radius = float(pixels)
    except (TypeError, ValueError):
        radius = math.nan
    if not 0 <= radius < math.inf:
        raise CoModError(f"pixels is {pixels!r}: give a number of at least 0.")
    return radius


def _one_by_one(mask: torch.Tensor, change: Callable[[np.ndarray], np.ndarray]) -> torch.Tensor:
    """Apply `change` (float32 [H,W] to [H,W]) to every mask of [N,1,H,W]; same device."""
    changed = [change(np.ascontiguousarray(one[0].numpy())) for one in mask.cpu()]
    return torch.from_numpy(np.stack(changed)[:, None]).to(mask.device, torch.float32)


def _squared_distance(hole: np.ndarray) -> np.ndarray:
    """Squared distance, in pixels between centres, to the nearest True of a bool [H,W]; infinite without any."""
    import cv2

    if not hole.any():
        return np.full(hole.shape, np.inf)
    distance = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.rint(distance.astype(np.float64) ** 2)  # whole by nature; rounding removes the float32 root's error


def _largest_within(mask: np.ndarray, radius: float) -> np.ndarray:
    """The largest value within `radius` of each pixel, float32 [H,W]: a disc, row of the disc by row of the disc."""
    import cv2

    height, width = mask.shape
    reach = min(int(radius), height - 1)
    largest = np.zeros_like(mask)
    for dy in range(-reach, reach + 1):
        half_width = min(math.isqrt(int(radius * radius) - dy * dy), width - 1)
        wide = cv2.dilate(mask, np.ones((1, 2 * half_width + 1), np.uint8))
        to, of = (slice(dy, None), slice(0, height - dy)) if dy >= 0 else (slice(0, dy), slice(-dy, None))
        np.maximum(largest[to], wide[of], out=largest[to])
    return largest


def grow(mask: torch.Tensor | np.ndarray, pixels: float) -> torch.Tensor:
    """Each pixel becomes the largest value within `pixels` of it (Euclidean, centre to centre); float32 [N,1,H,W].

    A binary hole thus gains every pixel at most `pixels` away from it; a soft edge moves outwards and stays soft.
    Raises CoModError when `pixels` is negative.
    """
    mask, radius = as_mask(mask), _radius(pixels)

    def grown(one: np.ndarray) -> np.ndarray:
        hole = one == 1
        if np.array_equal(hole, one):
            return _squared_distance(hole) <= radius * radius
        return _largest_within(one, radius)

    return mask if radius < 1 else _one_by_one(mask, grown)


def shrink(mask: torch.Tensor | np.ndarray, pixels: float) -> torch.Tensor:
    """Each pixel becomes the smallest value within `pixels` of it; float32 [N,1,H,W]. The known pixels grow.

    A binary hole loses every pixel at most `pixels` away from a known one. The picture's border takes nothing away:
    a hole that reaches it still does. Raises CoModError when `pixels` is negative.
    """
    mask = as_mask(mask)
    return mask if _radius(pixels) < 1 else 1 - grow(1 - mask, pixels)


def feather(mask: torch.Tensor | np.ndarray, pixels: float) -> torch.Tensor:
    """Weight of the completion when it is blended into the picture: alpha in [0, 1], float32 [N,1,H,W].

    The ramp lies outside of the hole, over known pixels, so that nothing of the picture under the hole shows. With
    d the Euclidean distance in pixels from a pixel to the nearest hole pixel (mask above 0.5), and p = `pixels`:

        alpha = 1                                in the hole (d = 0)
        alpha = (1 + cos(pi d / (p + 1))) / 2    where 0 < d <= p
        alpha = 0, exactly                       where d > p

    On a straight edge p rows of known pixels are blended and all others stay as they are; p = 0 is a hard edge.
    Where a soft mask itself is larger than this ramp (values up to 0.5 around a painted hole), its value is kept.
    Raises CoModError when `pixels` is negative.
    """
    mask, reach = as_mask(mask), _radius(pixels)

    def alpha(one: np.ndarray) -> np.ndarray:
        distance = torch.from_numpy(np.sqrt(_squared_distance(one > 0.5)))
        return np.maximum(ramp(distance, reach).numpy(), np.where(one > 0.5, 0, one))

    return _one_by_one(mask, alpha)


def fill_holes(mask: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Known islands become hole, so that an outline becomes the area inside it; float32 [N,1,H,W].

    An island is a region of known pixels (mask up to 0.5), joined by their sides, that does not reach the picture's
    border: an outline that is closed over corners encloses. Outside of the islands soft values are kept.
    """

    def filled(one: np.ndarray) -> np.ndarray:
        import cv2

        count, labels = cv2.connectedComponents((one <= 0.5).astype(np.uint8), connectivity=4)
        border = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
        island = np.ones(count, bool)
        island[border] = island[0] = False  # label 0 is the hole itself
        return np.where(island[labels], np.float32(1), one)

    return _one_by_one(as_mask(mask), filled)
