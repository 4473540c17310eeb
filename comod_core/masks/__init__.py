"""Masks: float32 [N,1,H,W] in [0, 1], 1 = hole."""
from .edges import feather, fill_holes, grow, shrink
from .sampler import free_form, free_form_batch, scaled_brush
from .shapes import box, half, outpaint, outpaint_frame, random_box
from .values import as_mask, binarise, from_known, hole_ratio, invert, to_known, to_size

__all__ = [
    "as_mask", "binarise", "box", "feather", "fill_holes", "free_form", "free_form_batch", "from_known",
    "grow", "half", "hole_ratio", "invert", "outpaint", "outpaint_frame", "random_box", "scaled_brush", "shrink",
    "to_known", "to_size",
]
