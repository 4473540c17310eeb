"""The app in a process of its own and a page of it in headless Chromium: for the pictures of the docs, and for timings.

Needs Chromium on the PATH and the packages of the extra `dev`.
"""
from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu"]
PATIENCE = 180_000      # milliseconds


@contextlib.contextmanager
def app_page(width: int, height: int, *options: str, models: Path | None = None, dark: bool = False) -> Iterator[Page]:
    """A page of the app with its first tab shown. options: of `ui/app.py`; models: the folder of model files."""
    port = _free_port()
    surroundings = {**os.environ, **({"COMOD_MODELS": str(models)} if models else {})}
    app = subprocess.Popen([sys.executable, str(ROOT / "ui" / "app.py"), "--port", str(port), "--no-browser", *options],
                           env=surroundings)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, app)
        with sync_playwright() as driver:
            chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = chromium.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(PATIENCE)
            page.goto(url + ("?__theme=dark" if dark else ""))
            page.wait_for_selector("#editor canvas")
            yield page
            chromium.close()
    finally:
        app.terminate()
        app.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(url: str, app: subprocess.Popen) -> None:
    """Return once the app answers. Raises RuntimeError when it ended."""
    while app.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.5)
    raise RuntimeError("the app did not start")
