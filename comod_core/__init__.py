"""CoMod's core: GAN image completion and editing in plain PyTorch."""
from .errors import CoModError

__version__ = "0.1.0"
__all__ = ["CoModError", "__version__"]
