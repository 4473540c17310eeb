"""Write the pictures of the app in docs/images: `python docs/make_app_picture.py [TAB ...]`, all of them by default.

Starts the app with the built-in models, uses a tab in headless Chromium and takes a picture of the page.
Needs Chromium on the PATH and the packages of the extra `dev`.
"""
from __future__ import annotations

import argparse
import io
from pathlib import Path

from browse_app import ROOT, app_page
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
    """Take the eyes of one example and the hair of another; move the hair, and let it grow."""
    page.get_by_role("tab", name="Style maps").click()
    page.wait_for_function("() => document.querySelectorAll('#style-stage .part').length === 2")
    before = page.evaluate(f"() => {STAGE_PICTURE}")
    page.focus("#style-stage .part[data-index='1']")
    page.keyboard.press("ArrowUp")
    page.wait_for_function(f"before => {STAGE_PICTURE} !== before", arg=before)
    page.click("#style-interpolation > button")
    page.click("#style-start")
    page.wait_for_function("() => document.querySelector('#style-player .position').max === '15'")
    page.locator("#style-player .position").fill("15")


# Tab -> what is done in it, height of the page in pixels, file.
PICTURES = {"complete": (complete, 1040, "app.jpg"), "style-maps": (edit_style_maps, 1480, "app-style-maps.jpg")}


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
