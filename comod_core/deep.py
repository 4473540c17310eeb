"""Pictures of 16 bits a channel, which Pillow reads only in part and hardly writes: PNG and TIFF."""
from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, TiffImagePlugin

from .errors import CoModError

_PNG_COLOR = {1: 0, 3: 2, 4: 6}  # channels -> colour type, PNG specification 11.2.2
_METER = 0.0254  # metres an inch


def is_deep(file: Image.Image) -> bool:
    """Whether an opened file has 16 bits a channel, whatever mode Pillow gives it."""
    if file.format == "TIFF":
        depths, formats = file.tag_v2.get(258, (1,)), file.tag_v2.get(339, (1,))
        return max(depths) == 16 and set(formats) == {1}
    if file.mode.startswith("I;16"):
        return True
    # A PNG's IHDR names its depth; Pillow shows it in the raw mode, such as "RGB;16B".
    return file.format in ("PNG", "PPM") and any(";16" in str(tile[3]) or "16B" in str(tile[3]) for tile in file.tile)


def read(path: Path, file: Image.Image) -> np.ndarray:
    """uint16 [H,W], [H,W,3] or [H,W,4] in RGB(A) order, as stored (not turned), of a file for which `is_deep` holds.

    Raises CoModError when it cannot be decoded.
    """
    if file.format == "TIFF" and file.tag_v2.get(262) not in (1, 2):  # photometric interpretation
        raise CoModError(f"{path}: 16 bits a channel, but neither grey nor RGB. Save it as either.")
    if file.mode.startswith("I;16") and file.format != "TIFF":  # Pillow turns a TIFF that it loads
        file.load()
        return np.asarray(file).astype(np.uint16)
    import cv2

    content = np.fromfile(path, np.uint8)
    if file.format == "TIFF" and not _forget_orientation(content):
        raise CoModError(f"{path}: a BigTIFF of 16 bits a channel cannot be read. Save it as plain TIFF or PNG.")
    values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or set(values.shape[:2]) != set(file.size):
        raise CoModError(f"{path}: cannot be decoded with its 16 bits a channel, probably damaged.")
    if values.ndim == 3:  # OpenCV's order is BGR(A)
        values = values[..., [2, 1, 0, 3][:values.shape[2]]]
    return values


def _forget_orientation(content: np.ndarray) -> bool:
    """Set the orientation of a TIFF (in place) to upright: OpenCV's versions differ in whether and how they turn.

    False where that cannot be done, in a BigTIFF.
    """
    order = "<" if content[0] == ord("I") else ">"
    magic, start = struct.unpack_from(order + "HI", content, 2)
    if magic != 42:
        return False
    count, = struct.unpack_from(order + "H", content, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from(order + "H", content, entry)[0] == 274:
            struct.pack_into(order + "H", content, entry + 8, 1)
    return True


def write(file: IO[bytes], values: np.ndarray, kind: str, profile: bytes | None, dpi: tuple[float, float] | None,
          exif: bytes | None) -> None:
    """uint16 [H,W,C], C 1, 3 or 4, as PNG or TIFF, with ICC profile, resolution and (PNG) EXIF where given."""
    if kind == "PNG":
        _write_png(file, values, profile, dpi, exif)
    else:
        _write_tiff(file, values, profile, dpi)


def _write_png(file, values, profile, dpi, exif) -> None:
    """PNG specification, sections 5 and 11; every row is stored as its difference from the row above (filter 2)."""
    height, width, channels = values.shape

    def chunk(name: bytes, content: bytes) -> None:
        file.write(struct.pack(">I", len(content)) + name + content)
        file.write(struct.pack(">I", zlib.crc32(name + content)))

    rows = values.astype(">u2").reshape(height, -1).view(np.uint8)
    rows = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    filtered = np.insert(rows, 0, 2, axis=1)
    file.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOR[channels], 0, 0, 0))
    if profile:
        chunk(b"iCCP", b"ICC\0\0" + zlib.compress(profile))
    if dpi:
        chunk(b"pHYs", struct.pack(">IIB", *(round(float(x) / _METER) for x in dpi), 1))
    if exif:
        chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6))
    chunk(b"IEND", b"")


def _write_tiff(file, values, profile, dpi) -> None:
    """TIFF 6.0: the directory, then one strip, Deflate (compression 8)."""
    height, width, channels = values.shape
    strip = zlib.compress(values.astype("<u2").tobytes(), 6)
    tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    tags[256], tags[257] = width, height
    tags[258] = (16,) * channels  # bits a sample
    tags[259], tags[262] = 8, 1 if channels == 1 else 2  # Deflate; grey or RGB
    tags[273], tags[278], tags[279] = 0, height, len(strip)  # Pillow counts the strip's place from the directory's end
    tags[277], tags[284] = channels, 1
    if channels == 4:
        tags[338] = 2  # the fourth is unassociated alpha
    if dpi:
        tags[282], tags[283], tags[296] = float(dpi[0]), float(dpi[1]), 2
    if profile:
        tags.tagtype[34675] = 7
        tags[34675] = profile
    tags.save(file)
    file.write(strip)
