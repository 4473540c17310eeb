"""The free-form hole sampler of the CoModGAN paper (Zhao et al., ICLR 2021, appendix on masks)."""
from __future__ import annotations

import math
import operator
from collections.abc import Iterable

import numpy as np
import torch

from ..errors import CoModError
from .values import as_size

PAPER_BRUSH_WIDTH = (12, 48)  # pixels, whatever the size of the picture
MAX_TRIES = 1000
_SMALL_RECTANGLES, _LARGE_RECTANGLES, _BRUSHES = 10, 5, 20  # exclusive upper limits of the counts
_MIN_STEPS, _MAX_STEPS = 4, 18  # of a polyline, exclusive above; it has one vertex more
_MEAN_ANGLE, _ANGLE_RANGE = 2 * math.pi / 5, 2 * math.pi / 15


def free_form(
    size: int | tuple[int, int],
    seed: int,
    hole_range: tuple[float, float] = (0, 1),
    *,
    brush_width: tuple[float, float] | None = None,
) -> torch.Tensor:
    """One random free-form mask, float32 [1,1,H,W] of 0 and 1, 1 = hole.

    size: side, or (H, W), in pixels.
    seed: 0..2**64-1. The same seed gives the same mask on every machine; no global random state is read or changed.
    hole_range: the hole ratio lies strictly between these two, which lie in [0, 1]. Drawing is repeated until it does.
    brush_width: least and greatest width of the brush strokes in pixels, None for the paper's 12 to 48. The paper
        keeps that width at every size, so at 64x64 it is too coarse: scale it, for example to (3, 12), to get at 64
        what the paper has at 256.
    Raises CoModError when an argument is out of range or when MAX_TRIES drawings gave no hole ratio in the range.
    """
    height, width = as_size(size)
    low, high = _check_range(hole_range)
    widths = _check_brush(PAPER_BRUSH_WIDTH if brush_width is None else brush_width)
    rng = seeded(seed)
    closest = None
    for _ in range(MAX_TRIES):
        canvas = _draw(rng, height, width, min(low + high, 1.0), widths)
        ratio = float(canvas.mean())
        if low < ratio < high:
            return torch.from_numpy(canvas.astype(np.float32))[None, None]
        if closest is None or abs(ratio - (low + high) / 2) < abs(closest - (low + high) / 2):
            closest = ratio
    raise CoModError(
        f"no free-form mask of {height}x{width} with a hole ratio between {low:g} and {high:g} in {MAX_TRIES} tries "
        f"(closest: {closest:.4f}, brush width {widths[0]:g} to {widths[1]:g}). Widen hole_range, or change "
        "brush_width: thinner for small holes, thicker for large ones."
    )


def scaled_brush(size: int | tuple[int, int]) -> tuple[float, float]:
    """Brush widths in pixels for a side or (H, W): the paper's from 256 to 512 pixels, in proportion beyond."""
    side = min(as_size(size))
    scale = side / min(max(side, 256), 512)
    return tuple(max(1.0, width * scale) for width in PAPER_BRUSH_WIDTH)


def free_form_batch(
    size: int | tuple[int, int],
    seeds: Iterable[int],
    hole_range: tuple[float, float] = (0, 1),
    *,
    brush_width: tuple[float, float] | None = None,
) -> torch.Tensor:
    """One mask a seed, float32 [N,1,H,W]; each is what `free_form` gives for its seed alone. See there."""
    masks = [free_form(size, seed, hole_range, brush_width=brush_width) for seed in seeds]
    if not masks:
        raise CoModError("no seeds: give at least one.")
    return torch.cat(masks)


def _check_range(hole_range: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(ratio) for ratio in hole_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not 0 <= low < high <= 1:
        raise CoModError(f"hole_range is {hole_range!r}: give a pair (low, high) with 0 <= low < high <= 1.")
    return low, high


def _check_brush(brush_width: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(width) for width in brush_width)
    except (TypeError, ValueError):
        low = high = math.nan
    if not 1 <= low <= high <= 4096:
        raise CoModError(f"brush_width is {brush_width!r}: give a pair (least, greatest) in pixels, from 1 to 4096.")
    return low, high


def seeded(seed: int) -> np.random.Generator:
    """A random generator of its own for one seed, 0..2**64-1. Raises CoModError for any other seed."""
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**64:
        raise CoModError(f"seed is {seed!r}: give a whole number from 0 to 2**64 - 1.")
    return np.random.Generator(np.random.PCG64(number))


def _draw(rng: np.random.Generator, height: int, width: int, share: float, widths: tuple[float, float]) -> np.ndarray:
    """One drawing, uint8 [H,W] of 0 and 1. `share` scales how many shapes there can be.

    Everything comes from `rng.random()`, whose bits numpy keeps stable, so that masks outlive numpy's versions.
    """
    canvas = np.zeros((height, width), np.uint8)
    small, large, brushes, flip_x, flip_y = rng.random(5).tolist()
    _rectangles(canvas, rng, int(small * int(_SMALL_RECTANGLES * share)), height // 2, width // 2)
    _rectangles(canvas, rng, int(large * int(_LARGE_RECTANGLES * share)), height, width)
    # The paper's limits reach no brush at all below a share of 0.1; one is then still allowed.
    _strokes(canvas, rng, int(brushes * max(int(_BRUSHES * share), 2)), widths)
    return np.ascontiguousarray(canvas[:: 1 if flip_y < 0.5 else -1, :: 1 if flip_x < 0.5 else -1])


def _rectangles(canvas: np.ndarray, rng: np.random.Generator, count: int, max_height: int, max_width: int) -> None:
    """Fill `count` rectangles, each with up to half of itself outside of the picture."""
    height, width = canvas.shape
    for u_height, u_width, u_top, u_left in rng.random((count, 4)).tolist():
        h, w = int(u_height * max_height), int(u_width * max_width)
        top = int(u_top * (height - h + 2 * (h // 2))) - h // 2
        left = int(u_left * (width - w + 2 * (w // 2))) - w // 2
        canvas[max(top, 0) : max(top + h, 0), max(left, 0) : max(left + w, 0)] = 1


def _strokes(canvas: np.ndarray, rng: np.random.Generator, count: int, widths: tuple[float, float]) -> None:
    """Paint `count` polylines with round joints and ends."""
    import cv2

    if count == 0:
        return
    u_steps, u_width = rng.random((2, count))
    steps = _MIN_STEPS + (u_steps * (_MAX_STEPS - _MIN_STEPS)).astype(int)
    # The paper cuts widths to whole pixels, half a pixel less on average. OpenCV draws odd widths 2 r + 1 for 2 r only.
    radius = ((widths[0] + u_width * (widths[1] - widths[0]) - 0.5) / 2).astype(int)
    vertices = _vertices(rng, count, *canvas.shape)
    for line, end, r in zip(vertices, steps.tolist(), radius.tolist(), strict=True):
        cv2.polylines(canvas, [line[: end + 1]], isClosed=False, color=1, thickness=max(2 * r, 1))


def _vertices(rng: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    """Vertices (x, y) of `count` random walks of the greatest length that zigzag down and up; int32 [count,18,2]."""
    u_spread, u_start = rng.random((2, 2, count))
    u_angle, u_normal, u_phase = rng.random((3, _MAX_STEPS - 1, count))
    low, high = _MEAN_ANGLE - u_spread[0] * _ANGLE_RANGE, _MEAN_ANGLE + u_spread[1] * _ANGLE_RANGE
    angle = low + u_angle * (high - low)
    angle[::2] *= -1
    # Step lengths: normal (Box-Muller) around an eighth of the diagonal, cut at 0 and twice the mean.
    radius = math.hypot(height, width) / 8
    normal = np.sqrt(-2 * np.log1p(-u_normal)) * np.cos(2 * math.pi * u_phase)
    length = np.minimum(np.maximum(radius + radius / 2 * normal, 0), 2 * radius)
    step = np.stack((length * np.cos(angle), length * np.sin(angle)), -1)
    bound = np.array((width, height))
    vertices = np.empty((_MAX_STEPS, count, 2), np.int32)
    vertices[0] = u_start.T * bound
    for i in range(_MAX_STEPS - 1):
        position = vertices[i] + step[i]
        np.maximum(position, 0, out=position)
        vertices[i + 1] = np.minimum(position, bound, out=position)
    return np.ascontiguousarray(vertices.swapaxes(0, 1))
