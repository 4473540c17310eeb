"""A discriminator on the features of a frozen network (Sauer et al., "Projected GANs Converge Faster", 2021)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..errors import CoModError
from .config import TrainConfig
from .perceptual import STRIDES, PerceptualDistance

WIDTHS = (16, 24, 40, 80)      # channels of Lite0's taps, at strides 2, 4, 8 and 16
SCALE = 0.25                    # of their values, which are of the order of 10
CRITICS = ("pictures", "features")


def check_critic(config: TrainConfig) -> None:
    """Raise CoModError where the settings' critic is unknown or what goes with it does not fit."""
    if config.critic not in CRITICS:
        raise CoModError(f"Training: critic is {config.critic!r}; there are 'pictures' and 'features'.")
    if config.critic == "features" and (config.r1_gamma or config.freeze_d or config.network.resolution < 64):
        raise CoModError("Training: critic 'features' is for pictures of 64x64 or more and goes without R1 and "
                         "frozen layers: set r1_gamma=0 and freeze_d=0.")


class ProjectedDiscriminator(nn.Module):
    """Scores of pictures by small discriminators on EfficientNet-Lite0's maps of four sizes.

    The maps are mixed by fixed random projections, across channels (1x1) and from the coarsest to the finest (3x3), so
    that no head sees one channel alone; only the heads learn. They take spectral norm and, unlike the published
    ones, see the mask or condition beside the features. resolution: side of the pictures, a power of two from 64 on;
    condition_channels: of what comes with them; feature_size: values of an instance's feature that comes instead and
    that a layer, which learns too, turns into as many channels; width: of the projections. Raises CoModError when
    Lite0's packages are missing.
    """

    def __init__(self, resolution: int, condition_channels: int = 1, width: int = 64, feature_size: int = 0):
        super().__init__()
        self.feature = nn.Linear(feature_size, condition_channels) if feature_size else None
        self._eyes = [PerceptualDistance()]     # a list keeps what does not learn out of the snapshots
        for index, channels in enumerate(WIDTHS):
            self.register_buffer(f"across{index}", torch.randn(width, channels, 1, 1) / channels ** 0.5)
            self.register_buffer(f"down{index}", torch.randn(width, width, 3, 3) / (9 * width) ** 0.5)
        self.heads = nn.ModuleList(_head(resolution // stride, width + condition_channels, width)
                                   for stride in STRIDES)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """images [N,3,R,R] in [-1,1] -> logits [N,4], one a size; gradients flow to the images.

        condition: [N,C,R,R], or features [N,F]; None without condition_channels.
        """
        if self.feature is not None:
            condition = self.feature(condition)[..., None, None]
        eyes = self._eyes[0].to(images.device)
        scores, below = [], None
        for index, x in reversed(list(enumerate(eyes.maps(images)))):
            x = F.conv2d(x * SCALE, getattr(self, f"across{index}"))
            if below is not None:
                x = x + F.interpolate(below, scale_factor=2, mode="bilinear", align_corners=False)
            below = F.conv2d(x, getattr(self, f"down{index}"), padding=1)
            scores.append(self.heads[index](_beside(below, condition)))
        return torch.cat(scores, dim=1)


def judged(discriminator: nn.Module, *batches: tuple[Tensor | None, ...]) -> list[Tensor]:
    """Scores of several batches, each a tuple of what the discriminator takes: in one pass where it looks at every
    sample alone, as this file's does; others compare those of a batch."""
    if not isinstance(discriminator, ProjectedDiscriminator):
        return [discriminator(*batch) for batch in batches]
    together = [None if values[0] is None else torch.cat(values) for values in zip(*batches, strict=True)]
    return list(discriminator(*together).split([len(batch[0]) for batch in batches]))


def _beside(maps: Tensor, condition: Tensor | None) -> Tensor:
    """Maps [N,C,h,w] with what belongs to them, of any size, beside them."""
    if condition is None:
        return maps
    return torch.cat([maps, F.adaptive_avg_pool2d(condition, maps.shape[-2:])], dim=1)


def _head(size: int, channels: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    while size > 4:
        layers += [spectral_norm(nn.Conv2d(channels, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
        size, channels = size // 2, width
    layers += [spectral_norm(nn.Conv2d(channels, width, 3, 1, 1)), nn.LeakyReLU(0.2),
               spectral_norm(nn.Conv2d(width, 1, 4)), nn.Flatten()]
    return nn.Sequential(*layers)
