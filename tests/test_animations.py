"""Animations: every frame, its time, its pixels and its transparency come back from the file."""
from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from comod_core import animations
from comod_core.animations import check_animation, save_animation
from comod_core.errors import CoModError


def frames(count=5, height=24, width=32, channels=3):
    """A bright square that moves over a ramp: [1,C,H,W] each."""
    made = []
    for i in range(count):
        picture = torch.linspace(-1, 0.6, width).expand(1, channels, height, width).clone()
        picture[:, 0, 4:12, 3 * i:3 * i + 8] = 1
        made.append(picture)
    return made


def values(frame):
    return ((frame[0].clamp(-1, 1) + 1) * 127.5).round().byte().movedim(0, -1).numpy()


def read(path, mode="RGB"):
    """Frames [H,W,C] of a GIF or WebP, and their milliseconds."""
    with Image.open(path) as file:
        pictures, times = [], []
        for i in range(file.n_frames):
            file.seek(i)
            file.load()
            pictures.append(np.asarray(file.convert(mode)))
            times.append(file.info["duration"])
        assert file.info["loop"] == 0
    return pictures, times


def test_webp_keeps_every_bit(tmp_path):
    made = frames()
    assert save_animation(tmp_path / "a.webp", made, fps=20) == 5
    pictures, times = read(tmp_path / "a.webp")
    assert len(pictures) == 5 and times == [50] * 5
    assert all((found == values(frame)).all() for found, frame in zip(pictures, made, strict=True))


@pytest.mark.parametrize("name, fps, unit", [("a.gif", 24, 10), ("a.webp", 24, 1), ("a.gif", 30, 10)])
def test_the_time_adds_up(tmp_path, name, fps, unit):
    save_animation(tmp_path / name, frames(7), fps=fps)
    pictures, times = read(tmp_path / name)
    assert len(pictures) == 7
    assert sum(times) == round(7 * 1000 / fps / unit) * unit and max(times) - min(times) <= unit


def test_gif_is_close_and_what_stands_still_does_not_flicker(tmp_path):
    made = frames()
    save_animation(tmp_path / "a.gif", iter(made))
    pictures, _ = read(tmp_path / "a.gif")
    error = max(np.abs(found.astype(int) - values(frame)).mean() for found, frame in zip(pictures, made, strict=True))
    assert error < 3
    assert all((found[16:] == pictures[0][16:]).all() for found in pictures)


def test_gif_of_few_colours_is_exact(tmp_path):
    colours = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = [colours[(torch.arange(12 * 12) + i) % 40].T.reshape(1, 3, 12, 12) for i in range(4)]
    save_animation(tmp_path / "a.gif", made)
    assert all((found == values(frame)).all() for found, frame in zip(read(tmp_path / "a.gif")[0], made, strict=True))


def test_there_and_back(tmp_path):
    made = frames(4)
    assert save_animation(tmp_path / "a.webp", made, back=True) == 6
    pictures, _ = read(tmp_path / "a.webp")
    assert all((pictures[i] == values(made[k])).all() for i, k in enumerate([0, 1, 2, 3, 2, 1]))
    assert save_animation(tmp_path / "two.webp", made[:2], back=True) == 2


@pytest.mark.parametrize("height, width", [(24, 32), (25, 33)])
def test_mp4_plays_in_the_right_colours(tmp_path, height, width):
    av = pytest.importorskip("av")
    made = frames(6, height, width)
    for frame in made:
        frame[:, :, -8:] = torch.tensor([0.8, -0.6, -0.2]).reshape(1, 3, 1, 1)
    assert save_animation(tmp_path / "a.mp4", made, fps=12.5) == 6
    with av.open(str(tmp_path / "a.mp4")) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, float(stream.average_rate)) == ("h264", "yuv420p", 12.5)
        assert stream.codec_context.colorspace == 1 and stream.codec_context.color_range == 1
        ranges = {"src_color_range": "MPEG", "dst_color_range": "JPEG"}
        found = [frame.to_ndarray(format="rgb24", src_colorspace="ITU709", **ranges) for frame in file.decode(stream)]
    assert len(found) == 6 and found[0].shape == (height + height % 2, width + width % 2, 3)
    for picture, frame in zip(found, made, strict=True):
        error = np.abs(picture[:height, :width].astype(int) - values(frame))
        assert np.median(error) <= 3 and error[-6:-2, 4:-4].max() <= 8
    assert (found[0][:, :width].astype(int) - found[5][:, :width]).__abs__().max() > 60


def test_transparency_is_kept_or_refused(tmp_path):
    made = frames(3, channels=4)
    for frame in made:
        frame[:, 3] = 1
    save_animation(tmp_path / "opaque.gif", made)
    assert read(tmp_path / "opaque.gif", "RGBA")[0][0][..., 3].min() == 255
    for i, frame in enumerate(made):
        frame[:, 3, :6, i:] = -1
    save_animation(tmp_path / "a.gif", made)
    for i, picture in enumerate(read(tmp_path / "a.gif", "RGBA")[0]):
        assert (picture[..., 3] == values(made[i])[..., 3]).all()
    with pytest.raises(CoModError, match="MP4 holds no transparency.*webp"):
        save_animation(tmp_path / "a.mp4", made)
    made[1][:, 3, 3] = 0
    save_animation(tmp_path / "a.webp", made)
    for picture, frame in zip(read(tmp_path / "a.webp", "RGBA")[0], made, strict=True):
        seen = values(frame)[..., 3] > 0
        assert (picture[..., 3] == values(frame)[..., 3]).all() and (picture[seen] == values(frame)[seen]).all()
    before = (tmp_path / "a.gif").read_bytes()
    with pytest.raises(CoModError, match="half transparency"):
        save_animation(tmp_path / "a.gif", made)
    assert (tmp_path / "a.gif").read_bytes() == before


def test_grey_and_reduced(tmp_path):
    save_animation(tmp_path / "a.webp", frames(2, channels=1), side=16)
    pictures, _ = read(tmp_path / "a.webp")
    assert pictures[0].shape == (12, 16, 3) and (pictures[0][..., 0] == pictures[0][..., 2]).all()
    save_animation(tmp_path / "a.webp", frames(2), side=99)
    assert read(tmp_path / "a.webp")[0][0].shape == (24, 32, 3)


@pytest.mark.parametrize("name, size, count, fps, side, words", [
    ("a.avi", (8, 8), 2, 24, None, ".gif, .webp, .mp4"), ("a.gif", (8, 8), 2, 60, None, "0.01 to 50"),
    ("a.webp", (8, 8), 2, 0, None, "0.01 to 240"), ("a.webp", (8, 8), 2, float("nan"), None, "0.01 to 240"),
    ("a.webp", (8, 20_000), 2, 24, None, "16383 a side"), ("a.gif", (3000, 4000), 40, 24, None, "fewer frames"),
    ("a.gif", (8, 8), 2, 24, 0, "side is 0"),
])
def test_what_cannot_be_written_is_said_before_the_work(tmp_path, name, size, count, fps, side, words):
    with pytest.raises(CoModError, match=words):
        check_animation(tmp_path / name, size, count, fps, side)


def test_reduced_frames_fit():
    check_animation("a.gif", (3000, 4000), 40, 24, side=1024)


@pytest.mark.parametrize("made, words", [
    ([], "no frames"), ([torch.zeros(2, 3, 4, 4)], "one picture"), ([torch.zeros(1, 2, 4, 4)], "one picture"),
    ([torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5)], "frame 2 has another size"),
])
def test_bad_frames_leave_no_file(tmp_path, made, words):
    with pytest.raises(CoModError, match=words):
        save_animation(tmp_path / "a.gif", made)
    assert not list(tmp_path.iterdir())


def test_mp4_without_pyav_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(CoModError, match="comod-gan.video"):
        check_animation(tmp_path / "a.mp4", (8, 8), 2, 24)


def test_mp4_without_the_encoder(tmp_path, monkeypatch):
    av = pytest.importorskip("av")
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    with pytest.raises(CoModError, match="libx264"):
        animations.check_animation(tmp_path / "a.mp4", (8, 8), 2, 24)
