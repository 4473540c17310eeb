"""Completion and picture into one: the feather's ramp, the colours across the border, the paste."""
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

LIKE = 0.45          # how far a colour may lie from the way between two others and still be a mixture of them
CONTENT = 0.3        # how far a donor's pixel may differ from its surroundings and still be a part of them
PLAIN = 0.15         # the same, where what is left of the surroundings is measured
# shares of the way from which on a colour counts less and nothing as a mixture: where nothing is left, and where all is
CLEAN, COPIED = (0.2, 0.8), (1.15, 1.6)
NEAR = 0.3           # differences of this size outside of the hole are the network's error, larger ones are content
SWEEPS = 8           # of Jacobi's method at each scale


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


def spread(planes: Tensor, known: Tensor) -> Tensor:
    """Planes [C,R,R] with what is not `known` ([R,R] bool) filled smoothly from its border, as a membrane would be.

    From the coarsest scale to the finest, with a few of Jacobi's sweeps each (pull and push; Gortler et al., "The
    Lumigraph", 1996). Known values stay to the bit. Something must be known.
    """
    scales = [(planes * known, known.to(planes.dtype)[None])]
    while scales[-1][0].shape[-1] > 2:
        scales.append(tuple(F.avg_pool2d(x, 2, ceil_mode=True) for x in scales[-1]))
    sums, shares = scales[-1]
    filled = (sums.sum(dim=(1, 2), keepdim=True) / shares.sum()).expand_as(sums)
    for sums, shares in reversed(scales):
        filled = F.interpolate(filled[None], sums.shape[-2:], mode="bilinear", align_corners=False)[0]
        fixed, held = shares > 0, sums / shares.clamp_min(1e-9)
        for _ in range(SWEEPS):
            x = F.pad(torch.where(fixed, held, filled)[None], (1, 1, 1, 1), mode="replicate")[0]
            filled = (x[:, 1:-1, 2:] + x[:, 1:-1, :-2] + x[:, 2:, 1:-1] + x[:, :-2, 1:-1]) / 4
        filled = torch.where(fixed, held, filled)
    return torch.where(known, planes, filled)


def settle(generated: Tensor, reference: Tensor, donor: Tensor, hidden: Tensor, hole: Tensor, known: Tensor) -> Tensor:
    """An edit in which the donor's surroundings give way to the picture's own: all [3,R,R] in [-1,1].

    generated: the edit. reference: the picture. donor: where the edit's content came from, as it lies in the edit.
    hole [R,R] bool: the edit, hidden: that and its feather, known: pixels of the picture that are not edited.

    Somebody else's eyes come with a rim of somebody else's skin. What surrounds the hole in the picture (p) and in the
    donor (d) is spread into it; a colour on the way from p to d is a mixture of two skins, and its share of d is taken
    out. Colours off that way (LIKE), too far on it and where the donor differs from its own surroundings (CONTENT) are
    what one wants from the donor, and stay. How far is too far depends on how much of d the edit has where the donor
    shows nothing else: next to nothing from a network that knows what an edit is, whose dark brows are then brows
    (CLEAN), all of it in a mere copy (COPIED). In the feather, where p is the picture itself, small differences (NEAR)
    are taken out as well. Without known pixels nothing changes.
    """
    if not bool(known.any()) or not bool(hole.any()):
        return generated
    p, d = spread(reference, known), spread(donor, known)
    way = d - p
    length = way.square().sum(dim=0)
    share = ((generated - p) * way).sum(dim=0) / length.clamp_min(0.02)
    content = torch.where(known, 0.0, (donor - d).square().sum(dim=0))
    plain = torch.where(hole, length * torch.exp(-content / (2 * PLAIN ** 2)), 0.0)
    left = float((plain * share.clamp(0, 1)).sum() / plain.sum().clamp_min(1e-6))
    full, none = (clean + (copied - clean) * left for clean, copied in zip(CLEAN, COPIED, strict=True))
    taken = share.clamp(0, full)
    off = (generated - p - taken * way).square().sum(dim=0)
    weight = torch.exp(-off / (2 * LIKE ** 2) - content / (2 * CONTENT ** 2))
    weight = weight * ((none - share) / (none - full)).clamp(0, 1)
    settled = generated - weight * taken * way
    gap = reference - settled
    error = torch.exp(-gap.square().sum(dim=0) / (2 * NEAR ** 2))
    settled = torch.where(hole, settled, settled + torch.where(known, error, 0.0) * gap)
    return torch.where(hidden, settled, generated)


def paste(target: Tensor, completion: Tensor, alpha: Tensor) -> None:
    """Blend `completion` [h,w] over `target` [h,w], in place: every bit stays where alpha is 0, none where it is 1."""
    mixed = target + alpha * (completion - target)
    target.copy_(torch.where(alpha <= 0, target, torch.where(alpha >= 1, completion, mixed)))
