"""Write the pictures of the app in docs/images: `python docs/make_app_picture.py [TAB ...]`, all of them by default.

Starts the app with the built-in models, uses a tab in headless Chromium and takes a picture of the page.
Needs Chromium on the PATH and the packages of the extra `dev`.
"""
from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

from browse_app import ROOT, app_page
from drawn_face import draw_lines, paint_parts
from PIL import Image
from playwright.sync_api import Page

IMAGES = ROOT / "docs" / "images"
WIDTH = 1280
EXAMPLE, SEED, COUNT = 2, 0, 4
STAGE_PICTURE = "document.querySelector('#style-stage [data-shown]')?.dataset.shown"


def complete(page: Page) -> None:
    """Complete an example; choose the second completion."""
    page.wait_for_timeout(3000)
    page.locator("#examples button img").nth(EXAMPLE).click()
    page.wait_for_timeout(3000)
    page.fill("#control-seed input", str(SEED))
    page.fill("#control-count input[type=number]", str(COUNT))
    page.press("#control-count input[type=number]", "Tab")
    page.click("#start")
    page.wait_for_function(f"() => /{COUNT} pictures in/.test(document.querySelector('#status').innerText)")
    page.locator("#completions button").nth(1).click()


def edit_style_maps(page: Page) -> None:
    """Move the hair that is taken from the first reference, and let it grow."""
    page.get_by_role("tab", name="Style maps").click()
    page.wait_for_function("() => document.querySelectorAll('#style-stage .part').length === 2")
    page.wait_for_timeout(3000)
    before, box = page.evaluate(f"() => {STAGE_PICTURE}"), page.locator("#style-stage .part").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.7
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 8, steps=4)
    page.mouse.up()
    page.wait_for_function(f"before => {STAGE_PICTURE} !== before", arg=before)
    page.click("#style-interpolation > button")
    page.click("#style-start")
    page.wait_for_function("() => document.querySelector('#style-player .position').max === '15'")
    page.locator("#style-player .position").fill("15")


def generate_from_instances(page: Page) -> None:
    """Generate in the look of the first example; look at the second picture."""
    page.get_by_role("tab", name="Instances").click()
    page.wait_for_selector("#instance-picture img")
    page.wait_for_function("() => document.querySelectorAll('#instance-stored button img').length >= 1")
    page.click("#instance-generate")
    page.wait_for_function("() => /pictures? in/.test(document.querySelector('#instance-status').innerText)")
    page.locator("#instance-gallery button").nth(1).click()


def translate(page: Page, model: str, draw: Callable[[Page], None]) -> None:
    """Draw with the mouse for a model; look at the second of the six pictures that follow."""
    page.get_by_role("tab", name="Translate").click()
    page.wait_for_selector("#translate-status .progress-text")
    page.click("#translate-model_name input")
    page.get_by_role("option", name=model).click()
    page.wait_for_function("name => document.querySelector('#translate-status').innerText.includes(name)", arg=model)
    draw(page)
    page.wait_for_timeout(3000)
    page.wait_for_function("() => /6 pictures in/.test(document.querySelector('#translate-status').innerText)")
    page.locator("#translate-gallery button").nth(1).click()


# Tab -> what is done in it, height of the page in pixels, file.
PICTURES = {"complete": (complete, 1040, "app.jpg"), "style-maps": (edit_style_maps, 1480, "app-style-maps.jpg"),
            "instances": (generate_from_instances, 1110, "app-instances.jpg"),
            "drawing": (partial(translate, model="avatars-edges-64", draw=draw_lines), 1170, "app-drawing.jpg"),
            "labels": (partial(translate, model="avatars-labels-64", draw=paint_parts), 1170, "app-labels.jpg")}


def take(name: str, dark: bool = False, models: Path | None = None) -> None:
    """Use a tab and write its picture."""
    use, height, file = PICTURES[name]
    with app_page(WIDTH, height, models=models, dark=dark) as page:
        use(page)
        page.evaluate("() => document.activeElement?.blur()")
        page.mouse.move(WIDTH - 5, height - 5)
        page.wait_for_timeout(3000)
        Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(IMAGES / file, quality=88, optimize=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("tabs", nargs="*", metavar="TAB", help=f"of {', '.join(PICTURES)}; all by default")
    arguments.add_argument("--dark", action="store_true", help="the dark theme")
    arguments.add_argument("--models", type=Path, help="folder of model files (default: as the app's)")
    options = arguments.parse_args()
    if unknown := set(options.tabs) - set(PICTURES):
        arguments.error(f"no such tab: {', '.join(unknown)}")
    for name in options.tabs or PICTURES:
        take(name, options.dark, options.models)


if __name__ == "__main__":
    main()
