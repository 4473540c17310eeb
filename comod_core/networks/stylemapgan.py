"""StyleMapGAN (Kim et al., "Exploiting Spatial Dimensions of Latent in GAN for Real-time Image Editing", CVPR 2021).

The latent is a map: it is resized level by level to the size of each layer's features and modulates them pixel by
pixel. An encoder predicts the map of a photo, so an edit is a blend of two maps and one decode.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import CoModError
from ..ops import ACTIVATION_GAIN, setup_filter, upfirdn2d
from .fast import FastStyleMapGAN, fast_form
from .layers import Conv2d, Dense, Mixed, ResidualDown, minibatch_std, normalize_2nd_moment, scales_after


@dataclasses.dataclass(frozen=True)
class StyleMapConfig:
    """Hyper-parameters of a StyleMapGAN.

    style_size s and style_channels C: the style map is [C,s,s]. channels: of the features at 4, 8, ... resolution.
    small: the resizer keeps C channels at every level (the published "small generator").
    """

    resolution: int = 256
    style_size: int = 8
    style_channels: int = 64
    mapping_layers: int = 8
    mapping_lr_mul: float = 0.01
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128)
    small: bool = False
    image_channels: int = 3

    def __post_init__(self):
        object.__setattr__(self, "channels", tuple(self.channels))
        sizes = [4 * 2 ** i for i in range(len(self.channels))]
        counts = (self.style_channels, self.mapping_layers, self.image_channels, *self.channels)
        if not all(isinstance(count, int) and count > 0 for count in counts):
            raise CoModError("StyleMapGAN: channels and mapping layers are whole numbers of at least 1.")
        if not 2 <= len(sizes) <= 11 or self.resolution != sizes[-1] or self.style_size not in sizes[:-1]:
            raise CoModError(f"StyleMapGAN: resolution {self.resolution}, style map {self.style_size} and channels for "
                             f"{sizes} do not fit together.")

    def features(self, resolution: int) -> int:
        """Channels of the features of this resolution."""
        return self.channels[int(math.log2(resolution)) - 2]

    @property
    def levels(self) -> list[int]:
        """Resolutions of the decoder's blocks: 2s, 4s, ... R."""
        return [self.style_size * 2 ** i for i in range(1, int(math.log2(self.resolution // self.style_size)) + 1)]


class UpConv(Mixed):
    """Transposed convolution with stride 2, FIR (gain 4), and where wanted bias and leaky ReLU: H doubles."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, act: str = "lrelu", has_bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if has_bias else None
        self.act, self.scale = act, ACTIVATION_GAIN[act] / math.sqrt(in_channels * kernel * kernel)
        self.register_buffer("fir", setup_filter(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cast(x)
        scale, gain = self.scale, 1.0
        if scales_after(x):
            scale, gain = gain, scale
        weight = (self.weight * scale if scale != 1 else self.weight).to(x.dtype)
        y = nn.functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        total = self.fir.shape[0] - 2 - (weight.shape[-1] - 1)
        near, far = (total + 1) // 2 + 1, total // 2 + 1
        bias = None if self.bias is None else self.bias * ACTIVATION_GAIN[self.act]
        return upfirdn2d(y, self.fir, padding=(near, far, near, far), gain=4 * gain, bias=bias, act=self.act,
                         act_gain=1.0, clamp=self.clamp)


class SpatialConv(nn.Module):
    """Convolution modulated pixel by pixel: layer normalisation, x * gamma(map) + beta(map), convolution, lrelu.

    forward(x [N,I,H,W], style [N,S,H,W]) -> [N,O,H or 2H,W or 2W] (Section 3.2 of the paper).
    """

    def __init__(self, in_channels: int, out_channels: int, style_channels: int, kernel: int = 3, *, up: bool = False):
        super().__init__()
        self.gamma = Conv2d(style_channels, in_channels, act="linear")
        self.beta = Conv2d(style_channels, in_channels, act="linear")
        nn.init.ones_(self.gamma.bias)
        self.conv = UpConv(in_channels, out_channels, kernel) if up else Conv2d(in_channels, out_channels, kernel)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        x = nn.functional.group_norm(x, 1)
        return self.conv(torch.addcmul(self.beta(style), x, self.gamma(style)))


class ResidualUp(nn.Module):
    """Decoder block: two modulated convolutions and a skip, [N,I,H,W] -> [N,O,2H,2W]."""

    def __init__(self, in_channels: int, out_channels: int, style0: int, style1: int):
        super().__init__()
        self.conv0 = SpatialConv(in_channels, out_channels, style0, up=True)
        self.conv1 = SpatialConv(out_channels, out_channels, style1)
        self.skip = UpConv(in_channels, out_channels, 1, act="linear", has_bias=False)

    def forward(self, x: Tensor, style0: Tensor, style1: Tensor) -> Tensor:
        return (self.conv1(self.conv0(x, style0), style1) + self.skip(x)) * math.sqrt(0.5)


class StyleMapDecoder(nn.Module):
    """Resizer of the style map and the generator that it modulates."""

    def __init__(self, config: StyleMapConfig):
        super().__init__()
        features, s, c = config.features, config.style_size, config.style_channels
        widths = [c if config.small else features(s)] * 2
        resizer = [Conv2d(c, widths[0]), Conv2d(widths[0], widths[1])]
        for level in config.levels:
            width = c if config.small else features(level)
            resizer += [UpConv(widths[-1], width, 3), Conv2d(width, width)]
            widths += [width, width]
        self.resizer = nn.ModuleList(resizer)
        self.const = nn.Parameter(torch.randn(1, features(s), s, s))
        self.conv = SpatialConv(features(s), features(s), widths[0])
        blocks = [ResidualUp(features(level // 2), features(level), widths[2 * i + 1], widths[2 * i + 2])
                  for i, level in enumerate(config.levels)]
        self.blocks = nn.ModuleList(blocks)
        self.to_rgb = SpatialConv(features(config.resolution), config.image_channels, widths[-1], 1)

    def expand(self, style_map: Tensor) -> list[Tensor]:
        levels = []
        for layer in self.resizer:
            style_map = layer(style_map)
            levels.append(style_map)
        return levels

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        x = self.const.expand(levels[0].shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
        x = self.conv(x, levels[0])
        for i, block in enumerate(self.blocks):
            x = block(x, levels[2 * i + 1], levels[2 * i + 2])
        return self.to_rgb(x, levels[-1])


class StyleMapEncoder(nn.Module):
    """Photo to style map: residual blocks down to s x s, then one convolution to C channels."""

    def __init__(self, config: StyleMapConfig):
        super().__init__()
        features = config.features
        self.from_rgb = Conv2d(config.image_channels, features(config.resolution), 1)
        self.blocks = nn.Sequential(*[ResidualDown(features(level), features(level // 2))
                                      for level in reversed(config.levels)])
        self.final = Conv2d(features(config.style_size), config.style_channels)

    def forward(self, image: Tensor) -> Tensor:
        return self.final(self.blocks(self.from_rgb(image)))


class StyleMapGAN(nn.Module):
    """Mapping, decoder and encoder of one StyleMapGAN. See `encode`, `map`, `expand` and `decode`.

    Attributes: config, resolution, z_dim, w_avg [C*s*s] (mean flat style map, centre of truncation), info,
    inference_dtype (what a CPU computes in, None for the weights' own).
    """

    inference_dtype: torch.dtype | None = None

    def __init__(self, config: StyleMapConfig | None = None):
        super().__init__()
        self.config = config = config or StyleMapConfig()
        c, s = config.style_channels, config.style_size
        widths = [c] * config.mapping_layers + [c * s * s]
        self.mapping = nn.ModuleList([Dense(a, b, lr_mul=config.mapping_lr_mul)
                                      for a, b in zip(widths[:-1], widths[1:], strict=True)])
        self.decoder, self.encoder = StyleMapDecoder(config), StyleMapEncoder(config)
        self.register_buffer("w_avg", torch.zeros(c * s * s))
        self.info = None
        self.resolution, self.image_channels, self.z_dim = config.resolution, config.image_channels, c

    def encode(self, image: Tensor) -> Tensor:
        """image [N,3,R,R] in [-1,1] -> style map [N,C,s,s]. Raises CoModError for another size."""
        c, r = self.image_channels, self.resolution
        if image.ndim != 4 or image.shape[1:] != (c, r, r):
            raise CoModError(f"encode: image has shape {list(image.shape)}; this network takes [N,{c},{r},{r}].")
        image = image.to(self.w_avg.dtype)
        if fast := fast_form(self, FastStyleMapGAN, image):
            return fast.encode(image)
        return self.encoder(image.contiguous(memory_format=torch.channels_last))

    def map(self, z: Tensor) -> Tensor:
        """z [N,C] -> style map [N,C,s,s]. Raises CoModError for another width."""
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise CoModError(f"map: z has shape {list(z.shape)}; this network takes [N,{self.z_dim}].")
        x = normalize_2nd_moment(z)
        for layer in self.mapping:
            x = layer(x)
        return x.reshape(len(z), self.config.style_channels, self.config.style_size, self.config.style_size)

    def expand(self, style_map: Tensor) -> list[Tensor]:
        """Style map [N,C,s,s] -> its levels ("W+"), one a layer: [N,*,s,s], [N,*,s,s], [N,*,2s,2s], ... [N,*,R,R].

        Raises CoModError for another shape.
        """
        self._check_map(style_map)
        if fast := fast_form(self, FastStyleMapGAN, style_map):
            return fast.expand(style_map)
        return self.decoder.expand(style_map.contiguous(memory_format=torch.channels_last))

    def decode(self, style: Tensor | Sequence[Tensor]) -> Tensor:
        """Style map [N,C,s,s], or the levels that `expand` made of it -> image [N,3,R,R], about [-1,1]."""
        if isinstance(style, Tensor):
            self._check_map(style)
        if fast := fast_form(self, FastStyleMapGAN, *([style] if isinstance(style, Tensor) else style)):
            return fast.decode(style if isinstance(style, Tensor) else list(style))
        return self.decoder(self.expand(style) if isinstance(style, Tensor) else style)

    def _check_map(self, style_map: Tensor) -> None:
        c, s = self.config.style_channels, self.config.style_size
        if style_map.ndim != 4 or style_map.shape[1:] != (c, s, s):
            raise CoModError(f"expand: style map has shape {list(style_map.shape)}; expected [N,{c},{s},{s}].")


class StyleMapDiscriminator(nn.Module):
    """StyleGAN2's residual discriminator: image [N,3,R,R] in [-1,1] -> scores [N,1]."""

    def __init__(self, config: StyleMapConfig | None = None):
        super().__init__()
        self.config = config = config or StyleMapConfig()
        features, r = config.features, config.resolution
        self.from_rgb = Conv2d(config.image_channels, features(r), 1)
        levels = [r // 2 ** i for i in range(int(math.log2(r)) - 2)]
        self.blocks = nn.Sequential(*[ResidualDown(features(level), features(level // 2)) for level in levels])
        self.conv = Conv2d(features(4) + 1, features(4))
        self.dense = Dense(features(4) * 16, features(4))
        self.output = Dense(features(4), 1, act="linear")

    def forward(self, image: Tensor) -> Tensor:
        x = self.blocks(self.from_rgb(image.contiguous(memory_format=torch.channels_last)))
        return self.output(self.dense(self.conv(minibatch_std(x)).flatten(1)))
