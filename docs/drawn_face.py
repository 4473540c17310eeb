"""A face as a person draws it with the mouse: strokes of points (x, y) in fractions of the canvas."""
from __future__ import annotations

import math

from playwright.sync_api import Page


def arc(x: float, y: float, width: float, height: float, start: float = 0, end: float = 360, steps: int = 16) -> list:
    """Points on an ellipse around (x, y); angles in degrees, clockwise from the right."""
    turns = (math.radians(start + (end - start) * step / steps) for step in range(steps + 1))
    return [(x + width * math.cos(turn), y + height * math.sin(turn)) for turn in turns]


LINES = [
    arc(.5, .47, .19, .25, 0, 180), arc(.5, .42, .215, .24, 180, 360), arc(.5, .44, .185, .12, 195, 345),
    arc(.295, .5, .03, .05, 60, 300), arc(.705, .5, .03, .05, 240, 480),
    arc(.425, .49, .025, .028), arc(.575, .49, .025, .028),
    [(.385, .43), (.425, .415), (.46, .43)], [(.54, .43), (.575, .415), (.615, .43)],
    [(.495, .54), (.5, .565), (.51, .555)],
    arc(.5, .62, .06, .035, 10, 170), [(.44, .625), (.56, .625)],
    [(.44, .7), (.44, .78)], [(.56, .7), (.56, .78)], arc(.5, .78, .06, .05, 0, 180),
    [(.1, .99), (.16, .86), (.3, .8), (.44, .78)], [(.9, .99), (.84, .86), (.7, .8), (.56, .78)]]
# Class, width of the brush in pixels of the canvas, strokes, and where the area that they enclose is filled.
PARTS = [
    ("hair", 40, [arc(.5, .42, .22, .25)], (.5, .3)),
    ("clothes", 30, [[(.08, .98), (.14, .88), (.3, .81), (.7, .81), (.86, .88), (.92, .98), (.08, .98)]], (.5, .9)),
    ("skin", 80, [[(.5, .66), (.5, .76)]], None),
    ("skin", 30, [arc(.5, .49, .16, .21)], (.5, .5)),
    ("eyes", 26, [[(.425, .49), (.43, .49)], [(.57, .49), (.575, .49)]], None),
    ("mouth", 20, [arc(.5, .595, .045, .03, 10, 170)], None)]


def stroke(page: Page, points: list) -> None:
    """Draw a stroke on the canvas of the tab that translates."""
    box = page.locator("#sketch canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


def draw_lines(page: Page) -> None:
    """Draw the face with the pen."""
    for points in LINES:
        stroke(page, points)


def paint_parts(page: Page) -> None:
    """Paint the face with the palette."""
    for name, width, strokes, inside in PARTS:
        page.get_by_role("button", name="Brush", exact=True).click()
        page.get_by_role("button", name=name, exact=True).click()
        page.locator("#sketch .size").fill(str(width))
        for points in strokes:
            stroke(page, points)
        if inside:
            page.get_by_role("button", name="Fill", exact=True).click()
            stroke(page, [inside])
