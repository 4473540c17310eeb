"""Completion and picture into one: the feather's ramp, the colour match across the border, the paste."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

COLOR_LIMIT = 0.3    # the most that colour match moves a value, of a range of 2
OUTLIER = 0.3        # a difference from the common one above this is content, not colour
GRID = 64            # cells a side on which local colour is worked out
REACH = 1 / 16       # of the model's size: how far the local part of the match fades into the hole (standard deviation)
FADE = 0.1           # nearness of the border, 1 at it, at which the local part has fallen to half


def ramp(distance: Tensor, feather: float) -> Tensor:
    """Share of the completion at `distance` pixels from the hole: 1 in it, a half cosine down to 0 over `feather`."""
    fall = 0.5 + 0.5 * torch.cos(math.pi * distance / (feather + 1))
    return torch.where(distance <= 0, 1.0, torch.where(distance <= feather, fall, 0.0))


def luma(pixels: Tensor) -> Tensor:
    """[...,3,H,W] -> [...,1,H,W] with the weights of ITU-R BT.601; exact where the three channels are equal."""
    red, green, blue = pixels.unbind(-3)
    return (green + 0.299 * (red - green) + 0.114 * (blue - green)).unsqueeze(-3)


def match_color(generated: Tensor, reference: Tensor, hidden: Tensor, band: Tensor) -> Tensor:
    """Generated pixels moved so that their colour meets the picture's at the border: [C,R,R] -> [C,R,R].

    hidden [R,R] bool: what was generated. band [R,R] bool: the part of it whose true value `reference` [C,R,R] holds,
    a strip around the hole that the network was not shown, so that the two are compared at the very same pixels.
    Their difference there is split in two, both low in frequency, so that content keeps its contrast:
    - the common part, per channel: the mean m of the differences clipped to OUTLIER, shrunk by m^2 / (m^2 + s^2) with s
      the deviation of their local means: what differs from place to place is not colour. It moves the whole hole;
    - the local rest: a normalised Gaussian blur of it that fades into the hole. Differences above OUTLIER weigh
      nothing (Tukey's biweight): there the network drew something else, and that is its right.
    The sum is held within COLOR_LIMIT. Without a band nothing changes.
    """
    if int(band.sum()) < 8:
        return generated
    size, weight = generated.shape[-1], band.float()
    difference = torch.where(band, reference - generated, 0.0)
    near = _blur(weight[None])
    local = _blur(difference.clamp(-OUTLIER, OUTLIER)) / near.clamp_min(1e-12)
    share = _pool(weight[None]) / _pool(weight[None]).sum()
    mean = (share * local).sum(dim=(1, 2), keepdim=True)
    variance = (share * (local - mean).square()).sum(dim=(1, 2), keepdim=True)
    common = mean * mean ** 2 / (mean ** 2 + variance).clamp_min(1e-12)
    rest = torch.where(band, difference - common, 0.0)
    trust = (1 - (rest.abs().amax(dim=0) / OUTLIER) ** 2).clamp_min(0) ** 2 * weight
    fading = _blur(rest * trust) / (_blur(trust[None]) + FADE * (share * near).sum())
    fading = F.interpolate(fading[None], (size, size), mode="bilinear", align_corners=False)[0]
    return torch.where(hidden, generated + (common + fading).clamp(-COLOR_LIMIT, COLOR_LIMIT), generated)


def _pool(planes: Tensor) -> Tensor:
    """[C,R,R] averaged to at most GRID cells a side."""
    return F.adaptive_avg_pool2d(planes, min(GRID, planes.shape[-1]))


def _blur(planes: Tensor) -> Tensor:
    """[C,R,R] on the grid, under a Gaussian of REACH that is cut at three standard deviations; zeros outside."""
    planes = _pool(planes)
    sigma = REACH * planes.shape[-1]
    radius = max(1, math.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float32) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    planes = F.conv2d(planes[:, None], kernel[None, None, :, None], padding=(radius, 0))
    return F.conv2d(planes, kernel[None, None, None, :], padding=(0, radius))[:, 0]


def paste(target: Tensor, completion: Tensor, alpha: Tensor) -> None:
    """Blend `completion` [h,w] over `target` [h,w], in place: every bit stays where alpha is 0, none where it is 1."""
    mixed = target + alpha * (completion - target)
    target.copy_(torch.where(alpha <= 0, target, torch.where(alpha >= 1, completion, mixed)))
