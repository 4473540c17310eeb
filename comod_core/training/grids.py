"""Sample grids: fixed pictures, holes and seeds, so that one sees a run improve."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from .. import latents
from ..files import atomic_write
from ..instances.generation import draw
from .heldout import GRID_ROWS, GRID_SEEDS, HeldOut, to_bytes


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


@torch.inference_mode()
def instance_samples(net, held: HeldOut, first: int = 0, rows: Sequence[int] | None = None) -> Tensor:
    """One sample of each held-out instance, of the seeds first, first + 1, ...: uint8 [n,3,R,R] on the CPU.

    rows: which of the instances, None for all. A network without instances samples from the seeds alone.
    """
    rows, found = list(range(len(held.images)) if rows is None else rows), []
    for at in range(0, len(rows), 32):
        part = rows[at:at + 32]
        z = torch.cat([draw(net, seed) for seed in range(first + at, first + at + len(part))]).to(held.device)
        feature = label = None
        if net.feature_size:
            feature = torch.from_numpy(held.beside["instances"][part]).float().to(held.device)
        if net.label_size:
            numbers = torch.from_numpy(held.beside["labels"][part]).long()
            label = torch.nn.functional.one_hot(numbers, net.label_size).float().to(held.device)
        found.append(to_bytes(net.generate(z, feature, label)).cpu())
    return torch.cat(found)


def instance_grid(net, held: HeldOut) -> Tensor:
    """One row an instance, itself first where the network takes one, then a sample a seed: uint8 [H,W,3]."""
    rows = []
    for row in range(min(GRID_ROWS, len(held.images))):
        samples = instance_samples(net, held, 0 if net.feature_size else row * GRID_SEEDS, [row] * GRID_SEEDS)
        shown = [held.images[row]] if net.feature_size else []
        rows.append(torch.cat([*shown, *samples], dim=2))
    return torch.cat(rows, dim=1).permute(1, 2, 0).contiguous()


def save_grid(path: str | Path, grid: Tensor, scale: int = 2) -> None:
    """Write uint8 [H,W,3] as PNG or JPEG, by the suffix, enlarged by a whole number without smoothing."""
    picture = Image.fromarray(grid.numpy())
    kind = "JPEG" if Path(path).suffix.lower() in (".jpg", ".jpeg") else "PNG"
    with atomic_write(path) as file:
        enlarged = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
        enlarged.save(file, kind, quality=92, subsampling=0)
