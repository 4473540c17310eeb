"""From photos to edited photos through style maps: reconstruct, blend, transplant, mix, interpolate, move, generate.

Every operation is the same four steps, for doors that keep their results between strokes of a brush:

    photo = photos.prepare(net, image, mask, options)     checks, the square that the model sees
    style = encode(net, photo)                            once a photo
    style = stylemaps.blend(net, style, ...)              or another operation at the model's size
    image = photos.blend_back(photo, stylemaps.decode(net, style), mask)

Images are [N,C,H,W] in [-1,1], C 1, 3 or 4, any size; masks [N or 1,1,H,W] in [0,1], 1 = edited, of the photo's own
size or resized to it. One photo serves many references and the other way round. Every picture is encoded and decoded on
its own, so batches change no bit. progress(done, total, None) is called after every model run; an exception that it
raises stops the work.
"""
from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import directions, photos, stylemaps
from .checks import check_image, check_seeds, check_style_net
from .directions import Direction
from .errors import CoModError
from .photos import Options, Photo, Progress
from .refinement import refine
from .stylemaps import Patch, Style

PARTS = ("coarse", "fine")


@dataclass(frozen=True)
class Edit:
    """image [N,C,H,W]: the photo with the edit in it. tiles [N,3,R,R]: the model's own pictures, not clamped.

    style: what they were decoded from. warnings: what the user should know. donor: see `photos.blend_back`.
    """

    image: Tensor
    tiles: Tensor
    style: Style
    warnings: tuple[str, ...] = ()
    donor: Tensor | None = None


@dataclass(frozen=True)
class Reference:
    """What `transplant` takes from one picture: what is under `mask` ([1,1,h,w] of this picture), and where it goes.

    shift (x, y): from the same place in the photo's box, in the photo's pixels, to the right and downwards.
    """

    image: Tensor
    mask: Tensor
    shift: tuple[float, float] = (0, 0)
    options: Options = Options()


def encode(net, photo: Photo, *, progress: Progress | None = None) -> Tensor:
    """Style maps [N,C,s,s] of a photo, refined where its options ask for that."""
    maps, runs = [], itertools.count(1)

    def step(*_) -> None:
        if progress:
            progress(next(runs), photo.runs, None)

    for picture in photo.inputs:
        with torch.no_grad():
            found = net.encode(picture[None].to(net.w_avg.device, net.w_avg.dtype))
        step()
        if photo.options.refine:
            for state in refine(net, picture[None], found, steps=photo.options.refine, progress=step):
                found = state.style_map
        maps.append(found.to(net.w_avg.dtype))
    return torch.cat(maps)


def reconstruct(net, image: Tensor, *, mask: Tensor | None = None, options: Options | None = None,
                progress: Progress | None = None) -> Edit:
    """What the model makes of a photo unedited: the limit of what its edits can look like. Raises CoModError."""
    photo, mask = _prepare(net, image, mask, options)
    step = _Steps(progress, [photo], mask)
    return _finish(net, photo, encode(net, photo, progress=step), mask, step)


def blend(net, image: Tensor, reference: Tensor, mask: Tensor, *, space: str = "w+", strength: float = 1.0,
          options: Options | None = None, reference_options: Options | None = None,
          progress: Progress | None = None) -> Edit:
    """The photo with what the reference has at the same place under the mask.

    space: "w" blends whole cells of the style map, "w+" follows the mask more closely. strength 0..1.
    reference_options: the reference's own box; by default it is framed as the photo is. Raises CoModError.
    """
    photo, mask = _prepare(net, image, mask, options)
    other = photos.prepare(net, reference, None, reference_options or _alike(photo, reference))
    step = _Steps(progress, [photo, other], mask)
    own, taken = encode(net, photo, progress=step), encode(net, other, progress=step)
    place = photos.to_model(photo, mask)
    style = stylemaps.blend(net, own, taken, place, space=space, strength=strength)
    return _finish(net, photo, style, mask, step, donor=photos.donated(photo, other.inputs, place))


def transplant(net, image: Tensor, references: Sequence[Reference], *, strength: float = 1.0,
               options: Options | None = None, progress: Progress | None = None) -> Edit:
    """The photo with parts of references at places of the user's choice; nothing needs to be aligned.

    Later references cover earlier ones. strength 0..1. Raises CoModError.
    """
    if not references:
        raise CoModError("transplant: no references; give at least one.")
    photo, _ = _prepare(net, image, None, options)
    sources = [photos.prepare(net, one.image, one.mask, one.options) for one in references]
    step = _Steps(progress, [photo, *sources])
    patches, landed, warnings, donor = [], [], [], None
    for i, (one, source) in enumerate(zip(references, sources, strict=True)):
        taken, shift, place = landing(photo, source, one.mask, one.shift)
        landed.append(place)
        if not bool((landed[-1] > photos.HOLE).any()):
            warnings.append(f"nothing of reference {i + 1} lands in the photo: its mask is empty, or moved outside.")
        patches.append(Patch(encode(net, source, progress=step), taken, shift))
        donor = photos.donated(photo, source.inputs, taken, shift, donor)
    style = stylemaps.transplant(net, encode(net, photo, progress=step), patches, strength)
    return _finish(net, photo, style, torch.stack(torch.broadcast_tensors(*landed)).amax(dim=0), step, warnings,
                   donor)


def landing(photo: Photo, source: Photo, mask: Tensor,
            shift: Sequence[float]) -> tuple[Tensor, tuple[float, float], Tensor]:
    """How what `mask` [N,1,h,w] shows of `source` comes into `photo`, moved by shift (x, y) in the photo's pixels.

    Returns mask and shift at the model's size, as a `Patch` takes them, and where it lands in the photo, [N,1,H,W].
    """
    x, y = (value * photo.resolution / photo.box.side for value in stylemaps.check_shift(shift))
    taken = photos.to_model(source, mask)
    return taken, (x, y), photos.to_photo(photo, stylemaps.moved(taken, (x, y)))


def mix(net, image: Tensor, reference: Tensor, *, part: str = "fine", count: int = stylemaps.COARSE_LEVELS,
        mask: Tensor | None = None, options: Options | None = None, reference_options: Options | None = None,
        progress: Progress | None = None) -> Edit:
    """Style mixing: the photo with the coarse look (pose, shape) or the fine one (colours) of the reference.

    part: "coarse" takes levels 0 to count - 1 from the reference, "fine" all others. Raises CoModError.
    """
    if part not in PARTS:
        raise CoModError(f"part {part!r} is not one of {', '.join(PARTS)}.")
    photo, mask = _prepare(net, image, mask, options)
    other = photos.prepare(net, reference, None, reference_options or _alike(photo, reference))
    step = _Steps(progress, [photo, other], mask)
    own, taken = encode(net, photo, progress=step), encode(net, other, progress=step)
    style = stylemaps.mix(net, *((taken, own) if part == "coarse" else (own, taken)), count)
    return _finish(net, photo, style, mask, step)


def move(net, image: Tensor, direction: Direction, strength: float, *, mask: Tensor | None = None,
         options: Options | None = None, progress: Progress | None = None) -> Edit:
    """The photo moved along a semantic direction (`directions`), everywhere or under the mask. Raises CoModError."""
    photo, mask = _prepare(net, image, mask, options)
    step = _Steps(progress, [photo], mask)
    small = None if mask is None else photos.to_model(photo, mask)
    style = directions.move(encode(net, photo, progress=step), direction, strength, small)
    return _finish(net, photo, style, mask, step)


def learn_direction(net, positives: Sequence[Tensor], negatives: Sequence[Tensor], *, options: Options | None = None,
                    progress: Progress | None = None) -> Direction:
    """The direction from negative to positive example photos, each [N,C,H,W] of any size. Raises CoModError."""
    check_style_net(net)
    total = len(positives) + len(negatives)
    done, groups = 0, []
    for examples in (positives, negatives):
        maps = []
        for image in examples:
            maps.append(encode(net, photos.prepare(net, image, None, options)).cpu())
            done += 1
            if progress:
                progress(done, total, None)
        groups.append(torch.cat(maps) if maps else torch.empty(0, *_map_shape(net)))
    return directions.learn(*groups)


def animate(net, photo: Photo, start: Style, end: Style, frames: int, *, mask: Tensor | None = None,
            donor: Tensor | None = None, progress: Progress | None = None) -> Iterator[Tensor]:
    """Frames [N,C,H,W] from one style to another, both ends included, blended back into the photo.

    From an original's style to an `Edit.style` the edit grows; mask: where it is, donor: the edit's. Raises CoModError
    at the call.
    """
    tiles = stylemaps.interpolate(net, start, end, frames, progress=progress)
    return (photos.blend_back(photo, tile, mask, donor) for tile in tiles)


def interpolate(net, image: Tensor, reference: Tensor, frames: int, *, mask: Tensor | None = None, space: str = "w+",
                options: Options | None = None, reference_options: Options | None = None,
                progress: Progress | None = None) -> Iterator[Tensor]:
    """Frames [N,C,H,W] on the way from one photo to another, in the first photo's frame and size.

    mask: the way leads to what `blend` makes of the two, and outside of it the photo stays. progress is called after
    each frame. Raises CoModError at the call.
    """
    photo, mask = _prepare(net, image, mask, options)
    other = photos.prepare(net, reference, None, reference_options or _alike(photo, reference))
    start, end = encode(net, photo), encode(net, other)
    donor = None
    if mask is not None:
        place = photos.to_model(photo, mask)
        end, donor = stylemaps.blend(net, start, end, place, space=space), photos.donated(photo, other.inputs, place)
    return animate(net, photo, start, end, frames, mask=mask, donor=donor, progress=progress)


def generate(net, seeds: int | Sequence[int], *, psi: float = 0.7,
             progress: Progress | None = None) -> Iterator[Tensor]:
    """Random pictures, one a seed: [1,3,R,R] in [-1,1], float32 on the CPU. Raises CoModError at the call."""
    check_style_net(net)
    seeds = check_seeds(seeds)

    def pictures() -> Iterator[Tensor]:
        for i, seed in enumerate(seeds):
            picture = stylemaps.decode(net, stylemaps.sample(net, [seed], psi)).clamp(-1, 1)
            if progress:
                progress(i + 1, len(seeds), picture)
            yield picture

    return pictures()


class _Steps:
    """Counts model runs for `progress`: each photo is encoded, and the longest batch decoded."""

    def __init__(self, progress: Progress | None, encoded: Sequence[Photo], mask: Tensor | None = None):
        self.progress, self.done = progress, 0
        decoded = max(*(len(photo.image) for photo in encoded), 1 if mask is None else len(mask))
        self.total = sum(photo.runs for photo in encoded) + decoded

    def __call__(self, *_) -> None:
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total, None)


def _prepare(net, image: Tensor, mask: Tensor | None, options: Options | None) -> tuple[Photo, Tensor | None]:
    """The photo, and the checked mask at its size."""
    photo = photos.prepare(net, image, mask, options)
    return photo, None if mask is None else photos.region(mask, photo.size)


def _finish(net, photo: Photo, style: Style, mask: Tensor | None, step: _Steps,
            warnings: Sequence[str] = (), donor: Tensor | None = None) -> Edit:
    """Decode and blend back. Strength and place are in the style; the mask says where the photo may change."""
    tiles = stylemaps.decode(net, style, progress=step)
    image = photos.blend_back(photo, tiles, mask, donor)
    return Edit(image, tiles, style, tuple(warnings or remarks(photo, mask)), donor)


def remarks(photo: Photo, mask: Tensor | None) -> list[str]:
    """What a user should know about a checked mask of the photo's size."""
    if mask is None:
        return []
    total, seen = ((part > photos.HOLE).sum().item() for part in (mask, mask[(..., *photo.seen.slices)]))
    if not total:
        return ["the mask is empty (nothing above 0.5), so the photo stays as it is."]
    if seen < total:
        return [f"{100 - 100 * seen / total:.0f}% of the mask lies outside of the square that the model sees; there "
                "the photo stays as it is. Use another strategy or box."]
    return []


def _alike(photo: Photo, reference: Tensor) -> Options:
    """Options by which a reference is framed as the photo: the same box where both have one size."""
    check_image(reference)
    options = photo.options
    if tuple(reference.shape[-2:]) == photo.size:
        return dataclasses.replace(options, box=photo.box)
    if options.box is None and options.strategy in ("whole", "square"):
        return options
    raise CoModError("the reference has another size than the photo, so the photo's box does not fit it: give the "
                     "reference options of its own, or use strategy whole or square.")


def _map_shape(net) -> tuple[int, int, int]:
    return net.config.style_channels, net.config.style_size, net.config.style_size
