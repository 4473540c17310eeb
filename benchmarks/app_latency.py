"""Seconds from the release of the brush to the edited picture in the app's tab for style maps, in a real browser.

    python benchmarks/app_latency.py [--strokes 12]

Headless Chromium paints strokes on a reference and drags a part, in turn, each once the picture of the one before is
there. The page takes the time itself, from the release of the mouse to the frame in which the new picture is drawn, and
shows it below the picture; "computing" is the part of it that the nodes need. The networks of published size have
random weights: their time does not depend on the values. The median, the shortest and the longest are written to
benchmarks/app_latency.json and benchmarks/app_latency.md.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from browse_app import app_page  # noqa: E402

from comod_core.checkpoints.store import save_networks  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.models.table import MODELS  # noqa: E402
from comod_core.networks import StyleMapConfig, StyleMapGAN  # noqa: E402

WIDTH, HEIGHT = 1280, 1040
PUBLISHED = {"256, map 8x8, as published": StyleMapConfig()}
STAGE = "document.querySelector('#style-stage [data-shown]')?.dataset"


def networks() -> list[str]:
    """The built-in StyleMapGANs by name, and those of published size."""
    return [entry.name for entry in MODELS if entry.built_in and entry.architecture == "stylemapgan"] + list(PUBLISHED)


def model_file(name: str, folder: Path) -> str:
    """What `ui/app.py --model` takes for a network."""
    if name not in PUBLISHED:
        return name
    torch.manual_seed(0)
    net = StyleMapGAN(PUBLISHED[name]).eval()
    facts = {"name": name, "licence": "none", "origin": "random weights"}
    return str(save_networks(folder / "random.safetensors", {"generator": net}, facts))


def measure(name: str, strokes: int) -> dict[str, list[float]]:
    """Seconds of each stroke and each drag, as the page measured and showed them, and of the nodes among them."""
    with tempfile.TemporaryDirectory() as folder:
        model = model_file(name, Path(folder))
        with app_page(WIDTH, HEIGHT, "--model", model, models=Path(folder)) as page:
            page.get_by_role("tab", name="Style maps").click()
            page.wait_for_function("() => document.querySelectorAll('#style-stage .part').length === 2")
            page.wait_for_timeout(3000)
            found = {"stroke (s)": [], "drag (s)": [], "computing (s)": []}
            for i in range(strokes):
                for kind, act in (("stroke (s)", _stroke), ("drag (s)", _drag)):
                    before = page.evaluate(f"() => {STAGE}.shown")
                    act(page, i)
                    page.wait_for_function(f"before => {STAGE}.shown !== before", arg=before)
                    found[kind].append(float(page.evaluate(f"() => {STAGE}.latency")))
                    text = page.inner_text("#style-stage .caption")
                    found["computing (s)"].append(float(re.search(r"in ([\d.]+) s", text)[1]))
    return {kind: values[1:] for kind, values in found.items()}     # the first stroke warms up


def _stroke(page, i: int) -> None:
    box = page.locator("#style-painter-1 canvas").bounding_box()
    y = box["y"] + box["height"] * (0.15 + 0.07 * (i % 11))
    page.mouse.move(box["x"] + 0.4 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], y, steps=4)
    page.mouse.up()


def _drag(page, i: int) -> None:
    box = page.locator("#style-stage .part[data-index='1']").bounding_box()
    x, y = box["x"] + 0.6 * box["width"], box["y"] + 0.3 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + (60 if i % 2 else -60), y + (30 if i % 2 else -30), steps=4)
    page.mouse.up()


def table(rows: dict[str, dict[str, list[float]]], machine: str) -> str:
    """The measured rows as Markdown: median (shortest to longest)."""
    columns = list(next(iter(rows.values())))
    lines = [f"From the release of the mouse to the new picture, median (shortest to longest); {machine}.", "",
             "| network | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = [f"{statistics.median(row[c]):.2f} ({min(row[c]):.2f} to {max(row[c]):.2f})" for c in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", type=int, default=12)
    parser.add_argument("--networks", nargs="*", default=networks(), help="of the default ones, or names of models")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = {}
    for name in options.networks:
        rows[name] = measure(name, options.strokes)
        print(name, rows[name], flush=True)
    machine = (f"{os.cpu_count()} cores, {platform.machine()} {platform.system()}, torch {torch.__version__}, headless "
               f"Chromium on the same cores, load of the machine before: {load:.1f}")
    record = json.dumps({"machine": machine, "rows": rows}, indent=1)
    for suffix, text in ((".json", record), (".md", table(rows, machine))):
        with atomic_write(Path(__file__).with_suffix(suffix), "w") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
