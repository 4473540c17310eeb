"""Edits through style maps as the app runs them: the nodes, with what they encoded kept between strokes of a brush."""
from __future__ import annotations

import dataclasses
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..comod_core import stylemaps
from ..comod_core.animations import check_animation, save_animation
from ..comod_core.editing import landing
from ..comod_core.errors import CoModError
from ..comod_core.images import open_picture, save_picture
from ..nodes.layout import images_in, images_out, masks_out
from ..nodes.sockets import StyledPictures
from ..nodes.style_edits import StyleMapBlend, StyleMapTransplant
from ..nodes.stylemaps import (
    StyleMapDecode,
    StyleMapEncode,
    StyleMapInterpolate,
    StyleMapSample,
    on_device,
    style_network,
)
from .edits import new_file
from .jobs import Job
from .sources import HOLE, Source, open_source, read

COPY_SIDE = 768             # pixels: larger pictures are edited live as a copy of this size
KEPT = 12                   # encoded copies: of a few people at a time
EXPANDED = 4                # of them as levels too: a picture and its three references
LEVELS = 2 ** 30            # bytes of levels: those of one picture have 123 MB at 256
NOTHING = "Nothing is edited yet: paint over a part of a reference first."


@dataclasses.dataclass(frozen=True)
class Opened:
    """A picture of the tab: its file, and a copy of 8 bits and at most COPY_SIDE pixels a side, edited live."""

    source: Source
    copy: Source

    @property
    def zoom(self) -> float:
        """How many times as large as the copy the picture is."""
        return self.source.size[1] / self.copy.size[1]


@dataclasses.dataclass(frozen=True)
class Part:
    """What is taken from a reference: where `mask` [1,1,h,w] (any size) is above 0.5; moved by `shift` (x, y), in the
    edited picture's pixels. index: which reference it is, from 0."""

    index: int
    opened: Opened
    mask: Tensor
    shift: tuple[int, int] = (0, 0)


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to edit: inputs of the Blend node, and `encode`, those of the Encode node."""

    mode: str = "w+"
    strength: float = 1.0
    encode: dict[str, Any] = dataclasses.field(default_factory=dict)

    def reduced(self, zoom: float) -> Settings:
        """The same for a copy, whose feather is as many times smaller."""
        feather = self.encode.get("feather", -1)
        return self if feather < 0 else dataclasses.replace(self, encode={**self.encode, "feather": feather / zoom})


@dataclasses.dataclass(frozen=True)
class Edited:
    """An edited IMAGE [1,H,W,C], the style maps before and after, where each part is ([H,W], by index), its seconds."""

    image: Tensor
    before: StyledPictures
    after: StyledPictures
    places: dict[int, Tensor]
    seconds: float


class Encodings:
    """Style maps of the pictures that were encoded last, KEPT of each model, by file and settings; levels of some."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: weakref.WeakKeyDictionary[Any, OrderedDict[tuple, StyledPictures]] = weakref.WeakKeyDictionary()
        self._levels: weakref.WeakKeyDictionary[Any, OrderedDict[int, tuple]] = weakref.WeakKeyDictionary()

    def of(self, model: Any, source: Source, settings: dict[str, Any] | None = None) -> StyledPictures:
        """What the Encode node makes of the source's picture. Raises CoModError as the node does."""
        settings = settings or {}
        key = source.path, tuple(sorted(settings.items()))
        with self._lock:
            kept = self._kept.setdefault(model, OrderedDict())
            if key not in kept:
                kept[key] = StyleMapEncode.execute(model, images_out(read(source.path).image), **settings)[0]
            kept.move_to_end(key)
            while len(kept) > KEPT:
                kept.popitem(last=False)
            return kept[key]

    def expanded(self, model: Any, pictures: StyledPictures) -> StyledPictures:
        """The same with levels for style maps, so that not every stroke makes them anew.

        On a GPU, where making them is quicker than moving them, it is `pictures` itself.
        """
        network = style_network(model)
        if network.w_avg.device.type != "cpu":
            return pictures
        with self._lock:
            kept = self._levels.setdefault(model, OrderedDict())
            if id(pictures) not in kept:        # the pictures are kept as well, so that their id stays theirs
                levels = stylemaps.expand(network, on_device(network, pictures.style))
                kept[id(pictures)] = pictures, dataclasses.replace(pictures, style=levels)
            kept.move_to_end(id(pictures))
            while len(kept) > EXPANDED or (len(kept) > 1 and sum(map(_bytes, kept.values())) > LEVELS):
                kept.popitem(last=False)
            return kept[id(pictures)][1]


def _bytes(kept: tuple[StyledPictures, StyledPictures]) -> int:
    return sum(level.nbytes for level in kept[1].style)


def opened(source: Source) -> Opened:
    """A source with its copy. Raises CoModError when it cannot be read."""
    picture = read(source.path)
    image, scale = picture.image, COPY_SIDE / max(source.size)
    if scale < 1:
        size = [max(1, round(side * scale)) for side in source.size]
        image = F.interpolate(image, size, mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
    path = new_file(f"{source.name}.png")
    save_picture(path, image, picture, bits=8)
    return Opened(source, open_source(path, source.name))


def random_picture(model: Any, seed: int) -> Source:
    """What the Sample node draws for a seed."""
    path = new_file(f"random-{seed}.png")
    save_picture(path, images_in(StyleMapSample.execute(model, seed)[0].source))
    return open_source(path)


def edit(encodings: Encodings, model: Any, target: Opened, parts: Sequence[Part], settings: Settings,
         full: bool = False) -> Edited:
    """The picture with all parts in it: those that stay at their place are blended, then the others transplanted.

    Edits the copy, or the picture itself where `full`. Raises CoModError as the nodes do.
    """
    start = time.monotonic()
    settings = settings if full else settings.reduced(target.zoom)
    before = after = encodings.of(model, _chosen(target, full), settings.encode)
    parts = sorted(parts, key=lambda part: any(part.shift))
    if parts and not _cells_blended(parts[0], settings):
        after = encodings.expanded(model, before)
    places = {}
    for part in parts:
        taken = encodings.of(model, _chosen(part.opened, full))
        if not _cells_blended(part, settings):
            taken = encodings.expanded(model, taken)
        shift = [round(side / (1 if full else target.zoom)) for side in part.shift]
        place = (landing(before.photo, taken.photo, part.mask, shift)[2] > HOLE).float()
        if any(part.shift):
            after = StyleMapTransplant.execute(model, after, taken, masks_out(part.mask), *shift, settings.strength)[0]
        else:
            after = StyleMapBlend.execute(model, after, taken, masks_out(place), settings.mode, settings.strength)[0]
        places[part.index] = place[0, 0]
    image = StyleMapDecode.execute(model, after)[0] if parts else before.source
    return Edited(image, before, after, places, time.monotonic() - start)


def _cells_blended(part: Part, settings: Settings) -> bool:
    """Whether the part is blended by cells of the style maps themselves, not by their levels."""
    return settings.mode == "w" and not any(part.shift)


def _chosen(opened: Opened, full: bool) -> Source:
    return opened.source if full else opened.copy


def edited_file(model: Any, target: Opened, parts: Sequence[Part], settings: Settings) -> Path:
    """The edit of the picture itself, as a PNG of its depth and colour profile. Raises CoModError."""
    image = edit(Encodings(), model, target, parts, settings, full=True).image
    path = new_file(f"{target.source.name}-edited.png")
    save_picture(path, images_in(image), read(target.source.path))
    return path


def way(encodings: Encodings, model: Any, target: Opened, parts: Sequence[Part], settings: Settings, end: Opened | None,
        frames: int) -> Job:
    """A job whose steps bring the pictures on the way from the picture to its edit, or to another picture `end`.

    Raises CoModError when there is no edit and no other picture; the job raises what the nodes do.
    """
    if end is None and not parts:
        raise CoModError(NOTHING)

    def work() -> None:
        if end is None:
            edited = edit(encodings, model, target, parts, settings)
            before, after = edited.before, edited.after
        else:
            before = encodings.of(model, target.copy, settings.reduced(target.zoom).encode)
            after = encodings.of(model, end.copy)
        StyleMapInterpolate.execute(model, before, after, frames)

    return Job(work)


def animation(frames: Sequence[Path], kind: str, fps: float) -> Path:
    """Frames, there and back, as a file of that kind: gif, webp or mp4. Raises CoModError."""
    if not frames:
        raise CoModError("There are no pictures to save yet: press 'Interpolate' first.")
    path = new_file(f"interpolation.{kind}")
    pictures = [open_picture(frame).image for frame in frames]
    check_animation(path, tuple(pictures[0].shape[-2:]), 2 * len(pictures), fps)
    save_animation(path, pictures, fps, back=True)
    return path


def write_frame(picture: Tensor, name: str) -> Path:
    """A picture [1,C,H,W] in [-1,1] as a PNG of 8 bits."""
    path = new_file(name)
    save_picture(path, torch.as_tensor(picture))
    return path
