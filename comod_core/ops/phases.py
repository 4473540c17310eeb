"""Convolutions that double the size, as plain ones of the small picture: one for even and one for odd rows.

oneDNN's transposed convolution does not use AMX as its plain ones do: at 512 channels it has a third of their rate. A
3x3 convolution of repeated pixels has 4 different products of 9.
"""
from __future__ import annotations

import torch
from torch import Tensor

from .scratch import Scratch


class Phases:
    """x [1,I,h+2,w+2] -> y [1,O,2h+3,2w+3], channels-last, in memory of `scratch`: of `F.conv_transpose2d` with stride
    2 and padding 1 the same numbers.

    With full index o of the output, y[2m] = w0 x[m] + w2 x[m-1] and y[2m+1] = w1 x[m], in each direction. A convolution
    gives both columns of a pair as 2*O channels, which lie in memory as the pixels 2n and 2n+1.
    """

    def __init__(self, weight: Tensor, convolution, size: tuple[int, int] | None = None):
        """weight [O,I,3,3]; convolution: makes one, see `prepacked.convolution`; size: of the inputs, if known."""
        self.outputs = len(weight)
        even, odd = torch.stack([weight[:, :, 2], weight[:, :, 0]], dim=2), weight[:, :, 1:2]
        padding = (0, 1)  # so that the first and the last column have a pair, too
        self.even, self.odd = (convolution(_pairs(kernel), None, padding=padding, size=size) for kernel in (even, odd))

    def __call__(self, x: Tensor, scratch: Scratch | None) -> Tensor:
        rows, columns = x.shape[2] - 1, 2 * (x.shape[3] + 1)
        shape = (2 * rows + 1, columns - 3, self.outputs)
        count = shape[0] * shape[1] * shape[2]
        y = x.new_empty(shape) if scratch is None else scratch.take("phases", count).view(shape)
        y[1::2] = self._rows(self.even, x, columns)
        y[::2] = self._rows(self.odd, x, columns)
        return y.permute(2, 0, 1)[None]

    def _rows(self, convolution, x: Tensor, columns: int) -> Tensor:
        """[rows,2w+3,O]: without the columns that lie beside the picture."""
        found = convolution(x, None)[0].permute(1, 2, 0)
        return found.reshape(found.shape[0], columns, self.outputs)[:, 1:-2]


class Doubled:
    """x [1,I,h+2,w+2] -> the even and the odd rows, each [h,2w,O], of a 3x3 convolution of every pixel repeated to 2x2.

    The margin of x is what lies around the picture. Then a leaky ReLU, where a slope is given.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, convolution, dtype: torch.dtype,
                 size: tuple[int, int] | None = None):
        """As of `Phases`, of a weight in float32; bias [O]."""
        bias, columns = None if bias is None else bias.repeat(2), _doubled(weight, dim=3)
        kernel = torch.cat([columns[1], columns[0]])  # the pixels 2n-1 and 2n: both read x[n-1] and x[n]
        size = None if size is None else (size[0] - 1, size[1])
        self.rows = [convolution(rows.to(dtype), bias, size=size) for rows in _doubled(kernel, dim=2)]

    def __call__(self, x: Tensor, slope: float | None) -> list[Tensor]:
        found = [convolution(part, slope)[0].permute(1, 2, 0)
                 for convolution, part in zip(self.rows, (x[:, :, :-1], x[:, :, 1:]), strict=True)]
        return [part.reshape(part.shape[0], 2 * part.shape[1], -1)[:, 1:-1] for part in found]


def _doubled(weight: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Three taps along `dim` on repeated pixels -> two of an even pixel, x[n-1] and x[n], and of an odd one, x[n] and
    x[n+1].
    """
    first, second, third = weight.unbind(dim)
    return torch.stack([first, second + third], dim), torch.stack([first + second, third], dim)


def _pairs(kernel: Tensor) -> Tensor:
    """Taps [O,I,k,3] of the transposed convolution -> [2*O,I,k,2], which reads x[n-1] and x[n]."""
    even = torch.stack([kernel[..., 2], kernel[..., 0]], dim=-1)
    odd = torch.stack([torch.zeros_like(kernel[..., 1]), kernel[..., 1]], dim=-1)
    return torch.cat([even, odd]).contiguous()
