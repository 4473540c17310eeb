"""Plain convolutions of the other networks as planes go through them."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...ops.planes import Plane
from ...ops.prepacked import direct
from ...ops.scratch import Scratch
from ...ops.winograd import winograd
from .modulated import suits_winograd


class Conv3:
    """A 3x3 convolution: kernel (see `run`), channels, and the factor of its sizes and its margin."""

    def __init__(self, weight: Tensor, bias: Tensor | None, resolution: int, dtype: torch.dtype, kind: str = "plain",
                 taps: Tensor | None = None, most: int = 384):
        self.channels, self.margin = len(weight), 2 if kind == "down" else 1
        self.factor = {"plain": 1, "up": 2, "twice": 2, "down": 0.5}[kind]
        weight, bias = weight.detach().float(), None if bias is None else bias.detach().float()
        if kind == "plain" and suits_winograd(weight, resolution, dtype, most, 64 if most == 384 else 32):
            self.kernel = winograd(weight, bias)
        else:
            self.kernel = direct(weight, bias, kind, taps, dtype, size=resolution)


class Conv1:
    """A 1x1 convolution as a product of matrices over pixels."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype):
        self.weight = weight.detach().float()[:, :, 0, 0].to(dtype)
        self.bias = None if bias is None else bias.detach().to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """x [H,W,I] -> [H,W,O]."""
        return F.linear(x.flatten(0, 1), self.weight, self.bias).unflatten(0, x.shape[:2])


def folded(conv, gain: float = 1.0) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a layer with equalised learning rate; gain: of its activation, and whatever else follows."""
    bias = None if conv.bias is None else conv.bias.detach() * gain
    return conv.weight.detach() * (conv.scale * gain), bias


def strips(conv: Conv3, x: Plane, scratch: Scratch):
    """For each strip of x: its first and last row, and the convolution's result [rows,W,O] in shared memory."""
    height, width = x.inside.shape[:2]
    rows = conv.kernel.rows(width, height)
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        out = scratch.take("strip", (stop - start) * width * conv.channels).view(stop - start, width, conv.channels)
        conv.kernel.strip(x.around(start, stop, 0, width, 1), out, scratch)
        yield start, stop, out
