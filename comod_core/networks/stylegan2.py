"""StyleGAN2 as trained by StyleGAN2-ADA (Karras et al., CVPR and NeurIPS 2020): plain, with labels, with instances.

IC-GAN (Casanova et al., NeurIPS 2021) conditions it on the feature of an instance as labels do: embedded, normalised
and put beside the normalised z at the start of the mapping.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import CoModError
from ..ops import setup_filter, upsample2d
from .fast import FastStyleGAN2, fast_form
from .layers import (
    Conv2d,
    Dense,
    ModulatedConv2d,
    NoiseSource,
    ResidualDown,
    check_rows,
    minibatch_std,
    normalize_2nd_moment,
)


@dataclasses.dataclass(frozen=True)
class StyleGAN2Config:
    """Hyper-parameters of a StyleGAN2.

    channels: of the features at 4, 8, ... resolution. label_size, feature_size: values of a label and of an instance
    feature, 0 where the network takes none. clamp: what layers are clamped to, as networks trained in half precision
    need it; None for not at all. critic_channels: the discriminator's, None for the generator's; critic_embed: width of
    its embedded condition, None for its channels at 4.
    """

    resolution: int = 256
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128)
    z_dim: int = 512
    w_dim: int = 512
    label_size: int = 0
    feature_size: int = 0
    mapping_layers: int = 8
    mapping_lr_mul: float = 0.01
    clamp: float | None = None
    critic_channels: tuple[int, ...] | None = None
    critic_embed: int | None = None
    critic_mapping_layers: int = 8
    mbstd_group: int = 4
    mbstd_features: int = 1
    image_channels: int = 3

    def __post_init__(self):
        object.__setattr__(self, "channels", tuple(self.channels))
        if self.critic_channels is not None:
            object.__setattr__(self, "critic_channels", tuple(self.critic_channels))
        counts = (self.z_dim, self.w_dim, self.mapping_layers, self.mbstd_group, self.mbstd_features,
                  self.image_channels, 1 if self.critic_embed is None else self.critic_embed, self.label_size + 1,
                  self.feature_size + 1, self.critic_mapping_layers + 1, *self.channels, *self.scored_channels)
        if not all(isinstance(count, int) and count > 0 for count in counts) or self.critic_mapping_layers > 64:
            raise CoModError("StyleGAN2: channels, widths and layers are whole numbers of at least 1.")
        sizes = [4 << i for i in range(len(self.channels))]
        if not 2 <= len(sizes) <= 11 or self.resolution != sizes[-1] or len(self.scored_channels) != len(sizes):
            raise CoModError(f"StyleGAN2: resolution {self.resolution} and channels for {sizes} do not fit together.")
        if not self.mapping_lr_mul > 0 or not (self.clamp is None or self.clamp > 0):
            raise CoModError("StyleGAN2: clamp and learning-rate multiplier are numbers above 0.")

    @property
    def scored_channels(self) -> tuple[int, ...]:
        """Channels of the discriminator's features at 4, 8, ... resolution."""
        return self.channels if self.critic_channels is None else self.critic_channels

    @property
    def num_layers(self) -> int:
        """Rows of w: two convolutions and one ToRGB a resolution, shared where they coincide (2 log2(R) - 2)."""
        return 2 * len(self.channels)


class ConditionedMapping(nn.Module):
    """z [N,z_dim], label [N,L] and feature [N,F] to w [N,w_dim] by dense layers; z_dim 0 for the condition alone.

    Label and feature are embedded by a dense layer each, concatenated, normalised together and put after z.
    """

    def __init__(self, z_dim: int, w_dim: int, layers: int, label_size: int, feature_size: int, lr_mul: float = 0.01):
        super().__init__()
        self.label = Dense(label_size, w_dim, act="linear") if label_size else None
        self.feature = Dense(feature_size, w_dim, act="linear") if feature_size else None
        width = z_dim + w_dim * (bool(label_size) + bool(feature_size))
        self.dense = nn.ModuleList([Dense(width if i == 0 else w_dim, w_dim, lr_mul=lr_mul) for i in range(layers)])

    def forward(self, z: Tensor | None, label: Tensor | None, feature: Tensor | None) -> Tensor:
        pairs = ((self.label, label), (self.feature, feature))
        embedded = [layer(value) for layer, value in pairs if layer is not None]
        parts = [] if z is None else [normalize_2nd_moment(z)]
        if embedded:
            parts.append(normalize_2nd_moment(torch.cat(embedded, dim=1)))
        x = torch.cat(parts, dim=1)
        for layer in self.dense:
            x = layer(x)
        return x


class StyleSynthesis(nn.Module):
    """w to RGB, skip architecture (Karras et al. 2020, Figure 7b)."""

    def __init__(self, config: StyleGAN2Config):
        super().__init__()
        nf, w_dim = config.channels, config.w_dim
        self.config, self.resolutions = config, [4 << i for i in range(1, len(nf))]
        self.const = nn.Parameter(torch.randn(1, nf[0], 4, 4))
        self.b4 = nn.Module()
        self.b4.conv = ModulatedConv2d(nf[0], nf[0], w_dim, noise_resolution=4)
        self.b4.to_rgb = self._to_rgb(nf[0])
        for i, res in enumerate(self.resolutions):
            block = nn.Module()
            block.conv0 = ModulatedConv2d(nf[i], nf[i + 1], w_dim, up=True, noise_resolution=res)
            block.conv1 = ModulatedConv2d(nf[i + 1], nf[i + 1], w_dim, noise_resolution=res)
            block.to_rgb = self._to_rgb(nf[i + 1])
            self.add_module(f"b{res}", block)
        self.register_buffer("fir", setup_filter(), persistent=False)

    def convolutions(self) -> list[ModulatedConv2d]:
        """The layers that take noise, in order."""
        blocks = (getattr(self, f"b{res}") for res in self.resolutions)
        return [self.b4.conv, *(layer for block in blocks for layer in (block.conv0, block.conv1))]

    def _to_rgb(self, channels: int) -> ModulatedConv2d:
        return ModulatedConv2d(channels, self.config.image_channels, self.config.w_dim, 1, demodulate=False,
                               act="linear")

    def forward(self, w: Tensor, noise: NoiseSource) -> Tensor:
        clamp = self.config.clamp
        x = self.const.expand(w.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
        x = _clamped(self.b4.conv(x, w[:, 0], noise(self.b4.conv)), clamp)
        rgb = _clamped(self.b4.to_rgb(x, w[:, 1]), clamp)
        for i, res in enumerate(self.resolutions):
            block = getattr(self, f"b{res}")
            x = _clamped(block.conv0(x, w[:, 2 * i + 1], noise(block.conv0)), clamp)
            x = _clamped(block.conv1(x, w[:, 2 * i + 2], noise(block.conv1)), clamp)
            rgb = upsample2d(rgb, self.fir) + _clamped(block.to_rgb(x, w[:, 2 * i + 3]), clamp)
        return rgb


def _clamped(x: Tensor, clamp: float | None) -> Tensor:
    return x if clamp is None else x.clamp(-clamp, clamp)


class StyleGAN2Generator(nn.Module):
    """Noise, and label or instance feature where the network takes them, to a picture. See `map`, `decode`, `generate`.

    Attributes: config, resolution, image_channels, z_dim, w_dim, num_layers, label_size, feature_size, w_avg [w_dim]
    (centre of truncation), info (filled by `load_model`), inference_dtype (what a CPU computes in, None for the
    weights' own).
    """

    inference_dtype: torch.dtype | None = None

    def __init__(self, config: StyleGAN2Config | None = None):
        super().__init__()
        self.config = config = config or StyleGAN2Config()
        self.mapping = ConditionedMapping(config.z_dim, config.w_dim, config.mapping_layers, config.label_size,
                                          config.feature_size, config.mapping_lr_mul)
        self.synthesis = StyleSynthesis(config)
        self.register_buffer("w_avg", torch.zeros(config.w_dim))
        self.info = None
        self.resolution, self.image_channels = config.resolution, config.image_channels
        self.z_dim, self.w_dim, self.num_layers = config.z_dim, config.w_dim, config.num_layers
        self.label_size, self.feature_size = config.label_size, config.feature_size

    def map(self, z: Tensor, label: Tensor | None = None, feature: Tensor | None = None) -> Tensor:
        """z [N,z_dim], label [N,label_size] (one-hot), feature [N,feature_size] -> w [N,num_layers,w_dim].

        Raises CoModError for wrong shapes, and for a condition that is missing or superfluous.
        """
        z = check_rows("z", z, None, self.z_dim)
        label = check_rows("label", label, z.shape[0], self.label_size)
        feature = check_rows("feature", feature, z.shape[0], self.feature_size)
        z, label, feature = (None if x is None else x.to(self.w_avg.dtype) for x in (z, label, feature))
        return self.mapping(z, label, feature)[:, None].expand(-1, self.num_layers, -1)

    def decode(self, w: Tensor, noise_mode: str = "const",
               generators: Sequence[torch.Generator] | None = None) -> Tensor:
        """w [N,num_layers,w_dim] -> image [N,C,R,R], about [-1,1].

        noise_mode: "const" (the stored maps), "random" (generators: one CPU generator a sample, None for torch's global
        one), "none". Raises CoModError for wrong shapes or modes.
        """
        if w.ndim != 3 or w.shape[1:] != (self.num_layers, self.w_dim):
            raise CoModError(f"decode: w has shape {list(w.shape)}; expected [N,{self.num_layers},{self.w_dim}].")
        noise = NoiseSource(noise_mode, len(w), generators)
        if fast := fast_form(self, FastStyleGAN2, w):
            return fast.decode(w.to(self.w_avg.dtype), [noise(layer) for layer in self.synthesis.convolutions()])
        return self.synthesis(w.to(self.w_avg.dtype), noise)

    def generate(self, z: Tensor, feature: Tensor | None = None, label: Tensor | None = None, psi: float = 1.0,
                 noise_mode: str = "const", generators: Sequence[torch.Generator] | None = None) -> Tensor:
        """z [N,z_dim], feature [N,feature_size], label [N,label_size] (one-hot) -> image [N,C,R,R], about [-1,1].

        psi: truncation, 1 for none. The rest as in `map` and `decode`.
        """
        w = self.map(z, label, feature)
        return self.decode(w if psi == 1 else self.w_avg.lerp(w, psi), noise_mode, generators)

    def forward(self, z: Tensor, feature: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        """Generate with random noise, as in training."""
        return self.generate(z, feature, label, noise_mode="random")


class ClampedDown(ResidualDown):
    """The discriminator's residual block with its layers clamped."""

    def __init__(self, in_channels: int, out_channels: int, clamp: float | None):
        super().__init__(in_channels, out_channels)
        self.clamp = clamp

    def forward(self, x: Tensor) -> Tensor:
        skip = _clamped(self.skip(x), self.clamp)
        x = _clamped(self.conv1(_clamped(self.conv0(x), self.clamp)), self.clamp)
        return (x + skip) * math.sqrt(0.5)


class StyleGAN2Discriminator(nn.Module):
    """Scores pictures, under a condition by projection on its mapped embedding (Karras et al., NeurIPS 2020)."""

    def __init__(self, config: StyleGAN2Config | None = None):
        super().__init__()
        self.config = config = config or StyleGAN2Config()
        nf = config.scored_channels
        conditioned = bool(config.label_size or config.feature_size)
        self.embed = (config.critic_embed or nf[0]) if conditioned else 0
        self.from_rgb = Conv2d(config.image_channels, nf[-1], 1)
        self.blocks = nn.Sequential(*[ClampedDown(nf[i], nf[i - 1], config.clamp) for i in range(len(nf) - 1, 0, -1)])
        self.conv = Conv2d(nf[0] + config.mbstd_features, nf[0])
        self.dense = Dense(nf[0] * 16, nf[0])
        self.output = Dense(nf[0], self.embed or 1, act="linear")
        self.mapping = ConditionedMapping(0, self.embed, config.critic_mapping_layers, config.label_size,
                                          config.feature_size) if conditioned else None

    def forward(self, image: Tensor, feature: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        """image [N,C,R,R] in [-1,1], feature [N,feature_size], label [N,label_size] (one-hot) -> scores [N,1].

        Raises CoModError for a condition that is missing, superfluous or of another shape.
        """
        config = self.config
        label = check_rows("label", label, len(image), config.label_size)
        feature = check_rows("feature", feature, len(image), config.feature_size)
        x = _clamped(self.from_rgb(image.contiguous(memory_format=torch.channels_last)), config.clamp)
        x = minibatch_std(self.blocks(x), config.mbstd_group, config.mbstd_features)
        scores = self.output(self.dense(_clamped(self.conv(x), config.clamp).flatten(1)))
        if self.mapping is None:
            return scores
        condition = self.mapping(None, label, feature)
        return (scores * condition).sum(dim=1, keepdim=True) / math.sqrt(self.embed)
