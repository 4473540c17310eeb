"""Metrics: pure functions on arrays, and the networks that make features (`networks`)."""
from .discriminative import discriminative_scores, pids, uids
from .frechet import frechet_distance
from .kernel import kernel_distance
from .neighbours import density_coverage, nearest_neighbour_scores, precision_recall
from .perceptual import pairwise_diversity, perceptual_distance

__all__ = ["density_coverage", "discriminative_scores", "frechet_distance", "kernel_distance", "l1",
           "nearest_neighbour_scores", "pairwise_diversity", "perceptual_distance", "pids", "precision_recall", "psnr",
           "ssim", "uids"]


def __getattr__(name: str):
    """The pixel metrics are imported when first asked for, because they need torch."""
    if name in ("l1", "psnr", "ssim"):
        from . import pixels

        return getattr(pixels, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
