"""3x3 convolutions by oneDNN on weights put into its own order once, with bias and leaky ReLU in the same pass.

The operators are private to PyTorch; where they are missing (another build, another processor), plain ones do the same.
"""
from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .scratch import Scratch
from .winograd import combine

_STRIP_BYTES = 2 << 20
_OPERATORS = ("_convolution_pointwise", "_reorder_convolution_weight", "_convolution_transpose_pointwise",
              "_reorder_convolution_transpose_weight")


@functools.cache
def has_prepacking() -> bool:
    """Whether this PyTorch has oneDNN's operators on reordered weights, and they work."""
    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS):
        return False
    try:
        weight = torch.ones(2, 3, 3, 3)
        x = torch.ones(1, 3, 4, 4).contiguous(memory_format=torch.channels_last)
        plain = _Packed(weight, torch.ones(2), 1)(x, 0.2)
        twice = _Packed(weight.transpose(0, 1).contiguous(), None, 2, transposed=True, padding=1)(x, None)
        return bool((plain == 28).all()) and twice.shape == (1, 2, 7, 7)
    except (RuntimeError, NotImplementedError, TypeError):
        return False


class _Packed:
    """One convolution [1,I,H,W] -> [1,O,H',W'] on a reordered weight; transposed ones have stride 2."""

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: int, groups: int = 1, transposed: bool = False,
                 padding: int = 0):
        self.bias, self.stride, self.groups, self.transposed, self.padding = bias, stride, groups, transposed, padding
        if transposed:
            self.weight = torch.ops.mkldnn._reorder_convolution_transpose_weight(
                weight, [padding] * 2, [0, 0], [2, 2], [1, 1], 1, [1, weight.shape[0], 32, 32])
        else:
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(
                weight, [padding] * 2, [stride] * 2, [1, 1], groups, [1, weight.shape[1] * groups, 32, 32])

    def __call__(self, x: Tensor, slope: float | None) -> Tensor:
        act = ("none", [], "") if slope is None else ("leaky_relu", [slope], "")
        if self.transposed:
            return torch.ops.mkldnn._convolution_transpose_pointwise(x, self.weight, self.bias, [self.padding] * 2,
                                                                     [0, 0], [2, 2], [1, 1], 1, *act)
        return torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, [self.padding] * 2, [self.stride] * 2,
                                                       [1, 1], self.groups, *act)


class _Plain:
    """The same without reordered weights."""

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: int, groups: int = 1, transposed: bool = False,
                 padding: int = 0):
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.bias, self.stride, self.groups, self.transposed, self.padding = bias, stride, groups, transposed, padding

    def __call__(self, x: Tensor, slope: float | None) -> Tensor:
        if self.transposed:
            y = F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=self.padding)
        else:
            y = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, groups=self.groups)
        return y if slope is None else F.leaky_relu_(y, slope)


def convolution(weight: Tensor, bias: Tensor | None, stride: int = 1, **options):
    """A callable (x, slope or None) on the best operators that are there; options as of `_Packed`."""
    return (_Packed if has_prepacking() else _Plain)(weight, bias, stride, **options)


@dataclasses.dataclass(frozen=True)
class Direct:
    """A convolution with the interface of `Winograd`, for any dtype and with resampling. See `direct`."""

    kind: str
    ready: Callable[[Tensor, float | None], Tensor]
    resample: Callable[[Tensor, float | None], Tensor] | None
    bias: Tensor | None
    outputs: int
    itemsize: int

    def rows(self, width: int) -> int:
        """How many rows of inputs, of this width, make a strip."""
        return 4 * max(1, _STRIP_BYTES // (width * 4 * self.outputs * self.itemsize))

    def strip(self, x: Tensor, out: Tensor, scratch: Scratch | None = None, *, scale: Tensor | None = None,
              demod: Tensor | None = None, noise: Tensor | None = None, slope: float | None = None) -> None:
        """As `Winograd.strip`. "up" takes [H/2+2,W/2+2,I] for out [H,W,O], "down" [2H+4,2W+4,I]."""
        x = x.permute(2, 0, 1)[None]
        if scale is not None:
            x = x * scale.to(x.dtype)[:, None, None]
        x = x.contiguous(memory_format=torch.channels_last)
        if self.kind == "down":
            x = self.resample(x, None)
        whole = noise is None and demod is None and self.kind != "up"
        y = self.ready(x, slope if whole else None)
        if self.kind == "up":
            y = self.resample(y, None)
        if self.bias is not None:
            y += (self.bias if demod is None else self.bias / demod).to(y.dtype)[:, None, None]
        demod, noise = (None if value is None else value.to(y.dtype) for value in (demod, noise))
        combine(y[0].permute(1, 2, 0), out, demod, None if noise is None else noise[..., None])
        if slope is not None and not whole:
            F.leaky_relu_(out, slope)


def direct(weight: Tensor, bias: Tensor | None = None, kind: str = "plain", resample: Callable | None = None,
           dtype: torch.dtype = torch.float32, demodulated: bool = False) -> Direct:
    """Prepare weight [O,I,3,3] and bias [O].

    kind: "plain"; "up": transposed with stride 2, then the FIR; "down": the FIR, then stride 2. resample: of `fir`, for
    these two. demodulated: `strip` will be given `demod`.
    """
    late = demodulated or kind == "up"  # the bias comes after what follows the convolution
    own = None if bias is None or late else bias.to(dtype)
    weight = weight.to(dtype)
    if kind == "up":
        ready = convolution(weight.transpose(0, 1).contiguous(), None, 2, transposed=True, padding=1)
        outputs = 4 * len(weight)
    else:
        ready = convolution(weight, own, 2 if kind == "down" else 1)
        outputs = len(weight)
    return Direct(kind, ready, resample, bias if late else None, outputs, dtype.itemsize)


def fir(taps: Tensor, channels: int, gain: float = 1.0, dtype: torch.dtype = torch.float32, stride: int = 1):
    """The FIR [4,4] on every channel, without padding, as a callable for `direct`: gain 4 for "up"."""
    return convolution((taps.flip([0, 1]) * gain).to(dtype).expand(channels, 1, -1, -1).contiguous(), None, stride,
                       groups=channels)
