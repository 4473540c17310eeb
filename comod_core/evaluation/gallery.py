"""The pictures of a report: best, median and worst of each hole bin, completed once more from their seeds."""
from __future__ import annotations

import dataclasses
import io

import numpy as np
import torch
from PIL import Image

from .measure import completions
from .pictures import resized
from .protocol import Protocol

LARGEST = 160   # pixels of a tile's side in the report
GREY = 206


@dataclasses.dataclass(frozen=True)
class Case:
    """One example: facts as in the result's `examples`; tiles uint8 [R,R,3]: picture, hole, completions."""

    facts: dict
    tiles: list[np.ndarray]


def cases(completer, pictures, examples: list[dict], protocol: Protocol) -> list[Case]:
    """The examples of a result with their pictures; two completions where two seeds differ."""
    found = []
    for facts in examples:
        image = resized(pictures.load(facts["at"]), completer.size)
        mask, made = completions(completer, image, facts["picture"], tuple(facts["holes"]), protocol,
                                 2 if completer.varies else 1)
        holed = torch.where(mask[0] > 0, torch.tensor(GREY, dtype=torch.uint8), image)
        found.append(Case(facts, [x.permute(1, 2, 0).numpy() for x in (image, holed, *made[0])]))
    return found


def file_of(tile: np.ndarray) -> tuple[str, bytes]:
    """(media type, content) of a tile: PNG as it is up to 128 pixels, else a JPEG of at most LARGEST pixels."""
    picture, file = Image.fromarray(tile), io.BytesIO()
    if max(picture.size) <= 128:
        picture.save(file, "PNG", optimize=True)
        return "image/png", file.getvalue()
    picture.thumbnail((2 * LARGEST, 2 * LARGEST), Image.Resampling.LANCZOS)
    picture.save(file, "JPEG", quality=88)
    return "image/jpeg", file.getvalue()


def panel(rows: list[Case], gap: int = 3) -> np.ndarray:
    """Cases below each other, their tiles beside each other on white: uint8 [H,W,3]; small tiles enlarged plainly."""
    columns, size = len(rows[0].tiles), len(rows[0].tiles[0])
    tile = size * max(1, LARGEST // size) if size < LARGEST else LARGEST
    canvas = np.full((len(rows) * (tile + gap) - gap, columns * (tile + gap) - gap, 3), 255, np.uint8)
    for i, case in enumerate(rows):
        for j, values in enumerate(case.tiles):
            way = Image.Resampling.NEAREST if len(values) < tile else Image.Resampling.LANCZOS
            top, left = i * (tile + gap), j * (tile + gap)
            canvas[top:top + tile, left:left + tile] = np.asarray(Image.fromarray(values).resize((tile, tile), way))
    return canvas
