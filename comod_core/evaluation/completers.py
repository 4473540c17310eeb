"""What is evaluated: a network, or one of the simple fillers that it should beat."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from .. import latents
from ..checks import check_net, check_sampling
from ..completion import blend, decode, encode, prepare
from ..errors import CoModError
from ..images import to_float, to_integers

FILLERS = ("mean-colour", "telea", "navier-stokes")


class Network:
    """A completion network through the functions that every door uses, on pictures of its own size.

    raw: its own output in the hole; else with the feather and the colour match of `completion.complete`'s defaults.
    """

    varies = True

    def __init__(self, net, raw: bool = False):
        check_net(net)
        self.net, self.name, self.size = net, net.info.name, net.resolution
        self.fitting = {"size_strategy": "original", "feather": 0 if raw else None, "color_match": not raw}
        self.facts = {"name": net.info.name, "sha256": net.info.sha256, "architecture": net.info.architecture,
                      "resolution": net.resolution, "dtype": str(net.w_avg.dtype).removeprefix("torch."),
                      "device": net.w_avg.device.type}

    def __call__(self, image: Tensor, mask: Tensor, seeds: Sequence[int], psis: Sequence[float]) -> Tensor:
        """image uint8 [3,R,R], mask [1,1,R,R], 1 = hole -> completions uint8 [psis,seeds,3,R,R]."""
        net = self.net
        for psi in psis:
            check_sampling(net, psi)
        prepared = prepare(net, to_float(image.permute(1, 2, 0).numpy()), mask, **self.fitting)
        encodings = encode(net, prepared)
        w = latents.sample(net, seeds)
        rows = [decode(net, prepared, encodings, latents.truncate(w, net.w_avg, psi), seeds) for psi in psis]
        return torch.stack([torch.stack([_as_saved(blend(prepared, tiles)) for tiles in row]) for row in rows])


class Filler:
    """A hole in the mean colour of the known pixels, or filled by OpenCV (Telea 2004; Bertalmio et al. 2001)."""

    varies = False

    def __init__(self, name: str, size: int):
        if name not in FILLERS:
            raise CoModError(f"{name!r} is not one of {', '.join(FILLERS)}.")
        self.name, self.size = name, size
        self.facts = {"name": name, "sha256": None, "architecture": f"OpenCV {cv2.__version__}", "resolution": size,
                      "dtype": "uint8", "device": "cpu"}

    def __call__(self, image: Tensor, mask: Tensor, seeds: Sequence[int], psis: Sequence[float]) -> Tensor:
        """As `Network`; every seed and psi gives the same."""
        hole, picture = mask[0, 0].numpy() > 0.5, np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        if self.name == "mean-colour":
            filled = picture.copy()
            filled[hole] = np.rint(picture[~hole].mean(axis=0)) if not hole.all() else 128
        else:
            method = cv2.INPAINT_TELEA if self.name == "telea" else cv2.INPAINT_NS
            filled = cv2.inpaint(np.where(hole[..., None], 0, picture), hole.astype(np.uint8), 3, method)
        return torch.from_numpy(filled).permute(2, 0, 1).expand(len(psis), len(seeds), -1, -1, -1)


def _as_saved(image: Tensor) -> Tensor:
    """[1,3,R,R] in [-1,1] -> uint8 [3,R,R]: what a lossless file of it holds, as real pictures are held too."""
    return torch.from_numpy(to_integers(image)).permute(2, 0, 1)
