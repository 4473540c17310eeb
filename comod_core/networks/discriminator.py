"""CoModGAN discriminator: StyleGAN2's residual network on mask and picture (Karras et al. 2020; Zhao et al. 2021)."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import CoModError
from .comodgan import CoModConfig
from .layers import Conv2d, Dense, ResidualDown, minibatch_std


class CoModDiscriminator(nn.Module):
    """Scores pictures under their mask, or pairs of picture and condition. See `forward`."""

    def __init__(self, config: CoModConfig | None = None):
        super().__init__()
        self.config = config = config or CoModConfig()
        nf, n = config.channels, config.log2
        condition = config.encoder_channels if config.pix2pix else 1
        self.resolutions = [2 ** r for r in range(n, 2, -1)]
        self.from_rgb = Conv2d(config.image_channels + condition, nf(n - 1), 1)
        for r in range(n, 2, -1):
            self.add_module(f"b{2 ** r}", ResidualDown(nf(r - 1), nf(r - 2)))
        self.b4 = nn.Module()
        self.b4.conv = Conv2d(nf(1) + config.mbstd_features, nf(1))
        self.b4.dense = Dense(nf(1) * 16, nf(0))
        self.output = Dense(nf(0), max(config.label_size, 1), act="linear")

    def forward(self, image: Tensor, condition: Tensor, label: Tensor | None = None) -> Tensor:
        """image [N,C,R,R] in [-1,1]; condition: mask [N,1,R,R], 1 = hole, or the picture to translate -> scores [N,1].

        label [N,label_size] one-hot where the network has labels. Raises CoModError when it is missing there.
        """
        config = self.config
        # concat(m - 0.5, image) with m = 1 on known pixels; pairs are (picture, condition)
        parts = [image, condition] if config.pix2pix else [0.5 - condition, image]
        x = self.from_rgb(torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last))
        for res in self.resolutions:
            x = getattr(self, f"b{res}")(x)
        x = minibatch_std(x, config.mbstd_group, config.mbstd_features)
        scores = self.output(self.b4.dense(self.b4.conv(x).flatten(1)))
        if not config.label_size:
            return scores
        if label is None:
            raise CoModError("Discriminator: this network has labels; give label [N,label_size].")
        return (scores * label).sum(dim=1, keepdim=True)
