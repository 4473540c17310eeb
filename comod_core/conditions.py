"""What networks translate into pictures: line drawings and label maps, made from photos, drawings or label pictures.

Lines are float32 [N,1,H,W] in [0,1], 1 = line. Networks see them as drawn, dark on light: -1 a line, 1 the paper; and
label maps one-hot (`labels`).
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import CoModError
from .labels import LabelClass, fit_labels, one_hot, paint

KINDS = ("edges", "labels")
DETECTORS = ("canny", "soft")
Detector = Callable[[Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class Condition:
    """A condition before it is fitted to a network.

    kind "edges": lines [N,1,H,W] in [0,1]. kind "labels": labels uint8 [N,H,W] and their classes.
    """

    kind: str
    lines: Tensor | None = None
    labels: Tensor | None = None
    classes: tuple[LabelClass, ...] = ()

    def __len__(self) -> int:
        return len(self.lines if self.kind == "edges" else self.labels)

    def __getitem__(self, index: int) -> Condition:
        if not -len(self) <= index < len(self):
            raise IndexError(f"condition {index} of {len(self)}")
        rows = slice(index, index + 1 or None)
        return dataclasses.replace(self, lines=None if self.lines is None else self.lines[rows],
                                   labels=None if self.labels is None else self.labels[rows])

    def picture(self) -> Tensor:
        """What it looks like: float32 [N,3,H,W] in [-1,1], dark lines on white or the classes' colours."""
        if self.kind == "edges":
            return (1 - 2 * self.lines).expand(-1, 3, -1, -1)
        return paint(self.labels, self.classes)

    def fit(self, resolution: int, channels: int) -> Tensor:
        """What a network of so many condition channels sees: [N,channels,R,R].

        Three channels for label maps mean the classes' colours themselves. Raises CoModError when it does not fit.
        """
        if self.kind == "edges":
            if channels not in (1, 3):
                raise CoModError(f"this network takes conditions of {channels} channels, label maps most likely, and "
                                 "no drawing: make the condition with CoMod Label Condition or --labels.")
            return (1 - 2 * fit_lines(self.lines, resolution)).expand(-1, channels, -1, -1)
        fitted = fit_labels(self.labels, resolution)
        if channels == 3 != len(self.classes):
            return paint(fitted, self.classes)
        if channels != len(self.classes):
            what = "drawings" if channels == 1 else f"label maps of {channels} classes"
            raise CoModError(f"this network takes {what}, and the label map has {len(self.classes)} classes "
                             f"({', '.join(one.name for one in self.classes)}): use the model's own class table.")
        return one_hot(fitted, channels)


# ---- drawings ---------------------------------------------------------------------------------
def from_drawing(image: Tensor, invert: bool | None = None) -> Condition:
    """Lines of a drawing [N,C,H,W] in [-1,1], C 1, 3 or 4: dark lines on light paper, transparent is paper.

    invert: light lines on dark ground; None finds out by which of the two there is more of.
    """
    if image.ndim != 4 or image.shape[1] not in (1, 3, 4):
        raise CoModError(f"a drawing of shape {list(image.shape)}: give [N,C,H,W] with 1, 3 or 4 channels.")
    values = image.detach().to("cpu", torch.float32)
    grey = (values[:, :3].mean(dim=1, keepdim=True) + 1) / 2
    if values.shape[1] == 4:
        alpha = (values[:, 3:] + 1) / 2
        grey = grey * alpha + (1 - alpha)
    lines = (1 - grey).clamp(0, 1)
    dark = lines.mean(dim=(1, 2, 3), keepdim=True) > 0.5 if invert is None else torch.tensor(bool(invert))
    return Condition("edges", torch.where(dark, 1 - lines, lines))


def fit_lines(lines: Tensor, resolution: int) -> Tensor:
    """Lines [N,1,H,W] to [N,1,R,R]: a square around the whole; thin strokes stay visible when they shrink."""
    side = max(lines.shape[-2:])
    top, left = (side - lines.shape[-2]) // 2, (side - lines.shape[-1]) // 2
    square = F.pad(lines, (left, side - lines.shape[-1] - left, top, side - lines.shape[-2] - top))
    if side == resolution:
        return square
    if side < resolution:
        return F.interpolate(square, size=(resolution, resolution), mode="bilinear", align_corners=False).clamp(0, 1)
    # the mean of a cell thins a stroke out, its maximum thickens it: between both, and the darkest stroke full
    size = (resolution, resolution)
    small = (F.interpolate(square, size=size, mode="area") * F.adaptive_max_pool2d(square, size)).sqrt()
    small = (1.5 * small).clamp_max(1)
    peak = small.amax(dim=(1, 2, 3), keepdim=True)
    return torch.where(peak > 0.05, small / peak.clamp_min(0.05), small)


# ---- photos -----------------------------------------------------------------------------------
def from_photo(image: Tensor, detector: str | Detector = "canny", resolution: int | None = None, *, low: float = 50.0,
               high: float = 120.0, softness: float = 0.06) -> Condition:
    """Lines of a photo [N,C,H,W] in [-1,1], C 1, 3 or 4 (transparent is white).

    detector: "canny" (thin, yes or no; low and high are its thresholds of 255), "soft" (as strong as the edge; softness
    is the change of brightness, of 1, that counts as two thirds of a line), or a network as `load_detector` gives it.
    resolution: a size to shrink to first, for the strongest lines at a network's scale. Raises CoModError.
    """
    if image.ndim != 4 or image.shape[1] not in (1, 3, 4):
        raise CoModError(f"a photo of shape {list(image.shape)}: give [N,C,H,W] with 1, 3 or 4 channels.")
    if isinstance(detector, str) and detector not in DETECTORS:
        raise CoModError(f"edge detector {detector!r} is not one of {', '.join(DETECTORS)}.")
    if not 0 <= low <= high or not math.isfinite(high):
        raise CoModError(f"Canny's thresholds {low:g} and {high:g} must not be negative nor fall.")
    if not softness > 0:
        raise CoModError(f"softness {softness:g} must be positive.")
    photo = _on_white(image.detach().to("cpu", torch.float32))
    if resolution is not None and max(photo.shape[-2:]) > resolution:
        scale = resolution / max(photo.shape[-2:])
        size = [max(1, round(extent * scale)) for extent in photo.shape[-2:]]
        photo = F.interpolate(photo, size=size, mode="area")
    if not isinstance(detector, str):
        return Condition("edges", detector(photo))
    values = (photo * 255).round().clamp(0, 255).to(torch.uint8).movedim(1, -1).numpy()
    one = (lambda x: canny(x, low, high)) if detector == "canny" else (lambda x: soft_edges(x, softness))
    return Condition("edges", torch.from_numpy(np.stack([one(value) for value in values]))[:, None].float() / 255)


def _on_white(image: Tensor) -> Tensor:
    """[N,C,H,W] in [-1,1] to [N,3,H,W] in [0,1]."""
    values = (image + 1) / 2
    if values.shape[1] == 4:
        values = values[:, :3] * values[:, 3:] + (1 - values[:, 3:])
    return values.expand(-1, 3, -1, -1).clamp(0, 1)


def canny(photo: np.ndarray, low: float = 50.0, high: float = 120.0) -> np.ndarray:
    """Canny's edges of a uint8 picture [H,W,3]: uint8 [H,W], 0 or 255 (Canny 1986; on the strongest channel)."""
    import cv2

    return cv2.Canny(np.ascontiguousarray(photo), low, high)


def soft_edges(photo: np.ndarray, softness: float = 0.06) -> np.ndarray:
    """Strength of the edges of a uint8 picture [H,W,3] of every channel: uint8 [H,W], 0 to 255.

    Scharr's gradient, the strongest channel's, where it is the greatest across the edge; 1 - exp(-(g / softness)^2).
    """
    import cv2

    values = np.float32(photo) / 255
    x, y = (cv2.Scharr(values, cv2.CV_32F, dx, dy, scale=1 / 32) for dx, dy in ((1, 0), (0, 1)))
    strength = np.hypot(x, y)
    best = strength.argmax(axis=2)[..., None]
    x, y, strength = (np.take_along_axis(part, best, axis=2)[..., 0] for part in (x, y, strength))
    # thin: half where a neighbour across the edge is stronger
    padded = np.pad(strength, 1)
    across = np.where(np.abs(x) >= np.abs(y), np.maximum(padded[1:-1, :-2], padded[1:-1, 2:]),
                      np.maximum(padded[:-2, 1:-1], padded[2:, 1:-1]))
    lines = 1 - np.exp(-np.square(strength / softness))
    return np.where(strength >= across, lines * 255, lines * 64).astype(np.uint8)


def load_detector(path: str | Path) -> Detector:
    """An edge network of one's own (HED and the like): a TorchScript file, float [N,3,H,W] in [0,1] to [N,1,H,W] there.

    Several outputs: the last counts (HED's fused one). Such a file is a program: use only those that you trust. Raises
    CoModError when it is none or gives anything else.
    """
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CoModError(f"{path}: not a TorchScript file ({reason}). Save one with torch.jit.save.") from error

    def detect(photo: Tensor) -> Tensor:
        with torch.inference_mode():
            found = module(photo)
        found = found[-1] if isinstance(found, (list, tuple)) else found
        if not isinstance(found, Tensor) or list(found.shape) != [len(photo), 1, *photo.shape[-2:]]:
            what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise CoModError(f"{path}: the edge network gave {what} for pictures {list(photo.shape)}; expected "
                             f"{[len(photo), 1, *photo.shape[-2:]]}, values from 0 to 1.")
        return found.float().clamp(0, 1)

    return detect


def from_labels(labels: Tensor, classes: Sequence[LabelClass]) -> Condition:
    """A label map uint8 [N,H,W] as a condition. Raises CoModError for numbers beyond the classes."""
    from .labels import check_labels

    return Condition("labels", labels=check_labels(labels, classes), classes=tuple(classes))
