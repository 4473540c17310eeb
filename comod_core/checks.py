"""What completion asks of its arguments, in words that say what to change."""
from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable

from torch import Tensor

from .errors import CoModError
from .latents import SEED_MAX
from .networks.layers import NOISE_MODES

SIZE_STRATEGIES = ("auto", "crop", "whole", "original")


def check_net(net) -> None:
    """A network that completes pictures of three channels."""
    if hasattr(net, "expand"):
        raise CoModError("this network is a StyleMapGAN: it edits whole pictures through style maps and completes no "
                         "holes. Load a completion network (CoModGAN).")
    if getattr(net, "pix2pix", False):
        raise CoModError("this network translates a whole picture into another (image to image) and completes no "
                         "holes: load a completion network.")
    if not hasattr(net, "encode"):
        raise CoModError("this network generates pictures out of nothing or from the look of an instance (BigGAN, "
                         "StyleGAN2) and completes no holes. Load a completion network (CoModGAN).")
    if net.image_channels != 3:
        raise CoModError(f"this network has {net.image_channels} image channels: completion needs one with 3 (RGB).")


def check_style_net(net) -> None:
    """A network that edits pictures of three channels through style maps."""
    if not hasattr(net, "expand"):
        raise CoModError("this network has no style maps: editing needs a StyleMapGAN. A completion network (CoModGAN) "
                         "fills holes instead.")
    if net.image_channels != 3:
        raise CoModError(f"this network has {net.image_channels} image channels: editing needs one with 3 (RGB).")


def check_image(image: Tensor) -> None:
    """Float [N,C,H,W] with C 1, 3 or 4 and at least one pixel."""
    if not isinstance(image, Tensor) or image.ndim != 4:
        shape = list(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise CoModError(f"image is {shape}: give a tensor [N,C,H,W] in [-1,1].")
    if not image.is_floating_point():
        raise CoModError(f"image holds {image.dtype}: give floating point values in [-1,1] (0..255: divide by 127.5 "
                         "and subtract 1).")
    if image.shape[1] not in (1, 3, 4):
        raise CoModError(f"image has {image.shape[1]} channels: give 1 (grey), 3 (RGB) or 4 (RGBA).")
    if 0 in image.shape:
        raise CoModError(f"image has shape {list(image.shape)} and so no pixels: give at least 1x1.")


def check_fit(fit, image: Tensor) -> None:
    """Options of a `regions.Fit`, and a picture of the model's size where the strategy is "original"."""
    if fit.strategy not in SIZE_STRATEGIES:
        raise CoModError(f"size_strategy {fit.strategy!r} is not one of {', '.join(SIZE_STRATEGIES)}.")
    _check_number("context", fit.context, 0, 100)
    if fit.feather is not None:
        _check_number("feather", fit.feather, 0, 100_000)
    _check_number("grow", fit.grow, 0, 100_000)
    height, width = image.shape[-2:]
    if fit.strategy == "original" and not height == width == fit.resolution:
        raise CoModError(f"size_strategy original needs a picture of {fit.resolution}x{fit.resolution}, this one is "
                         f"{width}x{height}: resize it, or use crop or whole.")


def check_sampling(net, psi: float = 1.0, cutoff: int | None = None, noise_mode: str = "const") -> None:
    """psi a number, cutoff None or a layer's index, a known noise mode."""
    _check_number("psi", psi, -100, 100)
    if cutoff is not None:
        if isinstance(cutoff, bool) or not isinstance(cutoff, numbers.Integral) or cutoff < 0:
            raise CoModError(f"cutoff is {cutoff!r}: give None or a whole number from 0 to {net.num_layers} (layers).")
    if noise_mode not in NOISE_MODES:
        raise CoModError(f"noise_mode {noise_mode!r} is not one of {', '.join(NOISE_MODES)}.")


def check_seeds(seeds: int | Iterable[int]) -> list[int]:
    """Seeds as a list of at least one int from 0 to 2^64 - 1; a single one may come alone."""
    if isinstance(seeds, (str, bytes)):
        raise CoModError(f"seeds is the text {seeds!r}: give whole numbers.")
    if isinstance(seeds, Tensor):
        seeds = seeds.tolist()
    found = [_seed(seed) for seed in (seeds if isinstance(seeds, Iterable) else [seeds])]
    if not found:
        raise CoModError("no seeds: give at least one.")
    return found


def _seed(seed: int) -> int:
    try:
        number = -1 if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number <= SEED_MAX:
        raise CoModError(f"seed {seed!r} is not a whole number from 0 to 2^64 - 1.")
    return number


def _check_number(name: str, value: float, low: float, high: float) -> None:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or not low <= value <= high:
        raise CoModError(f"{name} is {value!r}: give a number from {low:g} to {high:g}.")
