"""What the kernels must do, on any device: `test_kernels.py` runs it interpreted, `test_gpu_kernels.py` on a GPU."""
from __future__ import annotations

import importlib

import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from comod_core.ops.bias_act import bias_act_reference
from comod_core.ops.upfirdn2d import upfirdn2d_reference

# largest error allowed, as a share of the largest value
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}
LAYOUTS = {
    "plain": lambda x: x,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "every_second_column": lambda x: x.repeat_interleave(2, dim=3)[..., ::2],
    "crossed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "some_channels": lambda x: torch.cat([x, x], dim=1)[:, :x.shape[1]],
    "expanded": lambda x: x[:1].expand(len(x), -1, -1, -1),
}
SHAPES = [(2, 3, 5, 7), (1, 1, 1, 1), (3, 300, 2, 1), (1, 2, 33, 40), (0, 3, 4, 4), (2, 3, 0, 4)]
FINISHES = {"linear": {}, "lrelu": {"lrelu": True, "gain": 2 ** 0.5}, "clamped": {"lrelu": True, "clamp": 0.5},
            "steep": {"lrelu": True, "alpha": 0.0, "gain": 3.0}}
OPERANDS = [(), ("scale",), ("noise",), ("bias",), ("scale", "noise", "bias")]
# up, down, padding, taps
FILTERS = [(up, down, padding, taps) for up, down in ((1, 1), (2, 1), (1, 2), (3, 2))
           for padding, taps in (((0, 0, 0, 0), (1, 1)), ((2, 1, 2, 1), (4, 4)), ((3, 0, 1, 2), (4, 3)),
                                 ((-1, 2, 0, -1), (2, 3)))]
SWITCHED = ("ops.bias_act", "ops.upfirdn2d", "ops.modulated_conv2d", "networks.layers")


def switch_on(monkeypatch) -> None:
    """Let the ops use their kernels on any device."""
    for name in SWITCHED:
        monkeypatch.setattr(importlib.import_module(f"comod_core.{name}"), "usable", lambda *_: True)


def operands(shape, device="cpu", dtype=torch.float32, layout="plain", wanted=("scale", "noise", "bias"), rows=None,
             out=None) -> tuple[Tensor, dict[str, Tensor]]:
    """x of this shape, and the operands wanted for an output of height and width `out`; rows: of scale and noise."""
    n, c, h, w = shape
    generator = torch.Generator().manual_seed(sum(shape))
    rows, out = n if rows is None else rows, out or (h, w)
    sizes = {"x": shape, "scale": (rows, c), "noise": (rows, 1, *out), "bias": (c,)}
    drawn = {name: torch.randn(size, generator=generator, dtype=torch.float64) for name, size in sizes.items()}
    x = LAYOUTS[layout](drawn.pop("x").to(device, dtype))
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    return x, {name: part.to(device, wide) for name, part in drawn.items() if name in wanted}


def finish(y: Tensor, scale=None, noise=None, bias=None, lrelu=False, alpha=0.2, gain=1.0, clamp=None) -> Tensor:
    """The maths of the tail of both kernels, in float64."""
    y = y.double()
    y = y if scale is None else y * scale.double()[:, :, None, None]
    y = y if noise is None else y + noise.double()
    bias = None if bias is None else bias.double()
    return bias_act_reference(y, bias, "lrelu" if lrelu else "linear", alpha, gain, 1, clamp)


def agree(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    if found.numel():
        error = (found.double() - expected).abs().max() / expected.abs().max().clamp(min=1e-3)
        assert error <= TOLERANCE[found.dtype], float(error)


def check_pointwise(device, dtype, layout, shape, wanted, act, rows=None) -> None:
    from comod_core.ops.kernels.pointwise import pointwise

    x, parts = operands(shape, device, dtype, layout, wanted, rows)
    found = pointwise(x, **parts, **FINISHES[act])
    assert found.dtype == x.dtype
    agree(found, finish(x, **parts, **FINISHES[act]))


def check_fir(device, dtype, layout, shape, filtered, wanted=(), act="linear") -> None:
    from comod_core.ops.kernels.fir import fir, out_size

    up, down, padding, (kh, kw) = filtered
    out = (out_size(shape[2], kh, up, down, *padding[2:]), out_size(shape[3], kw, up, down, *padding[:2]))
    x, parts = operands(shape, device, dtype, layout, wanted, out=out)
    taps = torch.randn(kh, kw, generator=torch.Generator().manual_seed(kh + kw)).to(device)
    found = fir(x, taps, **parts, up=up, down=down, padding=padding, strength=1.5, **FINISHES[act])
    assert found.dtype == x.dtype
    agree(found, finish(upfirdn2d_reference(x.double(), taps.double(), up, down, padding, 1.5), **parts,
                        **FINISHES[act]))


def check_gradients(device, op: str, act: str, layout: str = "plain", rows: int | None = None, order: int = 2) -> None:
    """First and second gradients in all operands against differences, in float64."""
    from comod_core.ops.kernels.fir import fir, out_size
    from comod_core.ops.kernels.pointwise import pointwise

    up, down, padding = {"up": (2, 1, (2, 0, 1, 1)), "down": (1, 2, (1, 1, 1, 0)), "blur": (1, 1, (1, 1, 0, 1)),
                         "pointwise": (1, 1, (0, 2, 0, 1))}[op]
    out = (out_size(3, 2, up, down, *padding[2:]), out_size(2, 3, up, down, *padding[:2]))
    x, parts = operands((2, 2, 3, 2), device, torch.float64, layout, rows=rows, out=out)
    taps = torch.tensor([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], device=device, dtype=torch.float64)
    shape = {"alpha": 0.25, **FINISHES[act]}

    def run(x, scale, noise, bias):
        if op == "pointwise":
            return pointwise(x, scale, noise, bias, **shape)
        return fir(x, taps, scale, noise, bias, up=up, down=down, padding=padding, **shape)

    inputs = [part.detach().clone().requires_grad_() for part in (x, *parts.values())]
    check = {"eps": 1e-5, "atol": 1e-4, "fast_mode": True, "nondet_tol": 1e-9}
    assert gradcheck(run, inputs, **check)
    assert order < 2 or gradgradcheck(run, inputs, **check)
