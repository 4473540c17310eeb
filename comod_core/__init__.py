"""CoMod's core: GAN image completion and editing in plain PyTorch."""
from .errors import CoModError

__version__ = "0.1.0"
__all__ = ["CoModError", "__version__", "load_model"]


def __getattr__(name: str):
    """`load_model` is imported when it is first asked for, because it needs torch."""
    if name == "load_model":
        from .loading import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
