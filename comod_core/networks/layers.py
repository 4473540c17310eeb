"""Layers that the style-based networks share: equalised learning rate, modulation, mapping."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import CoModError
from ..ops import ACTIVATION_GAIN, bias_act, modulated_conv2d, setup_filter, upfirdn2d, weight_energy
from ..ops.kernels import usable

NOISE_MODES = ("const", "random", "none")


def check_rows(name: str, value: Tensor | None, count: int | None, width: int) -> Tensor | None:
    """An input [N,width] of a network, one row serving all `count`; width 0: the network takes none, None comes back.

    Raises CoModError when it is missing, superfluous or of another shape.
    """
    if not width:
        if value is not None:
            raise CoModError(f"this network takes no {name}: leave it out.")
        return None
    rows = "N" if count is None else count
    if value is None:
        raise CoModError(f"{name} is missing; this network takes [{rows},{width}].")
    if value.ndim != 2 or value.shape[1] != width or (count is not None and value.shape[0] not in (1, count)):
        raise CoModError(f"{name} has shape {list(value.shape)}; this network takes [{rows},{width}].")
    return value if count is None else value.expand(count, -1)


def feature_maps(k: int, base: int, decay: float, low: int, high: int) -> int:
    """Channels at stage k: clip(base / 2^(k * decay), low, high), rounded down (Karras et al. 2018)."""
    return min(max(int(base / 2.0 ** (k * decay)), low), high)


def normalize_2nd_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale every row of x [N,D] to unit mean square."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


def scales_after(x: Tensor) -> bool:
    """Whether a layer's scale goes into the kernel that adds its bias, which costs nothing, rather than its weight.

    Not in float16, where the unscaled product could be too large.
    """
    return usable(x) and x.dtype != torch.float16


class Dense(nn.Module):
    """Fully connected layer with equalised learning rate: the stored weight is scaled by lr_mul / sqrt(fan_in)."""

    def __init__(self, in_features: int, out_features: int, *, act: str = "lrelu", lr_mul: float = 1.0,
                 bias_init: float = 0.0, has_bias: bool = True):
        super().__init__()
        weight = torch.randn(out_features, in_features)
        # arithmetic on the meta device would import half of torch
        self.weight = nn.Parameter(weight if weight.is_meta else weight / lr_mul)
        self.bias = nn.Parameter(torch.full([out_features], bias_init / lr_mul)) if has_bias else None
        self.act, self.lr_mul, self.scale = act, lr_mul, lr_mul / math.sqrt(in_features)

    def forward(self, x: Tensor) -> Tensor:
        if scales_after(x):
            bias = None if self.bias is None else self.bias * (self.lr_mul / self.scale)
            y = nn.functional.linear(x, self.weight.to(x.dtype))
            return bias_act(y, bias, self.act, gain=ACTIVATION_GAIN[self.act] * self.scale)
        y = nn.functional.linear(x, (self.weight * self.scale).to(x.dtype))
        return bias_act(y, None if self.bias is None else self.bias * self.lr_mul, self.act)


class Mixed(nn.Module):
    """A layer that may compute in another dtype than its weights have, its output limited (`comod_core.precision`)."""

    compute: torch.dtype | None = None
    clamp: float | None = None

    def cast(self, x: Tensor) -> Tensor:
        return x if self.compute is None else x.to(self.compute)


class Conv2d(Mixed):
    """Convolution with equalised learning rate; `down` filters with the FIR first and strides by 2."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, *, act: str = "lrelu", down: bool = False,
                 has_bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if has_bias else None
        self.act, self.down, self.scale = act, down, 1 / math.sqrt(in_channels * kernel * kernel)
        if down:
            self.register_buffer("fir", setup_filter(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # leaky ReLU commutes with a positive gain, so the gain goes into weight and bias
        x, gain, kernel = self.cast(x), ACTIVATION_GAIN[self.act], self.weight.shape[-1]
        if scales_after(x) and self.bias is not None:
            y = self._convolve(x, self.weight.to(x.dtype), None, kernel)
            return bias_act(y, self.bias / self.scale, self.act, gain=self.scale * gain, clamp=self.clamp)
        weight = (self.weight * (self.scale * gain)).to(x.dtype)
        bias = None if self.bias is None else (self.bias * gain).to(x.dtype)
        return bias_act(self._convolve(x, weight, bias, kernel), None, self.act, gain=1.0, clamp=self.clamp)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None, kernel: int) -> Tensor:
        if not self.down:
            return nn.functional.conv2d(x, weight, bias, padding=kernel // 2)
        total = self.fir.shape[0] - 2 + kernel - 1
        near, far = (total + 1) // 2, total // 2
        # a 1x1 convolution commutes with dropping pixels, so there the FIR itself strides
        x = upfirdn2d(x, self.fir, down=2 if kernel == 1 else 1, padding=(near, far, near, far))
        return nn.functional.conv2d(x, weight, bias, stride=1 if kernel == 1 else 2)


class ResidualDown(nn.Module):
    """Residual block of StyleGAN2's discriminator: [N,I,H,W] -> [N,O,H/2,W/2] (Karras et al. 2020, Figure 7)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv0 = Conv2d(in_channels, in_channels)
        self.conv1 = Conv2d(in_channels, out_channels, down=True)
        self.skip = Conv2d(in_channels, out_channels, 1, down=True, act="linear", has_bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv1(self.conv0(x)) + self.skip(x)) * math.sqrt(0.5)


class ModulatedConv2d(Mixed):
    """Modulated convolution with its affine layer A, optional noise, bias and activation.

    forward(x [N,I,H,W], style [N,S], noise=None [N or 1,1,H',W']) -> [N,O,H',W'].
    """

    _kept: tuple[tuple, Tensor] | None = None

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, kernel: int = 3, *, up: bool = False,
                 demodulate: bool = True, act: str = "lrelu", noise_resolution: int | None = None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.mod = Dense(style_dim, in_channels, act="linear")
        self.up, self.demodulate, self.act = up, demodulate, act
        self.scale = 1 / math.sqrt(in_channels * kernel * kernel)
        self.noise_resolution = noise_resolution
        if noise_resolution is not None:
            self.noise_strength = nn.Parameter(torch.zeros([]))
            self.register_buffer("noise_const", torch.randn(1, 1, noise_resolution, noise_resolution))
        self.register_buffer("fir", setup_filter() if up else None, persistent=False)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None = None) -> Tensor:
        x, weight, s, energy = self.cast(x), self.weight, self.mod(style) + 1, None
        if x.dtype == torch.float16:  # unscaled weights would make the product too large
            weight = weight * self.scale
        else:  # the same product without a copy of the weight
            s, energy = s * self.scale, self._energy()
        noise = None if noise is None else noise * self.noise_strength
        return modulated_conv2d(x, weight, s, demodulate=self.demodulate, up=self.up, fir=self.fir, noise=noise,
                                bias=self.bias, act=self.act, clamp=self.clamp, energy=energy)

    def _energy(self) -> Tensor | None:
        """The weight's energy for `modulated_conv2d`, kept off the CPU while the weight stays; None: make it anew."""
        weight = self.weight
        if not self.demodulate or weight.device.type == "cpu" or torch.compiler.is_compiling() or weight.is_inference():
            return None
        if torch.is_grad_enabled() and weight.requires_grad:
            return None
        key = (weight.data_ptr(), weight._version, weight.dtype)
        if self._kept is None or self._kept[0] != key:
            self._kept = key, weight_energy(weight)
        return self._kept[1]


class NoiseSource:
    """Noise maps of one decode: stored ("const"), drawn one generator a sample ("random"), or none."""

    def __init__(self, mode: str, count: int, generators: Sequence[torch.Generator] | None):
        if mode not in NOISE_MODES:
            raise CoModError(f"noise_mode {mode!r} is not one of {', '.join(NOISE_MODES)}.")
        if mode == "random" and generators is not None and len(generators) != count:
            raise CoModError(f"noise_mode random: {count} samples but {len(generators)} generators; give one a sample.")
        self.mode, self.count, self.generators = mode, count, generators

    def __call__(self, layer: ModulatedConv2d) -> Tensor | None:
        if self.mode == "none":
            return None
        if self.mode == "const":
            return layer.noise_const
        shape, like = [1, 1, layer.noise_resolution, layer.noise_resolution], layer.noise_const
        if self.generators is None:
            return torch.randn([self.count, *shape[1:]], device=like.device).to(like.dtype)
        return torch.cat([torch.randn(shape, generator=g) for g in self.generators]).to(like.device, like.dtype)


class Mapping(nn.Module):
    """z [N,z_dim] (and label [N,label_size]) to w [N,w_dim] by dense layers (Karras et al. 2019, Section 2).

    The label is embedded by a plain matrix and concatenated to z before the normalisation.
    """

    def __init__(self, z_dim: int, w_dim: int, layers: int, hidden: int, label_size: int = 0, lr_mul: float = 0.01):
        super().__init__()
        self.label_weight = nn.Parameter(torch.randn(label_size, z_dim)) if label_size else None
        width = z_dim * (2 if label_size else 1)
        for i in range(layers):
            out = w_dim if i == layers - 1 else hidden
            self.add_module(f"dense{i}", Dense(width, out, lr_mul=lr_mul))
            width = out
        self.layers = layers

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        if self.label_weight is not None:
            z = torch.cat([z, label.to(z.dtype) @ self.label_weight.to(z.dtype)], dim=1)
        x = normalize_2nd_moment(z)
        for i in range(self.layers):
            x = getattr(self, f"dense{i}")(x)
        return x


def minibatch_std(x: Tensor, group: int = 4, features: int = 1) -> Tensor:
    """Append the standard deviation over groups of samples as extra maps (Karras et al. 2018, Section 3).

    x [N,C,H,W] -> [N,C+features,H,W]. Groups are made of samples i, i + N/group, ... as published; a batch that
    `group` does not divide falls back to the largest divisor below it.
    """
    n, c, h, w = x.shape
    group = next(g for g in range(min(group, n), 0, -1) if n % g == 0)
    y = x.float().reshape(group, n // group, features, c // features, h, w)
    y = (y - y.mean(dim=0)).square().mean(dim=0)
    y = (y + 1e-8).sqrt().mean(dim=[2, 3, 4])
    y = y.reshape(n // group, features, 1, 1).repeat(group, 1, h, w)
    return torch.cat([x, y.to(x.dtype)], dim=1)
