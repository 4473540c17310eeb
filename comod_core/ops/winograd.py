"""3x3 convolutions with a quarter of the multiplications: minimal filtering F(4x4, 3x3) (Lavin and Gray, CVPR 2016).

A tile of 4x4 outputs is computed from 6x6 inputs as 36 products of matrices over channels, where the plain way takes
144: y = A^T [(G w G^T) * (B^T x B)] A. float32 and inference only. With the points 0, +-3/4, +-3/2 and infinity, which
float32 holds exactly, the result is within about 2e-6 of its own standard deviation (the direct sum: 2e-7). Work goes
strip by strip through buffers that stay in the processor's cache.
"""
from __future__ import annotations

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .scratch import Scratch, empty

_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
_STRIP_NUMBERS = 1 << 15  # tiles times channels


def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """A^T [4,6], G [6,3] and B^T [6,6] in float64, by Lagrange interpolation (Toom and Cook)."""
    outer, kernel, inner = np.zeros((4, 6)), np.zeros((6, 3)), np.zeros((6, 6))
    for i, point in enumerate(_POINTS):
        others = [other for other in _POINTS if other != point]
        outer[:, i] = point ** np.arange(4)
        kernel[i] = point ** np.arange(3) / np.prod([point - other for other in others])
        inner[i, :5] = np.poly(others)[::-1]
    outer[3, 5] = kernel[5, 2] = 1.0  # the point at infinity
    inner[5] = np.poly(_POINTS)[::-1]
    return torch.tensor(outer), torch.tensor(kernel), torch.tensor(inner)


def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """The transforms of a flattened tile: outputs [16,37] (the last column adds the bias), G [6,3], inputs [36,36]."""
    outer, kernel, inner = _transforms()
    outputs = torch.cat([torch.kron(outer, outer), torch.ones(16, 1, dtype=torch.float64)], dim=1)
    return outputs.float(), kernel, torch.kron(inner, inner).float()


@dataclasses.dataclass(frozen=True)
class Winograd:
    """A convolution [H,W,I] -> [H,W,O] ready to run: kernel [36,I,O], bias [O]."""

    kernel: Tensor
    bias: Tensor
    tile: Tensor
    untile: Tensor

    def rows(self, width: int, height: int) -> int:
        """How many rows of pixels make a strip of pictures of this size."""
        tiles = _STRIP_NUMBERS // max(self.kernel.shape[1:])
        return 4 * max(1, tiles // (width // 4))

    def strip(self, x: Tensor, out: Tensor, scratch: Scratch, *, scale: Tensor | None = None,
              demod: Tensor | None = None, noise: Tensor | None = None, slope: float | None = None,
              norm: tuple[Tensor, Tensor] | None = None) -> None:
        """Write demod * conv(scale * x) + noise + bias, or norm[0] * (conv(x) + bias) + norm[1], into `out`, through a
        leaky ReLU where `slope` is given.

        x [H+2,W+2,I]: the strip with one more pixel on each side; out [H,W,O] with H and W multiples of 4. Both may be
        parts of larger arrays whose pixels are contiguous. scale [I], demod [O] (positive), noise [H,W].
        """
        n, wide = out.shape[0] // 4, out.shape[1] // 4
        channels, outputs, tiles = *self.kernel.shape[1:], n * wide
        one = scratch.take("one", 37 * tiles * max(channels, outputs))
        two = scratch.take("two", 36 * tiles * max(channels, outputs))
        # B^T x B of every tile
        row, pixel = x.stride(0), x.stride(1)
        windows = x.as_strided((6, 6, n, wide, channels), (row, pixel, 4 * row, 4 * pixel, 1), x.storage_offset())
        gathered = one[:36 * tiles * channels].view(windows.shape)
        combine(windows, gathered, scale, None)
        moved = torch.mm(self.tile, gathered.view(36, -1), out=two[:36 * tiles * channels].view(36, -1))
        # 36 products over the channels, and the bias as a 37th
        products = one[:37 * tiles * outputs].view(37, tiles, outputs)
        torch.bmm(moved.view(36, tiles, channels), self.kernel, out=products[:36])
        products[36] = self.bias if demod is None else self.bias / demod
        # A^T [...] A
        y = torch.mm(self.untile, products.view(37, -1), out=two[:16 * tiles * outputs].view(16, -1))
        if noise is not None:
            noise = noise.unflatten(1, (wide, 4)).unflatten(0, (n, 4))[..., None]
        factor, rest = norm or (demod, noise)
        combine(y.view(4, 4, n, wide, outputs).permute(2, 0, 3, 1, 4), out.unflatten(1, (wide, 4)).unflatten(0, (n, 4)),
                factor, rest)
        if slope is not None:
            F.leaky_relu_(out, slope)


def combine(y: Tensor, out: Tensor, demod: Tensor | None, noise: Tensor | None) -> None:
    """out = demod * y + noise in one pass, of what is given. Shapes broadcast to that of y."""
    if demod is not None and noise is not None:
        torch.addcmul(noise, y, demod, out=out)
    elif noise is not None:
        torch.add(y, noise, out=out)
    elif demod is not None:
        torch.mul(y, demod, out=out)
    else:
        out.copy_(y)


def winograd(weight: Tensor, bias: Tensor | None = None) -> Winograd:
    """Prepare weight [O,I,3,3] and bias [O]: computed in float64, held in float32."""
    untile, g, tile = _matrices()
    kernel = empty(36 * weight.shape[0] * weight.shape[1], torch.float32).view(6, 6, weight.shape[1], len(weight))
    for start in range(0, len(weight), 32):  # a few outputs at a time: float64 takes room
        part = weight[start:start + 32].double()
        kernel[..., start:start + 32] = torch.einsum("ai,oxij,bj->abxo", g, part, g)
    kernel = kernel.flatten(0, 1)
    return Winograd(kernel, weight.new_zeros(len(weight)).float() if bias is None else bias.float(), tile, untile)
