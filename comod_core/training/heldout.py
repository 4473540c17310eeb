"""Pictures that a run does not train on, by which its snapshots are shown and measured."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..errors import CoModError
from ..metrics import frechet_distance

GRID_ROWS, GRID_SEEDS = 8, 6
HELDOUT = 256           # pictures that are measured at a snapshot
FIXED = 2 ** 40         # a step that no run reaches: its holes are those of the grids and of the measurements


class HeldOut:
    """At most `HELDOUT` pictures of a set, spread evenly over it, and what is known beside them.

    images uint8 [N,R,R,3]; beside: arrays [N,...] by name. Attributes: images uint8 [n,3,R,R], beside (the same rows),
    device (where networks run), features (Lite0, None where its packages are missing).
    """

    def __init__(self, images: np.ndarray, beside: Mapping[str, np.ndarray] | None = None,
                 device: torch.device | str = "cpu"):
        rows = np.linspace(0, len(images) - 1, min(len(images), HELDOUT)).astype(int)
        self.images = torch.from_numpy(np.stack([images[row] for row in rows])).permute(0, 3, 1, 2).contiguous()
        self.beside = {name: np.stack([array[row] for row in rows]) for name, array in (beside or {}).items()}
        self.device = torch.device(device)
        try:
            from ..metrics.lite0 import Lite0
            self.features = Lite0(device=self.device)
        except CoModError:
            self.features = None
        self._real: np.ndarray | None = None

    def real_features(self) -> np.ndarray | None:
        """Lite0 features of the pictures, float [n,1280]."""
        if self._real is None and self.features is not None:
            self._real = self.features(self.images)
        return self._real

    def fd(self, fakes: Tensor) -> dict[str, float]:
        """{"FD-Lite0": distance} of uint8 [n,3,R,R] to the pictures; empty where it cannot be had.

        With so few pictures it serves to compare snapshots of one run, nothing else.
        """
        if self.features is None or len(fakes) < 2:
            return {}
        return {"FD-Lite0": float(frechet_distance(self.real_features(), self.features(fakes)))}


def to_bytes(images: Tensor) -> Tensor:
    """[-1,1] to uint8, clamped and rounded."""
    return (images.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
