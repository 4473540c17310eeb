"""Built-in weights and the table of named models."""
from .table import MODELS, ModelEntry

__all__ = ["MODELS", "ModelEntry"]
