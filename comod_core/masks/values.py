"""What a mask is: float32 [N,1,H,W] in [0, 1], 1 = hole. Checks, polarity, thresholds and sizes."""
from __future__ import annotations

import operator

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import CoModError

# Rounding of resized masks may leave the unit range by this much; such values are clamped.
_ROUNDING = 1e-5


def as_size(size: int | tuple[int, int], what: str = "size") -> tuple[int, int]:
    """(H, W) in pixels from one side or a pair. Raises CoModError unless both are whole numbers of at least 1."""
    try:
        if isinstance(size, (tuple, list, torch.Size)):
            height, width = (operator.index(side) for side in size)
        else:
            height = width = operator.index(size)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise CoModError(f"{what} is {size!r}: give a whole number of pixels or a pair (height, width), at least 1.")
    return height, width


def as_mask(mask: torch.Tensor | np.ndarray, what: str = "mask") -> torch.Tensor:
    """Checked mask as float32 [N,1,H,W] in [0, 1] on the device it came from.

    Takes a tensor or array of shape [H,W], [N,H,W] or [N,1,H,W], of any float type, bool, or integers 0 and 1.
    Raises CoModError on any other shape, on no pixels, on NaN, and on values outside [0, 1] (such as 0..255).
    The result may share memory with `mask`: do not write into it.
    """
    if not isinstance(mask, (torch.Tensor, np.ndarray)):
        raise CoModError(f"{what} is a {type(mask).__name__}: give a torch tensor or a numpy array.")
    mask = torch.as_tensor(mask).detach()
    shape = tuple(mask.shape)
    if mask.ndim not in (2, 3, 4) or (mask.ndim == 4 and shape[1] != 1):
        raise CoModError(f"{what} has shape {list(shape)}: give [H,W], [N,H,W] or [N,1,H,W], one channel, 1 = hole.")
    if 0 in shape:
        raise CoModError(f"{what} has shape {list(shape)} and so no pixels: give at least one mask of at least 1x1.")
    if mask.is_complex():
        raise CoModError(f"{what} holds complex numbers: give real values in [0, 1], 1 = hole.")
    mask = mask.to(torch.float32).reshape(-1, 1, *shape[-2:])
    _check_range(mask, what)
    return mask.clamp(0, 1)


def _check_range(mask: torch.Tensor, what: str) -> None:
    low, high = (value.item() for value in mask.aminmax())
    if low != low or high != high:
        raise CoModError(f"{what} holds NaN: give values in [0, 1], 1 = hole.")
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        if low >= 0 and high <= 255:
            advice = "it looks like 0..255, so divide it by 255"
        elif low >= -1 - _ROUNDING and high <= 1 + _ROUNDING:
            advice = "it looks like -1..1, so map it with (mask + 1) / 2"
        else:
            advice = "scale it"
        raise CoModError(f"{what} holds values from {low:g} to {high:g}, outside [0, 1]: {advice}.")


def one_mask(mask: torch.Tensor | np.ndarray, what: str = "mask") -> torch.Tensor:
    """As `as_mask`, for a single mask: [1,1,H,W]. Raises CoModError when there are several."""
    mask = as_mask(mask, what)
    if len(mask) != 1:
        raise CoModError(f"{what} holds {len(mask)} masks: give one, or call once for each.")
    return mask


def binarise(mask: torch.Tensor | np.ndarray, threshold: float = 0.5) -> torch.Tensor:
    """1 where `mask` is above `threshold`, else 0; float32 [N,1,H,W]. With 0 every touched pixel is hole."""
    if not 0 <= threshold < 1:
        raise CoModError(f"threshold is {threshold!r}: give a number from 0 (all that is touched) to below 1.")
    return (as_mask(mask) > threshold).float()


def invert(mask: torch.Tensor | np.ndarray) -> torch.Tensor:
    """1 - mask: holes become known and known pixels holes; float32 [N,1,H,W]."""
    return 1 - as_mask(mask)


def from_known(mask: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Mask (1 = hole) from one in the opposite convention (1 = known), which the published networks use."""
    return invert(mask)


def to_known(mask: torch.Tensor | np.ndarray) -> torch.Tensor:
    """The opposite convention (1 = known), for files and networks that want it, from a mask (1 = hole)."""
    return invert(mask)


def hole_ratio(mask: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Share of the picture that is hole, one value a mask: float32 [N] in [0, 1]. Soft pixels count by their value."""
    return as_mask(mask).double().mean(dim=(1, 2, 3)).float()


def to_size(mask: torch.Tensor | np.ndarray, size: int | tuple[int, int]) -> torch.Tensor:
    """Mask resized to (H, W) so that no hole pixel is lost; float32 [N,1,H,W].

    Each new pixel takes the largest of the old pixels whose area it touches: a hole of one pixel survives any
    reduction, binary masks stay binary, soft values are kept, and what was hole is covered by hole.
    """
    mask, size = as_mask(mask), as_size(size)
    return mask if tuple(mask.shape[-2:]) == size else F.adaptive_max_pool2d(mask, size)
