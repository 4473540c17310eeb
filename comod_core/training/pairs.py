"""Pairs of condition and picture to a set for training: two folders, or pictures that hold both halves (pix2pix).

Beside what `prepare` writes, each side of the set gets edges.npy (uint8 [N,S,S,1], 255 = line) or labels.npy (uint8
[N,S,S], 255 = unlabelled), and the set classes.txt where there are labels.
"""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from ..conditions import KINDS, fit_lines, from_drawing
from ..errors import CoModError
from ..files import PICTURE_SUFFIXES, atomic_write
from ..images import Picture, open_picture
from ..labels import LabelClass, fit_labels, from_numbers, from_palette
from .prepare import HEADER, PrepareConfig, Prepared, prepare
from .sources import Item, pictures_of

HALVES = ("left", "right")
CLASSES = "classes.txt"


@dataclasses.dataclass(frozen=True)
class PairConfig:
    """where: a folder with the condition of each picture under the picture's own name, or "left" or "right", the half
    of each picture that is its condition. kind: "edges" or "labels". classes: of label maps; a grey condition holds
    their numbers, any other their colours.
    """

    where: str
    kind: str
    classes: tuple[LabelClass, ...] = ()

    def __post_init__(self):
        if self.kind not in KINDS:
            raise CoModError(f"Pairs: kind {self.kind!r} is not one of {', '.join(KINDS)}.")
        if self.where not in HALVES and not Path(self.where).is_dir():
            raise CoModError(f"Pairs: {self.where} is neither a folder of conditions nor left or right.")
        if self.kind == "labels" and not self.classes:
            raise CoModError("Pairs: label maps need a table of their classes, a name and a colour a line.")


@dataclasses.dataclass(frozen=True)
class Pair:
    """One picture and its condition before they are decoded."""

    name: str
    picture: Callable[[], Picture]
    condition: Callable[[], Picture]


def prepare_pairs(source: str, out: str | Path, pairs: PairConfig, config: PrepareConfig | None = None,
                  workers: int = 2, progress: Callable[[int, Prepared], None] | None = None) -> Prepared:
    """As `prepare`, with the conditions beside the pictures, in the same order and cut alike.

    A picture whose condition is missing, damaged, of another shape or of a wrong palette is skipped and listed with the
    reason. Raises CoModError and OSError as `prepare` does.
    """
    config, out = config or PrepareConfig(), Path(out)
    for side in (out, out / "heldout"):           # arrays of a set before would belong to other pictures
        for name in ("edges.npy", "labels.npy"):
            (side / name).unlink(missing_ok=True)
    done = prepare(source, out, config, workers, progress, _checked(source, pairs, config))
    sides = [side for side in (out, out / "heldout") if (side / "index.jsonl").exists()]
    names = [[json.loads(line)["name"] for line in (side / "index.jsonl").read_text("utf-8").splitlines()]
             for side in sides]
    if pairs.classes:
        with atomic_write(out / CLASSES, "w") as file:
            file.write("\n".join(map(str, pairs.classes)) + "\n")
    for side, wanted in zip(sides, names, strict=True):
        _write(side / f"{pairs.kind}.npy", wanted, source, pairs, config)
    return done


def pairs_of(source: str, where: str) -> Iterator[Pair]:
    """All pairs of a source (see `sources.pictures_of`), in its order. Raises CoModError as that does."""
    found = None if where in HALVES else _by_stem(Path(where))
    for item in pictures_of(source):
        if found is None:
            first = where == "left"
            yield Pair(item.name, lambda item=item, first=first: _half(item, not first),
                       lambda item=item, first=first: _half(item, first))
        else:
            yield Pair(item.name, item.open, lambda item=item: open_picture(_condition_file(found, item, where)))


def _by_stem(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in PICTURE_SUFFIXES}


def _condition_file(found: dict[str, Path], item: Item, where: str) -> Path:
    stem = Path(item.name).with_suffix("").as_posix()
    if stem not in found:
        raise CoModError(f"no condition: {where} holds no {stem}.png or the like.")
    return found[stem]


def _half(item: Item, left: bool) -> Picture:
    whole = item.open()
    width = whole.image.shape[-1]
    if width % 2:
        raise CoModError(f"not two halves: {item.name} is {width} pixels wide, an odd number.")
    part = whole.image[..., :width // 2] if left else whole.image[..., width // 2:]
    return dataclasses.replace(whole, image=part.contiguous())


def _checked(source: str, pairs: PairConfig, config: PrepareConfig) -> Iterator[Item]:
    """The pictures, each of which opens only where its condition can be used."""
    for pair in pairs_of(source, pairs.where):
        def both(pair=pair) -> Picture:
            picture = pair.picture()
            _square(pair, picture.image.shape[-2:], pairs, config)
            return picture

        yield Item(pair.name, both)


def _square(pair: Pair, size: Sequence[int], pairs: PairConfig, config: PrepareConfig) -> np.ndarray:
    """The condition of a picture of that size (H, W), cut and resized as the picture: uint8 [S,S,1] or [S,S]."""
    image = pair.condition().image
    (height, width), (h, w) = size, image.shape[-2:]
    if abs(h * width - w * height) > max(height, width, h, w):
        raise CoModError(f"another shape: the condition is {w}x{h}, the picture {width}x{height}.")
    short = min(h, w)
    top, left = 0 if config.crop == "top" else (h - short) // 2, (w - short) // 2
    image = image[..., top:top + short, left:left + short]
    if pairs.kind == "edges":
        lines = fit_lines(from_drawing(image).lines, config.size)
        return (lines[0].movedim(0, -1) * 255).round().to(torch.uint8).numpy()
    if image.shape[1] == 1:
        labels = from_numbers(image, pairs.classes, pair.name)
    else:
        labels = from_palette(image, pairs.classes, pair.name)
    return fit_labels(labels, config.size)[0].numpy()


def _write(path: Path, names: Iterable[str], source: str, pairs: PairConfig, config: PrepareConfig) -> None:
    names = list(names)
    shape = (len(names), config.size, config.size, *([1] if pairs.kind == "edges" else []))
    wanted = iter(names)
    with atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        assert file.tell() == HEADER
        name = next(wanted, None)
        for pair in pairs_of(source, pairs.where):
            if pair.name == name:
                file.write(_square(pair, pair.picture().image.shape[-2:], pairs, config).tobytes())
                name = next(wanted, None)
        if name is not None:
            raise CoModError(f"{source}: {name} is no longer there; it was while the pictures were read. Start again.")
