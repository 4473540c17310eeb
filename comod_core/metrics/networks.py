"""The one interface of networks that turn pictures into features."""
from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import CoModError

if TYPE_CHECKING:
    from .lpips_distance import Lpips

BATCH = 64


class FeatureNetwork(ABC):
    """name and digest (SHA-256 of the weights) go beside every number; a picture has `width` features.

    published: whether it is the Inception network of the literature, whose numbers alone may be called FID and KID.
    lpips: what measures diversity beside it, None for nothing.
    """

    name: str
    width: int
    digest: str
    published = False
    device: torch.device | str = "cpu"
    lpips: Lpips | None = None

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """images uint8 [N,3,H,W] on the network's device -> features [N,width] and maps [N,C,h,w], one a layer."""

    def describe(self, images: Tensor, batch: int = BATCH) -> tuple[np.ndarray, list[np.ndarray]]:
        """images uint8 [N,3,H,W] -> float32 features [N,width] and the maps of each layer, for perceptual distances.

        A network without maps gives its features as one map of one place.
        """
        found = []
        for part in _check(images).split(batch):
            with torch.inference_mode():
                features, maps = self.forward(part.to(self.device))
            found.append([x.float().cpu().numpy() for x in (features, *maps)])
        features, *maps = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return features, maps or [features[:, :, None, None]]

    def __call__(self, images: Tensor, batch: int = BATCH) -> np.ndarray:
        """images uint8 [N,3,H,W] -> float32 [N,width], and no maps are kept. Raises CoModError for anything else."""
        parts = _check(images).split(batch)
        with torch.inference_mode():
            found = [self.forward(part.to(self.device))[0].float().cpu().numpy() for part in parts]
        return np.concatenate(found)

    def title(self, metric: str) -> str:
        """What a number made with this network is called: FD-Lite0, P-IDS-Lite0; FID, P-IDS with Inception."""
        if self.published:
            return {"FD": "FID"}.get(metric, metric)
        return f"{metric}-{self.name}"


def weights_digest(net: torch.nn.Module) -> str:
    """SHA-256 over names and values of the weights."""
    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()


def _check(images: Tensor) -> Tensor:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 \
            or 0 in images.shape:
        what = f"{images.dtype} {list(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise CoModError(f"feature networks take uint8 pictures [N,3,H,W], not {what}.")
    return images
