"""SPADE (Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019; also GauGAN).

The condition enters through every normalisation of the generator, as a scale and a shift a pixel (Equation 1). z is the
input of the generator's first layer, as in the paper's multi-modal synthesis, here without an image encoder. The
discriminator is the paper's: PatchGANs at several scales with spectral normalisation.
"""
from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import CoModError


@dataclasses.dataclass(frozen=True)
class SpadeConfig:
    """Hyper-parameters; the defaults are those of the paper at 256x256.

    spade_channels: of the generator at full resolution, doubled at each halving until spade_max. spade_hidden: of the
    layer that scale and shift are made from. patch_channels, patch_layers, patch_scales: of the discriminator.
    """

    resolution: int = 256
    image_channels: int = 3
    condition_channels: int = 183
    z_dim: int = 256
    spade_channels: int = 64
    spade_max: int = 1024
    spade_hidden: int = 128
    patch_channels: int = 64
    patch_layers: int = 3
    patch_scales: int = 2

    def __post_init__(self):
        n = int(math.log2(self.resolution)) if self.resolution > 0 else 0
        if self.resolution != 2 ** n or not 8 <= self.resolution <= 4096:
            raise CoModError(f"SPADE: resolution {self.resolution} is not a power of two from 8 to 4096.")
        if min(self.image_channels, self.condition_channels, self.spade_channels, self.spade_hidden, self.z_dim,
               self.patch_channels, self.patch_scales) < 1:
            raise CoModError("SPADE: every size must be at least 1.")
        if self.resolution >> (self.patch_layers + self.patch_scales - 1) < 4:
            raise CoModError(f"SPADE: {self.patch_layers} patch_layers at {self.patch_scales} patch_scales leave "
                             f"nothing of {self.resolution} pixels; lower them.")

    @property
    def widths(self) -> list[int]:
        """Channels at 4x4, 8x8, ..., full resolution."""
        count = int(math.log2(self.resolution)) - 1
        return [min(self.spade_channels << i, self.spade_max) for i in range(count - 1, -1, -1)]


class SpectralConv2d(nn.Module):
    """Convolution whose weight is divided by its largest singular value (Miyato et al. 2018, Algorithm 1)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, *, has_bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        nn.init.xavier_normal_(self.weight, 1.0)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if has_bias else None
        self.register_buffer("direction", F.normalize(torch.randn(out_channels), dim=0))
        self.stride, self.padding = stride, kernel // 2 if stride == 1 and kernel % 2 else 1

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.weight.flatten(1)
        with torch.no_grad():                      # one power iteration a step, none when the network is only used
            v = F.normalize(matrix.float().T @ self.direction.float(), dim=0)
            if self.training:
                u = F.normalize(matrix.float() @ v, dim=0)
                self.direction.copy_(u)
        sigma = self.direction.clone().to(matrix.dtype) @ matrix @ v.to(matrix.dtype)
        weight = self.weight / sigma.clamp_min(1e-8)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.conv2d(x, weight.to(x.dtype), bias, self.stride, self.padding)


class Spade(nn.Module):
    """Instance normalisation whose scale and shift come from the condition, a pair a pixel (Equation 1)."""

    def __init__(self, channels: int, config: SpadeConfig):
        super().__init__()
        self.shared = nn.Conv2d(config.condition_channels, config.spade_hidden, 3, padding=1)
        self.scale = nn.Conv2d(config.spade_hidden, channels, 3, padding=1)
        self.shift = nn.Conv2d(config.spade_hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        actv = F.relu(self.shared(condition))
        return torch.addcmul(self.shift(actv), F.instance_norm(x), 1 + self.scale(actv))


class SpadeBlock(nn.Module):
    """Residual block of two normalised convolutions, and a learnt skip where the width changes (Figure 4)."""

    def __init__(self, in_channels: int, out_channels: int, config: SpadeConfig):
        super().__init__()
        middle = min(in_channels, out_channels)
        self.norm0, self.norm1 = Spade(in_channels, config), Spade(middle, config)
        self.conv0, self.conv1 = SpectralConv2d(in_channels, middle), SpectralConv2d(middle, out_channels)
        self.skip_norm = self.skip = None
        if in_channels != out_channels:
            self.skip_norm = Spade(in_channels, config)
            self.skip = SpectralConv2d(in_channels, out_channels, 1, has_bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.conv0(F.leaky_relu(self.norm0(x, condition), 0.2))
        y = self.conv1(F.leaky_relu(self.norm1(y, condition), 0.2))
        return y + (x if self.skip is None else self.skip(self.skip_norm(x, condition)))


class SpadeGenerator(nn.Module):
    """From a condition and z to a picture. See `translate`. Attributes: config, info (filled by `load_model`)."""

    def __init__(self, config: SpadeConfig | None = None):
        super().__init__()
        self.config = config = config or SpadeConfig()
        widths = config.widths
        self.start = nn.Linear(config.z_dim, widths[0] * 16)
        self.blocks = nn.ModuleList(SpadeBlock(widths[max(i - 1, 0)], width, config) for i, width in enumerate(widths))
        self.output = nn.Conv2d(widths[-1], config.image_channels, 3, padding=1)
        self.info, self.pix2pix, self.z_dim = None, True, config.z_dim
        self.resolution, self.image_channels = config.resolution, config.image_channels

    def translate(self, condition: Tensor, z: Tensor) -> Tensor:
        """condition [N or 1,C,R,R], z [N,z_dim] -> picture [N,3,R,R] in [-1,1]. Raises CoModError for other shapes."""
        config, r = self.config, self.resolution
        if condition.ndim != 4 or condition.shape[1:] != (config.condition_channels, r, r):
            raise CoModError(f"translate: the condition has shape {list(condition.shape)}; this network takes "
                             f"[N,{config.condition_channels},{r},{r}].")
        if z.ndim != 2 or z.shape[1] != config.z_dim or len(condition) not in (1, len(z)):
            raise CoModError(f"translate: z has shape {list(z.shape)}; this network takes "
                             f"[{len(condition)},{config.z_dim}].")
        condition = condition.expand(len(z), -1, -1, -1)
        x = self.start(z).reshape(len(z), -1, 4, 4)
        for i, block in enumerate(self.blocks):
            if i:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(x, F.adaptive_avg_pool2d(condition, x.shape[-1]))
        return self.output(F.leaky_relu(x, 0.2)).tanh()

    def forward(self, condition: Tensor) -> Tensor:
        return self.translate(condition, torch.randn(len(condition), self.z_dim, device=condition.device))


class SpadeDiscriminator(nn.Module):
    """PatchGANs on pairs of condition and picture at full, half, ... size. See `forward`."""

    def __init__(self, config: SpadeConfig | None = None):
        super().__init__()
        self.config = config = config or SpadeConfig()
        self.scales = nn.ModuleList(self._patches(config) for _ in range(config.patch_scales))
        self.resolutions: list[int] = []

    @staticmethod
    def _patches(config: SpadeConfig) -> nn.ModuleList:
        widths = [config.patch_channels * min(2 ** i, 8) for i in range(config.patch_layers + 1)]
        before = [config.image_channels + config.condition_channels, *widths]
        strides = [2] * config.patch_layers + [1]
        layers = [SpectralConv2d(before[i], width, 4, strides[i], has_bias=i == 0) for i, width in enumerate(widths)]
        return nn.ModuleList([*layers, SpectralConv2d(widths[-1], 1, 4)])

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """image [N,3,R,R] in [-1,1], condition [N,C,R,R] -> scores [N,P], one a patch of every scale."""
        return self.judge(image, condition)[0]

    def judge(self, image: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The scores, and what each layer of each scale gives but the last, for feature matching."""
        pair, scores, features = torch.cat([image, condition], dim=1), [], []
        for layers in self.scales:
            *found, last = self._one(layers, pair)
            scores.append(last.flatten(1))
            features += found
            pair = F.avg_pool2d(pair, 3, 2, 1, count_include_pad=False)
        return torch.cat(scores, dim=1), features

    @staticmethod
    def _one(layers: nn.ModuleList, x: Tensor) -> list[Tensor]:
        found = []
        for i, layer in enumerate(layers):
            x = layer(x)
            if i < len(layers) - 1:
                x = F.leaky_relu(x if i == 0 else F.instance_norm(x), 0.2)
            found.append(x)
        return found
