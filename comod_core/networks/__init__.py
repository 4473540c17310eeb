"""Networks, one file an architecture."""
from .biggan import BigGANConfig, BigGANDiscriminator, BigGANGenerator
from .comodgan import CoModConfig, CoModGenerator, Encoding
from .discriminator import CoModDiscriminator
from .stylegan2 import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator
from .stylemapgan import StyleMapConfig, StyleMapDiscriminator, StyleMapGAN

__all__ = ["BigGANConfig", "BigGANDiscriminator", "BigGANGenerator", "CoModConfig", "CoModDiscriminator",
           "CoModGenerator", "Encoding", "StyleGAN2Config", "StyleGAN2Discriminator", "StyleGAN2Generator",
           "StyleMapConfig", "StyleMapDiscriminator", "StyleMapGAN"]
