"""Masks: float32 [N,1,H,W] in [0, 1], 1 = hole."""
from .sampler import free_form, free_form_batch, scaled_brush
from .values import as_mask, binarise, from_known, hole_ratio, invert, to_known, to_size

__all__ = [
    "as_mask", "binarise", "free_form", "free_form_batch", "from_known", "hole_ratio", "invert", "scaled_brush",
    "to_known", "to_size",
]
