"""Feature networks by name or file."""
from __future__ import annotations

from pathlib import Path

import torch

from ..errors import CoModError
from .networks import FeatureNetwork
from .torchscript import TorchScript


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
