"""Networks, one file an architecture."""
from .comodgan import CoModConfig, CoModGenerator, Encoding
from .discriminator import CoModDiscriminator
from .stylemapgan import StyleMapConfig, StyleMapDiscriminator, StyleMapGAN

__all__ = ["CoModConfig", "CoModDiscriminator", "CoModGenerator", "Encoding", "StyleMapConfig", "StyleMapDiscriminator",
           "StyleMapGAN"]
