"""The tab for instances in a real browser: neighbours, a gallery, the best of many, a way, and what is missing."""
from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comod_core.checkpoints.store import save_networks
from comod_core.images import open_picture
from comod_core.instances import generation
from comod_core.instances.extractors import encode, load_extractor
from comod_core.instances.indexing import index_pictures
from comod_core.loading import load_model
from comod_core.networks import StyleGAN2Config, StyleGAN2Generator

PATIENCE = 120_000         # milliseconds
DATA = Path(__file__).resolve().parents[1] / "data"
PICTURES = 4


def untrained(path, **config):
    torch.manual_seed(0)
    net = StyleGAN2Generator(StyleGAN2Config(16, (12, 10, 8), 8, 12, mapping_layers=2, **config)).eval()
    return save_networks(path, {"generator": net}, {"features": "lite0-colours", "licence": "none"})


@pytest.fixture(scope="module")
def files(app_models):
    """Two networks in the model folder, one with instances and one with classes; no stored instances yet."""
    return {"instance": untrained(app_models / "a-instance.safetensors", feature_size=1472),
            "classes": untrained(app_models / "b-classes.safetensors", label_size=5)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(PICTURES):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"photo{i}.png")
    return folder


@pytest.fixture(scope="module")
def page(browser, app_url, files):
    """The page with the tab open. `foreign`: what it asked other servers for."""
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.foreign = []
    page.on("request", lambda request: page.foreign.append(request.url) if not request.url.startswith(
        (app_url, app_url.replace("http", "ws"), "data:", "blob:")) else None)
    page.goto(app_url, wait_until="domcontentloaded")
    page.get_by_role("tab", name="Instances").click()
    wait_for_status(page, "avatars-instance-64: 64x64, takes an instance of lite0-colours")
    choose(page, "model_name", "a-instance.safetensors")
    wait_for_status(page, "a-instance: 16x16, takes an instance of lite0-colours")
    yield page
    page.close()


def wait_for_status(page, pattern) -> re.Match:
    page.wait_for_function(f"() => /{pattern}/.test(document.querySelector('#instance-status')?.innerText)")
    return re.search(pattern, page.inner_text("#instance-status"))


def wait_for_pictures(page, gallery, count) -> None:
    page.wait_for_function(f"() => document.querySelectorAll('#{gallery} button img').length === {count}")


def number(page, name, value) -> None:
    page.fill(f"#instance-{name} input[type=number]", str(value))
    page.press(f"#instance-{name} input[type=number]", "Tab")


def choose(page, control, name) -> None:
    page.click(f"#instance-{control} input")
    page.get_by_role("option", name=name).click()


def download(page, button, tmp_path):
    with page.expect_download() as event:
        page.click(button)
    path = tmp_path / event.value.suggested_filename
    event.value.save_as(path)
    return path


def differs(path, image) -> float:
    return float((open_picture(path).image - image).abs().max() * 255 / 2)


def test_it_begins_with_an_example_and_its_neighbours_among_the_built_in_instances(page):
    page.wait_for_selector("#instance-picture:has-text('Instance: avatar')")
    assert page.input_value("#instance-instances input") == "avatars-instance-64"
    wait_for_pictures(page, "instance-stored", 12)


def test_a_photo_gives_a_gallery_in_its_look(page, files, photos, tmp_path):
    page.set_input_files("#instance-open input[type=file], #instance-tools input[type=file]", photos / "photo2.png")
    page.wait_for_selector("#instance-picture:has-text('Instance: photo2')")
    number(page, "count", 3)
    page.fill("#instance-seed input, #instance-seed textarea", "7")
    page.click("#instance-generate")
    wait_for_status(page, "3 pictures in")
    wait_for_pictures(page, "instance-gallery", 3)
    page.locator("#instance-gallery button").nth(1).click()
    page.wait_for_selector("#instance-large:has-text('Seed 8')")
    feature = encode(load_extractor("lite0-colours"), open_picture(photos / "photo2.png").image)[0]
    wanted = next(generation.generate(load_model(files["instance"]), 8, feature))
    assert differs(download(page, "#instance-download", tmp_path), wanted.image) <= 0.51


def test_neighbours_are_shown_and_a_click_takes_one(page, app_models, photos):
    pictures = [(path.stem, path) for path in sorted(photos.iterdir())]
    index_pictures(app_models / "instances" / "four.safetensors", pictures, load_extractor("lite0-colours"))
    shutil.copytree(photos, app_models / "instances" / "four")
    page.get_by_role("tab", name="Complete").click()
    page.get_by_role("tab", name="Instances").click()
    page.wait_for_function("() => document.querySelector('#instance-stored')?.offsetParent")
    wait_for_status(page, "a-instance: 16x16")
    choose(page, "instances", "four.safetensors")
    wait_for_pictures(page, "instance-stored", PICTURES)
    captions = page.locator("#instance-stored button").all_inner_texts()
    assert "1.00 photo2" in captions[0]
    name = captions[1].split()[1]
    page.locator("#instance-stored button").nth(1).click()
    page.wait_for_selector(f"#instance-picture:has-text('Stored instance {name[-1]}: {name}')")
    page.wait_for_function("name => document.querySelector('#instance-stored button').innerText.includes(name)",
                           arg=f"1.00 {name}")


def test_best_of_many_keeps_the_nearest(page):
    page.get_by_text("Best of many").first.click()
    page.wait_for_selector("#instance-draw")
    number(page, "draws", 6)
    number(page, "keep", 2)
    page.click("#instance-draw")
    wait_for_status(page, "2 pictures in")
    captions = page.locator("#instance-gallery button").all_inner_texts()
    distances = [float(re.search("distance ([0-9.]+)", caption)[1]) for caption in captions]
    assert len(distances) == 2 and distances == sorted(distances)


def test_the_way_to_a_target_with_a_slider(page, tmp_path):
    page.get_by_text("Interpolate").first.click()
    page.wait_for_selector("#instance-go")
    page.click("#instance-as-target")
    page.wait_for_selector("#instance-target img")
    page.locator("#instance-stored button").nth(2).click()
    page.wait_for_selector("#instance-picture:has-text('Stored instance')")
    number(page, "frames", 5)
    page.click("#instance-go")
    wait_for_status(page, "5 pictures in")
    page.wait_for_selector("#instance-position input[type=range]")
    page.fill("#instance-position input[type=number]", "4")
    page.press("#instance-position input[type=number]", "Enter")
    page.wait_for_selector("#instance-large:has-text('4 of 5')")
    with Image.open(download(page, "#instance-film", tmp_path)) as film:
        assert film.n_frames == 8 and film.size == (16, 16)


def test_classes_on_a_slider(page, files, tmp_path):
    assert not page.is_visible("#instance-label")
    choose(page, "model_name", "b-classes.safetensors")
    wait_for_status(page, "takes no instance and 5 classes")
    page.wait_for_selector("#instance-label input[type=range][max='4']")
    page.fill("#instance-seed input, #instance-seed textarea", "7")
    number(page, "label", 3)
    number(page, "count", 1)
    page.click("#instance-generate")
    wait_for_status(page, "1 picture in")
    wanted = next(generation.generate(load_model(files["classes"]), 7, None, 3))
    page.wait_for_selector("#instance-large:has-text('Seed 7')")
    assert differs(download(page, "#instance-download", tmp_path), wanted.image) <= 0.51


def test_missing_weights_of_the_extractor_are_an_error_in_words(page):
    choose(page, "model_name", "a-instance.safetensors")
    wait_for_status(page, "a-instance: 16x16")
    page.locator("#instance-examples button").first.click()
    page.wait_for_selector("#instance-picture:has-text('Instance: avatar')")
    page.get_by_text("More settings").last.click()
    page.wait_for_selector("#instance-extractor")
    page.locator("#instance-extractor label", has_text="swav").click()
    page.wait_for_selector("#instance-note:has-text('CoMod does not download them')")
    page.click("#instance-generate")
    page.get_by_text("are not on this machine").last.wait_for()
    page.wait_for_function("() => !document.querySelector('#instance-generate').disabled")


def test_narrow_window_has_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
    boxes = [page.locator(part).bounding_box() for part in ("#instance-picture", "#instance-generate")]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 420 for box in boxes)


def test_nothing_was_fetched_from_other_servers(page):
    assert page.foreign == []
