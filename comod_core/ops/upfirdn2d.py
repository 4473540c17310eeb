"""Upsample, filter, downsample: the resampling step of StyleGAN2 (Karras et al. 2020, Appendix B)."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .bias_act import ACTIVATION_GAIN, bias_act
from .kernels import FIR_LEAST, usable

Padding = tuple[int, int, int, int]


def setup_filter(taps: Sequence[float] = (1, 3, 3, 1), *, device: torch.device | None = None) -> Tensor:
    """Separable FIR of these taps as a 2-D float32 kernel [taps, taps] that sums to one."""
    total = sum(taps) ** 2
    return torch.tensor([[a * b / total for b in taps] for a in taps], dtype=torch.float32, device=device)


def upfirdn2d_reference(x: Tensor, kernel: Tensor, up: int, down: int, padding: Padding, gain: float) -> Tensor:
    """The maths, step by step. Shapes and units as in `upfirdn2d`."""
    n, c, h, w = x.shape
    left, right, top, bottom = padding
    # 1. insert up - 1 zeros after every pixel
    x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, up - 1, 0, 0, 0, up - 1]).reshape(n, c, h * up, w * up)
    # 2. pad with zeros, or crop where the padding is negative
    x = F.pad(x, [left, right, top, bottom])
    # 3. convolve (not correlate) every channel with the FIR kernel
    weight = (kernel.flip([0, 1]) * gain).to(x.dtype).expand(c, 1, *kernel.shape)
    x = F.conv2d(x, weight, groups=c)
    # 4. keep every down-th pixel
    return x[:, :, ::down, ::down]


def upfirdn2d(x: Tensor, kernel: Tensor, *, up: int = 1, down: int = 1, padding: Padding = (0, 0, 0, 0),
              gain: float = 1.0, bias: Tensor | None = None, act: str = "linear", act_gain: float | None = None,
              clamp: float | None = None) -> Tensor:
    """Zero-insert by `up`, pad, convolve with `kernel`, keep every `down`-th pixel, then `bias_act`.

    x [N,C,H,W], any floating dtype; channels-last input is the fast one on CPUs. kernel [kh,kw]. padding
    (left, right, top, bottom) in pixels of the upsampled picture, negative values crop. gain: of the filter; bias [C],
    act, act_gain and clamp as in `bias_act`. Returns [N,C,(H*up+top+bottom-kh)//down+1, ...]. Differentiable twice.
    """
    act_gain = ACTIVATION_GAIN[act] if act_gain is None else act_gain
    few = up > 1 and x.shape[1] <= 4  # PyTorch's transposed convolution is not slower for RGB
    if not few and usable(x, FIR_LEAST) and act_gain > 0 and not kernel.requires_grad:
        from .kernels.fir import MOST_TAPS, fir

        if kernel.numel() <= MOST_TAPS:
            return fir(x, kernel, bias=bias, up=up, down=down, padding=padding, strength=gain, lrelu=act == "lrelu",
                       gain=act_gain, clamp=clamp)
    return bias_act(_filter(x, kernel, up, down, padding, gain), bias, act, gain=act_gain, clamp=clamp)


def _filter(x: Tensor, kernel: Tensor, up: int, down: int, padding: Padding, gain: float) -> Tensor:
    channels, (kh, kw) = x.shape[1], kernel.shape
    left, right, top, bottom = padding
    weight = (kernel * gain).to(x.dtype)
    if up == 1:
        weight = weight.flip([0, 1]).expand(channels, 1, kh, kw)
        if left == right >= 0 and top == bottom >= 0:
            return _depthwise(x, weight, down, (top, left))
        return _depthwise(F.pad(x, [left, right, top, bottom]), weight, down, (0, 0))
    # A transposed depthwise convolution is zero insertion and "full" padding in one: (k-1) on the far sides and
    # (k-1) - (up-1) on the near ones. What differs from the padding asked for is cropped or added.
    weight = weight.expand(channels, 1, kh, kw)
    crop = (kw - 1 - left, kw - up - right, kh - 1 - top, kh - up - bottom)
    if crop[0] >= 0 and crop[2] >= 0 and crop[0] == crop[1] and crop[2] == crop[3]:
        x = F.conv_transpose2d(x, weight, stride=up, padding=(crop[2], crop[0]), groups=channels)
    elif crop[0] >= 0 and crop[2] >= 0 and 0 <= crop[0] - crop[1] < up and 0 <= crop[2] - crop[3] < up:
        x = F.conv_transpose2d(x, weight, stride=up, padding=(crop[2], crop[0]), groups=channels,
                               output_padding=(crop[2] - crop[3], crop[0] - crop[1]))
    else:
        x = F.pad(F.conv_transpose2d(x, weight, stride=up, groups=channels), [-c for c in crop])
    return x[:, :, ::down, ::down] if down > 1 else x


def _depthwise(x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int]) -> Tensor:
    """One kernel a channel. Where a gradient will be asked for in bfloat16 on a CPU, strided ones are done in float32:
    oneDNN's gradient of them takes ten times as long in bfloat16.
    """
    channels, half = x.shape[1], x.dtype
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        half = torch.get_autocast_dtype("cpu")
    if stride == 1 or half != torch.bfloat16 or x.device.type != "cpu" or not x.requires_grad:
        return F.conv2d(x, weight, stride=stride, padding=padding, groups=channels)
    with torch.autocast("cpu", enabled=False):
        return F.conv2d(x.float(), weight.float(), stride=stride, padding=padding, groups=channels).to(half)


def upsample2d(x: Tensor, kernel: Tensor, up: int = 2) -> Tensor:
    """[N,C,H,W] to [N,C,H*up,W*up] with the FIR; brightness is kept (gain up^2)."""
    p = kernel.shape[0] - up
    near, far = (p + 1) // 2 + up - 1, p // 2
    return upfirdn2d(x, kernel, up=up, padding=(near, far, near, far), gain=float(up * up))
