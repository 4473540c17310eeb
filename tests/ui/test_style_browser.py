"""The tab for style maps in a real browser: paint on a reference, drag the part, change the strength, play, save."""
from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

PATIENCE = 180_000          # milliseconds; a busy machine draws the page slowly
STAGE, PICTURE = "#style-stage", "document.querySelector('#style-stage [data-shown]')?.dataset.shown"


@pytest.fixture(scope="module")
def page(browser, app_url):
    """The page with the tab open: the examples are there, and the first edit is made."""
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.foreign = []
    page.on("request", lambda request: page.foreign.append(request.url) if not request.url.startswith(
        (app_url, app_url.replace("http", "ws"), "data:", "blob:")) else None)
    page.goto(app_url, wait_until="domcontentloaded")
    page.get_by_role("tab", name="Style maps").click()
    page.wait_for_selector("#style-painter-2 [data-shown]")
    page.wait_for_function(f"() => {PICTURE} && document.querySelectorAll('{STAGE} .part').length === 2")
    yield page
    page.close()


@pytest.fixture(scope="module")
def example(pack):
    """Pixels of the first example."""
    pictures = pack("nodes.pictures")
    return pixels(pictures.EXAMPLES / f"{pictures.example_names()[0]}.png")


def pixels(path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))


class another_picture:
    """Wait at the end of the block until the stage shows another picture than at its begin."""

    def __init__(self, page):
        self.page = page

    def __enter__(self):
        self.before = self.page.evaluate(f"() => {PICTURE}")

    def __exit__(self, *problem):
        if problem[0] is None:
            self.page.wait_for_function(f"before => {PICTURE} && {PICTURE} !== before", arg=self.before)


def caption(page) -> str:
    return page.inner_text(f"{STAGE} .caption")


def stroke(page, number, *points) -> None:
    """Paint on a reference; points in fractions of its width and height."""
    canvas = page.locator(f"#style-painter-{number} canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()


def download(page, button, tmp_path):
    with page.expect_download() as event:
        page.click(button)
    path = tmp_path / event.value.suggested_filename
    event.value.save_as(path)
    return path


def type_number(page, field, text) -> None:
    """Type until it stays: a section that was just opened puts its first values into its fields once more."""
    for _ in range(20):
        page.fill(field, text)
        page.press(field, "Tab")
        page.wait_for_timeout(500)
        if page.input_value(field) == text:
            return
    raise AssertionError(f"{field} does not keep {text}")


def changed(page, tmp_path, example) -> np.ndarray:
    """Where the downloaded edit differs from the picture, [H,W]."""
    return (pixels(download(page, "#style-download", tmp_path)) != example).any(axis=2)


def test_a_stroke_on_a_reference_edits_the_picture_there(page, tmp_path, example):
    before = changed(page, tmp_path, example)
    with another_picture(page):
        stroke(page, 1, (0.1, 0.6), (0.3, 0.6))
    assert re.fullmatch(r"2 parts in [\d.]+ s, [\d.]+ s from release to picture", caption(page))
    assert 0 < float(page.get_attribute(f"{STAGE} [data-latency]", "data-latency")) < PATIENCE / 1000
    new = changed(page, tmp_path, example) & ~before
    rows, columns = new.nonzero()
    assert new.mean() > 0.02 and abs(rows.mean() / 64 - 0.6) < 0.1 and abs(columns.mean() / 64 - 0.2) < 0.1


def test_a_drag_moves_the_part(page, tmp_path, example):
    before = changed(page, tmp_path, example)
    part = page.locator(f"{STAGE} .part[data-index='1']")
    part.scroll_into_view_if_needed()
    box, frame = part.bounding_box(), page.locator(f"{STAGE} .frame").bounding_box()
    x, y = box["x"] + 0.6 * box["width"], box["y"] + 0.3 * box["height"]
    with another_picture(page):
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 0.1 * frame["width"], y - 0.2 * frame["height"], steps=4)
        page.wait_for_selector(f"{STAGE} .part.dragged[transform]")
        page.mouse.move(x + 0.2 * frame["width"], y - 0.4 * frame["height"], steps=4)
        page.mouse.up()
    shift = [float(page.input_value(f"#style-shift-{axis}-2 input")) for axis in "xy"]
    assert abs(shift[0] - 0.2 * 64) <= 1 and abs(shift[1] + 0.4 * 64) <= 1
    now = page.locator(f"{STAGE} .part[data-index='1']").bounding_box()
    cell = frame["width"] / 32      # the model of this test sees 32 pixels, and moves parts by whole ones
    assert abs(now["x"] - box["x"] - 0.2 * frame["width"]) < 2 * cell
    assert abs(now["y"] - box["y"] + 0.4 * frame["height"]) < 2 * cell
    assert "from release to picture" in caption(page)
    after = changed(page, tmp_path, example)
    assert (after & ~before).mean() > 0.02 and (before & ~after).mean() > 0.02


def test_arrow_keys_move_a_part_and_a_double_click_puts_it_back(page):
    with another_picture(page):
        page.focus(f"{STAGE} .part[data-index='0']")
        page.keyboard.press("ArrowRight")
    page.wait_for_function("() => Number(document.querySelector('#style-shift-x-1 input').value) === 1")
    with another_picture(page):
        page.locator(f"{STAGE} .part[data-index='1'] .halo").dispatch_event("dblclick", {"bubbles": True})
    page.wait_for_function("() => Number(document.querySelector('#style-shift-x-2 input').value) === 0")


def test_the_strength_slider_is_live(page):
    with another_picture(page):
        page.focus("#style-strength input[type=range]")
        page.keyboard.press("ArrowLeft")
    assert 0.9 <= float(page.input_value("#style-strength input[type=number]")) < 1


def test_pressing_beside_the_parts_shows_the_original(page):
    page.locator(f"{STAGE} .frame").scroll_into_view_if_needed()
    frame = page.locator(f"{STAGE} .frame").bounding_box()
    page.mouse.move(frame["x"] + 4, frame["y"] + frame["height"] - 4)
    page.mouse.down()
    page.wait_for_selector(f"{STAGE} .comparing .original")
    page.mouse.up()
    page.wait_for_selector(f"{STAGE} .comparing", state="detached")


def test_undo_and_clear_take_paint_away(page, tmp_path, example):
    with another_picture(page):
        page.click("#style-painter-1 .undo")
    for number in (1, 2):
        with another_picture(page):
            page.click(f"#style-painter-{number} .clear")
    assert caption(page).startswith("Paint over a part of a reference")
    assert not changed(page, tmp_path, example).any()


def test_a_third_reference_of_another_size(page, tmp_path, example):
    noise = np.random.default_rng(0).integers(0, 256, (30, 90, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "wide.png")
    page.set_input_files(".drop-zone:has(#style-painter-3) input[type=file]", tmp_path / "wide.png")
    page.wait_for_selector("#style-painter-3 [data-shown]")
    with another_picture(page):
        stroke(page, 3, (0.3, 0.3), (0.7, 0.7))
    assert caption(page).startswith("1 part in")
    assert changed(page, tmp_path, example).any()


def test_interpolation_plays_and_is_saved(page, tmp_path):
    page.click("#style-interpolation > button")
    type_number(page, "#style-frames input[type=number]", "5")
    page.click("#style-start")
    page.wait_for_function("() => document.querySelector('#style-player .position').max === '4'")
    frame = "document.querySelector('#style-player [data-frame]').dataset.frame"
    page.wait_for_function(f"seen => {frame} !== seen", arg=page.evaluate(f"() => {frame}"))
    page.click("#style-player .play")
    page.wait_for_selector("#style-player .play[aria-pressed=false]")
    page.locator("#style-player .position").fill("0")
    page.wait_for_selector("#style-player [data-frame='0']")
    for kind in ("gif", "webp"):
        page.get_by_label(kind.upper(), exact=True).check()
        with Image.open(download(page, "#style-save", tmp_path)) as file:
            assert (file.format, file.n_frames, file.size) == (kind.upper(), 8, (64, 64))
    pytest.importorskip("av")
    page.get_by_label("MP4", exact=True).check()
    assert download(page, "#style-save", tmp_path).read_bytes()[4:8] == b"ftyp"


def test_long_work_shows_how_far_it_is_and_can_be_stopped(page):
    page.click("#style-more > button")
    before = page.evaluate(f"() => {PICTURE}")
    page.fill("#style-refine input", "1000")
    page.wait_for_selector("#style-status .progress-track")
    page.click("#style-stop")
    page.wait_for_function("() => document.querySelector('#style-status').innerText.trim() === 'Stopped'")
    assert page.evaluate(f"() => {PICTURE}") == before and not page.is_visible("#style-stop")
    with another_picture(page):
        page.fill("#style-refine input", "0")
    page.wait_for_function("() => document.querySelector('#style-status').innerText.trim() === ''")


def test_an_error_is_said_in_words(page, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files(".drop-zone:has(#style-stage) input[type=file]", tmp_path / "text.png")
    page.get_by_text("not a picture").first.wait_for()


def test_narrow_window_has_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
    boxes = [page.locator(part).bounding_box() for part in (STAGE, "#style-painter-1", "#style-strength")]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 420 for box in boxes)
    assert boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"]


def test_nothing_was_fetched_from_other_servers(page):
    assert page.foreign == []
