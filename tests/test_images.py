"""Picture files: every kind in, every kind out, not a bit lost, and clear words for what cannot be used."""
import io
import logging
import struct
import zlib

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps

from comod_core import images
from comod_core.errors import CoModError
from comod_core.images import open_mask, open_picture, save_picture, to_float, to_integers

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def random_values(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def png16(path, values, color):
    """The plainest 16-bit PNG, written by hand."""
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_integer_comes_back(dtype):
    values = np.arange(np.iinfo(dtype).max + 1, dtype=np.int64).astype(dtype).reshape(1, -1, 1)
    floats = to_float(values)
    assert floats.shape == (1, 1, 1, values.size) and floats.dtype == torch.float32
    assert floats.min() == -1 and floats.max() == 1
    assert np.array_equal(to_integers(floats, np.iinfo(dtype).bits), values)


def test_integers_are_rounded_and_clamped():
    values = to_integers(torch.tensor([-3.0, -0.999, 0.999, 1.5]).reshape(1, 1, 1, 4))
    assert values.ravel().tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_8_bits_round_trip(tmp_path, suffix, channels):
    values = random_values((7, 5, channels))
    save_picture(tmp_path / f"a.{suffix}", to_float(values))
    picture = open_picture(tmp_path / f"a.{suffix}")
    assert picture.bits == 8 and picture.image.shape[-2:] == (7, 5)
    expected = values if suffix != "webp" or channels > 1 else values.repeat(3, axis=2)  # WebP has no grey
    assert np.array_equal(to_integers(picture.image), expected)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_round_trip(tmp_path, suffix, channels):
    path, values = tmp_path / f"a.{suffix}", random_values((9, 6, channels), np.uint16)
    save_picture(path, to_float(values), bits=16)
    picture = open_picture(path)
    assert picture.bits == 16 and picture.image.shape[1] == channels
    assert np.array_equal(to_integers(picture.image, 16), values)
    foreign = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).reshape(9, 6, channels)
    assert np.array_equal(foreign, values[..., [2, 1, 0, 3][:channels]] if channels > 1 else values)


@pytest.mark.parametrize("channels, color", [(1, 0), (3, 2), (4, 6)])
def test_16_bit_png_keeps_order_and_depth(tmp_path, channels, color):
    values = random_values((4, 3, channels), np.uint16)
    picture = open_picture(png16(tmp_path / "a.png", values, color))
    assert picture.bits == 16 and np.array_equal(to_integers(picture.image, 16), values)


def test_16_bit_grey_with_alpha_becomes_rgba(tmp_path):
    values = random_values((4, 3, 2), np.uint16)
    picture = open_picture(png16(tmp_path / "a.png", values, 4))
    assert np.array_equal(to_integers(picture.image, 16), values[..., [0, 0, 0, 1]])


def test_16_bits_are_kept_like_the_source_and_reduced_for_jpeg(tmp_path):
    source = open_picture(png16(tmp_path / "a.png", random_values((4, 4, 3), np.uint16), 2))
    save_picture(tmp_path / "b.png", source.image, source)
    save_picture(tmp_path / "b.webp", source.image, source)
    assert open_picture(tmp_path / "b.png").bits == 16
    assert torch.equal(open_picture(tmp_path / "b.png").image, source.image)
    assert (open_picture(tmp_path / "b.webp").image - source.image).abs().max() <= 0.5 / 127.5 + 1e-6
    with pytest.raises(CoModError, match="JPEG takes 8"):
        save_picture(tmp_path / "b.jpg", source.image, bits=16)


def modes():
    rgba = Image.fromarray(random_values((6, 8, 4)), "RGBA")
    rgb = rgba.convert("RGB")
    palette = rgb.quantize(16)
    clear = palette.copy()
    clear.info["transparency"] = 3
    return {
        "rgb": (rgb, rgb), "rgba": (rgba, rgba), "grey": (rgb.convert("L"), rgb.convert("L")),
        "grey-alpha": (rgba.convert("LA"), rgba.convert("LA").convert("RGBA")),
        "palette": (palette, palette.convert("RGB")), "palette-clear": (clear, clear.convert("RGBA")),
        "one-bit": (rgb.convert("1"), rgb.convert("1").convert("L")),
    }


@pytest.mark.parametrize("name", list(modes()))
def test_modes(tmp_path, name):
    source, expected = modes()[name]
    source.save(tmp_path / "a.png")
    picture = open_picture(tmp_path / "a.png")
    expected = np.asarray(expected).reshape(6, 8, -1)
    assert picture.mode == source.mode and np.array_equal(to_integers(picture.image), expected)


def test_clear_palette_colour_is_transparent(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "a.png", transparency=1)
    values = to_integers(open_picture(tmp_path / "a.png").image)
    assert values[..., 3].tolist() == [[255, 0], [0, 255]] and values[0, 0].tolist() == [255, 0, 0, 255]


def test_cmyk_becomes_rgb_without_its_profile(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "a.jpg", icc_profile=SRGB.replace(b"RGB ", b"CMYK"))
    picture = open_picture(tmp_path / "a.jpg")
    red, green, blue = picture.image[0, :, 0, 0].tolist()
    assert picture.image.shape[1] == 3 and red > 0.9 and green < -0.9 and blue < -0.9
    assert picture.icc_profile is None and picture.mode == "CMYK"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "tiff"])
def test_exif_rotation(tmp_path, orientation, kind):
    """Against Pillow's own, and gone from what is kept."""
    exif = Image.Exif()
    exif[images.ORIENTATION], exif[0x010F] = orientation, "Maker"
    path, source = tmp_path / f"a.{kind}", Image.fromarray(random_values((5, 9, 3)))
    source.save(path, exif=exif, **({"quality": 100} if kind == "jpg" else {}))
    with Image.open(path) as file:
        expected = np.asarray(ImageOps.exif_transpose(file))
    picture = open_picture(path)
    assert np.array_equal(to_integers(picture.image), expected)
    if kind != "tiff":
        kept = Image.Exif()
        kept.load(picture.exif)
        assert kept.get(0x010F) == "Maker" and images.ORIENTATION not in kept


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind, channels", [("png", 3), ("tiff", 3), ("png", 1), ("tiff", 1)])
def test_exif_rotation_of_16_bits(tmp_path, orientation, kind, channels):
    values, path = random_values((5, 9, channels), np.uint16), tmp_path / f"a.{kind}"
    if kind == "png":
        exif = Image.Exif()
        exif[images.ORIENTATION] = orientation
        save_picture(path, to_float(values), images.Picture(torch.zeros(1), bits=16, exif=exif.tobytes()))
    else:
        cv2.imwrite(str(path), values[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
        data = bytearray(path.read_bytes())
        append_tiff_tag(data, images.ORIENTATION, orientation)
        path.write_bytes(data)
    expected = {1: values, 2: values[:, ::-1], 3: values[::-1, ::-1], 4: values[::-1], 5: values.swapaxes(0, 1),
                6: np.rot90(values, -1), 7: np.rot90(values.swapaxes(0, 1), 2), 8: np.rot90(values)}
    picture = open_picture(path)
    assert picture.bits == 16 and np.array_equal(to_integers(picture.image, 16), expected[orientation])


def append_tiff_tag(data, tag, value):
    """Copy the first directory of a little-endian TIFF to its end with one more SHORT."""
    start, = struct.unpack_from("<I", data, 4)
    count, = struct.unpack_from("<H", data, start)
    entries = [bytes(data[start + 2 + 12 * i:start + 14 + 12 * i]) for i in range(count)]
    entries = [entry for entry in entries if struct.unpack_from("<H", entry)[0] != tag]
    entries = sorted([*entries, struct.pack("<HHIHH", tag, 3, 1, value, 0)], key=lambda x: struct.unpack_from("<H", x))
    struct.pack_into("<I", data, 4, len(data))
    data += struct.pack("<H", len(entries)) + b"".join(entries) + b"\0\0\0\0"


def test_thumbnail_is_not_kept(tmp_path):
    """The thumbnail inside EXIF would still show what a completion removes."""
    thumbnail = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(thumbnail, "JPEG")
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    block = exif.tobytes()
    first = struct.unpack_from("<H" if block[6:8] == b"II" else ">H", block, 14)[0]
    order = "<" if block[6:8] == b"II" else ">"
    tiff = bytearray(block[6:])
    struct.pack_into(order + "I", tiff, 8 + 2 + 12 * first, len(tiff))
    jpeg = thumbnail.getvalue()
    tiff += struct.pack(order + "H", 2) + struct.pack(order + "HHII", 0x0201, 4, 1, len(tiff) + 30)
    tiff += struct.pack(order + "HHII", 0x0202, 4, 1, len(jpeg)) + b"\0\0\0\0" + jpeg
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + bytes(tiff))
    assert jpeg in (tmp_path / "a.jpg").read_bytes()
    picture = open_picture(tmp_path / "a.jpg")
    save_picture(tmp_path / "b.jpg", picture.image, picture)
    assert open_picture(tmp_path / "b.jpg").exif and jpeg not in (tmp_path / "b.jpg").read_bytes()


@pytest.mark.parametrize("suffix, bits", [("png", 8), ("png", 16), ("tiff", 8), ("tiff", 16), ("jpg", 8), ("webp", 8)])
def test_profile_and_resolution_are_kept(tmp_path, suffix, bits):
    like = images.Picture(torch.zeros(1), bits=bits, icc_profile=SRGB, dpi=(300.0, 150.0))
    save_picture(tmp_path / f"a.{suffix}", to_float(random_values((5, 4, 3))), like)
    picture = open_picture(tmp_path / f"a.{suffix}")
    assert picture.icc_profile == SRGB and picture.bits == bits
    if suffix != "webp":
        assert picture.dpi == pytest.approx((300, 150), abs=0.1)


def test_profile_of_other_channels_is_left_out(tmp_path):
    like = images.Picture(torch.zeros(1), icc_profile=SRGB)
    save_picture(tmp_path / "a.png", to_float(random_values((5, 4, 1))), like)
    assert open_picture(tmp_path / "a.png").icc_profile is None


def test_animations_and_pages_are_refused(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue", "green")]
    for name, word in (("a.gif", "animation"), ("a.webp", "animation"), ("a.png", "animation"), ("a.tiff", "pages")):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        with pytest.raises(CoModError, match=rf"{name}: holds 3 .*{word}"):
            open_picture(tmp_path / name)
    frames[0].save(tmp_path / "one.gif")
    assert open_picture(tmp_path / "one.gif").image.shape == (1, 3, 8, 8)


def test_first_picture_of_a_cameras_mpo(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    red, _, blue = open_picture(tmp_path / "a.jpg").image[0, :, 4, 4].tolist()
    assert red > 0.9 and blue < -0.9


@pytest.mark.parametrize("suffix, bits", [("png", 8), ("png", 16), ("jpg", 8), ("webp", 8), ("tiff", 8), ("tiff", 16)])
def test_damaged_files_name_themselves(tmp_path, suffix, bits):
    path = tmp_path / f"a.{suffix}"
    save_picture(path, to_float(random_values((64, 64, 3))), bits=bits)
    whole = path.read_bytes()
    for part in (whole[:len(whole) // 2], whole[:40], b"", b"not a picture at all" * 20):
        path.write_bytes(part)
        with pytest.raises(CoModError, match=f"a.{suffix}"):
            open_picture(path)


def test_missing_file_folder_and_other_formats(tmp_path):
    with pytest.raises(CoModError, match="none.png: no such file"):
        open_picture(tmp_path / "none.png")
    with pytest.raises(CoModError, match="no such file"):
        open_picture(tmp_path)
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n")
    with pytest.raises(CoModError, match="a.eps: not a picture"):
        open_picture(tmp_path / "a.eps")
    Image.new("F", (4, 4)).save(tmp_path / "a.tiff")
    with pytest.raises(CoModError, match="32 bits or real"):
        open_picture(tmp_path / "a.tiff")
    Image.new("I;16", (4, 4)).save(tmp_path / "a.tiff", big_tiff=True)
    with pytest.raises(CoModError, match="BigTIFF"):
        open_picture(tmp_path / "a.tiff")


def test_too_large_a_picture_is_refused_before_it_is_decoded(tmp_path):
    path = png16(tmp_path / "a.png", np.zeros((1, 1, 3), np.uint16), 2)
    data = bytearray(path.read_bytes())
    struct.pack_into(">II", data, 16, 60000, 60000)
    struct.pack_into(">I", data, 29, zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)
    with pytest.raises(CoModError, match="a.png: more than 120 million pixels"):
        open_picture(path)


def test_limit_is_the_packs_own(tmp_path, monkeypatch):
    save_picture(tmp_path / "a.png", torch.zeros(1, 3, 10, 11))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(images, "MAX_PIXELS", 109)
    with pytest.raises(CoModError, match="a.png: more than"):
        open_picture(tmp_path / "a.png")


def test_saving_refuses_what_would_lose(tmp_path):
    image = torch.zeros(1, 4, 4, 4)
    with pytest.raises(CoModError, match="JPEG holds no transparency"):
        save_picture(tmp_path / "a.jpg", image)
    image[:, 3] = 1
    save_picture(tmp_path / "a.jpg", image)
    assert open_picture(tmp_path / "a.jpg").image.shape[1] == 3
    bad = (("a.xyz", image, "cannot tell the format"), ("b.png", torch.zeros(2, 3, 4, 4), "one picture"),
           ("b.png", torch.full((3, 4, 4), torch.nan), "NaN"), ("b.png", image[:, :2], "shape"))
    for name, pixels, word in bad:
        with pytest.raises(CoModError, match=word):
            save_picture(tmp_path / name, pixels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg"]


def test_saving_replaces_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    save_picture(path, torch.zeros(1, 3, 4, 4))
    before = path.read_bytes()

    def fail(self, file, *_, **__):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_picture(path, torch.ones(1, 3, 4, 4))
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_mask_from_brightness(tmp_path, caplog):
    values = np.array([[0, 255], [51, 128]], np.uint8)
    Image.fromarray(values).save(tmp_path / "grey.png")
    Image.fromarray(values[..., None].repeat(3, axis=2)).save(tmp_path / "rgb.png")
    Image.fromarray(np.dstack([values] * 3 + [np.full_like(values, 255)])).save(tmp_path / "opaque.png")
    expected = torch.from_numpy(values / 255.0).float()[None, None]
    with caplog.at_level(logging.INFO, "comod"):
        for name in ("grey.png", "rgb.png", "opaque.png"):
            mask = open_mask(tmp_path / name)
            assert mask.shape == (1, 1, 2, 2) and torch.allclose(mask, expected, atol=1e-6)
            assert mask[0, 0, 0].tolist() == [0, 1]
    assert caplog.text.count("brightness (white = hole)") == 3
    assert torch.equal(open_mask(tmp_path / "grey.png", invert=True), 1 - open_mask(tmp_path / "grey.png"))


def test_mask_from_alpha(tmp_path, caplog):
    values = np.full((2, 2, 4), 255, np.uint8)
    values[0, 1, 3], values[1, 0, 3] = 0, 128
    Image.fromarray(values).save(tmp_path / "a.png")
    with caplog.at_level(logging.INFO, "comod"):
        mask = open_mask(tmp_path / "a.png")
    assert mask[0, 0].flatten().tolist() == pytest.approx([0, 1, 127 / 255, 0], abs=1e-6)
    assert "alpha channel (transparent = hole)" in caplog.text
