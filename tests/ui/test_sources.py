"""Picture and hole on their way to the editor and back."""
import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(scope="module")
def sources(pack):
    return pack("ui.sources")


@pytest.fixture(scope="module")
def edits(pack):
    return pack("ui.edits")


@pytest.fixture(autouse=True)
def folder_for_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))


def picture_file(path, height, width, **options):
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(values).save(path, **options)
    return path


def hole(height, width, rows, columns):
    mask = torch.zeros(1, 1, height, width)
    mask[..., slice(*rows), slice(*columns)] = 1
    return mask


SIZES = [(64, 64), (3, 200), (767, 1024), (900, 700), (1600, 1200)]


@pytest.mark.parametrize("size", SIZES)
def test_hole_that_nobody_touched_comes_back_bit_for_bit(sources, tmp_path, size):
    source = sources.open_source(picture_file(tmp_path / "a.png", *size))
    soft = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(1))
    source = source.with_hole(soft)
    assert torch.equal(sources.painted_hole(source, sources.editor_value(source)), soft)


@pytest.mark.parametrize("size", SIZES)
def test_copy_fills_the_canvas_in_one_direction_and_keeps_the_aspect(sources, tmp_path, size):
    source = sources.open_source(picture_file(tmp_path / "a.png", *size))
    top, left, height, width = source.frame
    assert height == sources.CANVAS[0] or width == sources.CANVAS[1]
    assert abs(height * size[1] / (width * size[0]) - 1) < 0.05
    value = sources.editor_value(source)
    assert value["background"].size == value["layers"][0].size == sources.CANVAS[::-1]
    assert not np.asarray(value["layers"][0])[..., 3].any()


@pytest.mark.parametrize("size", [(64, 64), (900, 700), (1600, 1200)])
def test_stroke_covers_the_same_part_of_the_picture(sources, tmp_path, size):
    source = sources.open_source(picture_file(tmp_path / "a.png", *size))
    top, left, height, width = source.frame
    layer = np.zeros((*sources.CANVAS, 4), np.uint8)
    layer[top + height // 4:top + height // 2, left:left + width // 2, 3] = 153
    found = sources.painted_hole(source, {"layers": [Image.fromarray(layer)]})
    wanted = hole(*size, (size[0] // 4, size[0] // 2), (0, size[1] // 2))
    assert float((found != wanted).float().mean()) < 0.01
    assert set(found.unique().tolist()) == {0, 1}


def test_paint_on_the_margin_is_no_hole(sources, tmp_path):
    source = sources.open_source(picture_file(tmp_path / "a.png", 64, 64))
    layer = np.zeros((*sources.CANVAS, 4), np.uint8)
    layer[:, :source.frame[1], 3] = 255
    assert not sources.painted_hole(source, {"layers": [Image.fromarray(layer)]}).any()


def test_eraser_and_brush_change_a_given_hole_where_they_were_alone(sources, tmp_path):
    source = sources.open_source(picture_file(tmp_path / "a.png", 64, 64))
    source = source.with_hole(0.7 * hole(64, 64, (0, 32), (0, 64)))
    value = sources.editor_value(source)
    layer = np.array(value["layers"][0])
    top, left, height, width = source.frame
    assert layer[top + 1, left + 1, 3] == 153
    layer[:, left:left + width // 2] = 0                                                   # erased: left half
    layer[top + 3 * height // 4:top + height, left:left + width // 2, 3] = 153             # painted: lower left
    found = sources.painted_hole(source, {**value, "layers": [Image.fromarray(layer)]})
    wanted = 0.7 * hole(64, 64, (0, 32), (32, 64)) + hole(64, 64, (48, 64), (0, 32))
    assert torch.equal(found, wanted)


def test_exif_rotation_is_applied(sources, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    source = sources.open_source(picture_file(tmp_path / "a.jpg", 40, 80, exif=exif))
    assert source.size == (80, 40)
    assert source.frame[2] > source.frame[3]


def test_large_picture_becomes_a_small_copy(sources, tmp_path):
    source = sources.open_source(picture_file(tmp_path / "a.png", 3000, 4000, compress_level=1))
    assert source.size == (3000, 4000) and source.frame == (0, 0, 768, 1024)
    assert sources.editor_value(source)["background"].size == (1024, 768)


@pytest.mark.parametrize("content, said", [
    (b"no picture", "not a picture"), (b"\x89PNG\r\n\x1a\n" + b"0" * 50, "a.png")])
def test_errors_name_the_file_but_not_the_server_s_folders(sources, pack, tmp_path, content, said):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(pack("comod_core.errors").CoModError, match=said) as error:
        sources.open_source(path)
    assert str(tmp_path) not in str(error.value) and "a.png" in str(error.value)


def test_extending_keeps_every_pixel_and_the_painted_hole(sources, edits, pack, tmp_path):
    source = sources.open_source(picture_file(tmp_path / "a.png", 30, 50))
    painted = hole(30, 50, (10, 12), (20, 25))
    wide = edits.extended(source, painted, {"left": 3, "top": 0, "right": 7, "bottom": 5})
    assert wide.size == (35, 60) and wide.previous is source
    before, after = np.array(Image.open(source.path)), np.array(Image.open(wide.path))
    assert np.array_equal(after[:30, 3:53], before)
    wanted = torch.ones(1, 1, 35, 60)
    wanted[..., :30, 3:53] = painted
    assert torch.equal(wide.hole, wanted)


def test_sixteen_bits_survive_extending(sources, edits, pack, tmp_path):
    images = pack("comod_core.images")
    deep = torch.linspace(-1, 1, 3 * 20 * 30).reshape(1, 3, 20, 30)
    images.save_picture(tmp_path / "deep.png", deep, bits=16)
    source = sources.open_source(tmp_path / "deep.png")
    wide = edits.extended(source, torch.zeros(1, 1, 20, 30), {"left": 0, "top": 4, "right": 0, "bottom": 0})
    result = images.open_picture(wide.path)
    assert result.bits == 16
    assert torch.equal(result.image[..., 4:, :], images.open_picture(tmp_path / "deep.png").image)


def test_mask_file_of_another_size_fits(sources, edits, tmp_path):
    source = sources.open_source(picture_file(tmp_path / "a.png", 60, 40))
    Image.fromarray(np.repeat(np.repeat(np.array([[255, 0]], np.uint8), 30, 0), 10, 1)).save(tmp_path / "m.png")
    masked = edits.with_mask_file(source, str(tmp_path / "m.png"))
    assert torch.equal(masked.hole, hole(60, 40, (0, 60), (0, 20)))


def test_random_hole_keeps_its_limits(sources, edits, tmp_path):
    source = sources.open_source(picture_file(tmp_path / "a.png", 64, 96))
    first, second = (edits.with_random_hole(source, 0.3, 0.5).hole for _ in range(2))
    assert 0.3 <= float(first.mean()) <= 0.5 and first.shape == (1, 1, 64, 96)
    assert not torch.equal(first, second)


def test_examples_have_holes(edits, sources):
    source = edits.first_example()
    assert source.hole is not None and float(source.hole.mean()) > 0.02
    assert sources.open_source(source.path).size == source.size
