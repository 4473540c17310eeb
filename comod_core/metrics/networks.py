"""Networks that turn pictures into features, behind one interface."""
from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import CoModError
from ..files import sha256_of

BATCH = 64


class FeatureNetwork(ABC):
    """name and digest (SHA-256 of the weights) go beside every number; a picture has `width` features.

    published: whether it is the Inception network of the literature, whose numbers alone may be called FID and KID.
    """

    name: str
    width: int
    digest: str
    published = False
    device: torch.device | str = "cpu"

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
        """images uint8 [N,3,H,W] -> float32 [N,width]. Raises CoModError for anything else."""
        return self.describe(images, batch)[0]

    def title(self, metric: str) -> str:
        """What a number made with this network is called: FD-Lite0, P-IDS-Lite0; FID, P-IDS with Inception."""
        if self.published:
            return {"FD": "FID"}.get(metric, metric)
        return f"{metric}-{self.name}"


def load_features(spec: str, device: torch.device | str = "cpu") -> FeatureNetwork:
    """The network called "lite0" or "inception", or that of a TorchScript file.

    Raises CoModError when its packages or its file are missing, in words that say how to get them.
    """
    if spec.lower() == "lite0":
        from .lite0 import Lite0

        return Lite0(device)
    if spec.lower() == "inception":
        from .inception import Inception

        return Inception(device)
    if Path(spec).is_file():
        return TorchScript(spec, device)
    raise CoModError(f"--features {spec}: neither a network by that name (lite0, inception) nor a file. A file holds a "
                     "TorchScript module that takes uint8 [N,3,H,W] and gives [N,D].")


class TorchScript(FeatureNetwork):
    """A TorchScript file that takes uint8 pictures [N,3,H,W] and gives float features [N,D].

    Where its `forward` has an argument `return_features`, as the Inception file of StyleGAN's authors has, it is set.
    A TorchScript file is a program: use only those that you trust. Raises CoModError when it does anything else.
    """

    def __init__(self, path: str | Path, device: torch.device | str = "cpu"):
        path = Path(path)
        self.name, self.device = path.stem, device
        try:
            self.module = torch.jit.load(str(path), map_location=device).eval()
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise CoModError(f"{path}: not a TorchScript file ({reason}). Save one with torch.jit.save.") from error
        self.digest = sha256_of(path)
        arguments = {argument.name for argument in self.module.forward.schema.arguments}
        self.options = {"return_features": True} if "return_features" in arguments else {}
        try:
            found = self(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
        except RuntimeError as error:
            raise CoModError(f"{path}: cannot take uint8 pictures [N,3,H,W] "
                             f"({str(error).strip().splitlines()[-1]}).") from error
        self.width = found.shape[1]

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        found = self.module(images, **self.options)
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
            what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise CoModError(f"the TorchScript network {self.name} gave {what} for {len(images)} pictures; expected "
                             "one row of features each, [N,D].")
        return found, []


def _check(images: Tensor) -> Tensor:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 \
            or 0 in images.shape:
        what = f"{images.dtype} {list(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise CoModError(f"feature networks take uint8 pictures [N,3,H,W], not {what}.")
    return images
