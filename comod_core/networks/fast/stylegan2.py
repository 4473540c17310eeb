"""StyleGAN2 on a CPU: CoModGAN's decoder without an encoder."""
from __future__ import annotations

import torch
from torch import Tensor

from ...ops.scratch import Scratch
from .comodgan import FastDecoder


class FastStyleGAN2(FastDecoder):
    """The fast form of a `StyleGAN2Generator`'s synthesis, one sample at a time."""

    def __init__(self, net, dtype: torch.dtype):
        super().__init__(net.synthesis, dtype, Scratch(dtype))
        self.clamp = net.config.clamp

    def _style(self, w: Tensor, code: None, layer: int) -> Tensor:
        return w[layer]

    def _first_features(self, code: None, skips: None) -> Tensor:
        return self.synthesis.const[0].float()

    def decode(self, w: Tensor, noises: list[Tensor | None]) -> Tensor:
        """w [N,L,W] and noise maps [N or 1,1,r,r] -> [N,3,R,R]."""
        pictures, size = [], self.resolutions[-1]
        for i, row in enumerate(w):
            maps = [None if noise is None else noise[i if len(noise) > 1 else 0] for noise in noises]
            pictures.append(self(None, None, row.float(), maps, (0, size, 0, size)).permute(2, 0, 1))
        return torch.stack(pictures).to(w.dtype, memory_format=torch.contiguous_format)
