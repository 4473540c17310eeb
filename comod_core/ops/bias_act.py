"""Bias, activation and gain in one call (StyleGAN2, Appendix B of Karras et al. 2020)."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATION_GAIN = {"linear": 1.0, "lrelu": math.sqrt(2.0)}


def bias_act_reference(x: Tensor, bias: Tensor | None, act: str, alpha: float, gain: float, dim: int) -> Tensor:
    """The maths, step by step. Shapes and units as in `bias_act`."""
    # 1. one bias a channel
    if bias is not None:
        x = x + bias.reshape([-1 if axis == dim % x.ndim else 1 for axis in range(x.ndim)])
    # 2. leaky ReLU: x where positive, alpha * x elsewhere
    if act == "lrelu":
        x = torch.where(x > 0, x, x * alpha)
    # 3. the gain that keeps the second moment near one
    return x * gain


def bias_act(x: Tensor, bias: Tensor | None = None, act: str = "linear", *, alpha: float = 0.2,
             gain: float | None = None, dim: int = 1) -> Tensor:
    """Add `bias` along `dim`, apply the activation, multiply by `gain`.

    x: any shape, any floating dtype, any memory format (kept). bias: [x.shape[dim]] or None.
    act: "linear" or "lrelu" (slope `alpha`). gain: None takes the activation's own, 1 and sqrt(2).
    First and second gradients are those of the maths. Raises KeyError for an unknown activation.
    """
    gain = ACTIVATION_GAIN[act] if gain is None else gain
    if bias is not None:
        bias = bias.to(x.dtype)
        x = x + (bias if dim % x.ndim == x.ndim - 1 else bias.reshape([-1] + [1] * (x.ndim - 1 - dim % x.ndim)))
    if act == "lrelu":
        x = F.leaky_relu(x, alpha)
    return x * gain if gain != 1.0 else x
