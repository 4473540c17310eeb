"""Write docs/images/app.jpg: `python docs/make_app_picture.py [--example N] [--seed N]`.

Starts the app with the built-in model, completes an example in headless Chromium and takes the picture of the page.
Needs Chromium on the PATH and the packages of the extra `dev`.
"""
from __future__ import annotations

import argparse
import io
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "app.jpg"
WIDTH, HEIGHT = 1280, 990
COUNT = 4
PATIENCE = 120_000      # milliseconds


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, app: subprocess.Popen) -> None:
    """Return once the app answers. Raises RuntimeError when it ended."""
    while app.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.5)
    raise RuntimeError("the app did not start")


def use(page: Page, url: str, example: int, seed: int) -> None:
    """Complete the example; choose the second completion."""
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_selector("#editor canvas")
    page.wait_for_timeout(3000)
    page.locator("#examples button img").nth(example).click()
    page.wait_for_timeout(3000)
    page.fill("#control-seed input", str(seed))
    page.fill("#control-count input[type=number]", str(COUNT))
    page.press("#control-count input[type=number]", "Tab")
    page.click("#start")
    page.wait_for_function(f"() => /{COUNT} pictures in/.test(document.querySelector('#status').innerText)")
    page.locator("#completions button").nth(1).click()
    page.mouse.move(WIDTH - 5, HEIGHT - 5)
    page.wait_for_timeout(3000)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--example", type=int, default=2, help="number of the example, from 0")
    arguments.add_argument("--seed", type=int, default=0, help="first seed")
    options = arguments.parse_args()
    port = free_port()
    app = subprocess.Popen([sys.executable, str(ROOT / "ui" / "app.py"), "--port", str(port), "--no-browser"])
    try:
        wait_for(f"http://127.0.0.1:{port}", app)
        with sync_playwright() as driver:
            chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            use(page, f"http://127.0.0.1:{port}", options.example, options.seed)
            Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(PICTURE, quality=88, optimize=True)
            chromium.close()
    finally:
        app.terminate()
        app.wait()


if __name__ == "__main__":
    main()
