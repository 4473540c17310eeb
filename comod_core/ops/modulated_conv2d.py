"""Modulated convolution (Karras et al. 2020, Section 2.2, Equations 1 to 3)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .bias_act import ACTIVATION_GAIN, bias_act
from .kernels import FIR_LEAST, POINTWISE_LEAST, usable
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
                     fir: Tensor | None = None, noise: Tensor | None = None, bias: Tensor | None = None,
                     act: str = "linear", clamp: float | None = None, energy: Tensor | None = None,
                     eps: float = 1e-8) -> Tensor:
    """Convolve x with a weight scaled by each sample's style, then `bias_act`.

    x [N,I,H,W]; weight [O,I,k,k] with odd k (for `up` the kernel of a transposed convolution); style [N,I], or
    [1,I] for all samples. demodulate: normalise each output map to unit expected variance. up: stride-2 transposed
    convolution followed by the FIR `fir` (gain 4), so H doubles. noise [N or 1,1,H',W'] is
    added to every output map. bias [O], act and clamp: as in `bias_act`. energy: `weight_energy(weight)` where it is at
    hand. Returns [N,O,H',W'].

    The style scales the activations and the demodulation the result, which is the same product in another order, so
    that one weight serves the batch: y = d * (W conv (s * x)), d_o = rsqrt(sum_i s_i^2 sum_k W_oik^2 + eps).
    """
    d = None
    if demodulate:
        energy = weight_energy(weight) if energy is None else energy
        d = (style.square() @ energy.t() + eps).rsqrt()
        if x.dtype == torch.float16:  # as StyleGAN2-ADA: the product must not pass 65504 before it is normalised
            top = style.abs().amax(dim=1, keepdim=True).clamp(min=1e-8)
            style, d = style / top, d * top
    if usable(x, FIR_LEAST // 2 if up else POINTWISE_LEAST):
        return _by_kernels(x, weight, style, d, up, fir, noise, bias, act, clamp)
    y = _convolve(x * style.to(x.dtype)[:, :, None, None], weight.to(x.dtype), up, fir)
    d = None if d is None else d.to(y.dtype)[:, :, None, None]
    noise = None if noise is None else noise.to(y.dtype)
    if d is not None:
        y = y * d if noise is None else torch.addcmul(noise, y, d)
    elif noise is not None:
        y = y + noise
    return bias_act(y, bias, act, clamp=clamp)


def weight_energy(weight: Tensor) -> Tensor:
    """Sum over the kernel of the squares of a weight [O,I,k,k]: [O,I]."""
    return weight.square().sum(dim=[2, 3])


def _by_kernels(x: Tensor, weight: Tensor, style: Tensor, d: Tensor | None, up: bool, fir: Tensor | None,
                noise: Tensor | None, bias: Tensor | None, act: str, clamp: float | None) -> Tensor:
    """One pass before the convolution, which modulates, and one after it, which does all the rest."""
    from .kernels.fir import fir as fused_fir
    from .kernels.pointwise import pointwise

    x, weight, lrelu, gain = pointwise(x, style), weight.to(x.dtype), act == "lrelu", ACTIVATION_GAIN[act]
    if up:
        y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return fused_fir(y, fir, d, noise, bias, padding=_padding(weight, fir), strength=4.0, lrelu=lrelu, gain=gain,
                         clamp=clamp)
    y = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    return pointwise(y, d, noise, bias, lrelu, gain=gain, clamp=clamp)


def _convolve(x: Tensor, weight: Tensor, up: bool, fir: Tensor | None) -> Tensor:
    if not up:
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    return upfirdn2d(y, fir, padding=_padding(weight, fir), gain=4.0)


def _padding(weight: Tensor, fir: Tensor) -> tuple[int, int, int, int]:
    """Pads of "(1, 1)" for a 3x3 kernel and the 4-tap FIR: the output is exactly twice the input."""
    total = fir.shape[0] - 2 - (weight.shape[-1] - 1)
    near, far = (total + 1) // 2 + 1, total // 2 + 1
    return near, far, near, far
