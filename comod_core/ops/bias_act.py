"""Bias, activation and gain in one call (StyleGAN2, Appendix B of Karras et al. 2020)."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .kernels import POINTWISE_LEAST, usable

ACTIVATION_GAIN = {"linear": 1.0, "lrelu": math.sqrt(2.0)}


def bias_act_reference(x: Tensor, bias: Tensor | None, act: str, alpha: float, gain: float, dim: int,
                       clamp: float | None = None) -> Tensor:
    """The maths, step by step. Shapes and units as in `bias_act`."""
    # 1. one bias a channel
    if bias is not None:
        x = x + bias.reshape([-1 if axis == dim % x.ndim else 1 for axis in range(x.ndim)])
    # 2. leaky ReLU: x where positive, alpha * x elsewhere
    if act == "lrelu":
        x = torch.where(x > 0, x, x * alpha)
    # 3. the gain that keeps the second moment near one
    x = x * gain
    # 4. the limit that half precision needs
    return x if clamp is None else x.clamp(-clamp, clamp)


def bias_act(x: Tensor, bias: Tensor | None = None, act: str = "linear", *, alpha: float = 0.2,
             gain: float | None = None, clamp: float | None = None, dim: int = 1) -> Tensor:
    """Add `bias` along `dim`, apply the activation, multiply by `gain`, limit to [-clamp, clamp].

    x: any shape, any floating dtype, any memory format (kept). bias: [x.shape[dim]] or None.
    act: "linear" or "lrelu" (slope `alpha`). gain: None takes the activation's own, 1 and sqrt(2). clamp: None for no
    limit. First and second gradients are those of the maths. Raises KeyError for an unknown activation.
    """
    gain = ACTIVATION_GAIN[act] if gain is None else gain
    if usable(x, POINTWISE_LEAST) and x.ndim > 1 and alpha >= 0 and gain > 0:
        return _by_kernel(x, bias, act, alpha, gain, clamp, dim)
    if bias is not None:
        bias = bias.to(x.dtype)
        x = x + (bias if dim % x.ndim == x.ndim - 1 else bias.reshape([-1] + [1] * (x.ndim - 1 - dim % x.ndim)))
    if act == "lrelu":
        x = F.leaky_relu(x, alpha)
    x = x * gain if gain != 1.0 else x
    return x if clamp is None else x.clamp(-clamp, clamp)


def _by_kernel(x: Tensor, bias: Tensor | None, act: str, alpha: float, gain: float, clamp: float | None,
               dim: int) -> Tensor:
    from .kernels.pointwise import pointwise

    if bias is None and act == "linear" and gain == 1 and clamp is None:
        return x
    y = pointwise(x.movedim(dim, 1), bias=bias, lrelu=act == "lrelu", alpha=alpha, gain=gain, clamp=clamp)
    return y.movedim(1, dim)
