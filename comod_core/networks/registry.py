"""Which architectures there are: the name of each, its configuration and its networks. Data only."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from .biggan import BigGANConfig, BigGANDiscriminator, BigGANGenerator
from .comodgan import CoModConfig, CoModGenerator
from .discriminator import CoModDiscriminator
from .pix2pix import Pix2PixConfig, Pix2PixDiscriminator, Pix2PixGenerator
from .spade import SpadeConfig, SpadeDiscriminator, SpadeGenerator
from .stylegan2 import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator
from .stylemapgan import StyleMapConfig, StyleMapDiscriminator, StyleMapGAN


@dataclass(frozen=True)
class Architecture:
    """name: as files state it. config: class of the hyper-parameters. networks: class of "generator", "discriminator".

    Each class of `networks` is made from one `config` and keeps it as `.config`.
    """

    name: str
    config: type
    networks: Mapping[str, type[nn.Module]]


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture("comodgan", CoModConfig, {"generator": CoModGenerator, "discriminator": CoModDiscriminator}),
    Architecture("stylemapgan", StyleMapConfig, {"generator": StyleMapGAN, "discriminator": StyleMapDiscriminator}),
    Architecture("biggan", BigGANConfig, {"generator": BigGANGenerator, "discriminator": BigGANDiscriminator}),
    Architecture("stylegan2", StyleGAN2Config, {"generator": StyleGAN2Generator,
                                                "discriminator": StyleGAN2Discriminator}),
    Architecture("pix2pix", Pix2PixConfig, {"generator": Pix2PixGenerator, "discriminator": Pix2PixDiscriminator}),
    Architecture("spade", SpadeConfig, {"generator": SpadeGenerator, "discriminator": SpadeDiscriminator}),
)


def architecture_of(net: nn.Module) -> Architecture:
    """The architecture that a network belongs to, by the class of its configuration. Raises LookupError for none."""
    found = next((one for one in ARCHITECTURES if isinstance(getattr(net, "config", None), one.config)), None)
    if found is None:
        raise LookupError(f"{type(net).__name__} belongs to no known architecture")
    return found
