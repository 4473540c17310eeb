"""The app in a process of its own with small networks that have learnt nothing, and a browser to use it."""
from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch

from comod_core.checkpoints import convert
from comod_core.checkpoints.store import save_networks
from comod_core.networks.comodgan import CoModConfig, CoModGenerator

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
pytest.importorskip("gradio", reason="the app's tests need Gradio: pip install 'comod-gan[ui]'")

ROOT = Path(__file__).resolve().parent.parent.parent
STYLE_MODEL = ROOT / "tests" / "data" / "stylemap_32_8x8.pt"
START_SECONDS = 240             # a busy machine takes long to import torch and Gradio
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory) -> Path:
    """A 64x64 network that has learnt nothing."""
    torch.manual_seed(0)
    net = CoModGenerator(CoModConfig(resolution=64, fmap_base=512, fmap_max=32)).eval()
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    return save_networks(path, {"generator": net}, {"name": "untrained", "licence": "none", "origin": "random weights"})


@pytest.fixture(scope="session")
def app_models(tmp_path_factory) -> Path:
    """The running app's model folder, for tests to put files into: tabs look when they are opened."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def app_url(model_file, app_models, tmp_path_factory):
    """Address of the running app. The app ends with the session."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("app")
    convert(STYLE_MODEL, app_models / "style.safetensors")
    log = open(folder / "app.log", "w+", encoding="utf-8")
    surroundings = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "files"), "COMOD_MODELS": str(app_models),
                    "OMP_NUM_THREADS": "1"}
    app = subprocess.Popen([sys.executable, str(ROOT / "ui" / "app.py"), "--port", str(port), "--no-browser", "--model",
                            str(model_file)], cwd=folder, env=surroundings, stdout=log, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, app, log)
        yield url
    finally:
        app.terminate()
        app.wait(30)
        log.close()


def wait_for(url: str, app: subprocess.Popen, log) -> None:
    """Return once the app answers. Fails with what it printed when it ended or takes too long."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and app.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    log.seek(0)
    pytest.fail(f"the app did not start:\n{log.read()}")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "chrome")]
    path = next((path for path in found if path), None)
    if path is None:
        pytest.skip("browser tests need Chromium on the PATH (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()
