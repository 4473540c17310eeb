"""What the browser's parts of the tab for style maps are sent and send: pictures, painted masks, outlines of parts."""
from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..comod_core.errors import CoModError
from ..comod_core.images import save_picture
from ..nodes.layout import images_in
from .edits import new_file
from .sources import HOLE, HOLE_COLOUR
from .styling import Edited, Opened, Part

# the green is dark enough for Chromium to keep the track of its slider light
COLOURS = tuple("#{:02x}{:02x}{:02x}".format(*rgb) for rgb in (HOLE_COLOUR, (45, 130, 255), (20, 145, 70)))
MASK_SIDE = 512             # pixels of a painted mask's longer side
OUTLINE_SIDE = 512          # masks of fewer pixels are enlarged before they are outlined, so that the line is smooth
JPEG_SIDE = 320             # larger pictures are shown as JPEG, which is written faster
Value = dict[str, Any]


def link(path: Path) -> str:
    """Where the browser finds a file of `edits.new_file`, relative to the page."""
    return f"gradio_api/file={quote(path.as_posix())}"


def painter_value(index: int, opened: Opened | None = None, painted: Tensor | None = None) -> Value:
    """What a reference shows: its picture, and what is `painted` on it ([1,1,H,W] in [0,1])."""
    value = {"colour": COLOURS[index], "picture": "", "size": [1, 1], "mask": "", "released": 0}
    if opened is None:
        return value
    height, width = opened.copy.size
    scale = MASK_SIDE / max(height, width)
    size = [max(1, round(side * scale)) for side in (width, height)]
    mask = "" if painted is None else _mask_url(painted, size)
    return {**value, "picture": link(opened.copy.path), "size": size, "mask": mask}


def _mask_url(painted: Tensor, size: Sequence[int]) -> str:
    values = np.zeros((*size[::-1], 4), np.uint8)
    values[F.interpolate(painted, tuple(size[::-1]), mode="nearest")[0, 0].numpy() > HOLE] = 255
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def painted_mask(value: Value) -> Tensor | None:
    """What was painted on a reference, [1,1,h,w] of 0 and 1; None for nothing. Raises CoModError for other values."""
    url = value.get("mask") or ""
    if not url:
        return None
    try:
        with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])), formats=["PNG"]) as file:
            if max(file.size) > MASK_SIDE:
                raise CoModError(f"what was painted has {file.size} pixels, more than {MASK_SIDE} a side.")
            alpha = np.array(file.convert("RGBA"))[..., 3] > 127
    except (OSError, ValueError, SyntaxError) as problem:
        raise CoModError(f"what was painted arrived damaged ({problem}). Paint it again.") from problem
    return torch.from_numpy(alpha)[None, None].float() if alpha.any() else None


def stage_value(text: str, target: Opened | None = None, edited: Edited | None = None, parts: Sequence[Part] = (),
                released: float = 0) -> Value:
    """What the edited picture's place shows, and a text. released: when the brush was, by the browser's clock."""
    value = {"picture": "", "original": "", "size": [1, 1], "zoom": 1, "parts": [], "text": text, "released": released}
    if target is None or edited is None:
        return value
    original = link(target.copy.path)
    picture = link(_written(edited.image, target.source.name)) if parts else original
    height, width = target.copy.size
    places = sorted(((edited.places[part.index], part) for part in parts), key=lambda pair: -float(pair[0].sum()))
    shown = [{"index": part.index, "colour": COLOURS[part.index], "outline": outline(place), "shift": list(part.shift)}
             for place, part in places]
    return {**value, "picture": picture, "original": original, "size": [width, height], "zoom": target.zoom,
            "parts": shown}


def _written(image: Tensor, name: str) -> Path:
    kind = "jpg" if image.shape[-1] < 4 and max(image.shape[1:3]) > JPEG_SIDE else "png"
    path = new_file(f"{name}-edited.{kind}")
    save_picture(path, images_in(image))
    return path


def outline(place: Tensor) -> str:
    """The outline of where a mask [H,W] is above 0.5, as an SVG path in its pixels."""
    times = math.ceil(OUTLINE_SIDE / max(place.shape))
    if times > 1:
        place = F.interpolate(place[None, None], scale_factor=times, mode="bilinear", align_corners=False)[0, 0]
    sharp = place.numpy()
    smooth = cv2.GaussianBlur(sharp, (0, 0), 0.6 * times)
    plane = smooth if smooth.max() > HOLE else sharp
    found, _ = cv2.findContours((plane > HOLE).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    lines = [cv2.approxPolyDP(line, 0.75, closed=True)[:, 0] for line in found]
    return "".join(f"M{'L'.join(f'{(x + 0.5) / times:.2f} {(y + 0.5) / times:.2f}' for x, y in line)}Z"
                   for line in lines)
