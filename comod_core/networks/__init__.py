"""Networks, one file an architecture."""
from .biggan import BigGANConfig, BigGANDiscriminator, BigGANGenerator
from .comodgan import CoModConfig, CoModGenerator, Encoding
from .discriminator import CoModDiscriminator
from .pix2pix import Pix2PixConfig, Pix2PixDiscriminator, Pix2PixGenerator
from .spade import SpadeConfig, SpadeDiscriminator, SpadeGenerator
from .stylegan2 import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator
from .stylemapgan import StyleMapConfig, StyleMapDiscriminator, StyleMapGAN

__all__ = ["BigGANConfig", "BigGANDiscriminator", "BigGANGenerator", "CoModConfig", "CoModDiscriminator",
           "CoModGenerator", "Encoding", "Pix2PixConfig", "Pix2PixDiscriminator", "Pix2PixGenerator", "SpadeConfig",
           "SpadeDiscriminator", "SpadeGenerator", "StyleGAN2Config", "StyleGAN2Discriminator", "StyleGAN2Generator",
           "StyleMapConfig", "StyleMapDiscriminator", "StyleMapGAN"]
