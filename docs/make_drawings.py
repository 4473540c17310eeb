"""Write example_conditions/drawings and example_conditions/label_maps: `python docs/make_drawings.py`.

Strokes as a hand with a mouse makes them: few, unsteady, not quite closed. Coordinates are those of a sheet of 64x64,
in which the avatars' faces lie in the middle.
"""
from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from comod_core.labels import AVATAR_PARTS  # noqa: E402

SIDE, SCALE, WIDTH = 512, 8, 9
COLOURS = {one.name: one.colour for one in AVATAR_PARTS}


def arc(x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360) -> list[tuple[float, float]]:
    """Points of an ellipse around (x, y); angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, 40))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


# name -> strokes; a face, its hair, and what else one would draw
DRAWINGS = {
    "short-hair": [
        arc(32, 31, 11, 15, 10, 170), [(21, 30), (20, 22)], [(43, 30), (44, 22)],                     # jaw and cheeks
        [(20, 26), (19, 17), (23, 11), (31, 8), (40, 10), (45, 16), (44, 26)],                        # hair, outside
        [(21, 24), (24, 18), (33, 17), (42, 18), (43, 24)],                                           # hair line
        arc(27, 31, 2.2, 2, 0, 350), arc(37, 31, 2.2, 2, 0, 350), [(24, 27), (29, 26.5)], [(35, 26.5), (40, 27)],
        [(29, 40), (32, 41.5), (35, 40)],                                                             # mouth
        [(28, 45), (28, 50), (18, 53), (12, 63)], [(36, 45), (36, 50), (46, 53), (52, 63)],           # neck, shoulders
    ],
    "long-hair": [
        arc(32, 32, 11, 14, 15, 165), arc(32, 26, 15, 19, 180, 360),
        [(17, 26), (15, 38), (16, 50), (21, 55)], [(47, 26), (49, 38), (48, 50), (43, 55)],
        [(22, 32), (24, 22), (32, 18), (41, 23), (42, 32)],
        [(25, 32), (27, 33), (29, 32)], [(35, 32), (37, 33), (39, 32)],                               # closed eyes
        arc(32, 40, 3.2, 2.2, 0, 180), [(28.8, 40), (35.2, 40)],
        [(29, 46), (29, 51), (19, 54), (13, 63)], [(35, 46), (35, 51), (45, 54), (51, 63)],
    ],
    "bun": [
        arc(32, 8, 6, 6), arc(32, 32, 11, 15, 5, 175), arc(32, 25, 14, 13, 175, 365),
        [(21, 31), (25, 24), (32, 20), (39, 24), (43, 31)],
        arc(27, 32, 2, 2), arc(37, 32, 2, 2), [(28, 41), (36, 41)],
        [(28, 46), (27, 51), (17, 54), (12, 63)], [(36, 46), (37, 51), (47, 54), (52, 63)],
    ],
    "few-lines": [arc(32, 30, 13, 17), arc(27, 29, 1.5, 1.5), arc(37, 29, 1.5, 1.5), arc(32, 37, 5, 3, 20, 160),
                  [(14, 63), (22, 52), (42, 52), (50, 63)]],
}

# name -> polygons with their parts, from the back to the front
MAPS = {
    "curly": [("hair", arc(32, 24, 17, 17)), ("skin", [(28, 40), (36, 40), (36, 54), (28, 54)]),
              ("clothes", [(10, 64), (16, 55), (28, 51), (36, 51), (48, 55), (54, 64)]), ("skin", arc(32, 31, 11, 14)),
              ("hair", arc(32, 17, 12, 6)), ("eyes", arc(27, 32, 2.5, 2)), ("eyes", arc(37, 32, 2.5, 2)),
              ("eyes", arc(27, 27, 3, 0.7)), ("eyes", arc(37, 27, 3, 0.7)), ("mouth", arc(32, 40, 3, 1.4))],
    "beard": [("skin", [(28, 40), (36, 40), (36, 54), (28, 54)]),
              ("clothes", [(12, 64), (17, 55), (28, 51), (36, 51), (47, 55), (52, 64)]), ("skin", arc(32, 30, 12, 16)),
              ("hair", arc(32, 39, 9, 8)), ("skin", arc(32, 32, 9, 6)),
              ("hair", [(20, 26), (19, 15), (26, 9), (40, 9), (45, 15), (44, 26), (42, 19), (22, 19)]),
              ("eyes", arc(27, 30, 2.2, 2)), ("eyes", arc(37, 30, 2.2, 2)), ("mouth", arc(32, 41, 3, 1.5))],
}


def by_hand(stroke: list[tuple[float, float]], rng: np.random.Generator) -> list[tuple[float, float]]:
    """The stroke as pixels of the sheet, with the slow wandering of a hand."""
    points = np.array(stroke, float)
    steps = np.linspace(0, len(points) - 1, 60)
    smooth = np.stack([np.interp(steps, np.arange(len(points)), points[:, axis]) for axis in (0, 1)], axis=1)
    knots = rng.normal(0, 0.35, (7, 2))
    wander = np.stack([np.interp(steps, np.linspace(0, len(points) - 1, 7), knots[:, axis]) for axis in (0, 1)], axis=1)
    return [tuple(point) for point in (smooth + wander) * SCALE]


def drawing(strokes: list) -> Image.Image:
    rng, sheet = np.random.default_rng(7), Image.new("L", (SIDE, SIDE), 255)
    pen = ImageDraw.Draw(sheet)
    for stroke in strokes:
        pen.line(by_hand(stroke, rng), fill=0, width=WIDTH, joint="curve")
    return sheet


def label_map(polygons: list) -> Image.Image:
    rng, sheet = np.random.default_rng(7), Image.new("RGB", (SIDE, SIDE), COLOURS["background"])
    pen = ImageDraw.Draw(sheet)
    for part, outline in polygons:
        pen.polygon(by_hand([*outline, outline[0]], rng), fill=COLOURS[part])
    return sheet


def main() -> None:
    for folder, pictures in (("drawings", {name: drawing(strokes) for name, strokes in DRAWINGS.items()}),
                             ("label_maps", {name: label_map(polygons) for name, polygons in MAPS.items()})):
        (ROOT / "example_conditions" / folder).mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            picture.save(ROOT / "example_conditions" / folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
