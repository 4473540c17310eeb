"""What can be done with style maps at the model's size: sampling, blending, transplanting, mixing, interpolation.

A *style* is a style map [N,C,s,s] ("W", from `net.encode` or `net.map`), or the levels that `net.expand` makes of it
("W+": a list, one tensor a layer, from s x s up to R x R), which can be mixed at every scale. A function here that
takes a style takes either, unless it says map. Masks are [N or 1,1,h,w] in [0,1], 1 = take from the reference; values
between mix. The operations are those of Kim et al., CVPR 2021, as their released networks run them.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import CoModError
from .latents import generators
from .masks import as_mask

Style = Tensor | Sequence[Tensor]
Progress = Callable[[int, int, "Tensor | None"], None]

SPACES = ("w", "w+")
COARSE_LEVELS = 2
"""How many levels decide the coarse look in style mixing, as published."""
AVERAGE_SAMPLES, AVERAGE_SEED = 5000, 1
"""How the mean style map is estimated; the number is the published one."""


@dataclass(frozen=True)
class Patch:
    """What `transplant` takes from one reference: the cells of `style` under `mask`, moved by `shift`.

    mask [1 or N,1,h,w]: in the reference's own place, 1 = take. shift (x, y): pixels of a picture of R x R, to the
    right and downwards, negative ones to the left and upwards.
    """

    style: Style
    mask: Tensor
    shift: tuple[float, float] = (0, 0)


@torch.no_grad()
def average(net, count: int = AVERAGE_SAMPLES, seed: int = AVERAGE_SEED) -> Tensor:
    """Mean flat style map of `count` latents drawn from one seed, [C*s*s] float32: the centre of truncation."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros_like(net.w_avg, dtype=torch.float64, device="cpu")
    for start in range(0, count, 500):
        z = torch.randn(min(500, count - start), net.z_dim, generator=generator)
        total += net.map(z.to(net.w_avg.device, net.w_avg.dtype)).flatten(1).double().sum(dim=0).cpu()
    return (total / count).float()


@torch.no_grad()
def sample(net, seeds: Sequence[int], psi: float = 0.7) -> Tensor:
    """One style map a seed, truncated: [N,C,s,s]. Drawn and mapped one at a time: bits do not depend on N or order.

    seeds: whole numbers from 0 to 2^64 - 1. psi: 1 full variety, 0 the mean map; 0.7 as published.
    """
    if not len(seeds):
        raise CoModError("sample: no seeds; give at least one.")
    place = net.w_avg.device, net.w_avg.dtype
    maps = [net.map(torch.randn(1, net.z_dim, generator=g).to(*place)) for g in generators(seeds, "z")]
    return truncate(torch.cat(maps), net.w_avg, psi)


def truncate(style_map: Tensor, w_avg: Tensor, psi: float) -> Tensor:
    """Truncation of maps [N,C,s,s] towards w_avg [C*s*s] or [1,C*s*s]: w_avg + psi * (map - w_avg)."""
    if not math.isfinite(psi):
        raise CoModError(f"psi is {psi!r}: give a number; 1 leaves a style map as it is, 0 gives the mean.")
    return style_map if psi == 1 else torch.lerp(w_avg.reshape(1, *style_map.shape[1:]), style_map, psi)


def expand(net, style: Style) -> list[Tensor]:
    """The levels of a style: of maps [N,C,s,s] their resized copies, each made on its own; of levels themselves."""
    if not isinstance(style, Tensor):
        return list(style)
    if style.ndim != 4 or len(style) < 2:
        return net.expand(_row(style, 0) if style.ndim == 4 else style)
    return [torch.cat(rows) for rows in zip(*(net.expand(_row(style, i)) for i in range(len(style))), strict=True)]


def lerp(a: Style, b: Style, t: float) -> Style:
    """Straight interpolation of two maps, or of two lists of levels: t 0 gives a, 1 gives b.

    Batches of one serve many. Raises CoModError for a map and levels together, or shapes that do not match.
    """
    if isinstance(a, Tensor) != isinstance(b, Tensor):
        raise CoModError("interpolation needs two style maps or two lists of levels, not one of each: expand the map.")
    if isinstance(a, Tensor):
        return torch.lerp(*_matching(a, b), t)
    return [torch.lerp(*_matching(x, y), t) for x, y in zip(a, _as_many(a, b), strict=True)]


def blend(net, original: Style, reference: Style, mask: Tensor, *, space: str = "w+", strength: float = 1.0) -> Style:
    """The reference's style under the mask, the original's elsewhere.

    space "w": the style maps are blended cell by cell under the mask max-pooled to s x s (both must be maps; returns a
    map). "w+": each level under the mask max-pooled to its size (returns levels): details follow the mask more closely.
    strength 0..1 multiplies the mask. Batches of one serve many. Raises CoModError for anything that does not match.
    """
    mask = as_mask(mask) * _share("strength", strength)
    if space not in SPACES:
        raise CoModError(f"space {space!r} is not one of {', '.join(SPACES)}.")
    if space == "w":
        if not isinstance(original, Tensor) or not isinstance(reference, Tensor):
            raise CoModError("blending in space w needs style maps, and these are levels: use space w+.")
        return _choose(original, reference, mask)
    original, reference = expand(net, original), expand(net, reference)
    return [_choose(a, b, mask) for a, b in zip(original, _as_many(original, reference), strict=True)]


def transplant(net, original: Style, patches: Sequence[Patch], strength: float = 1.0) -> list[Tensor]:
    """Parts of references put at other places of the original, without alignment: levels.

    At every level a patch's mask is average-pooled, cells that are at least half covered are taken, and moved by the
    shift divided by the level's ratio, truncated towards zero; what leaves the picture is dropped. Later patches cover
    earlier ones. strength 0..1: how far the original's cells go to the pasted ones. Raises CoModError.
    """
    strength = _share("strength", strength)
    original = expand(net, original)
    if not patches:
        raise CoModError("transplant: no references; give at least one.")
    sources = [(_as_many(original, expand(net, patch.style)), as_mask(patch.mask).to(original[0].device),
                check_shift(patch.shift)) for patch in patches]
    result = []
    for i, level in enumerate(original):
        pasted = level
        for levels, mask, shift in sources:
            pasted = _paste(pasted, levels[i], mask, [value * level.shape[-1] / net.resolution for value in shift])
        result.append(torch.lerp(*_matching(level, pasted), strength))
    return result


def check_shift(shift: Sequence[float]) -> tuple[float, float]:
    """shift (x, y) as two finite numbers. Raises CoModError."""
    numbers = [float(value) for value in shift if isinstance(value, (int, float))]
    if len(numbers) != 2 or len(shift) != 2 or not all(map(math.isfinite, numbers)):
        raise CoModError(f"shift is {shift!r}: give two numbers of pixels, to the right and downwards.")
    return numbers[0], numbers[1]


def moved(plane: Tensor, shift: Sequence[float]) -> Tensor:
    """plane [...,h,w] moved by shift (x, y) in its own pixels, truncated towards zero; zeros come in, nothing wraps."""
    (x, y), (height, width) = (int(value) for value in shift), plane.shape[-2:]
    x, y = max(-width, min(width, x)), max(-height, min(height, y))
    return F.pad(plane, (x, -x, y, -y))


def mix(net, coarse: Style, fine: Style, count: int = COARSE_LEVELS) -> list[Tensor]:
    """Style mixing: levels 0 to count - 1 of one style (its coarse look), the rest of another. Returns levels."""
    coarse, fine = expand(net, coarse), expand(net, fine)
    fine = _as_many(coarse, fine)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= len(coarse):
        raise CoModError(f"mix: count is {count!r}; give a whole number of levels from 0 to {len(coarse)}.")
    pairs = [_matching(a, b) for a, b in zip(coarse, fine, strict=True)]
    return [a if i < count else b for i, (a, b) in enumerate(pairs)]


@torch.no_grad()
def decode(net, style: Style, *, progress: Progress | None = None) -> Tensor:
    """Pictures of a style: float32 [N,3,R,R] on the CPU, about [-1,1], not clamped.

    Each is decoded on its own, so the batch changes no bit; progress(done, total, None) is called after each.
    """
    levels = [style] if isinstance(style, Tensor) else list(style)
    place = net.w_avg.device, net.w_avg.dtype
    pictures, count = [], max(len(level) for level in levels)
    for i in range(count):
        row = [_row(level, i).to(*place) for level in levels]
        pictures.append(net.decode(row[0] if isinstance(style, Tensor) else row).to("cpu", torch.float32))
        if progress:
            progress(i + 1, count, None)
    return torch.cat(pictures)


def _row(x: Tensor, i: int) -> Tensor:
    """Row i of [N,...] or the only one, in one layout whatever x has been through: kernels are chosen by it, and so are
    the last bits. (A view with a new first axis passes for channels-last and yet is not treated as such.)
    """
    return (x[i:i + 1] if len(x) > 1 else x).clone(memory_format=torch.channels_last)


def fractions(count: int) -> list[float]:
    """`count` even steps from 0 to 1, both included. Raises CoModError for fewer than 2."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 2:
        raise CoModError(f"{count!r} frames: give a whole number of at least 2.")
    return [i / (count - 1) for i in range(count)]


def interpolate(net, a: Style, b: Style, frames: int, *, progress: Progress | None = None) -> Iterator[Tensor]:
    """Pictures on the straight way from style a to style b, `frames` of them, both ends included: each [N,3,R,R].

    From an original to what `blend` or `transplant` made of it, the edit grows. A map and levels go together as levels.
    progress(done, total, picture) is called after each; what it raises stops the work.
    """
    steps = fractions(frames)
    if isinstance(a, Tensor) != isinstance(b, Tensor):
        a, b = expand(net, a), expand(net, b)
    lerp(a, b, 0.0)  # checks at the call and not at the first picture

    def pictures() -> Iterator[Tensor]:
        for i, t in enumerate(steps):
            picture = decode(net, lerp(a, b, t))
            if progress:
                progress(i + 1, len(steps), picture)
            yield picture

    return pictures()


def _choose(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    a, b = _matching(a, b)
    weight = F.adaptive_max_pool2d(mask.to(a.device), a.shape[-2:]).to(a.dtype)
    if len(weight) not in (1, len(a)) and len(a) != 1:
        raise CoModError(f"{len(weight)} masks for {len(a)} styles: give one, or one a style.")
    return torch.lerp(a, b, weight)


def _paste(a: Tensor, b: Tensor, mask: Tensor, shift: Sequence[float]) -> Tensor:
    taken = (F.adaptive_avg_pool2d(mask, b.shape[-2:]) >= 0.5).to(b.dtype)
    a, b = _matching(a, moved(b, shift))
    if len(mask) not in (1, len(a)) and len(a) != 1:
        raise CoModError(f"{len(mask)} masks for {len(a)} styles: give one, or one a style.")
    return torch.where(moved(taken, shift) > 0, b, a)


def _matching(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the same number of rows, one serving many."""
    if a.shape[1:] != b.shape[1:] or len(a) != len(b) and 1 not in (len(a), len(b)):
        raise CoModError(f"styles of shapes {list(a.shape)} and {list(b.shape)} do not go together: make both with one "
                         "model, and give as many of one as of the other, or one.")
    b, count = b.to(a.device, a.dtype), max(len(a), len(b))
    return a.expand(count, -1, -1, -1), b.expand(count, -1, -1, -1)


def _as_many(a: Sequence[Tensor], b: Sequence[Tensor]) -> Sequence[Tensor]:
    if len(a) != len(b):
        raise CoModError(f"styles of {len(a)} and {len(b)} levels do not go together: make both with one model.")
    return b


def _share(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise CoModError(f"{name} is {value!r}: give a number from 0 to 1.")
    return float(value)
