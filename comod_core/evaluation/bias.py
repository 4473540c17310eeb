"""Two experiments on what a completion model prefers, published by Xu and Wei on CoModGAN.

Colour: the bottom quarter of one picture is completed many times and the colours of the fills are counted. Shape: an
object is hidden by its own silhouette, completed, segmented again, and the new object is compared with the hole.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from .. import masks
from ..completion import complete
from ..errors import CoModError
from ..images import to_integers

SAMPLES = 40
# name -> a colour to draw its bar in
COLOURS = {"red": "#d62828", "orange": "#f3862f", "yellow": "#f2d024", "green": "#3a9d4b", "blue": "#2f6fd6",
           "purple": "#8a4fbf", "black": "#1b1b1b", "gray": "#8d8d8d", "white": "#f4f4f4"}
HUES = ((15, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (260, "blue"), (335, "purple"), (360, "red"))
Segmenter = Callable[[np.ndarray, np.ndarray], np.ndarray]


def colour_names(pixels: np.ndarray) -> np.ndarray:
    """Names of colours: uint8 [...,3] RGB -> [...] of the nine names, by hue, saturation and value.

    Value below a fifth is black. Saturation below 0.15 is white from value 0.85 up, else gray. The rest goes by hue, in
    degrees: red to 15 and from 335, orange to 45, yellow to 70, green to 165, blue to 260, purple to 335. The published
    experiment does not say where it draws these lines.
    """
    hsv = cv2.cvtColor(np.ascontiguousarray(pixels.reshape(1, -1, 3)).astype(np.float32) / 255, cv2.COLOR_RGB2HSV)[0]
    hue, saturation, value = hsv.T
    names = np.array([name for _, name in HUES])[np.searchsorted([edge for edge, _ in HUES], hue, side="right").clip(
        max=len(HUES) - 1)]
    names = np.where(saturation < 0.15, np.where(value >= 0.85, "white", "gray"), names)
    return np.where(value < 0.2, "black", names).reshape(pixels.shape[:-1])


@dataclasses.dataclass(frozen=True)
class ColourBias:
    """counts: fills a name; named: each seed's name; images: the completions, uint8 [H,W,3]."""

    counts: dict[str, int]
    named: dict[int, str]
    images: list[np.ndarray]


def colour_bias(net, image: Tensor, mask: Tensor | None = None, seeds: Sequence[int] = range(SAMPLES),
                progress: Callable[[int, int], None] | None = None, **sampling) -> ColourBias:
    """Complete one picture once a seed and name the colour that most of the hole's pixels have.

    image float32 [1,3,H,W] in [-1,1]; mask [1,1,H,W], 1 = hole, None for the bottom quarter; sampling: as `complete`
    takes it. Raises CoModError as `complete` does.
    """
    if mask is None:
        mask = torch.zeros_like(image[:, :1])
        mask[..., image.shape[2] - image.shape[2] // 4:, :] = 1
    hole = mask[0, 0].numpy() > 0.5
    named, images = {}, []
    for done, result in enumerate(complete(net, image, mask, list(seeds), **sampling), 1):
        pixels = to_integers(result.image)
        names, counts = np.unique(colour_names(pixels[hole]), return_counts=True)
        named[result.seed] = str(names[counts.argmax()])
        images.append(pixels)
        if progress is not None:
            progress(done, len(seeds))
    return ColourBias({name: list(named.values()).count(name) for name in COLOURS}, named, images)


@dataclasses.dataclass(frozen=True)
class ShapeBias:
    """overlaps: of each pair (picture, seed), intersection over union of the new object and the hole; found: masks."""

    overlaps: dict[tuple[str, int], float]
    images: list[np.ndarray]
    found: list[np.ndarray]


def shape_bias(net, pairs: Sequence[tuple[str, Tensor, Tensor]], segmenter: Segmenter, seeds: Sequence[int] = (0,),
               progress: Callable[[int, int], None] | None = None, **sampling) -> ShapeBias:
    """Hide each object by its own silhouette, complete, segment the result and compare.

    pairs: (name, image float32 [1,3,H,W] in [-1,1], silhouette [1,1,H,W], 1 = object). segmenter: uint8 [H,W,3] and the
    bool hole [H,W] -> bool [H,W], where the object is. An overlap near 1 says that the shape of the hole decides the
    shape of the object. Raises CoModError when a silhouette is empty, and as `complete` does.
    """
    overlaps, images, found = {}, [], []
    for name, image, silhouette in pairs:
        hole = masks.binarise(silhouette)
        if not hole.any():
            raise CoModError(f"{name}: its silhouette is empty. White marks the object.")
        where = hole[0, 0].numpy() > 0.5
        for result in complete(net, image, hole, list(seeds), **sampling):
            pixels = to_integers(result.image)
            new = segmenter(pixels, where)
            overlaps[name, result.seed] = float((new & where).sum() / max((new | where).sum(), 1))
            images.append(pixels)
            found.append(new)
            if progress is not None:
                progress(len(images), len(pairs) * len(seeds))
    return ShapeBias(overlaps, images, found)


def grabcut(image: np.ndarray, hole: np.ndarray, margin: float = 0.25) -> np.ndarray:
    """OpenCV's GrabCut, told that the object may be anywhere in the hole's box, widened by `margin` of its sides.

    Needs no weights; what stands out from its surroundings is the object. uint8 [H,W,3], bool [H,W] -> bool [H,W].
    """
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    grow = (int((bottom - top) * margin) + 1, int((right - left) * margin) + 1)
    top, left = max(top - grow[0], 1), max(left - grow[1], 1)
    bottom, right = min(bottom + grow[0], hole.shape[0] - 1), min(right + grow[1], hole.shape[1] - 1)
    labels = np.full(hole.shape, cv2.GC_BGD, np.uint8)
    labels[top:bottom, left:right] = cv2.GC_PR_FGD
    cv2.setRNGSeed(0)
    bgr = np.ascontiguousarray(image[..., ::-1])
    cv2.grabCut(bgr, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def torchscript_segmenter(path: str | Path) -> Segmenter:
    """A user's network: float32 [1,3,H,W] in [0,1] -> logits [1,1,H,W] (object above 0) or [1,C,H,W] (class 0 is none).

    Raises CoModError when the file is not TorchScript or answers in another shape.
    """
    try:
        net = torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise CoModError(f"{path}: not a TorchScript file ({str(error).splitlines()[0]}).") from error

    def segment(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = net(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        if logits.ndim != 4 or logits.shape[-2:] != hole.shape:
            raise CoModError(f"{path}: answered with {list(logits.shape)} for a picture of {list(hole.shape)}; it "
                             "should be [1,C,H,W] of that size.")
        return (logits[0, 0] > 0 if logits.shape[1] == 1 else logits[0].argmax(dim=0) > 0).numpy()

    return segment
