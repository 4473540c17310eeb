"""The instance-conditioned BigGAN: the same recipe with spectral norm and the hinge loss (Brock et al., ICLR 2019)."""
from __future__ import annotations

import dataclasses

from torch import nn

from ...networks.biggan import (
    GENERATOR_PLAN,
    BigGANConfig,
    BigGANDiscriminator,
    BigGANGenerator,
    fold_spectral_norm,
    initialise,
    spectral_norm,
)
from ..losses import discriminator_hinge, generator_hinge
from ..presets import augmentation
from ..trainer import Trainer
from .instance import LITE0, Instance, InstanceConfig, Part


@dataclasses.dataclass(frozen=True, kw_only=True)
class BigGANInstanceConfig(InstanceConfig):
    """Settings of `InstanceBigGAN`. There is no style mixing and no noise but z; R1 is off by itself, as published."""

    recipe: str = "instance-biggan"
    network: BigGANConfig = dataclasses.field(default_factory=lambda: BigGANConfig(feature_size=LITE0))
    style_mixing: float = 0.0
    noise_mode: str = "none"
    r1_gamma: float = 0.0
    adam_beta2: float = 0.999


class InstanceBigGAN(Instance):
    """Instance-conditioned BigGAN and its discriminator. Files hold the networks with spectral norm folded in."""

    config_type, network_type = BigGANInstanceConfig, BigGANConfig
    critic_loss, maker_loss = staticmethod(discriminator_hinge), staticmethod(generator_hinge)

    @staticmethod
    def generator(config: BigGANInstanceConfig) -> nn.Module:
        """Under spectral norm, with orthogonal weights."""
        return spectral_norm(initialise(BigGANGenerator(config.network)))

    @staticmethod
    def discriminator(config: BigGANInstanceConfig) -> nn.Module:
        return spectral_norm(initialise(BigGANDiscriminator(config.network)))

    @staticmethod
    def plain(net: nn.Module) -> nn.Module:
        """The network without spectral norm, its weights divided by it for good."""
        return fold_spectral_norm(net)

    @classmethod
    def preset(cls, size: int, pictures: int, *, paper: bool = False) -> BigGANInstanceConfig:
        """Settings to begin with: BigGAN's two updates of the discriminator and its two rates; small ones, one."""
        chunks = len(GENERATOR_PLAN[size][0]) + 1 if size in GENERATOR_PLAN else 1
        attention = (min(64, size // 2),)
        if paper:
            network = BigGANConfig(size, 64, 20 * chunks, feature_size=LITE0, attention=attention)
            return BigGANInstanceConfig(network=network, batch=256, learning_rate=5e-5, critic_rate=2e-4,
                                        critic_steps=2, augment=augmentation(pictures))
        network = BigGANConfig(size, 16, 16 * chunks, feature_size=LITE0, feature_dim=128, attention=attention)
        return BigGANInstanceConfig(
            network=network, total_kimg=1000.0, batch=64, learning_rate=1e-4, critic_rate=4e-4, ema_kimg=5.0,
            neighbours=min(10, pictures), colour_pool=min(100, pictures), feature_noise=0.2,
            augment=augmentation(pictures))

    @staticmethod
    def embedding(net: nn.Module) -> nn.Module:
        return net.feature

    def _generate(self, trainer: Trainer, part: Part) -> None:
        part.fake = trainer.generator.generate(part.z[0], part.feature, part.label)
        part.w = None
