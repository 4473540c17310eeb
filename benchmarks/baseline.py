"""The networks as public PyTorch ports run them, to measure against: the same weights, the same numbers.

Written from the papers: every sample gets its own modulated weight and its own group of a grouped convolution
(Karras et al. 2020, Appendix B), the FIR filters pictures reshaped to one channel, constants are multiplied in at every
call, nothing is channels-last, nothing is done in place. Each class takes one of our networks and uses its weights.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def resample(x: Tensor, fir: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)) -> Tensor:
    """upfirdn2d on [N*C,1,H,W]."""
    n, c, h, w = x.shape
    x = x.reshape(-1, h, 1, w, 1)
    x = F.pad(x, [0, up - 1, 0, 0, 0, up - 1]).reshape(-1, 1, h * up, w * up)
    x = F.pad(x, [pad[0], pad[1], pad[0], pad[1]])
    x = F.conv2d(x, torch.flip(fir, [0, 1])[None, None])[:, :, ::down, ::down]
    return x.reshape(n, c, x.shape[2], x.shape[3])


def activate(x: Tensor, bias: Tensor | None, act: str) -> Tensor:
    if bias is not None:
        x = x + bias.view(1, -1, *[1] * (x.ndim - 2))
    return F.leaky_relu(x, 0.2) * math.sqrt(2) if act == "lrelu" else x


def dense(layer, x: Tensor) -> Tensor:
    return activate(F.linear(x, layer.weight * layer.scale),
                    None if layer.bias is None else layer.bias * layer.lr_mul, layer.act)


def conv(layer, x: Tensor) -> Tensor:
    """A `Conv2d`: FIR first where it goes down."""
    weight, kernel = layer.weight * layer.scale, layer.weight.shape[-1]
    if layer.down:
        total = 4 - 2 + kernel - 1
        x = F.conv2d(resample(x, layer.fir, pad=((total + 1) // 2, total // 2)), weight, stride=2)
    else:
        x = F.conv2d(x, weight, padding=kernel // 2)
    return activate(x, layer.bias, layer.act)


def transposed(x: Tensor, weight: Tensor, fir: Tensor, groups: int = 1) -> Tensor:
    """Up-convolution, weight [G*I,O,k,k], then the FIR: the size doubles."""
    x = F.conv_transpose2d(x, weight, stride=2, groups=groups)
    total = 4 - 2 - (weight.shape[-1] - 1)
    n = x.shape
    x = x.reshape(n[0] * groups, n[1] // groups, *n[2:])
    return resample(x, fir * 4, pad=((total + 1) // 2 + 1, total // 2 + 1))


def modulated(layer, x: Tensor, style: Tensor, noise: Tensor | None = None) -> Tensor:
    """A `ModulatedConv2d`, one group of the convolution a sample."""
    n, channels, h, w = x.shape
    out, kernel = len(layer.weight), layer.weight.shape[-1]
    style = dense(layer.mod, style) + 1
    weight = layer.scale * layer.weight[None] * style.view(n, 1, channels, 1, 1)
    if layer.demodulate:
        weight = weight * torch.rsqrt(weight.pow(2).sum([2, 3, 4]) + 1e-8).view(n, out, 1, 1, 1)
    x = x.reshape(1, n * channels, h, w)
    if layer.up:
        weight = weight.transpose(1, 2).reshape(n * channels, out, kernel, kernel)
        x = transposed(x, weight, layer.fir, groups=n)
    else:
        x = F.conv2d(x, weight.view(n * out, channels, kernel, kernel), padding=kernel // 2, groups=n)
        x = x.view(n, out, h, w)
    if noise is not None:
        x = x + layer.noise_strength * noise
    return activate(x, layer.bias, layer.act)


def to_picture(rgb: Tensor | None, layer, x: Tensor, style: Tensor, fir: Tensor) -> Tensor:
    new = modulated(layer, x, style)
    return new if rgb is None else new + resample(rgb, fir * 4, up=2, pad=(2, 1))


class PortCoModGAN:
    """encode and decode of a `CoModGenerator`, dropout off, stored noise."""

    def __init__(self, net):
        self.net = net

    def encode(self, image: Tensor, mask: Tensor) -> tuple[Tensor, dict[int, Tensor], Tensor, Tensor]:
        encoder, known = self.net.encoder, 1 - mask
        x = conv(encoder.from_rgb, torch.cat([known - 0.5, image * known], dim=1))
        skips = {}
        for res in encoder.resolutions:
            block = getattr(encoder, f"b{res}")
            skips[res] = x = conv(block.conv0, x)
            x = conv(block.conv1, x)
        skips[4] = x = conv(encoder.b4.conv, x)
        return dense(encoder.b4.dense, x.reshape(len(x), -1)), skips, image, known

    def decode(self, encoding, w: Tensor) -> Tensor:
        """w [N,L,W]: an encoding of one image is repeated."""
        code, skips, image, known = encoding
        n, net = len(w), self.net.synthesis
        code = code.expand(n, -1)
        skips = {res: skip.expand(n, -1, -1, -1) for res, skip in skips.items()}

        def style(layer: int) -> Tensor:
            return torch.cat([w[:, layer], code], dim=1)

        x = dense(net.b4.dense, code).view(n, -1, 4, 4) + skips[4]
        x = modulated(net.b4.conv, x, style(0), net.b4.conv.noise_const)
        rgb = to_picture(None, net.b4.to_rgb, x, style(1), net.fir)
        for i, res in enumerate(net.resolutions):
            block = getattr(net, f"b{res}")
            x = modulated(block.conv0, x, style(2 * i + 1), block.conv0.noise_const) + skips[res]
            x = modulated(block.conv1, x, style(2 * i + 2), block.conv1.noise_const)
            rgb = to_picture(rgb, block.to_rgb, x, style(2 * i + 3), net.fir)
        return rgb * (1 - known) + image * known


class PortStyleGAN2:
    """decode of a `StyleGAN2Generator`, stored noise."""

    def __init__(self, net):
        self.net = net

    def decode(self, w: Tensor) -> Tensor:
        net, clamp = self.net.synthesis, self.net.config.clamp

        def clamped(x: Tensor) -> Tensor:
            return x if clamp is None else x.clamp(-clamp, clamp)

        x = net.const.repeat(len(w), 1, 1, 1)
        x = clamped(modulated(net.b4.conv, x, w[:, 0], net.b4.conv.noise_const))
        rgb = clamped(modulated(net.b4.to_rgb, x, w[:, 1]))
        for i, res in enumerate(net.resolutions):
            block = getattr(net, f"b{res}")
            x = clamped(modulated(block.conv0, x, w[:, 2 * i + 1], block.conv0.noise_const))
            x = clamped(modulated(block.conv1, x, w[:, 2 * i + 2], block.conv1.noise_const))
            rgb = resample(rgb, net.fir * 4, up=2, pad=(2, 1)) + clamped(modulated(block.to_rgb, x, w[:, 2 * i + 3]))
        return rgb


class PortStyleMapGAN:
    """encode and decode of a `StyleMapGAN`."""

    def __init__(self, net):
        self.net = net

    @staticmethod
    def _conv(layer, x: Tensor) -> Tensor:
        """A `Conv2d` or an `UpConv`."""
        if hasattr(layer, "down"):
            return conv(layer, x)
        scale = layer.scale / (math.sqrt(2) if layer.act == "lrelu" else 1)
        return activate(transposed(x, (layer.weight * scale).transpose(0, 1), layer.fir), layer.bias, layer.act)

    def _spatial(self, layer, x: Tensor, style: Tensor) -> Tensor:
        x = F.layer_norm(x, x.shape[1:])
        return self._conv(layer.conv, x * conv(layer.gamma, style) + conv(layer.beta, style))

    def encode(self, image: Tensor) -> Tensor:
        x = conv(self.net.encoder.from_rgb, image)
        for block in self.net.encoder.blocks:
            x = (conv(block.conv1, conv(block.conv0, x)) + conv(block.skip, x)) / math.sqrt(2)
        return conv(self.net.encoder.final, x)

    def decode(self, style: Tensor) -> Tensor:
        net, levels = self.net.decoder, []
        for layer in net.resizer:
            style = self._conv(layer, style)
            levels.append(style)
        x = self._spatial(net.conv, net.const.repeat(len(style), 1, 1, 1), levels[0])
        for i, block in enumerate(net.blocks):
            skip = self._conv(block.skip, x)
            x = self._spatial(block.conv0, x, levels[2 * i + 1])
            x = (self._spatial(block.conv1, x, levels[2 * i + 2]) + skip) / math.sqrt(2)
        return self._spatial(net.to_rgb, x, levels[-1])


class PortBigGAN:
    """generate of a `BigGANGenerator`."""

    def __init__(self, net):
        self.net = net

    def generate(self, z: Tensor, feature: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        net, chunks = self.net, torch.split(z, self.net.chunk, 1)
        condition = [layer(value) for layer, value in ((net.embed, label), (net.feature, feature)) if layer is not None]
        x = net.linear(chunks[0]).view(len(z), -1, 4, 4)
        for block, chunk in zip(net.blocks, chunks[1:], strict=True):
            x = self._block(block, x, torch.cat([*condition, chunk], 1))
        x = F.batch_norm(x, net.norm.mean, net.norm.var, net.norm.gain, net.norm.bias, False, 0.1, net.norm.eps)
        return torch.tanh(net.to_rgb(F.relu(x)))

    @staticmethod
    def _norm(norm, x: Tensor, y: Tensor) -> Tensor:
        gain, bias = (1 + norm.gain(y)).view(len(y), -1, 1, 1), norm.bias(y).view(len(y), -1, 1, 1)
        return F.batch_norm(x, norm.mean, norm.var, None, None, False, 0.1, norm.eps) * gain + bias

    def _block(self, block, x: Tensor, y: Tensor) -> Tensor:
        h = F.interpolate(F.relu(self._norm(block.norm0, x, y)), scale_factor=2)
        h = block.conv1(F.relu(self._norm(block.norm1, block.conv0(h), y)))
        x = h + block.skip(F.interpolate(x, scale_factor=2))
        return x if block.attention is None else self._attend(block.attention, x)

    @staticmethod
    def _attend(layer, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        theta, phi, g = layer.theta(x), F.max_pool2d(layer.phi(x), 2), F.max_pool2d(layer.g(x), 2)
        theta, phi, g = (part.view(n, part.shape[1], -1) for part in (theta, phi, g))
        beta = F.softmax(torch.bmm(theta.transpose(1, 2), phi), -1)
        found = torch.bmm(g, beta.transpose(1, 2)).view(n, -1, h, w)
        return layer.gamma * layer.o(found) + x
