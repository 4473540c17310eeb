"""Modulated convolutions with their constants folded, and the choice of a convolution for a layer."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...ops.planes import Plane
from ...ops.prepacked import Direct, direct
from ...ops.scratch import Scratch
from ...ops.winograd import Winograd, winograd
from ..layers import ModulatedConv2d

SLOPE, GAIN = 0.2, math.sqrt(2.0)
# Fewer channels: the transforms cost more than they save. More: kernels of fourfold size take too much memory.
_WINOGRAD_CHANNELS, _WINOGRAD_SIZE = (64, 384), 64
_PREPARING = 1 << 19  # numbers that one pass over features reads in the time that preparing a convolution takes


def suits_winograd(weight: Tensor, resolution: int, dtype: torch.dtype, most: int = _WINOGRAD_CHANNELS[1],
                   least_size: int = _WINOGRAD_SIZE) -> bool:
    """Whether Winograd's way pays for this weight [O,I,k,k]; most: channels, for a network that has memory to spare."""
    return (dtype == torch.float32 and weight.shape[-1] == 3 and resolution >= least_size
            and all(_WINOGRAD_CHANNELS[0] <= channels <= most for channels in weight.shape[:2]))


def run(kernel: Winograd | Direct, x: Plane, out: Plane, scratch: Scratch, box: tuple[int, int, int, int] | None = None,
        factor: float = 1, margin: int = 1, skip: Tensor | None = None, noise: Tensor | None = None,
        slope: float | None = SLOPE, clamp: float | None = None, **style) -> None:
    """Run a convolution strip by strip: `box` of x, or all of it, to out. factor: of the sizes, 2 for "up".

    skip [H,W,O] (of the output's picture) is added at the end; noise [H,W] of that picture, too, before the activation.
    clamp: what features are clamped to after it.
    """
    top, bottom, left, right = box or (0, x.inside.shape[0], 0, x.inside.shape[1])
    rows = kernel.rows(right - left, bottom - top)
    for start in range(top, bottom, rows):
        stop = min(start + rows, bottom)
        seen = (slice(int(start * factor), int(stop * factor)), slice(int(left * factor), int(right * factor)))
        target = out.around(seen[0].start, seen[0].stop, seen[1].start, seen[1].stop, 0)
        kernel.strip(x.around(start, stop, left, right, margin), target, scratch,
                     noise=None if noise is None else noise[seen], slope=slope, **style)
        if clamp is not None:
            target.clamp_(-clamp, clamp)
        if skip is not None:
            target += skip[seen]


class Modulated:
    """One `ModulatedConv2d` without its activation's gain, which is in its demodulation, bias and noise.

    style(v [S]) gives s of Equation 1; `prepare(s)` the convolution and what its strips need.
    """

    def __init__(self, layer: ModulatedConv2d, resolution: int, dtype: torch.dtype):
        self.layer, self.dtype = layer, dtype
        self.kind = "up" if layer.up else "plain"
        weight = layer.weight.detach().float()
        self.mod = layer.mod.weight.detach().float(), (layer.mod.bias.detach() * layer.mod.lr_mul + 1).float()
        self.bias = layer.bias.detach().float() * GAIN
        self.energy = weight.square().sum(dim=[2, 3]) * layer.scale ** 2
        # one sample's style in the weight pays where weight and the work of preparing it are small beside the features
        self.folds = weight.numel() * 4 + _PREPARING <= len(weight) * resolution ** 2
        self.kernel, self.weight, self.taps = None, weight, layer.fir if layer.up else None
        if not layer.up and suits_winograd(weight, resolution, dtype):
            self.kernel, self.folds, self.weight = winograd(weight, self.bias), False, None
        elif not self.folds:
            size = resolution // 2 if layer.up else resolution
            self.kernel = direct(weight, self.bias, self.kind, self.taps, dtype, demodulated=True, size=size)
            self.weight = None

    def style(self, v: Tensor) -> Tensor:
        return torch.addmv(self.mod[1], self.mod[0], v, alpha=self.layer.mod.scale)

    def prepare(self, s: Tensor) -> tuple[Winograd | Direct, dict[str, Tensor]]:
        """The convolution of one sample with style s [I], and the arguments of its strips."""
        demod = GAIN * torch.rsqrt(torch.mv(self.energy, s.square()) + 1e-8)
        s = s * self.layer.scale
        if not self.folds:
            return self.kernel, {"scale": s, "demod": demod}
        weight = self.weight * s[:, None, None] * demod[:, None, None, None]
        return direct(weight, self.bias, self.kind, self.taps, self.dtype), {}

    def noise(self, image: Tensor | None) -> Tensor | None:
        """A noise map [1,r,r] as it is added."""
        return None if image is None else image[0] * (self.layer.noise_strength * GAIN)


class ToRGB:
    """The modulated 1x1 convolution to RGB, as a product of matrices over pixels."""

    def __init__(self, layer: ModulatedConv2d):
        self.layer = layer
        self.weight, self.bias = layer.weight.detach().float()[:, :, 0, 0], layer.bias.detach().float()
        self.mod = layer.mod.weight.detach().float(), (layer.mod.bias.detach() * layer.mod.lr_mul + 1).float()

    def prepare(self, v: Tensor) -> Tensor:
        """The weight [3,I] of one sample."""
        s = torch.addmv(self.mod[1], self.mod[0], v, alpha=self.layer.mod.scale)
        return self.weight * (s * self.layer.scale)

    def __call__(self, x: Tensor, weight: Tensor) -> Tensor:
        """x [H,W,I] contiguous -> [H,W,3] in float32."""
        return F.linear(x.flatten(0, 1), weight.to(x.dtype)).float().add_(self.bias).unflatten(0, x.shape[:2])
