"""ComfyUI's tensor layouts to the core's and back; no other file of the pack does this.

ComfyUI: IMAGE [B,H,W,C] in [0,1], MASK [B,H,W] or [H,W] in [0,1], 1 = hole.
Core: images [N,C,H,W] in [-1,1], masks [N,1,H,W] in [0,1], 1 = hole.
"""
from __future__ import annotations

import torch


def images_in(image: torch.Tensor) -> torch.Tensor:
    """IMAGE [B,H,W,C] in [0,1] -> [B,C,H,W] in [-1,1], float32."""
    return image.float().movedim(-1, 1) * 2 - 1


def images_out(image: torch.Tensor, source: torch.Tensor | None = None) -> torch.Tensor:
    """[N,C,H,W] in [-1,1] -> IMAGE [N,H,W,C], clamped to [0,1], float32.

    With `source`, an IMAGE [B,H,W,C] where N is a multiple of B: a value that the core left as it was comes back with
    the very bits it had, because the way to [-1,1] and back rounds, and saving an image cuts off instead of rounding.
    """
    converted = ((image.float() + 1) / 2).clamp(0, 1).movedim(1, -1)
    if source is None:
        return converted.contiguous()
    times = image.shape[0] // source.shape[0]
    original = source.to(converted).repeat(times, 1, 1, 1)
    untouched = images_in(original).movedim(1, -1) == image.float().movedim(1, -1)
    return torch.where(untouched, original, converted).contiguous()


def masks_in(mask: torch.Tensor) -> torch.Tensor:
    """MASK [B,H,W] or [H,W] -> [B,1,H,W], float32 in [0,1]."""
    return mask.float().reshape(-1, 1, *mask.shape[-2:]).clamp(0, 1)


def masks_out(mask: torch.Tensor) -> torch.Tensor:
    """[N,1,H,W] -> MASK [N,H,W], float32 in [0,1]."""
    return mask.float()[:, 0].clamp(0, 1).contiguous()


def rounded(image: torch.Tensor) -> torch.Tensor:
    """IMAGE in [0,1] on the steps of 8 bits: a saved file has the same values whether the saver rounds or cuts off.

    ComfyUI cuts off; files that the command line writes are rounded.
    """
    steps = (image * 255).round()
    values = steps / 255
    return torch.where(values * 255 < steps, torch.nextafter(values, torch.ones_like(values)), values)
