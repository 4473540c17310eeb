"""Sample grids: fixed pictures, holes and seeds, so that one sees a run improve."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from .. import latents
from ..files import atomic_write


@torch.inference_mode()
def completion_grid(net, images: Tensor, masks: Tensor, seeds: Sequence[int], psi: float = 1.0) -> Tensor:
    """One row a picture: the input, the input with its hole in grey, one completion a seed.

    images [N,3,R,R] in [-1,1], masks [N,1,R,R], 1 = hole. Returns uint8 [N*R,(2+seeds)*R,3].
    """
    w = latents.truncate(latents.sample(net, seeds), net.w_avg, psi)
    rows = []
    for image, mask in zip(images, masks, strict=True):
        encoding = net.encode(image[None], mask[None], generators=latents.generators(seeds, "dropout"))
        fills = net.decode(encoding, w).clamp(-1, 1)
        rows.append(torch.cat([image, torch.where(mask > 0, 0.35, image), *fills], dim=2))
    grid = (torch.cat(rows, dim=1) * 127.5 + 127.5).round().clamp(0, 255)
    return grid.to(torch.uint8).permute(1, 2, 0).contiguous()


def save_grid(path: str | Path, grid: Tensor, scale: int = 2) -> None:
    """Write uint8 [H,W,3] as PNG or JPEG, by the suffix, enlarged by a whole number without smoothing."""
    picture = Image.fromarray(grid.numpy())
    kind = "JPEG" if Path(path).suffix.lower() in (".jpg", ".jpeg") else "PNG"
    with atomic_write(path) as file:
        enlarged = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
        enlarged.save(file, kind, quality=92, subsampling=0)
