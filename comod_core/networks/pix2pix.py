"""pix2pix: a U-Net and a PatchGAN (Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks",
CVPR 2017, Section 3.2 and Appendix 6.1).

Batch normalisation by the statistics of the picture itself, as published for a batch of one, is instance normalisation:
so neither batch size nor neighbours change a picture. Noise is the published one, dropout in the decoder, at inference
as well.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import CoModError


@dataclasses.dataclass(frozen=True)
class Pix2PixConfig:
    """Hyper-parameters; the defaults are those of the paper at 256x256.

    unet_channels: of the U-Net's first layer, doubled at each until unet_max. patch_channels and patch_layers: of the
    PatchGAN (64 and 3 see 70x70 pixels). dropout_layers: of the decoder, from its bottom.
    """

    resolution: int = 256
    image_channels: int = 3
    condition_channels: int = 3
    unet_channels: int = 64
    unet_max: int = 512
    dropout_rate: float = 0.5
    dropout_layers: int = 3
    patch_channels: int = 64
    patch_layers: int = 3

    def __post_init__(self):
        n = int(math.log2(self.resolution)) if self.resolution > 0 else 0
        if self.resolution != 2 ** n or not 8 <= self.resolution <= 4096:
            raise CoModError(f"pix2pix: resolution {self.resolution} is not a power of two from 8 to 4096.")
        if min(self.image_channels, self.condition_channels, self.unet_channels, self.patch_channels) < 1:
            raise CoModError("pix2pix: every number of channels must be at least 1.")
        if self.resolution >> self.patch_layers < 4:
            raise CoModError(f"pix2pix: {self.patch_layers} patch_layers leave nothing of {self.resolution} pixels; "
                             "lower them.")
        if not 0 <= self.dropout_rate < 1:
            raise CoModError(f"pix2pix: dropout_rate {self.dropout_rate} must lie in [0,1).")

    @property
    def widths(self) -> list[int]:
        """Channels after each halving, down to 1x1."""
        return [min(self.unet_channels << i, self.unet_max) for i in range(int(math.log2(self.resolution)))]


class Normed(nn.Module):
    """4x4 convolution, or transposed one, of stride 2, and instance normalisation with a learnt scale and shift."""

    def __init__(self, in_channels: int, out_channels: int, *, up: bool = False, norm: bool = True, stride: int = 2):
        super().__init__()
        kind = nn.ConvTranspose2d if up else nn.Conv2d
        self.conv = kind(in_channels, out_channels, 4, stride, 1, bias=not norm)
        nn.init.normal_(self.conv.weight, 0.0, 0.02)
        self.norm = nn.InstanceNorm2d(out_channels, affine=True) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y if self.norm is None else self.norm(y)


class Pix2PixGenerator(nn.Module):
    """U-Net from a condition to a picture. See `translate`. Attributes: config, info (filled by `load_model`)."""

    def __init__(self, config: Pix2PixConfig | None = None):
        super().__init__()
        self.config = config = config or Pix2PixConfig()
        widths, last = config.widths, len(config.widths) - 1
        before = [config.condition_channels, *widths]
        # the first layer and the one at 1x1, which has nothing to normalise over, go without
        self.down = nn.ModuleList(Normed(before[i], widths[i], norm=0 < i < last) for i in range(len(widths)))
        after = [config.image_channels, *widths]
        self.up = nn.ModuleList(
            Normed(widths[i] * (1 if i == last else 2), after[i], up=True, norm=i > 0) for i in range(last, -1, -1))
        self.info, self.pix2pix = None, True
        self.resolution, self.image_channels = config.resolution, config.image_channels

    def translate(self, condition: Tensor, generators: Sequence[torch.Generator] | None = None,
                  dropout: bool = True) -> Tensor:
        """condition [N,C,R,R] -> picture [N,3,R,R] in [-1,1].

        generators: one CPU generator a sample for the dropout, None for torch's global one; dropout False leaves it
        out. Raises CoModError for a condition of another shape.
        """
        config, r = self.config, self.resolution
        if condition.ndim != 4 or condition.shape[1:] != (config.condition_channels, r, r):
            raise CoModError(f"translate: the condition has shape {list(condition.shape)}; this network takes "
                             f"[N,{config.condition_channels},{r},{r}].")
        x, skips = condition.contiguous(memory_format=torch.channels_last), []
        for i, layer in enumerate(self.down):
            x = layer(x if i == 0 else F.leaky_relu(x, 0.2))
            skips.append(x)
        for i, layer in enumerate(self.up):
            # the skip of the same size lies beside what came up (Figure 3)
            x = layer(F.relu(x if i == 0 else torch.cat([x, skips[-1 - i]], dim=1)))
            if dropout and config.dropout_rate and i < min(config.dropout_layers, len(self.up) - 1):
                x = self._drop(x, generators)
        return x.tanh()

    def _drop(self, x: Tensor, generators: Sequence[torch.Generator] | None) -> Tensor:
        rate = self.config.dropout_rate
        if generators is None:
            return F.dropout(x, rate, training=True)
        if len(generators) != len(x):
            raise CoModError(f"translate: {len(x)} samples but {len(generators)} generators; give one a sample.")
        keep = torch.cat([torch.rand([1, *x.shape[1:]], generator=g) for g in generators]) >= rate
        return x * keep.to(x.device, x.dtype) / (1 - rate)

    def forward(self, condition: Tensor) -> Tensor:
        return self.translate(condition)


class Pix2PixDiscriminator(nn.Module):
    """PatchGAN: one score for every patch of a pair of condition and picture. See `forward`."""

    def __init__(self, config: Pix2PixConfig | None = None):
        super().__init__()
        self.config = config = config or Pix2PixConfig()
        widths = [config.patch_channels * min(2 ** i, 8) for i in range(config.patch_layers + 1)]
        before = [config.image_channels + config.condition_channels, *widths]
        self.layers = nn.ModuleList(Normed(before[i], width, norm=i > 0, stride=2 if i < config.patch_layers else 1)
                                    for i, width in enumerate(widths))
        self.output = Normed(widths[-1], 1, norm=False, stride=1)
        self.resolutions: list[int] = []

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """image [N,3,R,R] in [-1,1], condition [N,C,R,R] -> scores [N,P], one a patch."""
        return self.judge(image, condition)[0]

    def judge(self, image: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The scores, and what each layer before them gives, for feature matching."""
        x, found = torch.cat([image, condition], dim=1).contiguous(memory_format=torch.channels_last), []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            found.append(x)
        return self.output(x).flatten(1), found
