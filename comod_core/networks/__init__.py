"""Networks, one file an architecture."""
from .comodgan import CoModConfig, CoModGenerator, Encoding
from .discriminator import CoModDiscriminator

__all__ = ["CoModConfig", "CoModDiscriminator", "CoModGenerator", "Encoding"]
