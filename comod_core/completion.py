"""From picture and mask to completed picture: crop, pad, encode, sample, decode, blend back.

Every door runs the same four functions, and values that can be carried between them (on a node graph's socket, say):

    prepared  = prepare(net, image, mask, ...)             checks, boxes, model-sized inputs: a value, never changed
    encodings = encode(net, prepared)                      one Encoding a box, without dropout; serves every seed
    for tiles in decode(net, prepared, encodings, w, seeds, noise_mode=..., dropout=...):
        image = blend(prepared, tiles)                     one picture (batch) a row of w

with w = latents.truncate(latents.sample(net, seeds), net.w_avg, psi, cutoff). `complete` is no more than this, a seed
at a time, so all give the same bits. A box of a picture and a seed are decoded on their own with generators of their
own (streams "dropout" and "noise" of that seed), so neither batch size nor order changes a bit.

Sizes. Strategy "crop": a square around each hole with context, shifted to lie in the picture. Holes share a box where
that costs at most a quarter of the resolution; there are at most 8 boxes, each completed from the original and not from
its neighbours' completions. "whole": the smallest square around the whole picture, right for networks that know one
layout, such as aligned faces. "original": the picture has the model's size. "auto": "whole" for a network whose
.info.layout is "aligned", else "crop". What of a square lies outside of the picture is hole to the network, not
repeated or mirrored pixels that it would take for true. A box is reduced by an antialiased cubic filter from known
pixels only; a model pixel that touches any hole is hole. The completion comes back through the same filter: a hole
larger than the model's input is as sharp as the model's scale. So is outpainting: a frame as wide as the picture is one
hole, and its box holds the picture and the frame at the model's scale.

Edges. Known pixels keep their bits outside of the feather: a band on the known side of the hole's edge where completion
and picture are cross-faded. The network does not see the band, so what is faded in there is its own. feather None: 2 of
the model's pixels (a 128th of its size above 256) at the box's scale; feather 0: every known pixel keeps its bits.
Soft masks: above 0.5 is hole; from 0.1 to 0.5 is a feather of the user's own, alpha rising from 0 to 1. color_match
compares completion and picture in that band (2 model pixels of it where the feather is less; hidden, but not written).
With strategy "original", feather 0 and no colour match the result is the network's own output, clamped to [-1,1].

What is under the hole is zeroed before anything else looks at the picture.
"""
from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from . import latents, masks
from .blending import luma, match_color, paste
from .checks import check_fit, check_image, check_net, check_sampling, check_seeds
from .errors import CoModError
from .geometry import enlarge, fit_pixels
from .networks.comodgan import CoModGenerator, Encoding
from .regions import Fit, Region, find_regions

Progress = Callable[[int, int, "Tensor | None"], None]
log = logging.getLogger("comod")


@dataclasses.dataclass(frozen=True)
class Completion:
    """One result: image [N,C,H,W] in [-1,1], float32 on the input's device; its seed; what the user should know."""

    image: Tensor
    seed: int
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Crop:
    """One model run: picture `index` of the batch, its region, and the region's known pixels [3,R,R] at model size.

    image [1,3,R,R] in [-1,1] and mask [1,1,R,R], 1 = hole: what the network is given.
    """

    index: int
    region: Region
    pixels: Tensor

    @property
    def image(self) -> Tensor:
        return torch.where(self.region.hidden, 0.0, self.pixels)[None]

    @property
    def mask(self) -> Tensor:
        return self.region.hidden[None, None].float()


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Pictures and holes, ready for a model of `resolution`. Everything is float32 on the CPU.

    image [N,C,H,W]: the originals. crops: one a model run, none where masks are empty. device: where `image` came from.
    """

    image: Tensor
    crops: tuple[Crop, ...]
    resolution: int
    color_match: bool
    device: torch.device
    warnings: tuple[str, ...] = ()


@torch.no_grad()
def prepare(net: CoModGenerator, image: Tensor, mask: Tensor, *, size_strategy: str = "auto", context: float = 0.5,
            feather: float | None = None, grow: float = 0, color_match: bool = True) -> Prepared:
    """Boxes and model-sized inputs for completing `image` where `mask` is hole.

    image [N,C,H,W] in [-1,1], C 1 (grey), 3 or 4 (the hole becomes opaque, other alpha stays); any device and float.
    mask [N,1,H,W] in [0,1], 1 = hole; another size is resized (and warned about), one serves N images, N serve one.
    size_strategy: "auto", "crop", "whole" or "original", see the module. context: what the model sees beyond the hole,
    on each side, as a fraction of its extent (at least 1/8). feather: pixels, None by itself. grow: pixels by which
    holes are enlarged first; 0, for the mask is the user's word, and what a hole touches is hidden anyway.
    Raises CoModError: another kind of network, bad shapes, values or options, batches that do not match, a picture that
    is not R x R with "original".
    """
    check_net(net)
    check_image(image)
    fit = Fit(net.resolution, _strategy(net, size_strategy), context, feather, grow, bool(color_match))
    check_fit(fit, image)
    pictures, warnings = image.detach().to("cpu", torch.float32), []
    holes = _matching_masks(mask, pictures, warnings)
    count = max(len(pictures), len(holes))
    regions = [find_regions(hole[0], fit) for hole in holes]
    crops = []
    for i in range(count):
        found = regions[i % len(holes)]
        if not found:
            which = f" {i + 1} of {count}" if count > 1 else ""
            warnings.append(f"the mask{which} is empty (nothing above 0.5), so the picture stays as it is.")
        crops += [_crop(pictures[i % len(pictures)], i, region, fit) for region in found]
    for warning in warnings:
        log.warning(warning)
    pictures = pictures.expand(count, -1, -1, -1)
    return Prepared(pictures, tuple(crops), fit.resolution, fit.color_match, image.device, tuple(warnings))


def _strategy(net: CoModGenerator, wanted: str) -> str:
    """ "auto" is "whole" for a network that knows one layout only, else "crop"."""
    if wanted != "auto":
        return wanted
    return "whole" if getattr(getattr(net, "info", None), "layout", "free") == "aligned" else "crop"


def _matching_masks(mask: Tensor, pictures: Tensor, warnings: list[str]) -> Tensor:
    holes = masks.as_mask(mask).cpu()
    n, m, size = len(pictures), len(holes), tuple(pictures.shape[-2:])
    if n != m and 1 not in (n, m):
        raise CoModError(f"{n} pictures but {m} masks: give as many of both, or one of either.")
    if tuple(holes.shape[-2:]) != size:
        warnings.append(f"the mask is {holes.shape[-1]}x{holes.shape[-2]} and the picture {size[1]}x{size[0]}: "
                        "the mask was resized.")
        holes = masks.to_size(holes, size)
    return holes


def _crop(picture: Tensor, index: int, region: Region, fit: Fit) -> Crop:
    height, width = picture.shape[-2:]
    seen, pads = region.box.inside(height, width), region.box.pads(height, width)
    # Zeroed before any filter: from here on nothing knows what was under the hole.
    pixels = torch.where(region.hole, 0.0, picture[:3][(slice(None), *seen.slices)])
    peak = pixels.abs().amax()
    if not peak <= 1.5:
        raise CoModError(f"the picture's known pixels reach {float(peak):g}: give finite values in [-1,1].")
    return Crop(index, region, fit_pixels(pixels, ~region.hole, pads, fit.resolution).expand(3, -1, -1))


def encode(net: CoModGenerator, prepared: Prepared, *, progress: Progress | None = None) -> list[Encoding]:
    """One encoding a crop, on the network's device, without dropout (`decode` draws it). Serves every seed and psi.

    progress(done, total, None) is called after each. Raises CoModError when `prepared` is for another resolution.
    """
    _check_same_model(net, prepared)
    device, dtype = _place(net)
    encodings = []
    for i, crop in enumerate(prepared.crops):
        with torch.inference_mode():
            image, mask = (x.to(device, dtype) for x in (crop.image, crop.mask))
            encodings.append(net.encode(image, mask, dropout=False))
        if progress:
            progress(i + 1, len(prepared.crops), None)
    return encodings


def decode(net: CoModGenerator, prepared: Prepared, encodings: Sequence[Encoding], w: Tensor, seeds: Iterable[int], *,
           noise_mode: str = "const", dropout: bool = True, progress: Progress | None = None) -> Iterator[list[Tensor]]:
    """For each row of w its tiles, one a crop: float32 [3,R,R] on the CPU. Each goes to `blend`.

    w [N,num_layers,w_dim], truncated or not; seeds: the N seeds that the rows belong to, for dropout and noise.
    progress(done, total, None) is called after each tile. Raises CoModError for anything that does not match.
    """
    _check_same_model(net, prepared)
    seeds = check_seeds(seeds)
    check_sampling(net, noise_mode=noise_mode)
    if len(encodings) != len(prepared.crops):
        raise CoModError(f"{len(encodings)} encodings for {len(prepared.crops)} crops: encode this very picture first.")
    if len(w) != len(seeds):
        raise CoModError(f"{len(w)} latents but {len(seeds)} seeds: give one seed a latent.")
    return _tiles(net, encodings, w, seeds, noise_mode, dropout, progress)


def _tiles(net, encodings, w, seeds, noise_mode, dropout, progress) -> Iterator[list[Tensor]]:
    total, done = len(seeds) * len(encodings), 0
    for row, seed in zip(w, seeds, strict=True):
        tiles = []
        for encoding in encodings:
            tiles.append(_tile(net, encoding, row[None], seed, noise_mode, dropout))
            done += 1
            if progress:
                progress(done, total, None)
        yield tiles


def _tile(net, encoding: Encoding, w: Tensor, seed: int, noise_mode: str, dropout: bool) -> Tensor:
    # Not around a yield: the mode would leak into the caller.
    with torch.inference_mode():
        dropped = encoding.drop(latents.generators([seed], "dropout") if dropout else None)
        image = net.decode(dropped, w.to(*_place(net)), noise_mode, latents.generators([seed], "noise"))
    return image[0].to("cpu", torch.float32, copy=True)


@torch.no_grad()
def blend(prepared: Prepared, tiles: Sequence[Tensor]) -> Tensor:
    """Originals with their holes filled from the decoded tiles [3,R,R], one a crop: [N,C,H,W] on the input's device.

    Written are clamped completions; a pixel outside of holes and feather keeps its bits, and alpha is written in the
    hole alone (1). Raises CoModError when the number of tiles is not that of the crops.
    """
    if len(tiles) != len(prepared.crops):
        raise CoModError(f"{len(tiles)} tiles for {len(prepared.crops)} crops: decode this very picture first.")
    result = prepared.image.clone()
    for crop, tile in zip(prepared.crops, tiles, strict=True):
        region, picture = crop.region, result[crop.index]
        tile = tile.reshape(tile.shape[-3:]).clone()
        if prepared.color_match:
            tile = match_color(tile, crop.pixels, region.hidden, region.band)
        tile = tile.clamp(-1, 1)
        if len(picture) == 1:
            tile = luma(tile)
        rect, box = region.rect, region.box
        rows, columns = (slice(rect.top - box.top, rect.bottom - box.top),
                         slice(rect.left - box.left, rect.right - box.left))
        for plane, generated in zip(picture, tile, strict=False):
            paste(plane[rect.slices], enlarge(generated, box.side)[rows, columns].clamp(-1, 1), region.alpha)
        if len(picture) == 4:
            alpha = picture[3][rect.slices]
            alpha.copy_(torch.where(region.alpha >= 1, 1.0, alpha))
    return result.to(prepared.device)


def complete(net: CoModGenerator, image: Tensor, mask: Tensor, seeds: int | Iterable[int], *, psi: float = 1.0,
             cutoff: int | None = None, noise_mode: str = "const", dropout: bool = True, size_strategy: str = "auto",
             context: float = 0.5, feather: float | None = None, grow: float = 0, color_match: bool = True,
             label: Tensor | None = None, progress: Progress | None = None) -> Iterator[Completion]:
    """Complete `image` where `mask` is hole, once a seed; see the module for the way and `prepare` for what goes in.

    seeds: whole numbers from 0 to 2**64 - 1, one or many; all pictures of a batch use the same. psi: truncation, 1 full
    variety, 0 the average; cutoff: only for layers below it. noise_mode: "const", "random" or "none". dropout: as the
    networks were published (drawn from the seed), or off. label [label_size] for networks that have labels.
    progress(done, total, image or None) is called after every model run and every finished image; what it raises stops
    the work. Arguments are checked and the picture prepared at the call, the network runs as results are asked for.
    Raises CoModError for bad arguments, in words that say what to change.
    """
    seeds = check_seeds(seeds)
    check_net(net)
    check_sampling(net, psi, cutoff, noise_mode)
    prepared = prepare(net, image, mask, size_strategy=size_strategy, context=context, feather=feather, grow=grow,
                       color_match=color_match)
    total = len(prepared.crops) * (1 + len(seeds)) + len(seeds)
    steps = iter(range(1, total + 1))

    def step(*_, image: Tensor | None = None) -> None:
        done = next(steps)
        if progress:
            progress(done, total, image)

    def results() -> Iterator[Completion]:
        encodings = encode(net, prepared, progress=step)
        for seed in seeds:
            w = latents.truncate(latents.sample(net, [seed], label), net.w_avg, psi, cutoff)
            tiles, = decode(net, prepared, encodings, w, [seed], noise_mode=noise_mode, dropout=dropout, progress=step)
            completed = blend(prepared, tiles)
            step(image=completed)
            yield Completion(completed, seed, prepared.warnings)

    return results()


def _place(net: CoModGenerator) -> tuple[torch.device, torch.dtype]:
    return net.w_avg.device, net.w_avg.dtype


def _check_same_model(net: CoModGenerator, prepared: Prepared) -> None:
    check_net(net)
    if net.resolution != prepared.resolution:
        raise CoModError(f"the picture was prepared for a model of {prepared.resolution} pixels, this one has "
                         f"{net.resolution}: prepare it again with this model.")
