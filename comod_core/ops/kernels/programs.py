"""The Triton programs. Importing this imports triton; `usable` does so when a GPU is there.

Both work on tiles of channels by pixels of one sample and read every operand where it lies, by strides: contiguous and
channels-last tensors are the same to them. Arithmetic is in ACC (float32, or float64 for float64 tensors). WIDE: one
sample alone has offsets beyond 32 bits.
"""
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _finish(v, scale, noise, bias, n, c, p, c_in, p_in, s_n, z_n, alpha, gain, clamp, ACC: tl.constexpr,
            HAS_SCALE: tl.constexpr, HAS_NOISE: tl.constexpr, HAS_BIAS: tl.constexpr, LRELU: tl.constexpr,
            CLAMP: tl.constexpr):
    """v [channels, pixels] -> clamp(act(v * scale[n,c] + noise[n,p] + bias[c]) * gain)."""
    if HAS_SCALE:
        v = v * tl.load(scale + n * s_n + c, mask=c_in, other=0).to(ACC)[:, None]
    if HAS_NOISE:
        v = v + tl.load(noise + n * z_n + p, mask=p_in, other=0).to(ACC)[None, :]
    if HAS_BIAS:
        v = v + tl.load(bias + c, mask=c_in, other=0).to(ACC)[:, None]
    if LRELU:
        v = tl.where(v > 0, v, v * alpha)
    v = v * gain
    if CLAMP:  # comparisons, so that NaN stays NaN
        v = tl.where(v > clamp, clamp, tl.where(v < -clamp, -clamp, v))
    return v


@triton.jit
def pointwise_program(x, scale, noise, bias, y, C, P, c_tiles, p_tiles, x_n, x_c, x_p, y_n, y_c, y_p, s_n, z_n, alpha,
                      gain, clamp, ACC: tl.constexpr, WIDE: tl.constexpr, HAS_SCALE: tl.constexpr,
                      HAS_NOISE: tl.constexpr, HAS_BIAS: tl.constexpr, LRELU: tl.constexpr, CLAMP: tl.constexpr,
                      BC: tl.constexpr, BP: tl.constexpr):
    """y = clamp(act(x * scale + noise + bias) * gain); x, y [N,C,P]."""
    pid = tl.program_id(0)
    n = (pid // c_tiles // p_tiles).to(tl.int64)
    c = pid % c_tiles * BC + tl.arange(0, BC)
    p = pid // c_tiles % p_tiles * BP + tl.arange(0, BP)
    if WIDE:
        c, p = c.to(tl.int64), p.to(tl.int64)
    c_in, p_in = c < C, p < P
    inside = c_in[:, None] & p_in[None, :]
    v = tl.load(x + n * x_n + c[:, None] * x_c + p[None, :] * x_p, mask=inside, other=0).to(ACC)
    v = _finish(v, scale, noise, bias, n, c, p, c_in, p_in, s_n, z_n, alpha, gain, clamp, ACC, HAS_SCALE, HAS_NOISE,
                HAS_BIAS, LRELU, CLAMP)
    tl.store(y + n * y_n + c[:, None] * y_c + p[None, :] * y_p, v.to(y.dtype.element_ty), mask=inside)


@triton.jit
def slope_program(dy, y, dx, C, P, c_tiles, p_tiles, d_n, d_c, d_p, y_n, y_c, y_p, x_n, x_c, x_p, alpha, gain, clamp,
                  ACC: tl.constexpr, WIDE: tl.constexpr, LRELU: tl.constexpr, CLAMP: tl.constexpr, BC: tl.constexpr,
                  BP: tl.constexpr):
    """dx = dy * gain, times alpha where y <= 0, times 0 where y was clamped; all [N,C,P]."""
    pid = tl.program_id(0)
    n = (pid // c_tiles // p_tiles).to(tl.int64)
    c = (pid % c_tiles * BC + tl.arange(0, BC))[:, None]
    p = (pid // c_tiles % p_tiles * BP + tl.arange(0, BP))[None, :]
    if WIDE:
        c, p = c.to(tl.int64), p.to(tl.int64)
    inside = (c < C) & (p < P)
    g = tl.load(dy + n * d_n + c * d_c + p * d_p, mask=inside, other=0).to(ACC) * gain
    out = tl.load(y + n * y_n + c * y_c + p * y_p, mask=inside, other=0).to(ACC)
    if LRELU:
        g = tl.where(out > 0, g, g * alpha)
    if CLAMP:
        g = tl.where((out < clamp) & (out > -clamp), g, 0)
    tl.store(dx + n * x_n + c * x_c + p * x_p, g.to(dx.dtype.element_ty), mask=inside)


@triton.jit
def fir_program(x, taps, scale, noise, bias, y, C, IH, IW, OH, OW, c_tiles, h_tiles, w_tiles, x_n, x_c, x_h, x_w, y_n,
                y_c, y_h, y_w, s_n, z_n, left, top, strength, alpha, gain, clamp, ACC: tl.constexpr,
                WIDE: tl.constexpr, UP: tl.constexpr, DOWN: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
                HAS_SCALE: tl.constexpr, HAS_NOISE: tl.constexpr, HAS_BIAS: tl.constexpr, LRELU: tl.constexpr,
                CLAMP: tl.constexpr, BC: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr):
    """upfirdn2d of x [N,C,IH,IW], then as `pointwise_program`: y [N,C,OH,OW]. A tile: BC channels, BH x BW pixels."""
    pid = tl.program_id(0)
    c = pid % c_tiles * BC + tl.arange(0, BC)
    tile = pid // c_tiles
    pixel = tl.arange(0, BH * BW)
    ox = tile % w_tiles * BW + pixel % BW
    oy = tile // w_tiles % h_tiles * BH + pixel // BW
    n = (tile // w_tiles // h_tiles).to(tl.int64)
    if WIDE:
        c, ox, oy = c.to(tl.int64), ox.to(tl.int64), oy.to(tl.int64)
    c_in, p_in = c < C, (ox < OW) & (oy < OH)
    source = x + n * x_n + c[:, None] * x_c
    v = tl.zeros([BC, BH * BW], dtype=ACC)
    for ky in tl.static_range(KH):
        uy = oy * DOWN + ky - top  # row of the picture with zeros in it
        iy = uy // UP
        row_in = p_in & (uy >= 0) & (iy < IH)
        if UP > 1:
            row_in = row_in & (uy % UP == 0)
        for kx in tl.static_range(KW):
            ux = ox * DOWN + kx - left
            ix = ux // UP
            tap_in = row_in & (ux >= 0) & (ix < IW)
            if UP > 1:
                tap_in = tap_in & (ux % UP == 0)
            tap = tl.load(taps + (KH - 1 - ky) * KW + (KW - 1 - kx)).to(ACC)
            inside = c_in[:, None] & tap_in[None, :]
            v += tap * tl.load(source + (iy * x_h + ix * x_w)[None, :], mask=inside, other=0).to(ACC)
    v = _finish(v * strength, scale, noise, bias, n, c, oy * OW + ox, c_in, p_in, s_n, z_n, alpha, gain, clamp, ACC,
                HAS_SCALE, HAS_NOISE, HAS_BIAS, LRELU, CLAMP)
    target = y + n * y_n + c[:, None] * y_c + (oy * y_h + ox * y_w)[None, :]
    tl.store(target, v.to(y.dtype.element_ty), mask=c_in[:, None] & p_in[None, :])
