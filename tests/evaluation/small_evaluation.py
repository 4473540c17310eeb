"""A small network, pictures and a feature network for the evaluation's tests."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from comod_core.checkpoints.store import save_networks
from comod_core.evaluation.protocol import Protocol
from comod_core.networks.comodgan import CoModConfig, CoModGenerator

SIZE = 16
PROTOCOL = Protocol(holes=(0, 0.4, 1), psis=(1.0, 0.5), seed=3, count=14, pairs=6)


def save_model(path: Path) -> Path:
    """A 16x16 network of random weights."""
    torch.manual_seed(0)
    net = CoModGenerator(CoModConfig(resolution=SIZE, fmap_base=128, fmap_max=16, z_dim=16, w_dim=16,
                                     mapping_fmaps=16)).eval()
    return save_networks(path, {"generator": net}, {"name": "untrained", "licence": "none", "origin": "random weights"})


class Statistics(torch.nn.Module):
    """Twelve features: mean and deviation of the channels, of the picture's two halves."""

    def forward(self, x):
        left, right = x[..., :8].float(), x[..., 8:].float()
        parts = [left.mean(dim=(2, 3)), right.mean(dim=(2, 3)), left.std(dim=(2, 3)), right.std(dim=(2, 3))]
        return torch.cat(parts, dim=1)


def save_features(path: Path) -> Path:
    torch.jit.save(torch.jit.script(Statistics()), str(path))
    return path


def pictures(count: int, size: int = SIZE) -> np.ndarray:
    """Smooth random pictures, uint8 [N,S,S,3]."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 3, 3, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(x).resize((size, size), Image.Resampling.BICUBIC)) for x in coarse])


def save_folder(folder: Path, images: np.ndarray) -> Path:
    """As PNG files 000000.png, 000001.png and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:06d}.png")
    return folder


def save_array(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", images)
    return folder
