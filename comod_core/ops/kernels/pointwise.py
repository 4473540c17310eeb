"""act(x * scale + noise + bias) * gain in one pass: bias_act, modulation and demodulation are cases of it."""
from __future__ import annotations

import contextlib
import math

import torch
from torch import Tensor

from . import namespace
from .programs import pointwise_program, slope_program, tl

TILE = 1024  # values a program works on


def launch_pointwise(x: Tensor, scale: Tensor | None, noise: Tensor | None, bias: Tensor | None, lrelu: bool,
                     alpha: float, gain: float, clamp: float) -> Tensor:
    """x [N,C,...], scale [N or 1,C], noise [N or 1,1,...], bias [C] -> as x. clamp < 0: none. Not differentiable."""
    y = result_like(x)
    if y.numel() == 0:
        return y
    x, (x_n, x_c, x_p), (n, c, p) = as_planes(x)
    y_n, y_c, y_p = plane_strides(y)
    if p == 1 and scale is None and noise is None:  # rows of a matrix are as good as pixels
        (n, p), (x_n, x_p), (y_n, y_p) = (1, n), (0, x_n), (0, y_n)
    scale, noise, bias = (None if part is None else part.contiguous() for part in (scale, noise, bias))
    bc, bp = tile_of(c, p, x_c == 1 and c > 1)
    tiles = (-(-c // bc), -(-p // bp))
    with on_device(x):
        pointwise_program[(n * math.prod(tiles),)](
            x, _or(scale, x), _or(noise, x), _or(bias, x), y, c, p, *tiles, x_n, x_c, x_p, y_n, y_c, y_p,
            step(scale), step(noise), alpha, gain, clamp, ACC=accumulator(x), WIDE=is_wide(x, y),
            HAS_SCALE=scale is not None, HAS_NOISE=noise is not None, HAS_BIAS=bias is not None, LRELU=lrelu,
            CLAMP=clamp >= 0, BC=bc, BP=bp, num_warps=4)
    return y


def launch_slope(dy: Tensor, y: Tensor, lrelu: bool, alpha: float, gain: float, clamp: float) -> Tensor:
    """dy times the derivative of the activation, which the output y [N,C,...] tells. Not differentiable."""
    dx = result_like(y)
    if dx.numel() == 0:
        return dx
    dy, (d_n, d_c, d_p), _ = as_planes(dy)
    y, (y_n, y_c, y_p), (n, c, p) = as_planes(y)
    x_n, x_c, x_p = plane_strides(dx)
    bc, bp = tile_of(c, p, y_c == 1 and c > 1)
    tiles = (-(-c // bc), -(-p // bp))
    with on_device(y):
        slope_program[(n * math.prod(tiles),)](
            dy, y, dx, c, p, *tiles, d_n, d_c, d_p, y_n, y_c, y_p, x_n, x_c, x_p, alpha, gain, clamp,
            ACC=accumulator(y), WIDE=is_wide(dy, y, dx), LRELU=lrelu, CLAMP=clamp >= 0, BC=bc, BP=bp, num_warps=4)
    return dx


def result_like(x: Tensor) -> Tensor:
    """An empty tensor like x, laid out as x where pixels lie evenly in that layout."""
    y = torch.empty_like(x)
    return torch.empty_like(x, memory_format=torch.contiguous_format) if plane_strides(y) is None else y


def as_planes(x: Tensor) -> tuple[Tensor, tuple[int, int, int], tuple[int, int, int]]:
    """x [N,C,...] (copied only where its pixels do not lie evenly), its strides and its sizes as [N,C,P]."""
    strides = plane_strides(x)
    if strides is None:
        x = x.contiguous()
        strides = plane_strides(x)
    return x, strides, (x.shape[0], x.shape[1], math.prod(x.shape[2:]))


def plane_strides(x: Tensor) -> tuple[int, int, int] | None:
    """Strides of x [N,C,...] as [N,C,P]; None where one stride does not lead through the pixels."""
    rest = [(size, stride) for size, stride in zip(x.shape[2:], x.stride()[2:], strict=True) if size > 1]
    for (_, outer), (size, inner) in zip(rest, rest[1:], strict=False):
        if outer != size * inner:
            return None
    return x.stride(0), x.stride(1), rest[-1][1] if rest else 1


def tile_of(c: int, p: int, channels_adjoin: bool) -> tuple[int, int]:
    """Channels and pixels of a tile: long in the direction that lies together in memory."""
    if channels_adjoin:
        bc = min(power_of_2(c), 256)
        return bc, max(1, min(TILE // bc, power_of_2(p)))
    bp = min(power_of_2(p), TILE)
    return min(TILE // bp, power_of_2(c)), bp


def power_of_2(size: int) -> int:
    """The next power of two; Triton's own function of this costs more time."""
    return 1 << max(size - 1, 0).bit_length()


def accumulator(x: Tensor):
    return tl.float64 if x.dtype == torch.float64 else tl.float32


def is_wide(*tensors: Tensor) -> bool:
    """Whether an offset inside one sample of x [N,C,...] passes 32 bits."""
    def reach(x: Tensor) -> int:
        start = 0 if x.ndim == 2 else 1  # the rows of a matrix count as pixels
        return sum((size - 1) * abs(step) for size, step in zip(x.shape[start:], x.stride()[start:], strict=True))

    return any(reach(x) >= 2 ** 31 for x in tensors)


def on_device(x: Tensor):
    """Triton launches on the current GPU, so that of x is made the current one."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()


def step(part: Tensor | None) -> int:
    """From one sample's row to the next; 0 where one row serves all."""
    return 0 if part is None or len(part) == 1 else part[0].numel()


def _or(part: Tensor | None, stand_in: Tensor) -> Tensor:
    return stand_in if part is None else part


_pointwise = torch.library.custom_op(
    f"{namespace()}::pointwise", launch_pointwise, mutates_args=(),
    schema="(Tensor x, Tensor? scale, Tensor? noise, Tensor? bias, bool lrelu, float alpha, float gain, float clamp) "
           "-> Tensor")
_slope = torch.library.custom_op(
    f"{namespace()}::slope", launch_slope, mutates_args=(),
    schema="(Tensor dy, Tensor y, bool lrelu, float alpha, float gain, float clamp) -> Tensor")


def pointwise(x: Tensor, scale: Tensor | None = None, noise: Tensor | None = None, bias: Tensor | None = None,
              lrelu: bool = False, alpha: float = 0.2, gain: float = 1.0, clamp: float | None = None) -> Tensor:
    """clamp(act(x * scale + noise + bias) * gain): x [N,C,...], scale [N or 1,C], noise [N or 1,1,...], bias [C].

    Twice differentiable in all four. alpha >= 0 and gain > 0. Operands may have other dtypes than x, whose dtype the
    result has.
    """
    limit = -1.0 if clamp is None else clamp
    call = launch_pointwise if direct(x, scale, noise, bias) else _pointwise
    return call(x, scale, noise, bias, lrelu, float(alpha), float(gain), float(limit))


def direct(*operands: Tensor | None) -> bool:
    """Whether the launch may go past the dispatcher, which costs tens of microseconds: nothing watches or traces."""
    if torch.compiler.is_compiling():
        return False
    plain = all(part is None or type(part) in (Tensor, torch.nn.Parameter) for part in operands)
    return plain and not (torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in operands))


def slope(dy: Tensor, y: Tensor, lrelu: bool, alpha: float, gain: float, clamp: float) -> Tensor:
    """dy times the activation's derivative at output y; differentiable in dy."""
    if not lrelu and clamp < 0:
        return dy if gain == 1 else dy * gain
    return _slope(dy, y, lrelu, alpha, gain, clamp)


def sums(g: Tensor, scale: Tensor | None, noise: Tensor | None, bias: Tensor | None,
         wanted: tuple[bool, bool, bool], before=None) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of scale, noise and bias from g, that of the sum; before(): what `scale` multiplied."""
    pixels = list(range(2, g.ndim))
    d_scale = d_noise = d_bias = None
    if scale is not None and wanted[0]:
        d_scale = (g * before()).sum(pixels, dtype=_wide(g)) if pixels else g * before()
        d_scale = _like(d_scale, scale)
    if noise is not None and wanted[1]:
        d_noise = _like(g.sum(1, keepdim=True, dtype=_wide(g)), noise)
    if bias is not None and wanted[2]:
        d_bias = g.sum([0, *pixels], dtype=_wide(g)).to(bias.dtype)
    return d_scale, d_noise, d_bias


def _wide(g: Tensor) -> torch.dtype:
    return torch.float64 if g.dtype == torch.float64 else torch.float32


def _like(gradient: Tensor, operand: Tensor) -> Tensor:
    """Summed over the samples where one row serves all."""
    if len(operand) == 1 != len(gradient):
        gradient = gradient.sum(0, keepdim=True)
    return gradient.to(operand.dtype)


def _keep(ctx, inputs, output) -> None:
    x, scale, noise, bias, *ctx.shape_of_act = inputs
    # x is needed for the scale's gradient alone, and y for the activation's
    ctx.save_for_backward(x if scale is not None and scale.requires_grad else None, output, scale, noise, bias)


def _backward(ctx, dy):
    x, y, scale, noise, bias = ctx.saved_tensors
    g = slope(dy, y, *ctx.shape_of_act)
    found = sums(g, scale, noise, bias, ctx.needs_input_grad[1:4], lambda: x)
    dx = None if not ctx.needs_input_grad[0] else g if scale is None else pointwise(g, scale)
    return dx, *found, None, None, None, None


def _keep_slope(ctx, inputs, output) -> None:
    _, y, *ctx.shape_of_act = inputs
    ctx.save_for_backward(y)


def _slope_backward(ctx, ddx):
    return slope(ddx, ctx.saved_tensors[0], *ctx.shape_of_act), None, None, None, None, None


_pointwise.register_fake(lambda x, *rest: result_like(x))
_slope.register_fake(lambda dy, y, *rest: result_like(y))
_pointwise.register_autograd(_backward, setup_context=_keep)
_slope.register_autograd(_slope_backward, setup_context=_keep_slope)
