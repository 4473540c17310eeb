"""Metrics: pure functions on arrays of features, and the networks that make features."""
from .frechet import frechet_distance

__all__ = ["frechet_distance"]
