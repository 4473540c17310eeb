"""The page in a real browser: paint a hole with the mouse, complete it, go on with a result, stop, read an error."""
from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

PATIENCE = 120_000          # milliseconds; a busy machine draws the page slowly
STROKE = ((0.35, 0.55), (0.6, 0.55), (0.6, 0.7), (0.35, 0.7))      # in fractions of the picture's width and height
PADDING = 30                # pixels that the editor leaves around its canvas


@pytest.fixture(scope="module")
def page(browser, app_url, pack):
    """The page with its first example in the editor. `foreign`: what it asked other servers for."""
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    page.set_default_timeout(PATIENCE)
    page.foreign = []
    page.on("request", lambda request: page.foreign.append(request.url) if not request.url.startswith(
        (app_url, app_url.replace("http", "ws"), "data:", "blob:")) else None)
    with page.expect_response(lambda response: response.url.endswith("image.png") and response.ok):
        page.goto(app_url)
    page.wait_for_selector("#editor canvas")
    yield page
    page.close()


@pytest.fixture(scope="module")
def example(pack):
    """Pixels of the first example."""
    pictures = pack("nodes.pictures")
    with Image.open(pictures.EXAMPLES / f"{pictures.example_names()[0]}.png") as picture:
        return np.array(picture.convert("RGB"))


def settle(page) -> None:
    """Wait until the editor has shown what it was sent: its server calls and two frames are over."""
    page.wait_for_function("() => !document.querySelector('#editor .generating, #editor .wrap.full:not(.hide)')")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_timeout(700)


def place(page, pack, size, point):
    """Page coordinates of a point of the picture, given in fractions of its (height, width) `size`."""
    sources = pack("ui.sources")
    top, left, height, width = sources.Source(None, "", size).frame
    canvas = page.locator("#editor canvas").first.bounding_box()
    scale = min((canvas[side] - 2 * PADDING) / pixels
                for side, pixels in zip(("height", "width"), sources.CANVAS, strict=True))
    x, y = left + point[0] * width - sources.CANVAS[1] / 2, top + point[1] * height - sources.CANVAS[0] / 2
    return canvas["x"] + canvas["width"] / 2 + x * scale, canvas["y"] + canvas["height"] / 2 + y * scale


def paint(page, pack, size, stroke) -> None:
    """Draw a stroke with the mouse."""
    points = [place(page, pack, size, point) for point in stroke]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()
    settle(page)


def complete(page, count) -> None:
    page.fill("#control-count input[type=number]", str(count))
    page.press("#control-count input[type=number]", "Tab")
    page.click("#start")


def wait_for_status(page, pattern) -> re.Match:
    page.wait_for_function(f"() => /{pattern}/.test(document.querySelector('#status').innerText)")
    return re.search(pattern, page.inner_text("#status"))


def download(page, tmp_path) -> np.ndarray:
    """Pixels of the file that the download button gives."""
    with page.expect_download() as event:
        page.click("#download")
    path = tmp_path / event.value.suggested_filename
    event.value.save_as(path)
    with Image.open(path) as picture:
        return np.array(picture)


def test_painted_hole_is_completed_and_nothing_else_changes(page, pack, example, tmp_path):
    page.click("#clear-hole")
    settle(page)
    paint(page, pack, example.shape[:2], STROKE)
    complete(page, 2)
    wait_for_status(page, "2 pictures in")
    assert page.locator("#completions button img").count() == 2
    page.wait_for_function("() => document.querySelectorAll('#comparison img').length >= 2")
    result = download(page, tmp_path)
    height, width = example.shape[:2]
    changed = (result != example).any(axis=2)
    (x0, y0), (x1, y1) = np.min(STROKE, axis=0), np.max(STROKE, axis=0)
    reach = pack("ui.layout").BRUSH_RADIUS * height / pack("ui.sources").CANVAS[0] + 3      # the feather is 2 pixels
    rows, columns = (slice(max(0, int(low * side - reach)), int(np.ceil(high * side + reach)) + 1)
                     for low, high, side in ((y0, y1, height), (x0, x1, width)))
    assert changed[round(y0 * height), round(x0 * width):round(x1 * width)].all()
    outside = changed.copy()
    outside[rows, columns] = False
    assert not outside.any()
    assert 0.02 < changed.mean() < 0.5


def test_chosen_completion_goes_on_as_the_picture(page, pack, tmp_path, example):
    page.locator("#completions button").nth(1).click()
    page.wait_for_function("() => !document.querySelector('#go-on').disabled")
    settle(page)
    chosen = download(page, tmp_path)
    page.click("#go-on")
    page.wait_for_function("() => !document.querySelector('#back').disabled")
    settle(page)
    paint(page, pack, example.shape[:2], ((0.85, 0.95), (0.95, 0.95)))
    complete(page, 1)
    wait_for_status(page, "1 picture in")
    result = download(page, tmp_path)
    lower_right = np.s_[round(0.8 * len(example)):, round(0.7 * len(example)):]
    assert (result[lower_right] != chosen[lower_right]).any()
    result[lower_right] = chosen[lower_right]
    assert np.array_equal(result, chosen) and not np.array_equal(result, example)


def test_stop_keeps_what_is_done(page, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)       # takes long to write
    Image.fromarray(noise).save(tmp_path / "large.png", compress_level=1)
    page.set_input_files("#tools input[type=file] >> nth=0", tmp_path / "large.png")
    settle(page)
    page.click("#random-hole")
    settle(page)
    complete(page, 64)
    page.click("#stop")
    made = int(wait_for_status(page, "Stopped: (\\d+) of 64 pictures")[1])
    assert 0 <= made < 64
    page.wait_for_function(f"() => document.querySelectorAll('#completions button img').length === {made}")
    page.wait_for_function("() => !document.querySelector('#start').disabled")


def test_dropped_picture_is_opened(page, tmp_path):
    with page.expect_response(lambda response: "page_open_picture" in response.url or "/upload" in response.url):
        page.evaluate("""async () => {
            const canvas = new OffscreenCanvas(90, 30);
            canvas.getContext('2d').fillRect(0, 0, 90, 30);
            const transfer = new DataTransfer();
            transfer.items.add(new File([await canvas.convertToBlob()], 'dropped.png', { type: 'image/png' }));
            document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true }));
        }""")
    settle(page)
    page.click("#random-hole")
    settle(page)
    complete(page, 1)
    wait_for_status(page, "1 picture in")
    assert download(page, tmp_path).shape[:2] == (30, 90)


def test_missing_hole_is_an_error_in_words(page):
    page.click("#clear-hole")
    settle(page)
    page.click("#start")
    page.get_by_text("There is no hole to complete yet").first.wait_for()
    page.wait_for_function("() => !document.querySelector('#start').disabled")


def test_narrow_window_has_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_timeout(500)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    boxes = [page.locator(part).bounding_box() for part in ("#editor", "#start", "#completions")]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 420 for box in boxes)
    assert boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"]


def test_nothing_was_fetched_from_other_servers(page):
    assert page.foreign == []
