"""A photo of any size, the square of it that a style-map network sees, and the way of an edit back into the photo.

Strategies. "whole": the smallest square around the whole photo; what lies outside of the photo repeats its edge. Right
for pictures framed like those that the model knows. "square": the largest square in the middle. "crop": a square around
the mask with context, no smaller than the model. "original": the photo has the model's size. A box of the user's own
takes the place of all of them: the face in a larger photo, say.

The way back. Where the mask is above 0.5 the edit is written, outside of the feather every bit of the photo stays;
mask values from 0.1 to 0.5 are a feather of the user's own. Without a mask the whole box is written. At edges of the
box that lie inside of the photo the edit fades out within the box. color_match compares edit and photo in a band around
the mask and takes the colour difference that is common to it out of the edit, for no network reconstructs exactly.
seamless: where the edit's content came from other pictures, what surrounds it there (skin around eyes, the sky behind
hair) gives way to the photo's own colours; see `blending.settle`.
"""
from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .blending import luma, match_color, paste, ramp, settle
from .checks import check_image, check_style_net
from .errors import CoModError
from .geometry import Box, Rect, crop_box, crop_side, enlarge, fit_pixels, whole_box
from .masks import as_mask, to_size
from .regions import HOLE, SOFT, distance_to
from .stylemaps import moved

DONOR_MARGIN = 8     # share of the model's size, as a divisor: what a donor shows around a part
LARGEST = 4          # side of a box of the user's own, in longer sides of the photo
STRATEGIES = ("whole", "square", "crop", "original")
Progress = Callable[[int, int, "Tensor | None"], None]


@dataclasses.dataclass(frozen=True)
class Options:
    """How a photo meets the model and how the edit comes back; see the module.

    box: the user's own square, instead of what the strategy says. context: what strategy crop shows around the mask, on
    each side, as a fraction of its extent. feather: pixels, None for half a cell of the style map at the photo's scale.
    refine: steps by which the encoder's style map is first fitted to the photo (`refinement`), 0 for none.
    """

    strategy: str = "whole"
    box: Box | None = None
    context: float = 0.5
    feather: float | None = None
    color_match: bool = True
    seamless: bool = True
    refine: int = 0


@dataclasses.dataclass(frozen=True)
class Photo:
    """Pictures of one size and their box: a value, never changed.

    image [N,C,H,W] float32 on the CPU; resolution R: of the model; feather: in pixels; device: where `image` came from.
    """

    image: Tensor
    box: Box
    resolution: int
    feather: float
    options: Options
    device: torch.device

    @property
    def size(self) -> tuple[int, int]:
        """H, W in pixels."""
        return self.image.shape[-2], self.image.shape[-1]

    @property
    def seen(self) -> Rect:
        """The part of the pictures that lies in the box."""
        return self.box.inside(*self.size)

    @property
    def runs(self) -> int:
        """Model runs that encoding takes, steps of refinement counted."""
        return len(self.image) * (1 + self.options.refine)

    @functools.cached_property
    def inputs(self) -> Tensor:
        """What the model is given, [N,3,R,R] in [-1,1]."""
        known = torch.ones(self.seen.bottom - self.seen.top, self.seen.right - self.seen.left, dtype=torch.bool)
        return torch.stack([
            fit_pixels(picture[:3][(slice(None), *self.seen.slices)], known, self.box.pads(*self.size),
                       self.resolution).expand(3, -1, -1) for picture in self.image])


@torch.no_grad()
def prepare(net, image: Tensor, mask: Tensor | None = None, options: Options | None = None) -> Photo:
    """image [N,C,H,W] in [-1,1], C 1 (grey), 3 or 4 (alpha stays as it is), and its box for the model.

    mask [N or 1,1,H,W], 1 = edit: only strategy crop needs it. Raises CoModError for another kind of network, bad
    shapes, values or options.
    """
    check_style_net(net)
    check_image(image)
    options = options or Options()
    picture = image.detach().to("cpu", torch.float32)
    peak = picture.abs().amax()
    if not peak <= 1.5:
        raise CoModError(f"the picture's values reach {float(peak):g}: give finite values in [-1,1].")
    box = _box(net.resolution, tuple(picture.shape[-2:]), mask, options)
    if isinstance(options.refine, bool) or not isinstance(options.refine, int) or options.refine < 0:
        raise CoModError(f"refine is {options.refine!r}: give a whole number of steps, 0 for none.")
    feather = options.feather
    if feather is None:
        feather = max(1.0, box.side / net.config.style_size / 2)
    if isinstance(feather, bool) or not 0 <= feather < math.inf:
        raise CoModError(f"feather is {feather!r}: give a number of pixels of at least 0, or None.")
    return Photo(picture, box, net.resolution, float(feather), options, image.device)


def _box(resolution: int, size: tuple[int, int], mask: Tensor | None, options: Options) -> Box:
    height, width = size
    if options.box is not None:
        box = options.box
        if box.side < 1 or box.top >= height or box.left >= width or min(box.top, box.left) + box.side <= 0:
            raise CoModError(f"box {box} lies outside of the {width}x{height} photo: give one that overlaps it.")
        if box.side > LARGEST * max(size):
            raise CoModError(f"box {box} is so much larger than the {width}x{height} photo that the model would hardly "
                             f"see it: give one of at most {LARGEST * max(size)} pixels.")
        return box
    if options.strategy not in STRATEGIES:
        raise CoModError(f"strategy {options.strategy!r} is not one of {', '.join(STRATEGIES)}.")
    if options.strategy == "original" and not height == width == resolution:
        raise CoModError(f"strategy original needs a photo of {resolution}x{resolution}, this one is {width}x{height}: "
                         "resize it, or use whole, square or crop.")
    if options.strategy == "square":
        return crop_box(Rect(0, 0, height, width), min(height, width), height, width)
    if options.strategy == "crop":
        if mask is None:
            raise CoModError("strategy crop needs a mask to crop around: use whole or square, or give a box.")
        return _around(region(mask, size), size, resolution, options.context)
    return whole_box(height, width)


def _around(mask: Tensor, size: tuple[int, int], resolution: int, context: float) -> Box:
    """Square around the masks with context; around everything where they are empty."""
    touched = (mask > HOLE).amax(dim=(0, 1))
    rows, columns = (touched.any(dim=axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    if not rows:
        return whole_box(*size)
    rect = Rect(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    return crop_box(rect, crop_side(rect.extent, *size, resolution, context), *size)


def region(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A checked mask at a photo's size (H, W): float32 [N,1,H,W] on the CPU. Raises CoModError."""
    mask = as_mask(mask).cpu()
    return mask if tuple(mask.shape[-2:]) == tuple(size) else to_size(mask, size)


def to_model(photo: Photo, mask: Tensor) -> Tensor:
    """A mask of the photo as the model sees it: [N,1,H,W] -> [N,1,R,R]; nothing touched is lost, none is outside."""
    mask = region(mask, photo.size)[(slice(None), slice(None), *photo.seen.slices)]
    return F.adaptive_max_pool2d(F.pad(mask, photo.box.pads(*photo.size)), photo.resolution)


def to_photo(photo: Photo, mask: Tensor) -> Tensor:
    """A mask at the model's size as one of the photo: [N,1,R,R] -> [N,1,H,W], smooth where it is enlarged."""
    rows, columns = _within(photo)
    inside = to_model(photo, torch.ones(photo.size))[0, 0]
    weight = enlarge(inside, photo.box.side).clamp_min(0.05)  # so that nothing fades at the photo's own edges
    whole = torch.zeros(len(mask), 1, *photo.size)
    for target, plane in zip(whole[:, 0], mask[:, 0].cpu().float(), strict=True):
        grown = enlarge(plane * inside, photo.box.side) / weight
        target[photo.seen.slices] = grown[rows, columns].clamp(0, 1)
    return whole


@torch.no_grad()
def blend_back(photo: Photo, tiles: Tensor, mask: Tensor | None = None, donor: Tensor | None = None) -> Tensor:
    """The photo with the model's pictures [M,3,R,R] in it: [N,C,H,W] on the photo's device, N the larger number.

    mask [1 or N,1,H,W], 1 = edited; None for the whole box. donor [1 or M,3,R,R]: where the edit came from, from
    `donated`; None where it has no such place. Every bit outside of mask and feather stays. Raises CoModError when
    numbers do not match.
    """
    masks = [None] if mask is None else list(region(mask, photo.size)[:, 0])
    counts = {len(photo.image), len(tiles), len(masks)}
    if len(counts - {1}) > 1:
        raise CoModError(f"{len(photo.image)} photos, {len(tiles)} edits and {len(masks)} masks: give as many of each, "
                         "or one.")
    if tiles.shape[1:] != (3, photo.resolution, photo.resolution):
        raise CoModError(f"edits of shape {list(tiles.shape)} for a photo prepared for {photo.resolution} pixels: use "
                         "the model that it was prepared for.")
    result = photo.image.expand(max(counts), -1, -1, -1).clone()
    if mask is None or not photo.options.seamless:
        donor = None
    alphas = [_alpha(photo, one) for one in masks]
    for i, picture in enumerate(result):
        tile, one = tiles[i % len(tiles)].to("cpu", torch.float32), masks[i % len(masks)]
        if mask is not None:
            tile = _matched(photo, tile, photo.inputs[i % len(photo.inputs)], one,
                            None if donor is None else donor[i % len(donor)])
        _write(photo, picture, tile.clamp(-1, 1), alphas[i % len(masks)])
    return result.to(photo.device)


def _write(photo: Photo, picture: Tensor, tile: Tensor, alpha: Tensor) -> None:
    rows, columns = _within(photo)
    if len(picture) == 1:
        tile = luma(tile)
    for plane, edited in zip(picture, tile, strict=False):  # a fourth plane, alpha, stays
        paste(plane[photo.seen.slices], enlarge(edited, photo.box.side)[rows, columns].clamp(-1, 1), alpha)


def _within(photo: Photo) -> tuple[slice, slice]:
    """Rows and columns of the box that show the photo."""
    seen, box = photo.seen, photo.box
    return slice(seen.top - box.top, seen.bottom - box.top), slice(seen.left - box.left, seen.right - box.left)


def _alpha(photo: Photo, mask: Tensor | None) -> Tensor:
    """Share of the edit at each pixel of the box that lies in the photo, [h,w]: from a mask [H,W]."""
    seen, (height, width) = photo.seen, photo.size
    alpha = torch.ones(seen.bottom - seen.top, seen.right - seen.left)
    if mask is not None:
        hole = mask > HOLE
        soft = ((mask - SOFT) / (HOLE - SOFT)).clamp(0, 1) if bool(hole.any()) else torch.zeros_like(mask)
        alpha = torch.maximum(ramp(distance_to(hole), photo.feather), soft)[seen.slices]
    y, x = (torch.full([length], math.inf) for length in alpha.shape)
    if seen.top > 0:
        y = torch.minimum(y, torch.arange(len(y)) + 1.0)
    if seen.bottom < height:
        y = torch.minimum(y, torch.arange(len(y), 0, -1.0))
    if seen.left > 0:
        x = torch.minimum(x, torch.arange(len(x)) + 1.0)
    if seen.right < width:
        x = torch.minimum(x, torch.arange(len(x), 0, -1.0))
    inward = torch.minimum(y[:, None], x[None])  # pixels from the nearest edge of the box that lies inside of the photo
    return alpha * ramp(photo.feather + 1 - inward, photo.feather)


def _matched(photo: Photo, tile: Tensor, reference: Tensor, mask: Tensor, donor: Tensor | None) -> Tensor:
    """The edit with its colours moved to meet the photo's around the mask, as far as the options say."""
    if donor is None and not photo.options.color_match:
        return tile
    hole = to_model(photo, mask)[0, 0] > HOLE
    reach = max(2, math.ceil(photo.feather * photo.resolution / photo.box.side))
    hidden = _grown(hole, min(reach, photo.resolution // 4))
    inside = to_model(photo, torch.ones(photo.size))[0, 0] > 0
    if photo.options.color_match:
        tile = match_color(tile, reference, hidden, hidden & ~hole & inside)
    return tile if donor is None else settle(tile, reference, donor, hidden, hole, inside & ~hole)


def _grown(mask: Tensor, reach: int) -> Tensor:
    """bool [...,R,R] with everything that is no more than so many pixels away, along rows and columns."""
    planes = mask.float().reshape(-1, 1, *mask.shape[-2:])
    return F.max_pool2d(planes, 2 * reach + 1, 1, reach).reshape(mask.shape) > 0


def donated(photo: Photo, inputs: Tensor, mask: Tensor, shift: Sequence[float] = (0, 0),
            donor: Tensor | None = None) -> Tensor:
    """The donor of an edit, for `blend_back`: the photo as the model sees it with what lies at and around a part.

    inputs [M,3,R,R]: the picture that the part is in, mask [1 or M,1,R,R]: the part there, 1 = taken; shift (x, y):
    where it goes, in pixels of R x R. donor: that of the edit to which this one comes.
    """
    near = moved(_grown(mask > HOLE, photo.resolution // DONOR_MARGIN).float(), shift) > 0
    return torch.where(near, moved(inputs, shift), photo.inputs if donor is None else donor)
