"""LPIPS (Zhang et al., CVPR 2018) on AlexNet, as the diversity of completions is published, by the package lpips."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import CoModError
from .networks import weights_digest

ALEXNET = "alexnet-owt-7be5be79.pth"        # torchvision's weights, as torch.hub keeps them
BATCH, SMALLEST = 32, 32


class Lpips:
    """The distance of pairs of pictures, with the published learnt weights (version 0.1).

    Nothing is downloaded: AlexNet's weights have to be in torch.hub's cache. digest: SHA-256 over all weights. Raises
    CoModError that says how to get what is missing.
    """

    name = "AlexNet 0.1"

    def __init__(self, device: torch.device | str = "cpu"):
        path = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
        url = f"https://download.pytorch.org/models/{ALEXNET}"
        if not path.is_file():
            raise CoModError(f"LPIPS needs the weights of AlexNet, and CoMod does not download them. Fetch {url} with "
                             f"a browser and save it as {path}. Without it there is the diversity of --features.")
        try:
            import lpips

            self.net = lpips.LPIPS(net="alex", verbose=False)
        except (ImportError, RuntimeError, OSError) as problem:     # one made for another torch raises RuntimeError
            raise CoModError(f"LPIPS needs the package lpips and a torchvision that fits torch {torch.__version__} "
                             f"({problem}): pip install 'comod-gan[lpips]', and see pytorch.org for the pair of torch "
                             "and torchvision.") from problem
        self.net.eval().requires_grad_(False).to(device)
        self.digest, self.device = weights_digest(self.net), device

    def __call__(self, a: Tensor, b: Tensor) -> np.ndarray:
        """Distance of picture i of a and of b, float64 [N]. a, b: uint8 [N,3,H,W] of at least 32x32.

        Raises CoModError for anything else.
        """
        fit = a.dtype == torch.uint8 and a.shape == b.shape and a.ndim == 4 and a.shape[1] == 3
        if not fit or min(a.shape[2:]) < SMALLEST:
            raise CoModError(f"LPIPS: pictures {list(a.shape)} and {list(b.shape)}; expected uint8 [N,3,H,W], of at "
                             f"least {SMALLEST}x{SMALLEST} pixels.")
        found = [np.zeros(0)]
        for pair in zip(a.split(BATCH), b.split(BATCH), strict=True):
            with torch.inference_mode():
                values = self.net(*(x.to(self.device).float() / 127.5 - 1 for x in pair))
            found.append(values.flatten().double().cpu().numpy())
        return np.concatenate(found)
