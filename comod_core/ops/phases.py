"""The transposed 3x3 convolution of stride 2 as plain convolutions, one for even and one for odd rows.

oneDNN's transposed convolution does not use AMX as its plain ones do: at 512 channels it has a third of their rate.
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


def _pairs(kernel: Tensor) -> Tensor:
    """Taps [O,I,k,3] of the transposed convolution -> [2*O,I,k,2], which reads x[n-1] and x[n]."""
    even = torch.stack([kernel[..., 2], kernel[..., 0]], dim=-1)
    odd = torch.stack([torch.zeros_like(kernel[..., 1]), kernel[..., 1]], dim=-1)
    return torch.cat([even, odd]).contiguous()
