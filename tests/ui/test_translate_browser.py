"""The tab that translates in a real browser: a face is drawn with the mouse, and six pictures follow the drawing."""
from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from PIL import Image

from comod_core.checkpoints.store import save_networks
from comod_core.cli import main
from comod_core.conditions import from_drawing, from_photo
from comod_core.images import open_picture
from comod_core.labels import AVATAR_PARTS
from comod_core.networks import CoModConfig, CoModGenerator

PATIENCE = 120_000          # milliseconds
OVAL = [(0.5 + 0.3 * math.cos(step * math.pi / 8), 0.5 + 0.35 * math.sin(step * math.pi / 8)) for step in range(17)]
FACE = (OVAL, [(0.38, 0.45), (0.44, 0.45)], [(0.56, 0.45), (0.62, 0.45)], [(0.4, 0.68), (0.5, 0.72), (0.6, 0.68)])


def untrained(path, channels, **facts):
    torch.manual_seed(0)
    net = CoModGenerator(CoModConfig(16, z_dim=8, w_dim=8, mapping_layers=2, mapping_fmaps=8, fmap_base=64, fmap_max=16,
                                     pix2pix=True, condition_channels=channels)).eval()
    return save_networks(path, {"generator": net}, {"licence": "none", **facts})


@pytest.fixture(scope="module")
def files(app_models):
    """A network for drawings and one for label maps, in the model folder."""
    classes = "\n".join(map(str, AVATAR_PARTS))
    return {"edges": untrained(app_models / "a-edges.safetensors", 1, condition="edges"),
            "labels": untrained(app_models / "a-labels.safetensors", 7, condition="labels", classes=classes)}


@pytest.fixture(scope="module")
def page(browser, app_url, files):
    """The page with the tab open and the network for drawings. `foreign`: what it asked other servers for."""
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.foreign = []
    page.on("request", lambda request: page.foreign.append(request.url) if not request.url.startswith(
        (app_url, app_url.replace("http", "ws"), "data:", "blob:")) else None)
    page.goto(app_url, wait_until="domcontentloaded")
    page.get_by_role("tab", name="Translate").click()
    page.wait_for_selector("#translate-status .progress-text")
    choose(page, "a-edges.safetensors", "a-edges: 16x16")
    yield page
    page.close()


def choose(page, name, said) -> None:
    page.click("#translate-model_name input")
    page.get_by_role("option", name=name).click()
    wait_for_status(page, said)


def wait_for_status(page, pattern) -> re.Match:
    page.wait_for_function(f"() => /{pattern}/.test(document.querySelector('#translate-status')?.innerText)")
    return re.search(pattern, page.inner_text("#translate-status"))


def shown(page) -> list[str]:
    return page.eval_on_selector_all("#translate-gallery button img", "images => images.map(image => image.src)")


def stroke(page, points) -> None:
    """Draw with the mouse; points in fractions of the canvas."""
    box = page.locator("#sketch canvas").bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()


def after(page, action) -> None:
    """Do something and wait for the six pictures that it leads to."""
    before = shown(page)
    action()
    page.wait_for_function(
        """before => { const now = [...document.querySelectorAll('#translate-gallery button img')].map(i => i.src);
                       return now.length === 6 && now.every(one => !before.includes(one)); }""", arg=before)
    wait_for_status(page, "6 pictures in")


def download(page, button, tmp_path):
    with page.expect_download() as event:
        page.click(button)
    path = tmp_path / event.value.suggested_filename
    event.value.save_as(path)
    return path


def pixels(path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))


def test_a_face_drawn_with_the_mouse_gives_six_pictures(page, files, nodes, pack, tmp_path):
    for line in FACE:
        after(page, lambda line=line: stroke(page, line))
    drawing = download(page, "#translate-drawing", tmp_path)
    lines = from_drawing(open_picture(drawing).image).lines[0, 0]
    side = len(lines)
    assert lines.shape == (512, 512) and 0.02 < lines.mean() < 0.2
    for x, y in [point for line in FACE for point in line]:
        assert lines[min(round(y * side), side - 1), min(round(x * side), side - 1)] > 0.5, (x, y)
    assert lines[side // 2, side // 2] == 0
    assert main(["translate", str(drawing), "--model", str(files["edges"]), "--seeds", "0-5", "--out",
                 str(tmp_path / "cli"), "--device", "cpu"]) == 0
    made = sorted((tmp_path / "cli").rglob("*.png"))
    assert len(made) == 6
    layout, host = pack("nodes.layout"), pack("nodes.host").host
    model = host.wrap(pack("comod_core.loading").load_model(files["edges"]))
    image = layout.images_out(pack("comod_core.images").open_picture(drawing).image)
    condition = nodes["CoModEdgeCondition"].execute(model, image)[0]
    by_nodes = nodes["CoModTranslate"].execute(model, condition, 0)[0]
    found = set()
    for seed in range(6):
        page.locator("#translate-gallery button").nth(seed).click()
        page.wait_for_selector(f"#translate-large:has-text('Seed {seed}')")
        mine = pixels(download(page, "#translate-download", tmp_path))
        found.add(mine.tobytes())
        assert np.array_equal(mine, pixels(made[seed])), "the command line's"
        assert np.abs(mine - by_nodes[seed].numpy() * 255).max() <= 0.51, "the node's"
    assert len(found) == 6


def test_undo_takes_the_last_stroke_back_and_clear_everything(page):
    before = pixels_of_canvas(page)
    after(page, lambda: stroke(page, [(0.1, 0.1), (0.9, 0.1)]))
    assert pixels_of_canvas(page) != before
    after(page, lambda: page.click("#sketch .undo"))
    assert pixels_of_canvas(page) == before
    page.click("#sketch .clear")
    page.wait_for_function("() => !document.querySelector('#translate-gallery button img')")
    page.wait_for_selector("#sketch .empty:has-text('Draw a face here')")


def pixels_of_canvas(page) -> str:
    return page.eval_on_selector("#sketch canvas", "canvas => canvas.toDataURL()")


def test_lines_of_an_example_can_be_changed(page, tmp_path):
    after(page, lambda: page.locator("#translate-examples button").first.click())
    page.wait_for_function("() => !document.querySelector('#sketch .empty:not([hidden])')")
    lines = from_drawing(open_picture(download(page, "#translate-drawing", tmp_path)).image).lines
    assert 0.02 < lines.mean() < 0.6
    page.get_by_role("button", name="Eraser", exact=True).click()
    after(page, lambda: stroke(page, [(0.2, 0.5), (0.8, 0.5)]))
    page.get_by_role("button", name="Brush", exact=True).click()


def test_the_built_in_model_gives_six_avatars_that_follow_the_drawing(page, tmp_path):
    """In each picture there is an edge where a line was drawn, and seldom elsewhere; the six differ."""
    page.click("#sketch .clear")
    page.wait_for_function("() => !document.querySelector('#translate-gallery button img')")
    choose(page, "avatars-edges-64", "avatars-edges-64: 64x64")
    for line in FACE:
        after(page, lambda line=line: stroke(page, line))
    drawn = from_drawing(open_picture(download(page, "#translate-drawing", tmp_path)).image).fit(64, 1)[0, 0] < 0
    pictures = []
    for seed in range(6):
        page.locator("#translate-gallery button").nth(seed).click()
        page.wait_for_selector(f"#translate-large:has-text('Seed {seed}')")
        pictures.append(open_picture(download(page, "#translate-download", tmp_path)).image)
    edges = from_photo(torch.cat(pictures), "soft", 64).lines
    near = torch.nn.functional.max_pool2d(edges, 3, 1, 1)[:, 0] > 0.5
    far = torch.nn.functional.max_pool2d(drawn.float()[None, None], 7, 1, 3)[0, 0] == 0
    found, elsewhere = (torch.stack([picture[where].float().mean() for picture in near]) for where in (drawn, far))
    # pale hair on pale ground has no hard edge
    assert found.min() > 0.8 and found.mean() > 0.9 and elsewhere.max() < 0.2, (found, elsewhere)
    distances = [(a - b).abs().mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(distances) > 0.08


def test_parts_are_painted_with_a_palette_and_filled(page, files, tmp_path):
    choose(page, "a-labels.safetensors", "a-labels: 16x16")
    page.wait_for_function("() => document.querySelectorAll('#sketch .palette button').length === 7")
    page.wait_for_selector("#sketch .empty:has-text('Paint the parts')")
    page.get_by_role("button", name="hair", exact=True).click()
    after(page, lambda: stroke(page, OVAL))
    page.get_by_role("button", name="skin", exact=True).click()
    page.get_by_role("button", name="Fill", exact=True).click()
    after(page, lambda: stroke(page, [(0.5, 0.5)]))
    found = pixels(drawing := download(page, "#translate-drawing", tmp_path))
    colours = {name: colour for name, colour in ((one.name, one.colour) for one in AVATAR_PARTS)}
    used = {tuple(colour) for colour in found.reshape(-1, 3)}
    assert used == {colours["background"], colours["skin"], colours["hair"]}, "no colours between classes"
    assert tuple(found[256, 256]) == colours["skin"] and tuple(found[5, 5]) == colours["background"]
    assert main(["translate", str(drawing), "--model", str(files["labels"]), "--seeds", "0", "--out",
                 str(tmp_path / "cli"), "--device", "cpu"]) == 0
    page.locator("#translate-gallery button").first.click()
    page.wait_for_selector("#translate-large:has-text('Seed 0')")
    made, = (tmp_path / "cli").rglob("*.png")
    assert np.array_equal(pixels(download(page, "#translate-download", tmp_path)), pixels(made))


def test_a_wrong_palette_is_an_error_in_words(page, tmp_path):
    Image.new("RGB", (64, 64), (255, 0, 255)).save(tmp_path / "pink.png")
    page.set_input_files("#translate-tools input[type=file]", tmp_path / "pink.png")
    page.get_by_text("belongs to no class").first.wait_for()


def test_narrow_window_has_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
    box = page.locator("#sketch canvas").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 420 and abs(box["width"] - box["height"]) < 1


def test_nothing_was_fetched_from_other_servers(page):
    assert page.foreign == []
