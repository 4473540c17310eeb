"""Modulated convolution (Karras et al. 2020, Section 2.2, Equations 1 to 3)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .upfirdn2d import upfirdn2d


def modulated_conv2d_reference(x: Tensor, weight: Tensor, style: Tensor, demodulate: bool, up: bool,
                               fir: Tensor | None, noise: Tensor | None = None, eps: float = 1e-8) -> Tensor:
    """The maths as published: one weight a sample. Shapes and units as in `modulated_conv2d`."""
    outputs = []
    for sample, s in zip(x, style, strict=True):
        # Equation 1: scale the input channels of the weight
        w = weight * s[None, :, None, None]
        # Equation 3: normalise every output feature map
        if demodulate:
            w = w * (w.square().sum(dim=[1, 2, 3], keepdim=True) + eps).rsqrt()
        outputs.append(_convolve(sample[None], w, up, fir))
    y = torch.cat(outputs)
    # Section 2.2.1: noise after the demodulation
    return y if noise is None else y + noise


def modulated_conv2d(x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool = True, up: bool = False,
                     fir: Tensor | None = None, noise: Tensor | None = None, eps: float = 1e-8) -> Tensor:
    """Convolve x with a weight scaled by each sample's style.

    x [N,I,H,W]; weight [O,I,k,k] with odd k (for `up` the kernel of a transposed convolution); style [N,I], or
    [1,I] for all samples. demodulate: normalise each output map to unit expected variance. up: stride-2 transposed
    convolution followed by the FIR `fir` (gain 4), so H doubles. noise [N or 1,1,H',W'] is
    added to every output map. Returns [N,O,H',W'].

    The style scales the activations and the demodulation the result, which is the same product in another order, so
    that one weight serves the batch: y = d * (W conv (s * x)), d_o = rsqrt(sum_i s_i^2 sum_k W_oik^2 + eps).
    """
    y = _convolve(x * style.to(x.dtype)[:, :, None, None], weight.to(x.dtype), up, fir)
    if demodulate:
        energy = weight.square().sum(dim=[2, 3])
        d = (style.square() @ energy.t() + eps).rsqrt()
        d = d.to(y.dtype)[:, :, None, None]
        if noise is not None:
            return torch.addcmul(noise.to(y.dtype), y, d)
        return y * d
    return y if noise is None else y + noise.to(y.dtype)


def _convolve(x: Tensor, weight: Tensor, up: bool, fir: Tensor | None) -> Tensor:
    if not up:
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    # pads of "(1, 1)" for a 3x3 kernel and the 4-tap FIR: the output is exactly twice the input
    total = fir.shape[0] - 2 - (weight.shape[-1] - 1)
    near, far = (total + 1) // 2 + 1, total // 2 + 1
    return upfirdn2d(y, fir, padding=(near, far, near, far), gain=4.0)

