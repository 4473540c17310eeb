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

from .phases import Doubled, Phases
from .processor import has_amx
from .scratch import Scratch
from .winograd import combine

_STRIP_BYTES = 2 << 20  # in float32; twice as many in half precision, where calls cost more than caches
_MOST_ORDERS = 3  # of one weight: strips of a picture have two sizes
_OPERATORS = ("_convolution_pointwise", "_reorder_convolution_weight", "_convolution_transpose_pointwise",
              "_reorder_convolution_transpose_weight", "_get_mkldnn_serialized_md")
_orders: dict[tuple, bytes] = {}  # what a convolution is and the size of its input -> the order of the weight


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
    """One convolution [1,I,H,W] -> [1,O,H',W'] on a reordered weight; transposed ones have stride 2.

    Which order is the fastest depends on the size of the input. On a weight in another order oneDNN puts it into the
    right one at every call, for some orders number by number, which takes longer than the convolution. So the weight
    is held in the orders that were asked for last (sizes share them), from `size` [H,W] on, if that is known.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: int, groups: int = 1, transposed: bool = False,
                 padding: int | tuple[int, int] = 0, size: tuple[int, int] | None = None):
        self.bias, self.stride, self.groups, self.transposed = bias, stride, groups, transposed
        self.padding = [padding] * 2 if isinstance(padding, int) else list(padding)
        self.plain, self.held = weight, {}
        self.kind = tuple(weight.shape), weight.dtype, stride, groups, transposed, *self.padding
        if size is not None:
            self._ordered(size)

    def _ordered(self, size: tuple[int, int]) -> Tensor:
        """The weight as inputs of this size want it."""
        key = (*self.kind, *size, torch.get_num_threads())
        order = _orders.get(key)
        if order not in self.held:
            weight = self._reordered(size)
            order = _orders[key] = bytes(torch.ops.mkldnn._get_mkldnn_serialized_md(weight).numpy())
            self.held.setdefault(order, weight)
            self.plain = None
            if len(self.held) > _MOST_ORDERS:
                del self.held[next(one for one in self.held if one != order)]
        return self.held[order]

    def _reordered(self, size: tuple[int, int]) -> Tensor:
        weight = self.plain
        if weight is None:
            weight = next(iter(self.held.values())).to_dense()
            weight = weight.transpose(0, 1).contiguous() if self.transposed else weight
        if self.transposed:
            return torch.ops.mkldnn._reorder_convolution_transpose_weight(
                weight, self.padding, [0, 0], [2, 2], [1, 1], 1, [1, weight.shape[0], *size])
        return torch.ops.mkldnn._reorder_convolution_weight(
            weight, self.padding, [self.stride] * 2, [1, 1], self.groups, [1, weight.shape[1] * self.groups, *size])

    def __call__(self, x: Tensor, slope: float | None) -> Tensor:
        act = ("none", [], "") if slope is None else ("leaky_relu", [slope], "")
        weight = self._ordered(tuple(x.shape[2:]))
        if self.transposed:
            return torch.ops.mkldnn._convolution_transpose_pointwise(
                x, weight, self.bias, self.padding, [0, 0], [2, 2], [1, 1], 1, *act)
        return torch.ops.mkldnn._convolution_pointwise(x, weight, self.bias, self.padding, [self.stride] * 2,
                                                       [1, 1], self.groups, *act)


class _Plain:
    """The same without reordered weights."""

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: int, groups: int = 1, transposed: bool = False,
                 padding: int | tuple[int, int] = 0, size: tuple[int, int] | None = None):
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.bias, self.stride, self.groups, self.transposed, self.padding = bias, stride, groups, transposed, padding

    def __call__(self, x: Tensor, slope: float | None) -> Tensor:
        if self.transposed:
            y = F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=self.padding)
        else:
            y = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, groups=self.groups)
        return y if slope is None else F.leaky_relu_(y, slope)


def convolution(weight: Tensor, bias: Tensor | None, stride: int = 1, **options) -> Callable:
    """A callable (x, slope or None) on the best operators that are there; options as of `_Packed`."""
    return (_Packed if has_prepacking() else _Plain)(weight, bias, stride, **options)


@dataclasses.dataclass(frozen=True)
class Direct:
    """A convolution with the interface of `Winograd`, for any dtype and with resampling. See `direct`."""

    kind: str
    ready: Callable
    resample: Callable[[Tensor, float | None], Tensor] | None
    bias: Tensor | None
    outputs: int
    itemsize: int

    def rows(self, width: int, height: int) -> int:
        """How many rows of inputs make a strip of a picture of this size."""
        return _rows(width, height, self.outputs, self.itemsize)

    def strip(self, x: Tensor, out: Tensor, scratch: Scratch | None = None, *, scale: Tensor | None = None,
              demod: Tensor | None = None, noise: Tensor | None = None, slope: float | None = None,
              norm: tuple[Tensor, Tensor] | None = None) -> None:
        """As `Winograd.strip`. "up" and "twice" take [H/2+2,W/2+2,I] for out [H,W,O], "down" [2H+4,2W+4,I]."""
        x = x.permute(2, 0, 1)[None]
        if scale is not None:
            x = x * scale.to(x.dtype)[:, None, None]
        x = x.contiguous(memory_format=torch.channels_last)
        if self.kind == "down":
            x = self.resample(x, None)
        late = slope if noise is None and demod is None and norm is None else None
        if self.kind == "twice":
            found = zip(self.ready(x, late), (out[::2], out[1::2]), strict=True)
        else:
            y = self.resample(self.ready(x, scratch), late) if self.kind == "up" else self.ready(x, late)
            if self.bias is not None:
                y += (self.bias if demod is None else self.bias / demod).to(y.dtype)[:, None, None]
            found = [(y[0].permute(1, 2, 0), out)]
        factor, rest = norm or (demod, None if noise is None else noise[..., None])
        factor, rest = (None if value is None else value.to(out.dtype) for value in (factor, rest))
        for y, target in found:
            combine(y, target, factor, rest)
        if slope is not None and late is None:
            F.leaky_relu_(out, slope)


def direct(weight: Tensor, bias: Tensor | None = None, kind: str = "plain", taps: Tensor | None = None,
           dtype: torch.dtype = torch.float32, demodulated: bool = False, size: int | None = None) -> Direct:
    """Prepare weight [O,I,3,3] and bias [O].

    kind: "plain"; "up": transposed with stride 2, then the FIR `taps` [4,4]; "down": the FIR, then stride 2; "twice":
    of pixels repeated to 2x2. demodulated: `strip` will be given `demod`. size: pixels a side of what it will read,
    where that is known.
    """
    own = None if bias is None or demodulated else bias.to(dtype)
    outputs = 4 * len(weight) if kind in ("up", "twice") else len(weight)
    seen = None
    if size is not None:
        rows = min(size, _rows(size, size, outputs, dtype.itemsize))
        seen = (rows + 1, size + 1) if kind == "down" else (rows + 2, size + 2)
    weight, resample = weight if kind == "twice" else weight.to(dtype), None
    if kind == "twice":
        ready = Doubled(weight, own, convolution, dtype, seen)
    elif kind == "up":
        ready = _transposed(weight, seen)
        resample = fir(taps, len(weight), 4.0, dtype, bias=own)
    else:
        ready = convolution(weight, own, 2 if kind == "down" else 1, size=seen)
        resample = fir(taps, weight.shape[1], 1.0, dtype) if kind == "down" else None
    return Direct(kind, ready, resample, bias if demodulated else None, outputs, dtype.itemsize)


def _rows(width: int, height: int, channels: int, itemsize: int) -> int:
    """Rows of a strip whose results stay in the cache: a multiple of 4, no small rest."""
    rows = 4 * max(1, _STRIP_BYTES * 4 // (width * 4 * channels * itemsize ** 2))
    count = max(1, round(height / rows))
    return -(-height // (4 * count)) * 4


def _transposed(weight: Tensor, size: tuple[int, int] | None) -> Callable[[Tensor, Scratch | None], Tensor]:
    """The transposed convolution of weight [O,I,3,3]."""
    if weight.dtype == torch.bfloat16 and has_amx():
        return Phases(weight, convolution, size)
    ready = convolution(weight.transpose(0, 1).contiguous(), None, 2, transposed=True, padding=1, size=size)
    return lambda x, scratch: ready(x, None)


def fir(taps: Tensor, channels: int, gain: float = 1.0, dtype: torch.dtype = torch.float32, stride: int = 1,
        bias: Tensor | None = None):
    """The FIR [4,4] on every channel, without padding, and a bias [C]: a callable (x, slope or None). Gain 4 for "up".
    """
    taps = (taps.float().flip([0, 1]) * gain).to(dtype).expand(channels, 1, -1, -1).contiguous()
    return convolution(taps, bias, stride, groups=channels)
