"""StyleMapGAN on a CPU: gamma and beta by one convolution, normalisation folded into them, strips."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...ops.planes import Plane, plane
from ...ops.prepacked import fir
from ...ops.scratch import Scratch
from .boxes import double
from .layers import Conv1, Conv3, folded, strips
from .modulated import GAIN, SLOPE, run

_HALF = math.sqrt(0.5)


def _conv(layer, size: int, dtype: torch.dtype) -> Conv3:
    """A `Conv2d` or an `UpConv` of 3x3, `size` being that of its input."""
    if hasattr(layer, "down"):
        gain = GAIN if layer.act == "lrelu" else 1.0
        kind = "down" if layer.down else "plain"
        return Conv3(*folded(layer, gain), size, dtype, kind, layer.fir if layer.down else None)
    bias = None if layer.bias is None else layer.bias.detach() * GAIN
    return Conv3(layer.weight.detach() * layer.scale, bias, size, dtype, "up", layer.fir)


class _Spatial:
    """A `SpatialConv`: gamma and beta share their input, so they are one convolution."""

    def __init__(self, layer, size: int, dtype: torch.dtype):
        (gamma, gamma_bias), (beta, beta_bias) = folded(layer.gamma), folded(layer.beta)
        self.style = Conv3(torch.cat([gamma, beta]), torch.cat([gamma_bias, beta_bias]), size, dtype)
        self.conv = _conv(layer.conv, size, dtype) if layer.conv.weight.shape[-1] == 3 else \
            Conv1(*folded(layer.conv, GAIN), dtype)

    def modulate(self, x: Tensor, style: Plane, out: Plane, scratch: Scratch) -> None:
        """beta + gamma * (x - mean) / deviation into `out`; x [H,W,I]."""
        variance, mean = torch.var_mean(x.float(), correction=0)
        scale = torch.rsqrt(variance + 1e-5)
        shift = float(-mean * scale)
        for start, stop, found in strips(self.style, style, scratch):
            gamma, beta = found.chunk(2, dim=2)
            normal = torch.mul(x[start:stop], float(scale)).add_(shift)
            torch.addcmul(beta, normal, gamma, out=out.inside[start:stop])


class FastStyleMapGAN:
    """The fast form of a `StyleMapGAN`: `encode`, `expand` and `decode`, one sample at a time."""

    def __init__(self, net, dtype: torch.dtype):
        self.net, self.dtype, self.scratch = net, dtype, Scratch(dtype)
        decoder, config = net.decoder, net.config
        self.sizes = [config.style_size] * 2 + [size for level in config.levels for size in (level // 2, level)]
        self.resizer = [_conv(layer, size, dtype) for layer, size in zip(decoder.resizer, self.sizes, strict=True)]
        self.first = _Spatial(decoder.conv, config.style_size, dtype)
        self.blocks = [(_Spatial(block.conv0, size // 2, dtype), _Spatial(block.conv1, size, dtype),
                        Conv1(block.skip.weight.detach() * block.skip.scale, None, dtype))
                       for block, size in zip(decoder.blocks, config.levels, strict=True)]
        self.to_rgb = _Spatial(decoder.to_rgb, config.resolution, dtype)
        self._prepare_encoder(net.encoder)

    def _prepare_encoder(self, encoder) -> None:
        levels = list(reversed(self.net.config.levels))
        self.from_rgb = Conv1(*folded(encoder.from_rgb, GAIN), self.dtype)
        self.down = [(_conv(block.conv0, size, self.dtype), _conv(block.conv1, size, self.dtype),
                      Conv1(block.skip.weight.detach() * block.skip.scale, None, self.dtype),
                      fir(block.skip.fir, block.skip.weight.shape[1], 1.0, self.dtype, 2))
                     for block, size in zip(encoder.blocks, levels, strict=True)]
        self.final = _conv(encoder.final, levels[-1] // 2, self.dtype)

    def encode(self, image: Tensor) -> Tensor:
        """image [N,3,R,R] -> style maps [N,C,s,s]."""
        return torch.stack([self._encode(one) for one in image]).to(image.dtype)

    def _encode(self, image: Tensor) -> Tensor:
        x = F.leaky_relu_(self.from_rgb(image.permute(1, 2, 0).to(self.dtype).contiguous()), SLOPE)
        source = self._plane(x.shape, "even")
        source.inside.copy_(x)
        del x
        for conv0, conv1, skip, taps in self.down:
            size = source.inside.shape[0]
            middle = self._plane((size, size, conv0.channels), "odd", 2)
            run(conv0.kernel, source, middle, self.scratch)
            # a 1x1 convolution commutes with dropping pixels, so the FIR itself strides
            side = skip(taps(source.whole.permute(2, 0, 1)[None], None)[0].permute(1, 2, 0))
            source = self._plane((size // 2, size // 2, conv1.channels), "even")
            run(conv1.kernel, middle, source, self.scratch, factor=0.5, margin=2)
            source.inside.add_(side).mul_(_HALF)
        size = source.inside.shape[0]
        out = torch.empty(size, size, self.final.channels, dtype=self.dtype)
        run(self.final.kernel, source, Plane(out, 0), self.scratch)
        return out.permute(2, 0, 1).contiguous()

    def expand(self, style_map: Tensor) -> list[Tensor]:
        """Style maps [N,C,s,s] -> levels, each [N,*,h,w]."""
        found = [self._expand(one) for one in style_map]
        return [torch.stack([level.inside.permute(2, 0, 1) for level in levels]).to(style_map.dtype)
                if len(found) > 1 else levels[0].inside.permute(2, 0, 1)[None].to(style_map.dtype)
                for levels in zip(*found, strict=True)]

    def _expand(self, style_map: Tensor) -> list[Plane]:
        x = self._level(style_map)
        levels = []
        for layer in self.resizer:
            size = int(x.inside.shape[0] * layer.factor)
            level = plane(size, size, layer.channels, 1, self.dtype)
            run(layer.kernel, x, level, self.scratch, factor=layer.factor)
            levels.append(level)
            x = level
        return levels

    def _level(self, x: Tensor) -> Plane:
        """[C,h,w] as a plane of its own."""
        found = plane(x.shape[1], x.shape[2], x.shape[0], 1, self.dtype)
        found.inside.copy_(x.permute(1, 2, 0))
        return found

    def decode(self, style) -> Tensor:
        """Style maps [N,C,s,s] or levels -> pictures [N,3,R,R]."""
        if isinstance(style, Tensor):
            return torch.stack([self._decode(self._expand(one)) for one in style]).to(style.dtype)
        count = max(len(level) for level in style)
        rows = ([level[i if len(level) > 1 else 0] for level in style] for i in range(count))
        return torch.stack([self._decode([self._level(level) for level in row]) for row in rows]).to(style[0].dtype)

    def _decode(self, levels: list[Plane]) -> Tensor:
        x = self.net.decoder.const[0].permute(1, 2, 0).to(self.dtype).contiguous()
        x = self._modulated(self.first, x, levels[0], "x").whole
        for i, (conv0, conv1, skip) in enumerate(self.blocks):
            middle = self._modulated(conv0, x, levels[2 * i + 1], "middle").whole
            out = self._modulated(conv1, middle, levels[2 * i + 2], "out").whole
            side = plane(*x.shape[:2], out.shape[2], 1, self.dtype, self.scratch, "side")
            side.inside.copy_(skip(x))
            x = self.scratch.take("x", out.numel()).view(out.shape)
            double(side.whole, x)
            x.add_(out).mul_(_HALF)
        source = self._plane(x.shape, "input", 0)
        self.to_rgb.modulate(x, levels[-1], Plane(source.whole, 0), self.scratch)
        rgb = F.leaky_relu_(self.to_rgb.conv(source.whole).float(), SLOPE)
        return rgb.permute(2, 0, 1).contiguous()

    def _modulated(self, layer: _Spatial, x: Tensor, style: Plane, name: str) -> Plane:
        """One modulated convolution of x [H,W,I] into the memory `name`, without a margin."""
        source = self._plane(x.shape, "input")
        layer.modulate(x, style, source, self.scratch)
        size = int(x.shape[0] * layer.conv.factor)
        out = self._plane((size, size, layer.conv.channels), name, 0)
        run(layer.conv.kernel, source, out, self.scratch, factor=layer.conv.factor)
        return out

    def _plane(self, shape, name: str, margin: int = 1) -> Plane:
        return plane(*shape, margin, self.dtype, self.scratch, name)
