"""The app's edits through style maps: the nodes' pixels, parts blended and moved, pictures of any size."""
import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "stylemap_32_8x8.pt"


@pytest.fixture(scope="module")
def work(pack):
    return pack("ui.styling")


@pytest.fixture(scope="module")
def view(pack):
    return pack("ui.style_view")


@pytest.fixture(scope="module")
def model(pack):
    return pack("nodes.host").host.wrap(pack("comod_core.loading").load_model(GOLDEN))


@pytest.fixture(autouse=True)
def folder_for_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))


@pytest.fixture
def pictures(pack, work, tmp_path):
    """A picture of 40x50 and references of 44x60 and 32x32, noise of 8 bits, as the tab has them."""
    made = []
    for i, size in enumerate(((40, 50), (44, 60), (32, 32))):
        pixels = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(i)) * 2 - 1
        pack("comod_core.images").save_picture(tmp_path / f"{i}.png", pixels)
        made.append(work.opened(pack("ui.sources").open_source(tmp_path / f"{i}.png")))
    return made


def box(opened, top, left, bottom, right):
    mask = torch.zeros(1, 1, *opened.copy.size)
    mask[..., top:bottom, left:right] = 1
    return mask


def image_of(pack, path):
    return pack("comod_core.images").open_picture(path).image


def as_image(pack, edited):
    return pack("nodes.layout").images_in(edited.image)


def test_a_part_at_its_place_is_blended_and_the_rest_stays(pack, work, model, pictures):
    target, _, reference = pictures
    part = work.Part(0, reference, box(reference, 8, 8, 20, 22))
    settings = work.Settings("w+", 0.7, {"feather": 2.0})
    edited = work.edit(work.Encodings(), model, target, [part], settings)
    before = image_of(pack, target.source.path)
    photos, editing = pack("comod_core.photos"), pack("comod_core.editing")
    own, other = (photos.prepare(model.model, image_of(pack, one.source.path), None, options) for one, options in
                  ((target, photos.Options(feather=2.0)), (reference, photos.Options())))
    place = (editing.landing(own, other, part.mask, (0, 0))[2] > 0.5).float()
    wanted = editing.blend(model.model, before, image_of(pack, reference.source.path), place, strength=0.7,
                           options=photos.Options(feather=2.0), reference_options=photos.Options())
    after = as_image(pack, edited)
    assert torch.allclose(after, wanted.image.clamp(-1, 1), atol=1e-5)
    changed = (after - before).abs().amax(dim=1)[0] > 1e-3
    near = torch.nn.functional.max_pool2d(place, 7, 1, 3)[0, 0] > 0
    assert changed.float().mean() > 0.05 and not (changed & ~near).any()
    assert torch.equal(edited.places[0], place[0, 0]) and edited.seconds > 0


def test_a_moved_part_is_transplanted_after_the_others(pack, work, model, pictures):
    target, first, second = pictures
    parts = [work.Part(0, first, box(first, 5, 5, 25, 30), (6, -4)), work.Part(1, second, box(second, 8, 8, 20, 22))]
    encodings, settings = work.Encodings(), work.Settings("w", 1.0)
    both = work.edit(encodings, model, target, parts, settings)
    blended = work.edit(encodings, model, target, parts[1:], settings)
    transplant, decode = pack("nodes.style_edits").StyleMapTransplant, pack("nodes.stylemaps").StyleMapDecode
    style = transplant.execute(model, blended.after, encodings.of(model, first.copy), parts[0].mask[0], 6, -4, 1.0)[0]
    assert torch.equal(both.image, decode.execute(model, style)[0])
    rows, columns = (both.places[0] > 0.5).nonzero().T
    assert columns.float().mean() > (work.edit(encodings, model, target, [work.Part(0, *_of(parts[0]))], settings)
                                     .places[0] > 0.5).nonzero()[:, 1].float().mean() + 4


def _of(part):
    return part.opened, part.mask


def test_without_parts_the_picture_is_shown_as_it_is(work, model, pictures):
    edited = work.edit(work.Encodings(), model, pictures[0], [], work.Settings())
    assert torch.equal(edited.image, edited.before.source) and edited.places == {}
    with pytest.raises(ValueError, match="Nothing is edited yet"):
        work.way(work.Encodings(), model, pictures[0], [], work.Settings(), None, 4)


def test_large_and_deep_pictures_are_edited_live_as_copies_and_saved_in_full(pack, work, model, pictures, tmp_path):
    images = pack("comod_core.images")
    pixels = torch.nn.functional.interpolate(torch.rand(1, 4, 9, 12) * 2 - 1, (900, 1200), mode="bilinear")
    images.save_picture(tmp_path / "deep.png", pixels, bits=16)
    target = work.opened(pack("ui.sources").open_source(tmp_path / "deep.png"))
    assert target.copy.size == (576, 768) and target.zoom == 1200 / 768
    part = work.Part(2, pictures[2], box(pictures[2], 8, 8, 20, 22), (200, 50))
    live = work.edit(work.Encodings(), model, target, [part], work.Settings())
    assert live.image.shape == (1, 576, 768, 4)
    path = work.edited_file(model, target, [part], work.Settings())
    before, after = images.open_picture(tmp_path / "deep.png"), images.open_picture(path)
    assert after.bits == 16 and after.image.shape == (1, 4, 900, 1200)
    changed = (after.image != before.image).any(dim=1, keepdim=True).float()
    assert 0.02 < float(changed.mean()) < 0.6
    shown = (live.places[2][None, None] > 0.5).float()
    in_copy = torch.nn.functional.adaptive_max_pool2d(changed, (576, 768))
    assert float((in_copy * shown).sum() / shown.sum()) > 0.99, "the live outline is where the file is changed"


@pytest.mark.parametrize("kind", ["gif", "webp", "mp4"])
def test_interpolations_play_and_are_saved_there_and_back(work, model, pictures, kind):
    if kind == "mp4":
        pytest.importorskip("av")
    part = work.Part(0, pictures[2], box(pictures[2], 8, 8, 20, 22))
    job = work.way(work.Encodings(), model, pictures[0], [part], work.Settings(), None, 4)
    paths = [work.write_frame(step.picture, f"{i}.png") for i, step in enumerate(job) if step.picture is not None]
    assert len(paths) == 4
    path = work.animation(paths, kind, 12)
    assert path.suffix == f".{kind}" and path.stat().st_size > 500
    if kind != "mp4":
        with Image.open(path) as file:
            assert file.size == (50, 40) and file.n_frames == 6
    with pytest.raises(ValueError, match="press 'Interpolate' first"):
        work.animation([], kind, 12)


def test_the_way_to_another_picture_ends_at_what_the_model_makes_of_it(pack, work, model, pictures):
    job = work.way(work.Encodings(), model, pictures[0], [], work.Settings(), pictures[1], 3)
    frames = [step.picture for step in job if step.picture is not None]
    photos, editing = pack("comod_core.photos"), pack("comod_core.editing")
    own, other = (photos.prepare(model.model, image_of(pack, one.source.path)) for one in pictures[:2])
    with torch.no_grad():
        wanted = photos.blend_back(own, model.model.decode(editing.encode(model.model, other)))
    assert len(frames) == 3 and torch.allclose(frames[-1].clamp(-1, 1), wanted, atol=1e-4)


def test_a_stroke_encodes_nothing_again(pack, work, model, pictures, monkeypatch):
    calls = []
    execute = pack("nodes.stylemaps").StyleMapEncode.execute
    monkeypatch.setattr(work, "StyleMapEncode", type("Counting", (), {
        "execute": staticmethod(lambda *a, **k: (calls.append(1), execute(*a, **k))[1])}))
    encodings = work.Encodings()

    def edit(width, **encode):
        part = work.Part(0, pictures[2], box(pictures[2], 8, 8, 20, width))
        work.edit(encodings, model, pictures[0], [part], work.Settings(encode=encode))

    for width in (14, 18, 22):
        edit(width)
    assert len(calls) == 2
    edit(22, feather=9.0)
    assert len(calls) == 3, "another feather is another preparation"
    for i in range(work.KEPT):
        encodings.of(model, pictures[0].copy, {"feather": float(i)})
    edit(22)
    assert len(calls) == 3 + work.KEPT - 1 + 2, "9 was kept; what was used longest ago is made again"


@pytest.mark.parametrize("mode", ["w", "w+"])
def test_levels_that_are_kept_change_no_bit_and_are_few(work, model, pictures, monkeypatch, mode):
    parts = [work.Part(i, one, box(one, 8, 8, 20, 22), shift)
             for i, (one, shift) in enumerate(zip(pictures[1:], ((0, 0), (4, 2)), strict=True))]
    encodings, settings = work.Encodings(), work.Settings(mode)
    calls, expand = [], work.stylemaps.expand
    monkeypatch.setattr(work.stylemaps, "expand", lambda net, style: (calls.append(isinstance(style, torch.Tensor)),
                                                                      expand(net, style))[1])
    first, again = (work.edit(encodings, model, pictures[0], parts, settings).image for _ in range(2))
    kept = sum(calls)
    work.edit(encodings, model, pictures[0], parts, settings)
    assert sum(calls) - kept == (1 if mode == "w" else 0), "only what blending by cells made is expanded again"
    monkeypatch.setattr(work.Encodings, "expanded", lambda self, model, pictures: pictures)
    assert torch.equal(first, again) and torch.equal(
        first, work.edit(encodings, model, pictures[0], parts, settings).image)
    monkeypatch.undo()
    for i in range(work.EXPANDED + 2):
        encodings.expanded(model, encodings.of(model, pictures[0].copy, {"feather": float(i)}))
    assert len(encodings._levels[model]) == work.EXPANDED
    monkeypatch.setattr(work, "LEVELS", 1)
    encodings.expanded(model, encodings.of(model, pictures[0].copy))
    assert len(encodings._levels[model]) == 1, "large levels do not pile up"


def test_random_references_are_the_sample_nodes(pack, work, model):
    source = work.random_picture(model, 7)
    wanted = pack("nodes.stylemaps").StyleMapSample.execute(model, 7)[0].source
    assert source.name == "random-7"
    assert (image_of(pack, source.path) - pack("nodes.layout").images_in(wanted)).abs().max() <= 1.01 / 255


def test_paint_arrives_as_a_mask(view):
    assert view.painted_mask({"mask": ""}) is None
    assert view.painted_mask({"mask": png(np.zeros((8, 6, 4)))}) is None
    values = np.zeros((8, 6, 4))
    values[2:5, 1:3, 3] = 255
    values[6, :, 3] = 100           # the soft edge of a stroke
    mask = view.painted_mask({"mask": png(values)})
    assert mask.shape == (1, 1, 8, 6) and mask.sum() == 6 and mask[..., 2:5, 1:3].all()


@pytest.mark.parametrize("url, said", [("data:image/png;base64,AAAA", "arrived damaged"), ("nothing", "damaged"),
                                       ("large", "more than 512 a side")])
def test_values_that_no_brush_sends_are_refused(pack, view, url, said):
    url = png(np.zeros((8, 4000, 4))) if url == "large" else url
    with pytest.raises(pack("comod_core.errors").CoModError, match=said):
        view.painted_mask({"mask": url})


def png(values) -> str:
    file = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_a_mask_that_is_shown_comes_back(view, work, pictures):
    mask = box(pictures[1], 5, 7, 25, 30)
    value = view.painter_value(1, pictures[1], mask)
    assert value["size"] == [512, 375] and value["picture"].startswith("gradio_api/file=")
    back = torch.nn.functional.interpolate(view.painted_mask(value), (44, 60), mode="area")
    assert ((back > 0.5).float() != mask).float().mean() < 0.03


def test_outlines_surround_parts_in_the_pictures_own_pixels(view):
    place = torch.zeros(40, 60)
    place[10:21, 30:51] = 1
    numbers = [float(number) for number in re.findall(r"[\d.]+", view.outline(place))]
    x, y = numbers[::2], numbers[1::2]
    assert abs(min(x) - 30) < 0.7 and abs(max(x) - 51) < 0.7 and abs(min(y) - 10) < 0.7 and abs(max(y) - 21) < 0.7
    dot = torch.zeros(64, 64)
    dot[5, 7] = 1
    assert view.outline(dot).startswith("M"), "a single pixel is outlined as well"
    assert view.outline(torch.zeros(64, 64)) == ""


@pytest.fixture
def page(pack, monkeypatch, tmp_path):
    """The tab's components, where there are no model files."""
    import gradio as gr

    monkeypatch.setenv("COMOD_MODELS", str(tmp_path / "models"))
    with gr.Blocks():
        return pack("ui.style_layout").lay_out(pack("ui.models").Models())


def test_controls_are_the_nodes(pack, nodes, page):
    widgets = pack("ui.controls").widgets
    for node, found in (("CoModStyleMapBlend", page.blend), ("CoModStyleMapEncode", page.encode),
                        ("CoModStyleMapInterpolate", page.interpolate),
                        ("CoModStyleMapTransplant", {"shift_x": page.references[0].shift_x})):
        for name, component in found.items():
            socket = widgets(nodes[node])[name]
            assert component.value == socket.default and component.info == socket.tooltip
            if socket.get_io_type() in ("INT", "FLOAT"):
                assert (component.minimum, component.maximum) == (socket.min, socket.max)
    assert len(page.references) == 3 and len({one.painter.value["colour"] for one in page.references}) == 3


@pytest.mark.parametrize("model_name, opened, said", [(None, None, "There is no StyleMapGAN here yet. Put one into"),
                                                      ("any", None, "There is no picture yet")])
def test_what_is_missing_is_said_in_words(pack, page, model_name, opened, said):
    do = pack("ui.style_actions").StyleActions(page, pack("ui.models").Models())
    values = {"model_name": model_name, "opened": opened}
    update, = do.edit(values, None)
    assert update[page.stage]["text"].startswith(said) and not update[page.stage]["picture"]
    with pytest.raises(Exception, match=said):
        list(do.download(values, None))
