"""Features and per-picture numbers of a chunk of pictures: everything that needs pixels or a network."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..metrics.networks import FeatureNetwork
from ..metrics.perceptual import perceptual_distance
from ..metrics.pixels import l1, psnr, ssim
from .pictures import Chunk
from .protocol import Bin, Protocol, completion_seeds, hole


def measure(completer, features: FeatureNetwork, chunk: Chunk, protocol: Protocol,
            progress: Callable[[], None] = lambda: None) -> dict[str, np.ndarray]:
    """Arrays of n pictures over P psis and B bins; progress() is called after each hole.

    real [n,D] and fake [P,B,n,D]: features, float32. ratio [B,n]: share of the picture that is hole. l1_hole, l1, psnr,
    ssim [P,B,n]: against the real picture. diversity, pixel_diversity [P,B,k]: between two completions of one hole, for
    the chunk's first k pictures; perceptual distance, and mean absolute difference of 0..255 in the hole. Where
    features.lpips is there, lpips [P,B,k] between them, too.
    """
    second = max(0, min(len(chunk.names), protocol.pairs - chunk.first)) if completer.varies else 0
    columns = [_bin(completer, features, chunk, protocol, bin, second, progress) for bin in protocol.bins]
    found = {"real": features(chunk.images), "ratio": np.stack([column.pop("ratio") for column in columns])}
    return found | {key: np.stack([column[key] for column in columns], axis=1) for key in columns[0]}


def completions(completer, image: Tensor, name: str, bin: Bin, protocol: Protocol, count: int) -> tuple[Tensor, Tensor]:
    """The hole [1,1,R,R] of a picture in a bin and its first `count` completions, uint8 [P,count,3,R,R]."""
    mask = hole(name, completer.size, bin, protocol.seed)
    return mask, completer(image, mask, completion_seeds(name, bin, protocol.seed)[:count], protocol.psis)


def _bin(completer, features, chunk: Chunk, protocol: Protocol, bin: Bin, second: int, progress) -> dict:
    """The arrays of one bin: ratio [n], others [P,n,...]."""
    masks, made = [], []
    for i, (image, name) in enumerate(zip(chunk.images, chunk.names, strict=True)):
        mask, fakes = completions(completer, image, name, bin, protocol, 2 if i < second else 1)
        masks.append(mask)
        made.append(fakes)
        progress()
    holes, real = torch.cat(masks).numpy(), chunk.images.numpy()
    rows = []
    for p in range(len(protocol.psis)):
        fakes = torch.stack([fake[p, 0] for fake in made])
        others = [fake[p, 1] for fake in made[:second]]
        rows.append(_numbers(features, real, fakes, holes, torch.stack(others) if others else fakes[:0]))
    return {"ratio": holes.mean(axis=(1, 2, 3), dtype=np.float64)} | {
        key: np.stack([row[key] for row in rows]) for key in rows[0]}


def _numbers(features, real: np.ndarray, fakes: Tensor, holes: np.ndarray, others: Tensor) -> dict[str, np.ndarray]:
    """Of one psi and bin; others uint8 [k,3,R,R]: second completions of the first k pictures."""
    fake, k = fakes.numpy(), len(others)
    values, maps = features.describe(fakes)
    found = {"fake": values, "l1_hole": l1(real, fake, holes), "l1": l1(real, fake), "psnr": psnr(real, fake),
             "ssim": ssim(real, fake), "diversity": np.zeros(0), "pixel_diversity": np.zeros(0)}
    if features.lpips:
        found["lpips"] = features.lpips(fakes[:k], others)
    if k:
        found["diversity"] = perceptual_distance([x[:k] for x in maps], features.describe(others)[1])
        found["pixel_diversity"] = l1(fake[:k], others.numpy(), holes[:k])
    return found
