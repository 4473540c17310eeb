"""Label maps: classes with names and colours, palette pictures and numbered ones, one-hot maps for networks.

A label map is uint8 [N,H,W]; 255 is "unlabelled", which a network sees as no class at all.
"""
from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import CoModError

UNLABELLED = 255
TOLERANCE = 48.0        # how far a colour may be from its class (Euclidean, of 255): antialiasing, JPEG
STRAY = 0.02            # share of the pixels that may be further away than that
_LINE = re.compile(r"\s*(?P<name>[^#,;=]+?)\s*[,;:= ]\s*(?P<colour>#[0-9a-fA-F]{6})\s*")


@dataclasses.dataclass(frozen=True)
class LabelClass:
    """One class: its name, and its colour (r, g, b) of 0 to 255 in palette pictures."""

    name: str
    colour: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.name} {hexadecimal(self.colour)}"


AVATAR_PARTS: tuple[LabelClass, ...] = (
    LabelClass("background", (214, 219, 223)), LabelClass("skin", (243, 190, 150)), LabelClass("hair", (110, 70, 40)),
    LabelClass("eyes", (40, 90, 220)), LabelClass("mouth", (220, 40, 70)), LabelClass("clothes", (40, 160, 90)),
    LabelClass("other", (250, 200, 40)))
"""The parts of datasets/avatars, in the order of its label maps."""


def hexadecimal(colour: Sequence[int]) -> str:
    """(r, g, b) as #rrggbb."""
    return "#" + "".join(f"{int(value):02x}" for value in colour)


def parse_table(text: str | Iterable[str], place: str = "class table") -> tuple[LabelClass, ...]:
    """Classes from text, one a line: `skin #f3be96`, also with a comma, or `0,skin,#f3be96` with its number before.

    Empty lines and those that begin with // are passed over. Raises CoModError naming the line that is no class, and
    for names or colours that occur twice.
    """
    classes: list[LabelClass] = []
    lines = text.splitlines() if isinstance(text, str) else list(text)
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("//"):
            continue
        found = _LINE.fullmatch(re.sub(rf"^\s*{len(classes)}\s*[,;:]\s*", "", line))
        if found is None:
            raise CoModError(f"{place}, line {number}: '{line.strip()}' is no class. Write a name and a colour, such "
                             "as 'skin #f3be96'; classes are numbered from 0 as they stand.")
        colour = tuple(int(found["colour"][i:i + 2], 16) for i in (1, 3, 5))
        classes.append(LabelClass(found["name"].strip(), colour))
    return check_table(classes, place)


def check_table(classes: Sequence[LabelClass], place: str = "class table") -> tuple[LabelClass, ...]:
    """The classes as a tuple. Raises CoModError where there are none, more than 255, or two that are alike."""
    if not 0 < len(classes) <= UNLABELLED:
        raise CoModError(f"{place}: {len(classes)} classes; give 1 to {UNLABELLED}.")
    for field in ("name", "colour"):
        seen: dict = {}
        for one in classes:
            other = seen.setdefault(getattr(one, field), one)
            if other is not one:
                raise CoModError(f"{place}: the classes '{other}' and '{one}' have the same {field}.")
    return tuple(classes)


def read_table(path: str | Path) -> tuple[LabelClass, ...]:
    """Classes from a text file as `parse_table` takes it or a JSON list of [name, "#rrggbb"]. Raises CoModError."""
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CoModError(f"{path}: the class table cannot be read ({error}).") from error
    if path.suffix.lower() != ".json":
        return parse_table(text, str(path))
    try:
        rows = [f"{name} {colour}" for name, colour in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise CoModError(f'{path}: a class table in JSON is a list of ["name", "#rrggbb"] ({error}).') from error
    return parse_table(rows, str(path))


def from_palette(image: Tensor, classes: Sequence[LabelClass], place: str = "the label picture") -> Tensor:
    """A picture in the classes' colours [N,C,H,W] in [-1,1] to a label map uint8 [N,H,W].

    A pixel gets the class whose colour is nearest; transparent ones (a fourth channel below 0) are unlabelled. Raises
    CoModError when more than STRAY of the pixels are further than TOLERANCE from every class, naming the colour and the
    class that is nearest to it.
    """
    if image.ndim != 4 or image.shape[1] not in (1, 3, 4):
        raise CoModError(f"{place} has shape {list(image.shape)}: give [N,C,H,W] with 1, 3 or 4 channels.")
    values = ((image[:, :3].expand(-1, 3, -1, -1).float() + 1) * 127.5).round().clamp(0, 255).to("cpu")
    clear = image[:, 3].cpu() < 0 if image.shape[1] == 4 else torch.zeros(values[:, 0].shape, dtype=torch.bool)
    colours = torch.tensor([one.colour for one in classes], dtype=torch.float32)
    best, labels = torch.full(values[:, 0].shape, torch.inf), torch.zeros(values[:, 0].shape, dtype=torch.uint8)
    for number, colour in enumerate(colours):           # one class at a time: maps are large, classes may be 183
        distance = (values - colour.view(1, 3, 1, 1)).square().sum(dim=1)
        labels[distance < best] = number
        best = torch.minimum(best, distance)
    stray = (best > TOLERANCE ** 2) & ~clear
    if stray.float().mean() > STRAY:
        raise CoModError(f"{place}: {_stranger(values, stray, classes)}")
    labels[clear] = UNLABELLED
    return labels


def _stranger(values: Tensor, stray: Tensor, classes: Sequence[LabelClass]) -> str:
    """Which colour no class has: the commonest one, with the place where it is first."""
    where = stray.nonzero()
    pixels = values.movedim(1, -1)[stray].to(torch.int64)
    codes, counts = (pixels[:, 0] * 65536 + pixels[:, 1] * 256 + pixels[:, 2]).unique(return_counts=True)
    code = int(codes[counts.argmax()])
    colour = (code >> 16, code >> 8 & 255, code & 255)
    first = where[(pixels == torch.tensor(colour)).all(dim=1)][0]
    near = min(classes, key=lambda one: sum((a - b) ** 2 for a, b in zip(one.colour, colour, strict=True)))
    return (f"the colour {hexadecimal(colour)} ({int(counts.max())} pixels, the first at column {int(first[2])}, row "
            f"{int(first[1])}) belongs to no class; the nearest is {near}. Paint in these colours: "
            f"{', '.join(map(str, classes))}; or give the table that the picture was painted with.")


def from_numbers(image: Tensor, classes: Sequence[LabelClass], place: str = "the label picture") -> Tensor:
    """A grey picture [N,1,H,W] in [-1,1] whose 8-bit values are class numbers to a label map uint8 [N,H,W].

    255 is unlabelled. Raises CoModError naming a number that is no class.
    """
    values = ((image[:, 0].float() + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8)
    return check_labels(values, classes, place)


def check_labels(labels: Tensor, classes: Sequence[LabelClass], place: str = "the label map") -> Tensor:
    """A label map as it is. Raises CoModError for other types and for numbers beyond the classes."""
    if labels.ndim != 3 or labels.dtype != torch.uint8:
        raise CoModError(f"{place} is {labels.dtype} {list(labels.shape)}: give uint8 [N,H,W].")
    wrong = (labels >= len(classes)) & (labels != UNLABELLED)
    if bool(wrong.any()):
        number, (_, row, column) = int(labels[wrong][0]), wrong.nonzero()[0].tolist()
        raise CoModError(f"{place}: label {number} at column {column}, row {row} is none of the {len(classes)} classes "
                         f"(0 {classes[0].name} to {len(classes) - 1} {classes[-1].name}; {UNLABELLED} is unlabelled).")
    return labels


def fit_labels(labels: Tensor, resolution: int) -> Tensor:
    """A label map [N,H,W] to [N,R,R]: a square around the whole, unlabelled where it goes beyond; the commonest label
    of each cell when it shrinks, the nearest one when it grows."""
    side = max(labels.shape[-2:])
    top, left = (side - labels.shape[-2]) // 2, (side - labels.shape[-1]) // 2
    square = F.pad(labels, (left, side - labels.shape[-1] - left, top, side - labels.shape[-2] - top), value=UNLABELLED)
    if side == resolution:
        return square
    if side < resolution:
        at = (torch.arange(resolution) * side).div(resolution, rounding_mode="floor")
        return square[:, at][:, :, at]
    present = square.unique()
    shares = torch.stack([F.interpolate((square == one)[:, None].float(), size=(resolution, resolution), mode="area")
                          for one in present], dim=0)
    return present[shares.argmax(dim=0)[:, 0]]


def one_hot(labels: Tensor, count: int) -> Tensor:
    """A label map [N,H,W] to float32 [N,count,H,W]; unlabelled pixels are zero in all channels."""
    return (labels[:, None].long() == torch.arange(count, device=labels.device).view(1, -1, 1, 1)).float()


def paint(labels: Tensor, classes: Sequence[LabelClass]) -> Tensor:
    """A label map [N,H,W] in its classes' colours, float32 [N,3,H,W] in [-1,1]; unlabelled is black."""
    colours = torch.zeros(256, 3)
    colours[:len(classes)] = torch.tensor([one.colour for one in classes], dtype=torch.float32)
    return colours[labels.long().cpu()].movedim(-1, 1) / 127.5 - 1


def outlines(labels: np.ndarray) -> np.ndarray:
    """Where the label changes: uint8 [...,H,W], 255 on the pixels right of and below a change."""
    lines = np.zeros(labels.shape, np.uint8)
    lines[..., :, 1:] |= labels[..., :, 1:] != labels[..., :, :-1]
    lines[..., 1:, :] |= labels[..., 1:, :] != labels[..., :-1, :]
    return lines * np.uint8(255)
