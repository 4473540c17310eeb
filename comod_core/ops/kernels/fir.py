"""upfirdn2d with scale, noise, bias and activation in the same pass."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from . import namespace
from .pointwise import _or, accumulator, direct, is_wide, on_device, power_of_2, slope, step, sums
from .programs import fir_program

MOST_TAPS = 64  # the loop over them is unrolled
CHANNELS, ROWS, COLUMNS, WARPS = 64, 4, 8, 8  # a tile where channels adjoin
PLANE_ROWS, PLANE_COLUMNS = 8, 128  # a tile otherwise, of more channels where planes are smaller


def out_size(size: int, taps: int, up: int, down: int, near: int, far: int) -> int:
    return (size * up + near + far - taps) // down + 1


def launch_fir(x: Tensor, taps: Tensor, scale: Tensor | None, noise: Tensor | None, bias: Tensor | None, up: int,
               down: int, padding: list[int], strength: float, lrelu: bool, alpha: float, gain: float,
               clamp: float) -> Tensor:
    """x [N,C,H,W], taps [kh,kw]; the rest as in `launch_pointwise`. Not differentiable."""
    y = _empty(x, taps, up, down, padding)
    if y.numel() == 0:
        return y
    (n, c, h, w), (kh, kw) = x.shape, taps.shape
    taps = taps.contiguous()
    scale, noise, bias = (None if part is None else part.contiguous() for part in (scale, noise, bias))
    bc, bh, bw, warps = tile_of(c, *y.shape[2:], y.stride(1) == 1 and c > 1)
    tiles = (-(-c // bc), -(-y.shape[2] // bh), -(-y.shape[3] // bw))
    with on_device(x):
        fir_program[(n * math.prod(tiles),)](
            x, taps, _or(scale, x), _or(noise, x), _or(bias, x), y, c, h, w, *y.shape[2:], *tiles, *x.stride(),
            *y.stride(), step(scale), step(noise), padding[0], padding[2], strength, alpha, gain, clamp,
            ACC=accumulator(x), WIDE=is_wide(x, y), UP=up, DOWN=down, KH=kh, KW=kw, HAS_SCALE=scale is not None,
            HAS_NOISE=noise is not None, HAS_BIAS=bias is not None, LRELU=lrelu, CLAMP=clamp >= 0, BC=bc, BH=bh, BW=bw,
            num_warps=warps)
    return y


def tile_of(c: int, h: int, w: int, channels_adjoin: bool) -> tuple[int, int, int, int]:
    """Channels, rows and columns of a tile, and its warps."""
    def at_most(size: int, most: int) -> int:
        return min(power_of_2(size), most)

    if not channels_adjoin:
        bh, bw = at_most(h, PLANE_ROWS), at_most(w, PLANE_COLUMNS)
        return at_most(c, PLANE_ROWS * PLANE_COLUMNS // (bh * bw)), bh, bw, 4
    bc = at_most(c, CHANNELS)
    more = CHANNELS // bc  # few channels: more columns
    return bc, at_most(h, ROWS), at_most(w, COLUMNS * more), WARPS


def _empty(x: Tensor, taps: Tensor, up: int, down: int, padding: list[int]) -> Tensor:
    left, right, top, bottom = padding
    size = [*x.shape[:2], out_size(x.shape[2], taps.shape[0], up, down, top, bottom),
            out_size(x.shape[3], taps.shape[1], up, down, left, right)]
    layout = torch.channels_last if x.stride(1) == 1 and x.shape[1] > 1 else torch.contiguous_format
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout)


_fir = torch.library.custom_op(
    f"{namespace()}::fir", launch_fir, mutates_args=(),
    schema="(Tensor x, Tensor taps, Tensor? scale, Tensor? noise, Tensor? bias, int up, int down, int[] padding, "
           "float strength, bool lrelu, float alpha, float gain, float clamp) -> Tensor")


def fir(x: Tensor, taps: Tensor, scale: Tensor | None = None, noise: Tensor | None = None, bias: Tensor | None = None,
        *, up: int = 1, down: int = 1, padding: tuple[int, int, int, int] = (0, 0, 0, 0), strength: float = 1.0,
        lrelu: bool = False, alpha: float = 0.2, gain: float = 1.0, clamp: float | None = None) -> Tensor:
    """clamp(act(upfirdn2d(x, taps * strength) * scale + noise + bias) * gain), as `upfirdn2d` and `pointwise`.

    Twice differentiable in all but the taps.
    """
    call = launch_fir if direct(x, scale, noise, bias) else _fir
    return call(x, taps, scale, noise, bias, up, down, list(padding), float(strength), lrelu, float(alpha), float(gain),
                -1.0 if clamp is None else float(clamp))


def _keep(ctx, inputs, output) -> None:
    x, taps, scale, noise, bias, ctx.up, ctx.down, ctx.padding, ctx.strength, *ctx.shape_of_act = inputs
    ctx.size = x.shape
    ctx.save_for_backward(x if scale is not None and scale.requires_grad else None, taps, output, scale, noise, bias)


def _backward(ctx, dy):
    x, taps, y, scale, noise, bias = ctx.saved_tensors
    g = slope(dy, y, *ctx.shape_of_act)

    def before() -> Tensor:  # cheaper to filter again than to keep
        return fir(x, taps, up=ctx.up, down=ctx.down, padding=ctx.padding, strength=ctx.strength)

    found = sums(g, scale, noise, bias, ctx.needs_input_grad[2:5], before)
    dx = _transpose(g, taps, scale, ctx) if ctx.needs_input_grad[0] else None
    return dx, None, *found, *[None] * 8


def _transpose(g: Tensor, taps: Tensor, scale: Tensor | None, ctx) -> Tensor:
    """The gradient of x: the filter turned round, up and down exchanged, the scale before it or, the same, after."""
    (kh, kw), (left, _, top, _) = taps.shape, ctx.padding
    h, w = ctx.size[2:]
    near_x, near_y = kw - 1 - left, kh - 1 - top
    # what makes the output h x w again
    far_x = (w - 1) * ctx.up + kw - g.shape[3] * ctx.down - near_x
    far_y = (h - 1) * ctx.up + kh - g.shape[2] * ctx.down - near_y
    return fir(g, taps.flip([0, 1]), scale, up=ctx.down, down=ctx.up, padding=(near_x, far_x, near_y, far_y),
               strength=ctx.strength)


_fir.register_fake(lambda x, taps, scale, noise, bias, up, down, padding, *rest: _empty(x, taps, up, down, padding))
_fir.register_autograd(_backward, setup_context=_keep)
