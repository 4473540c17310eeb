"""Animations from pictures: animated GIF and WebP, and MP4 with H.264 (extra "video"). Whole files or none at all."""
from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .errors import CoModError
from .files import atomic_write
from .images import to_integers

# Suffix -> most pixels a side, most frames a second, steps of a frame's duration a second.
LIMITS = {".gif": (65_535, 50, 100), ".webp": (16_383, 240, 1000), ".mp4": (16_384, 240, None)}
MAX_PIXELS = 400_000_000   # of all frames together; they are kept as 3 or 4 bytes a pixel until the file is written
PALETTE_SIDE, PALETTE_FRAMES = 128, 32   # what a GIF's palette is taken from
BT709, LIMITED_RANGE = 1, 1              # the numbers of ITU-T H.273 for colours, and FFmpeg's for the range


def check_animation(path: str | os.PathLike, size: tuple[int, int], count: int, fps: float,
                    side: int | None = None) -> None:
    """Raise CoModError when `save_animation` could not write `count` frames of `size` (H, W): ask before the work."""
    path = Path(path)
    if path.suffix.lower() not in LIMITS:
        raise CoModError(f"{path}: cannot tell the animation's format; end the name in {', '.join(LIMITS)}.")
    most, fastest, _ = LIMITS[path.suffix.lower()]
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 0.01 <= fps <= fastest:
        raise CoModError(f"{path}: {fps!r} frames a second; give a number from 0.01 to {fastest}.")
    if side is not None and (isinstance(side, bool) or not isinstance(side, int) or side < 1):
        raise CoModError(f"side is {side!r}: give a whole number of pixels of at least 1, or None.")
    height, width = _reduced(size, side)
    if max(height, width) > most:
        raise CoModError(f"{path}: {width}x{height} pixels, but {path.suffix[1:]} holds {most} a side. Reduce the "
                         "frames (side), or choose another format.")
    if count * height * width > MAX_PIXELS:
        raise CoModError(f"{path}: {count} frames of {width}x{height} are more than {MAX_PIXELS // 10**6} million "
                         "pixels. Take fewer frames, or reduce them (side).")
    if path.suffix.lower() == ".mp4":
        _av()


def save_animation(path: str | os.PathLike, frames: Iterable[Tensor], fps: float = 24, *, back: bool = False,
                   side: int | None = None) -> int:
    """Write frames [1,C,H,W] or [C,H,W] in [-1,1], C 1, 3 or 4, in the format of the suffix. Returns their number.

    gif: 255 colours for all frames together, dithered; a pixel is there or it is not. webp: without loss, except for
    colours under full transparency. mp4: H.264, brightness close to the frames', colour at half their size; an odd side
    gets one more row or column, its last again. GIF and WebP repeat for ever, and count time in hundredths and
    thousandths of a second: the sum stays right. back: after the last frame all but the two ends again, backwards.
    side: larger frames are reduced to so many pixels on their longer side. Raises CoModError as `check_animation`, and
    for no frames, frames that differ in size, and transparency that the format does not hold.
    """
    path = Path(path)
    pictures: list[np.ndarray] = []
    for frame in frames:
        if frame.ndim not in (3, 4) or frame.ndim == 4 and len(frame) != 1 or frame.shape[-3] not in (1, 3, 4):
            raise CoModError(f"{path}: a frame has shape {list(frame.shape)}; give one picture [1,C,H,W].")
        check_animation(path, tuple(frame.shape[-2:]), len(pictures) + 1, fps, side)
        pictures.append(_values(frame, side))
        if pictures[-1].shape != pictures[0].shape:
            raise CoModError(f"{path}: frame {len(pictures)} has another size than the first: give all one size.")
    if not pictures:
        raise CoModError(f"{path}: no frames; give at least one.")
    kind = path.suffix.lower()
    pictures = _with_alpha(path, kind, pictures)
    if back:
        pictures += pictures[-2:0:-1]
    with atomic_write(path) as file:
        if kind == ".mp4":
            _write_mp4(file, pictures, fps)
        elif kind == ".webp":
            first, *rest = (Image.fromarray(picture) for picture in pictures)
            first.save(file, "WEBP", save_all=True, append_images=rest, loop=0, lossless=True, exact=True,
                       duration=_durations(len(pictures), fps, 1000))
        else:
            _write_gif(file, pictures, fps)
    return len(pictures)


def _reduced(size: tuple[int, int], side: int | None) -> tuple[int, int]:
    scale = min(1.0, side / max(size)) if side else 1.0
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _values(frame: Tensor, side: int | None) -> np.ndarray:
    """One frame as uint8 [H,W,3 or 4]."""
    frame = frame.detach().reshape(1, *frame.shape[-3:]).to("cpu")
    size = _reduced(tuple(frame.shape[-2:]), side)
    if size != tuple(frame.shape[-2:]):
        frame = F.interpolate(frame.float(), size, mode="bicubic", antialias=True, align_corners=False)
    return to_integers(frame.expand(-1, 3, -1, -1) if frame.shape[1] == 1 else frame)


def _with_alpha(path: Path, kind: str, pictures: list[np.ndarray]) -> list[np.ndarray]:
    """The frames with their alpha channel where the format holds it, without where it is opaque everywhere."""
    if pictures[0].shape[-1] == 3:
        return pictures
    levels = set().union(*(np.unique(picture[..., 3]).tolist() for picture in pictures))
    if levels == {255}:
        return [np.ascontiguousarray(picture[..., :3]) for picture in pictures]
    if kind == ".mp4":
        raise CoModError(f"{path}: MP4 holds no transparency, but the frames do: save as webp or gif.")
    if kind == ".gif" and levels - {0, 255}:
        raise CoModError(f"{path}: GIF holds no half transparency, but the frames do: save as webp.")
    return pictures


def _durations(count: int, fps: float, unit: int) -> list[int]:
    """Milliseconds of each frame in whole steps of 1/unit seconds, rounded so that the sum stays right."""
    ends = [math.floor(i * unit / fps + 0.5) * 1000 // unit for i in range(count + 1)]
    return [end - start for start, end in zip(ends, ends[1:], strict=False)]


def _write_gif(file, pictures: Sequence[np.ndarray], fps: float) -> None:
    palette, clear = _palette(pictures), 255
    frames = []
    for picture in pictures:
        frame = Image.fromarray(picture[..., :3]).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        if picture.shape[-1] == 4:
            frame.paste(clear, mask=Image.fromarray(255 - picture[..., 3]))
        frames.append(frame)
    options = {"transparency": clear, "disposal": 2} if pictures[0].shape[-1] == 4 else {}
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], loop=0, optimize=False,
                   duration=_durations(len(frames), fps, 100), **options)


def _palette(pictures: Sequence[np.ndarray]) -> Image.Image:
    """One palette of at most 255 colours for all frames, so that what stands still does not flicker."""
    step = math.ceil(len(pictures) / PALETTE_FRAMES)
    thumbs = []
    for picture in [*pictures[::step], pictures[-1]]:
        every = math.ceil(max(picture.shape[:2]) / PALETTE_SIDE)
        thumbs.append(picture[::every, ::every, :3].reshape(-1, 3))
    return Image.fromarray(np.concatenate(thumbs)[None]).quantize(255, Image.Quantize.MEDIANCUT)


def _av():
    try:
        import av
    except ImportError as problem:
        raise CoModError("writing MP4 needs PyAV: pip install av, or the extra comod-gan[video]. GIF and WebP need "
                         "nothing more.") from problem
    if "libx264" not in av.codecs_available:
        raise CoModError("this PyAV has no H.264 encoder (libx264): install the one from PyPI (pip install av), or "
                         "save as webp or gif.")
    return av


def _write_mp4(file, pictures: Sequence[np.ndarray], fps: float) -> None:
    av = _av()
    height, width = pictures[0].shape[:2]
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(10_000),
                                      options={"crf": "15", "preset": "medium"})
        stream.height, stream.width, stream.pix_fmt = height + height % 2, width + width % 2, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED_RANGE
        for picture in pictures:
            even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709",
                                                       dst_color_range="MPEG")))
        container.mux(stream.encode())
