"""Conditions of a training step: line drawings and label maps, varied as a person's hand would.

What varies is drawn on the CPU from (seed, step, row) alone; the work is done for the whole batch on its device.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..conditions import canny, soft_edges
from ..errors import CoModError
from ..files import atomic_write
from ..labels import one_hot, outlines

WARP, PATCHES = 5, 6                    # cells a side of the noise that moves lines, and of the one that leaves out
DRAWS = 8 + 2 * WARP ** 2 + PATCHES ** 2


def draws(seed: int, step: int, rows: Sequence[int], purpose: int = 6) -> Tensor:
    """Uniform numbers [len(rows),DRAWS] for these rows of a step; others for another purpose."""
    return torch.from_numpy(np.stack([np.random.default_rng((seed, purpose, step, row)).random(DRAWS, np.float32)
                                      for row in rows]))


def vary_lines(maps: Tensor, u: Tensor, jitter: float = 1.0, drop: float = 0.5) -> Tensor:
    """Line maps [N,K,S,S] in [0,1] of the same pictures to one drawing each: [N,1,S,S] in [0,1].

    One of the K maps, or the union of two (the first is the commonest); moved by up to about `jitter` pixels, smoothly;
    1 or 2 pixels thick; fainter by up to half; with places left blank in the share `drop` of the drawings. u: `draws`.
    """
    count = maps.shape[1]
    rows = torch.arange(len(maps), device=maps.device)
    first, second = ((u[:, i].pow(1.6) * count).long().clamp_max(count - 1) for i in (0, 1))
    lines = maps[rows, first]
    lines = torch.where((u[:, 2] < 0.25).view(-1, 1, 1), torch.maximum(lines, maps[rows, second]), lines)[:, None]
    moved = F.grid_sample(lines, _warp(u, lines.shape[-1], jitter), mode="bilinear", align_corners=False)
    lines = torch.where(_one(u[:, 3]) < 0.7, (1.4 * moved).clamp_max(1), lines)
    thick = F.max_pool2d(F.pad(lines, (0, 1, 0, 1)), 2, 1)
    lines = torch.where(_one(u[:, 4]) < 0.4, thick, lines)
    lines = lines * (1 - 0.5 * _one(u[:, 5]).square())
    return lines * _kept(u, lines.shape[-1], drop, least=0.0)


def vary_labels(labels: Tensor, count: int, u: Tensor, jitter: float = 1.0, drop: float = 0.15,
                smooth: float = 0.3) -> Tensor:
    """A label map uint8 [N,S,S] to one-hot float [N,count,S,S], as a brush would paint it.

    Moved by up to about `jitter` pixels, smoothly; in the share `smooth` of the maps details of one pixel are painted
    over by their surroundings; in the share `drop` places are left unlabelled. u: `draws`.
    """
    size = labels.shape[-1]
    wide = labels[:, None].float()
    moved = F.grid_sample(wide, _warp(u, size, jitter), mode="nearest", padding_mode="border", align_corners=False)
    wide = torch.where(_one(u[:, 3]) < 0.5, moved, wide)
    hot = one_hot(wide[:, 0].round().to(torch.uint8), count)
    if smooth:
        around = F.avg_pool2d(hot, 3, 1, 1, count_include_pad=False)
        winner = one_hot(around.argmax(dim=1).to(torch.uint8), count) * (around.amax(dim=1, keepdim=True) > 0)
        hot = torch.where(_one(u[:, 4]) < smooth, winner, hot)
    return hot * _kept(u, size, drop, least=0.1)


def together(seed: int, step: int, rows: Sequence[int], size: int, pixels: float) -> Tensor:
    """Where each pixel of a picture and of its condition is fetched from, so that both move alike: [n,S,S,2] from -1 to
    1. Shifts and, at the border, stretches of up to `pixels`, and smooth noise of half as much."""
    u = draws(seed, step, rows, purpose=8)
    u[:, 6] = 0.5           # the same height for all: `_warp` takes it from there
    a = (u[:, :4] * 2 - 1).view(-1, 4, 1, 1) * (pixels * 2 / size)
    at = (torch.arange(size, dtype=u.dtype) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(at, at, indexing="ij")
    plain = torch.stack([x, y], dim=-1)
    wave = _warp(u, size, pixels) - plain
    return torch.stack([x * (1 + a[:, 0]) + a[:, 2], y * (1 + a[:, 1]) + a[:, 3]], dim=-1) + wave


def _one(u: Tensor) -> Tensor:
    return u.view(-1, 1, 1, 1)


def _warp(u: Tensor, size: int, jitter: float) -> Tensor:
    """Where each pixel is fetched from, [N,S,S,2] from -1 to 1: smooth noise."""
    noise = (u[:, 8:8 + 2 * WARP ** 2].reshape(-1, 2, WARP, WARP) * 2 - 1) * (jitter * 2 / size * 2 * _one(u[:, 6]))
    field = F.interpolate(noise, size=(size, size), mode="bicubic", align_corners=True).movedim(1, -1)
    at = (torch.arange(size, device=u.device, dtype=u.dtype) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(at, at, indexing="ij")
    return field + torch.stack([x, y], dim=-1)


def _kept(u: Tensor, size: int, drop: float, least: float) -> Tensor:
    """1 where the condition stays, 0 in smooth patches of up to about half of it: [N,1,S,S]."""
    noise = F.interpolate(u[:, -PATCHES ** 2:].reshape(-1, 1, PATCHES, PATCHES), size=(size, size), mode="bilinear",
                          align_corners=True)
    chosen = u[:, 7] / max(drop, 1e-8)                  # below 1 where something is left out
    level = torch.where(chosen < 1, least + (0.5 - least) * chosen, -1.0)
    return (noise > _one(level)).float()


# ---- data sets --------------------------------------------------------------------------------
def complete_edges(folder: Path, images: np.ndarray, report: Callable[[str], None]) -> None:
    """Write edges.npy beside images.npy, unless it is there: uint8 [N,S,S,K], 255 = line, K drawings of each picture.

    The outlines of labels.npy where there is one, Canny's edges and soft edges. Written under another name first.
    """
    target = folder / "edges.npy"
    if target.exists():
        check_edges(np.load(target, mmap_mode="r"), images, target)
        return
    labels = np.load(folder / "labels.npy", mmap_mode="r") if (folder / "labels.npy").exists() else None
    kinds = 2 if labels is None else 3
    report(f"Drawing the lines of {len(images)} pictures ({'outlines, ' if kinds == 3 else ''}Canny, soft edges).")
    with atomic_write(target) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False,
                                                    "shape": (*images.shape[:3], kinds)})
        for i in range(len(images)):
            picture = np.asarray(images[i])
            maps = [canny(picture), soft_edges(picture)]
            if labels is not None:
                maps.insert(0, outlines(np.asarray(labels[i])))
            file.write(np.stack(maps, axis=-1).tobytes())


def check_edges(edges: np.ndarray, images: np.ndarray, place: Path | str = "edges.npy") -> None:
    """Raises CoModError where edges are not uint8 [N,S,S,K] for these pictures."""
    if edges.dtype != np.uint8 or edges.ndim != 4 or edges.shape[:3] != images.shape[:3]:
        raise CoModError(f"{place}: {edges.dtype} {list(edges.shape)} for pictures {list(images.shape)}; expected "
                         f"uint8 [{', '.join(map(str, images.shape[:3]))},K]. Remove it, and it is made anew.")


def check_label_array(labels: np.ndarray, images: np.ndarray, classes: Sequence[str]) -> None:
    """Raises CoModError where labels are not uint8 [N,S,S] of these pictures and classes (64 are looked at)."""
    if labels.dtype != np.uint8 or labels.shape != images.shape[:3]:
        raise CoModError(f"labels.npy: {labels.dtype} {list(labels.shape)} for pictures {list(images.shape)}; expected "
                         f"uint8 {list(images.shape[:3])}.")
    seen = np.unique(labels[:64])
    wrong = [int(value) for value in seen if len(classes) <= value < 255]
    if wrong:
        raise CoModError(f"labels.npy: label {wrong[0]} is none of the {len(classes)} classes ({', '.join(classes)}). "
                         "Set `classes` to all of them, in the order of their numbers.")
