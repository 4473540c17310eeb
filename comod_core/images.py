"""Picture files in and out: any common format to float [1,C,H,W] in [-1,1], and back without losing a bit.

8 bits map by x / 127.5 - 1 and 16 bits by x / 32767.5 - 1 in float32; rounding the way back gives the same integers.
"""
from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, UnidentifiedImageError
from torch import Tensor

from . import deep
from .blending import luma
from .errors import CoModError
from .files import atomic_write

# Formats that are opened: those whose decoders only decode (Pillow's EPS, for one, starts another program).
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA", "AVIF")
MAX_PIXELS = 120_000_000
ORIENTATION = 0x0112
# Suffix -> Pillow's format, most bits a channel, and what is passed to it. WebP is written without loss.
WRITERS = {
    ".png": ("PNG", 16, {}),
    ".tif": ("TIFF", 16, {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", 16, {"compression": "tiff_adobe_deflate"}),
    ".jpg": ("JPEG", 8, {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", 8, {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", 8, {"lossless": True, "exact": True}),
}
log = logging.getLogger("comod")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture file's content, upright.

    image float32 [1,C,H,W] in [-1,1], C 1 (grey), 3 (RGB) or 4 (RGBA); bits 8 or 16; mode: Pillow's name of the
    file's own; icc_profile where it fits the pixels; exif without orientation and thumbnail; dpi (x, y); path.
    """

    image: Tensor
    bits: int = 8
    mode: str = "RGB"
    icc_profile: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    path: Path | None = None


def to_float(values: np.ndarray) -> Tensor:
    """uint8 or uint16 [H,W] or [H,W,C] -> float32 [1,C,H,W] in [-1,1]."""
    half = np.float32(np.iinfo(values.dtype).max / 2)
    planes = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    return torch.from_numpy(planes.astype(np.float32)).div_(float(half)).sub_(1)[None]


def to_integers(pixels: Tensor, bits: int = 8) -> np.ndarray:
    """[1,C,H,W] or [C,H,W] in [-1,1] -> uint8 or uint16 [H,W,C]: clamped and rounded. Inverse of `to_float`."""
    half = (2 ** bits - 1) / 2
    planes = pixels.detach().reshape(pixels.shape[-3:]).to("cpu", torch.float32)
    values = (planes.clamp(-1, 1) + 1).mul_(half).round_().movedim(0, -1)
    return np.ascontiguousarray(values.numpy().astype(np.uint8 if bits == 8 else np.uint16))


def open_picture(path: str | os.PathLike) -> Picture:
    """Read a picture file: PNG, JPEG, WebP, TIFF, BMP, GIF, PPM, TGA and, where Pillow has it, AVIF.

    EXIF rotation is applied. Palette, 1-bit and CMYK pictures become RGB or grey, transparency of any kind an alpha
    channel (grey with alpha becomes RGBA). 16 bits a channel are kept. The first picture of a camera's MPO is read.
    Raises CoModError, naming the file: no such file, not a picture, damaged, animated or of several pages, of more than
    MAX_PIXELS pixels, or of a depth other than 1 to 16 bits.
    """
    path = Path(path)
    if not path.is_file():
        raise CoModError(f"{path}: no such file.")
    try:
        return _read(path)
    except CoModError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except UnidentifiedImageError as error:
        raise CoModError(f"{path}: not a picture in a format that can be read ({', '.join(FORMATS)}).") from error
    except Exception as error:  # decoders raise almost anything on damaged data; all of it means the same to the user
        raise CoModError(f"{path}: cannot be read, probably damaged ({error}).") from error


def _read(path: Path) -> Picture:
    Image.init()
    with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as file:
        if file.width * file.height > MAX_PIXELS:
            raise _too_large(path)
        frames = getattr(file, "n_frames", 1)
        if frames > 1 and file.format != "MPO":
            kind = "pages" if file.format == "TIFF" else "frames of an animation"
            raise CoModError(f"{path}: holds {frames} {kind}. Save the one to complete as a picture of its own.")
        mode, profile = file.mode, file.info.get("icc_profile")
        if deep.is_deep(file):
            values = deep.read(path, file)
        else:
            file.load()
            values, profile = _shallow(path, file, profile)
        exif = file.getexif()
        values = upright(values, exif.get(ORIENTATION, 1))
        channels = 1 if values.ndim == 2 else values.shape[2]
        return Picture(to_float(values), values.dtype.itemsize * 8, mode, _fitting(profile, channels),
                       _exif_bytes(file, exif), file.info.get("dpi"), path)


def _too_large(path: Path) -> CoModError:
    return CoModError(f"{path}: more than {MAX_PIXELS // 10**6} million pixels. Scale it down first.")


def _shallow(path: Path, file: Image.Image, profile: bytes | None) -> tuple[np.ndarray, bytes | None]:
    """8-bit values [H,W] or [H,W,C] of a loaded picture, and the ICC profile that they still follow."""
    if file.mode in ("F", "I") or file.mode.startswith("I;"):
        raise CoModError(f"{path}: has 32 bits or real numbers a pixel. Save it with 8 or 16 bits a channel.")
    if file.mode == "CMYK":
        return np.asarray(_from_cmyk(path, file, profile)), None
    if file.has_transparency_data:
        return np.asarray(file.convert("RGBA")), profile
    return np.asarray(file.convert("L" if file.mode in ("1", "L") else "RGB")), profile


def _from_cmyk(path: Path, file: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        import io

        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(file, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError) as error:
            log.warning("%s: its ICC profile cannot be used (%s); CMYK converted without it.", path, error)
    return file.convert("RGB")


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """[H,W,...] turned and mirrored as EXIF's orientation 2 to 8 says; any other value: as it is."""
    if orientation in (5, 6, 7, 8):
        values = np.swapaxes(values, 0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values


def _fitting(profile: bytes | None, channels: int) -> bytes | None:
    """The profile, where its colour space (bytes 16 to 19) is that of pictures with so many channels."""
    space = b"GRAY" if channels == 1 else b"RGB "
    return profile if profile and profile[16:20] == space else None


def _exif_bytes(file: Image.Image, exif: Image.Exif) -> bytes | None:
    """What a camera wrote, for another file: without orientation (applied) and thumbnail (shows what is removed)."""
    if file.format not in ("JPEG", "MPO", "PNG", "WEBP", "AVIF"):
        return None
    exif.pop(ORIENTATION, None)
    return exif.tobytes() if len(exif) else None


def save_picture(path: str | os.PathLike, pixels: Tensor, like: Picture | None = None, bits: int | None = None) -> None:
    """Write [1,C,H,W] or [C,H,W] in [-1,1], C 1, 3 or 4, in the format of the suffix; whole or not at all.

    png, tif/tiff: 8 or 16 bits. webp: 8 bits without loss. jpg/jpeg: 8 bits, quality 95. bits None: as many as `like`
    has, or 8, no more than the format takes. like: picture whose ICC profile, EXIF and resolution are kept.
    Raises CoModError: unknown suffix, transparency in a JPEG, 16 bits asked of a format that has 8, wrong shape or NaN.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise CoModError(f"{path}: cannot tell the format; end the name in {', '.join(WRITERS)}.")
    kind, most, options = WRITERS[path.suffix.lower()]
    if bits not in (None, 8, 16) or (bits or 8) > most:
        raise CoModError(f"{path}: {bits!r} bits a channel; {kind} takes {'8 or 16' if most == 16 else '8'}.")
    pixels = _one_picture(path, pixels)
    if kind == "JPEG" and len(pixels) == 4:
        if bool((pixels[3] < 1).any()):
            raise CoModError(f"{path}: JPEG holds no transparency, but the picture does: save as png, webp or tiff.")
        pixels = pixels[:3]
    values = to_integers(pixels, bits or min(like.bits if like else 8, most))
    profile = _fitting(like.icc_profile, len(pixels)) if like else None
    exif, dpi = (like.exif, like.dpi) if like else (None, None)
    with atomic_write(path) as file:
        if values.dtype == np.uint16:
            deep.write(file, values, kind, profile, dpi, exif)
            return
        options = {**options, **{k: v for k, v in (("icc_profile", profile), ("dpi", dpi)) if v}}
        if exif and kind != "TIFF":
            options["exif"] = exif
        Image.fromarray(values[..., 0] if len(pixels) == 1 else values).save(file, kind, **options)


def _one_picture(path: Path, pixels: Tensor) -> Tensor:
    shape = list(pixels.shape)
    if pixels.ndim == 4 and shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3, 4) or 0 in shape:
        raise CoModError(f"{path}: pixels have shape {shape}; give one picture [1,C,H,W] with 1, 3 or 4 channels.")
    if not bool(torch.isfinite(pixels).all()):
        raise CoModError(f"{path}: the picture holds NaN or infinite values.")
    return pixels


def open_mask(path: str | os.PathLike, invert: bool = False) -> Tensor:
    """Read a mask file: float32 [1,1,H,W] in [0,1], 1 = hole.

    With an alpha channel that varies, transparent is hole (1 - alpha), as ComfyUI saves masks, and colours are ignored.
    Otherwise white is hole: the brightness counts (BT.601 of RGB). Which of the two it was is logged.
    invert: the opposite. Raises CoModError as `open_picture`.
    """
    pixels = open_picture(path).image
    alpha = pixels[:, 3:]
    if pixels.shape[1] == 4 and bool((alpha != alpha[0, 0, 0, 0]).any()):
        log.info("%s: mask taken from its alpha channel (transparent = hole).", path)
        mask = (1 - alpha) / 2
    else:
        log.info("%s: mask taken from its brightness (white = hole).", path)
        mask = ((luma(pixels[:, :3]) if pixels.shape[1] > 1 else pixels) + 1) / 2
    mask = mask.clamp(0, 1)
    return 1 - mask if invert else mask
