"""BigGAN's generator on a CPU: normalisation as one multiplication and addition, strips, prepared convolutions."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...ops.planes import Plane, plane
from ...ops.scratch import Scratch
from .layers import Conv1, Conv3
from .modulated import run

_WINOGRAD_UP_TO = 768  # channels: of the published widths all that are convolved at 32x32 or more
_QUERIES = 512


class _Norm:
    """Batch normalisation by the stored mean and variance as gain and bias [C] of one sample."""

    def __init__(self, norm):
        self.norm, self.scale = norm, torch.rsqrt(norm.var.float() + norm.eps)

    def __call__(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """y [D]: the condition."""
        gain = (1 + torch.mv(self.norm.gain.weight.float(), y)) * self.scale
        return gain, torch.mv(self.norm.bias.weight.float(), y) - self.norm.mean.float() * gain


class _Block:
    def __init__(self, block, size: int, dtype: torch.dtype):
        self.size, self.norm0, self.norm1 = size, _Norm(block.norm0), _Norm(block.norm1)
        self.conv0 = Conv3(block.conv0.weight, block.conv0.bias, size // 2, dtype, "twice")
        self.conv1 = Conv3(block.conv1.weight, block.conv1.bias, size, dtype, most=_WINOGRAD_UP_TO)
        self.skip = Conv1(block.skip.weight, block.skip.bias, dtype)
        self.attention = None if block.attention is None else _Attention(block.attention, dtype)


class _Attention:
    """A `SelfAttention`: the shares in float32, a few queries at a time."""

    def __init__(self, layer, dtype: torch.dtype):
        self.theta, self.phi, self.g, self.o = (Conv1(part.weight, None, dtype) for part in
                                                (layer.theta, layer.phi, layer.g, layer.o))
        self.gamma, self.dtype = float(layer.gamma), dtype

    def __call__(self, x: Tensor) -> Tensor:
        """x [H,W,C], changed in place."""
        q = self.theta(x).flatten(0, 1).float()
        k, v = (_quarters(part(x)).amax(dim=(1, 3)).flatten(0, 1) for part in (self.phi, self.g))
        k = k.float().t()
        found = torch.cat([torch.mm(torch.mm(rows, k).softmax(dim=1).to(self.dtype), v) for rows in q.split(_QUERIES)])
        return x.add_(self.o(found.unflatten(0, x.shape[:2])), alpha=self.gamma)


class FastBigGAN:
    """The fast form of a `BigGANGenerator`: `decode` of one sample after the other."""

    def __init__(self, net, dtype: torch.dtype):
        self.net, self.dtype, self.scratch = net, dtype, Scratch(dtype)
        self.blocks = [_Block(block, size, dtype) for block, (_, _, size) in
                       zip(net.blocks, net.config.plan, strict=True)]
        scale = torch.rsqrt(net.norm.var.float() + net.norm.eps) * net.norm.gain.float()
        self.last = scale, net.norm.bias.float() - net.norm.mean.float() * scale
        self.to_rgb = Conv3(net.to_rgb.weight, net.to_rgb.bias, net.resolution, dtype)

    def decode(self, chunks: list[Tensor], condition: list[Tensor]) -> Tensor:
        """chunks of z [N,Z] each and parts of the condition [N,D] -> [N,3,R,R]."""
        return torch.stack([self._one([chunk[i].float() for chunk in chunks], [part[i].float() for part in condition])
                            for i in range(len(chunks[0]))]).to(chunks[0].dtype)

    def _one(self, chunks: list[Tensor], condition: list[Tensor]) -> Tensor:
        x = self.net.linear(chunks[0][None].to(self.net.linear.weight.dtype)).view(-1, 4, 4)
        x = x.permute(1, 2, 0).to(self.dtype).contiguous()
        for block, chunk in zip(self.blocks, chunks[1:], strict=True):
            x = self._block(block, x, torch.cat([*condition, chunk]))
        source = self._plane(x.shape, "input")
        _normalise(x, self.last, source.inside)
        out = torch.empty(*x.shape[:2], self.to_rgb.channels, dtype=self.dtype)
        run(self.to_rgb.kernel, source, Plane(out, 0), self.scratch, slope=None)
        return torch.tanh_(out.float()).permute(2, 0, 1).contiguous()

    def _block(self, block: _Block, x: Tensor, y: Tensor) -> Tensor:
        """x [h,w,I] -> [2h,2w,O], in shared memory."""
        shape = (2 * x.shape[0], 2 * x.shape[1], block.conv0.channels)
        source = self._plane(x.shape, "input")
        _normalise(x, block.norm0(y), source.inside)
        skip = block.skip(x)  # a 1x1 convolution commutes with repeating pixels
        middle, out = self._plane(shape, "middle"), self._plane(shape, f"output{block.size.bit_length() % 2}", 0)
        run(block.conv0.kernel, source, middle, self.scratch, factor=2, slope=0.0, norm=block.norm1(y))
        run(block.conv1.kernel, middle, out, self.scratch, slope=None)
        _quarters(out.whole).add_(skip[:, None, :, None])
        return out.whole if block.attention is None else block.attention(out.whole)

    def _plane(self, shape, name: str, margin: int = 1) -> Plane:
        return plane(*shape, margin, self.dtype, self.scratch, name)


def _quarters(x: Tensor) -> Tensor:
    """[2H,2W,C] as [H,2,W,2,C]."""
    return x.unflatten(0, (-1, 2)).unflatten(2, (-1, 2))


def _normalise(x: Tensor, norm: tuple[Tensor, Tensor], out: Tensor) -> None:
    """relu(gain * x + bias) into `out`, a few rows at a time."""
    gain, bias = (value.to(x.dtype) for value in norm)
    rows = max(1, (1 << 18) // (x.shape[1] * x.shape[2]))
    for start in range(0, len(x), rows):
        F.relu_(torch.addcmul(bias, x[start:start + rows], gain, out=out[start:start + rows]))
