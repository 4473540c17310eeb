"""Pictures of a BigGAN or StyleGAN2 from seeds, and from the feature of an instance where the network takes one.

A seed draws its own z and noise on the CPU and its picture is made alone, so neither batch size nor order changes a
bit. Features are divided by their length here, as the networks were trained.
"""
from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import latents
from ..checks import check_sampling, check_seeds
from ..errors import CoModError
from ..metrics.networks import FeatureNetwork
from ..stylemaps import fractions

Progress = Callable[[int, int, "Tensor | None"], None]


@dataclass(frozen=True)
class Sample:
    """One picture: image [1,C,R,R] float32 on the CPU, in [-1,1]. distance: to the instance, by `rank`; else None."""

    image: Tensor
    seed: int
    distance: float | None = None


@dataclass(frozen=True)
class _Frame:
    """What one picture is made from: z [1,z_dim], feature [1,F], label [1,L]; the last two None where not taken."""

    seed: int
    z: Tensor
    feature: Tensor | None
    label: Tensor | None


def check_generator(net) -> None:
    """A network that generates pictures from z. Raises CoModError."""
    if not hasattr(net, "generate"):
        raise CoModError("this network completes or edits pictures and generates none from an instance: load a BigGAN "
                         "or StyleGAN2.")


def unit(feature: Tensor) -> Tensor:
    """Rows [N,F], or one row [F], divided by their length: float32. Raises CoModError for a zero or infinite row."""
    feature = torch.as_tensor(feature).detach().to("cpu", torch.float32)
    length = feature.norm(dim=-1, keepdim=True)
    if feature.ndim not in (1, 2) or not feature.numel() or not bool((length > 0).all() & length.isfinite().all()):
        raise CoModError(f"a feature of shape {list(feature.shape)} is empty, zero or not finite: give [F] or [N,F] "
                         "from the network's own extractor.")
    return feature / length


def one_hot(net, label: int | Sequence[int] | Tensor | None) -> Tensor | None:
    """Classes as [N,L] for a network of L: of a number, of a list of numbers, or weights [L] or [N,L] as they are.

    None stays None. Raises CoModError for a network without classes and numbers outside of 0 to L - 1.
    """
    if label is None:
        return None
    if not net.label_size:
        raise CoModError("this network has no classes: leave label out.")
    if isinstance(label, Tensor) and label.is_floating_point():
        return label.detach().to("cpu", torch.float32).reshape(-1, label.shape[-1])
    numbers = torch.as_tensor(label).reshape(-1)
    whole = not numbers.is_floating_point() and numbers.dtype != torch.bool
    if not whole or not len(numbers) or numbers.min() < 0 or numbers.max() >= net.label_size:
        raise CoModError(f"label {label!r} is no class of this network: give a whole number from 0 to "
                         f"{net.label_size - 1}.")
    return torch.nn.functional.one_hot(numbers.long(), net.label_size).float()


def draw(net, seed: int) -> Tensor:
    """z [1,z_dim] of a seed, float32 on the CPU."""
    return torch.randn(1, net.z_dim, generator=latents.generators([seed], "z")[0])


def generate(net, seeds: int | Iterable[int], feature: Tensor | None = None,
             label: int | Sequence[int] | Tensor | None = None, *, psi: float = 1.0, noise_mode: str = "const",
             progress: Progress | None = None) -> Iterator[Sample]:
    """One picture a seed, in the look of an instance where the network takes one.

    feature [F], or [N,F] with a row a seed. label: a class number, N of them, or weights [L] or [N,L]. psi: truncation
    of a StyleGAN2, the standard deviation of z of a BigGAN; 1 full variety. noise_mode: "const", "random" (from the
    seed) or "none". progress(done, total, image) is called after each; what it raises stops the work. Arguments are
    checked at the call, the network runs as pictures are asked for. Raises CoModError.
    """
    seeds = check_seeds(seeds)
    check_generator(net)
    features, labels = rows_for(net, feature, label, len(seeds))
    frames = [_Frame(seed, draw(net, seed), *row) for seed, *row in zip(seeds, features, labels, strict=True)]
    return _pictures(net, frames, psi, noise_mode, progress)


def swap_class(net, seed: int, feature: Tensor, labels: Sequence[int], *, psi: float = 1.0, noise_mode: str = "const",
               progress: Progress | None = None) -> Iterator[Sample]:
    """The same instance and seed as one class after another: a picture a class number."""
    return generate(net, [seed] * len(labels), feature, labels, psi=psi, noise_mode=noise_mode, progress=progress)


def interpolate(net, frames: int, features: tuple[Tensor | None, Tensor | None], seeds: tuple[int, int],
                labels: tuple[int | Tensor | None, int | Tensor | None] = (None, None), *, psi: float = 1.0,
                noise_mode: str = "const", progress: Progress | None = None) -> Iterator[Sample]:
    """Pictures on the way from one (feature, seed, label) to another, `frames` of them, both ends included.

    Features and z go along great circles (both live on spheres), classes straight. Noise is that of the first seed.
    """
    check_generator(net)
    steps, ends = fractions(frames), [_end(net, *end) for end in zip(seeds, features, labels, strict=True)]
    if (ends[0].feature is None) != (ends[1].feature is None) or (ends[0].label is None) != (ends[1].label is None):
        raise CoModError("interpolation needs a feature, or a class, at both ends or at neither.")
    return _pictures(net, [_between(*ends, t) for t in steps], psi, noise_mode, progress)


def _end(net, seed: int, feature: Tensor | None, label: int | Tensor | None) -> _Frame:
    seed, = check_seeds(seed)
    (feature,), (label,) = rows_for(net, feature, label, 1)
    return _Frame(seed, draw(net, seed), feature, label)


def _between(a: _Frame, b: _Frame, t: float) -> _Frame:
    feature = None if a.feature is None else unit(latents.slerp(a.feature, b.feature, t))
    label = None if a.label is None else latents.lerp(a.label, b.label, t)
    return _Frame(a.seed, latents.slerp(a.z, b.z, t), feature, label)


def mix(net, coarse: int, fine: int, layers: Iterable[int], feature: Tensor | None = None,
        label: int | Tensor | None = None, *, psi: float = 1.0, noise_mode: str = "const") -> Sample:
    """Style mixing: the picture of seed `coarse` with the given layers of w taken from seed `fine` (StyleGAN2 only)."""
    check_generator(net)
    if not hasattr(net, "num_layers"):
        raise CoModError("this network has no latents a layer to mix: style mixing needs a StyleGAN2.")
    check_sampling(net, psi, None, noise_mode)
    ends, place = [_end(net, seed, feature, label) for seed in (coarse, fine)], next(net.parameters())
    with torch.no_grad():
        w = [latents.truncate(net.map(*(placed(x, place) for x in (end.z, end.label, end.feature))), net.w_avg, psi)
             for end in ends]
        image = net.decode(latents.mix(*w, layers), noise_mode, latents.generators([coarse], "noise"))
    return Sample(finished(image), coarse)


def rank(net, seeds: Iterable[int], feature: Tensor, extractor: FeatureNetwork, keep: int,
         label: int | Tensor | None = None, *, psi: float = 1.0, noise_mode: str = "const",
         progress: Progress | None = None) -> list[Sample]:
    """Over-sample and rank: of one picture a seed, the `keep` nearest to the instance, the nearest first.

    feature [F]. extractor: the one that the feature came from. The distance is 1 - cosine, from 0 to 2. No more than
    `keep` pictures are held at a time. Raises CoModError when the extractor's features are not the network's.
    """
    target, seeds = unit(feature).reshape(-1), check_seeds(seeds)
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise CoModError(f"keep is {keep!r}: give a whole number of at least 1.")
    if extractor.width != len(target):
        raise CoModError(f"the extractor {extractor.name} gives {extractor.width} values and the instance has "
                         f"{len(target)}: use the extractor that the instance's feature came from.")
    best: list[Sample] = []
    for sample in generate(net, seeds, target, label, psi=psi, noise_mode=noise_mode, progress=progress):
        found = unit(torch.from_numpy(extractor(as_bytes(sample.image))))
        ranked = Sample(sample.image, sample.seed, float(1 - found[0] @ target))
        bisect.insort(best, ranked, key=lambda one: one.distance)
        del best[keep:]
    return best


def as_bytes(image: Tensor) -> Tensor:
    """image [N,C,H,W] in [-1,1], C 1, 3 or 4 (alpha is left out) -> uint8 [N,3,H,W], as feature networks take it."""
    image = image[:, :3].detach().to("cpu", torch.float32)
    return ((image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)


def rows_for(net, feature: Tensor | None, label, count: int) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Features and labels as `count` rows [1,F] and [1,L] each, or Nones. Raises CoModError for what does not fit."""
    if net.feature_size and feature is None:
        raise CoModError("this network generates in the look of an instance: give its feature.")
    if feature is not None and not net.feature_size:
        raise CoModError("this network takes no instance: leave feature out.")
    if net.label_size and label is None:
        raise CoModError(f"this network has classes: give a label from 0 to {net.label_size - 1}.")
    feature = None if feature is None else unit(feature).reshape(-1, feature.shape[-1])
    return (_each("features", feature, count, net.feature_size),
            _each("labels", one_hot(net, label), count, net.label_size))


def _each(name: str, rows: Tensor | None, count: int, width: int) -> list[Tensor | None]:
    if rows is None:
        return [None] * count
    if rows.shape[1] != width or len(rows) not in (1, count):
        hint = " Use the extractor that it was trained with." if name == "features" and rows.shape[1] != width else ""
        raise CoModError(f"{name} have shape {list(rows.shape)}: this network takes {width} values, in one row "
                         f"or {count}.{hint}")
    return list(rows.expand(count, -1).split(1))


def _pictures(net, frames: Sequence[_Frame], psi: float, noise_mode: str,
              progress: Progress | None) -> Iterator[Sample]:
    check_sampling(net, psi, None, noise_mode)

    def samples() -> Iterator[Sample]:
        place = next(net.parameters())
        for i, frame in enumerate(frames):
            with torch.inference_mode():  # not around the yield: the mode would leak into the caller
                z, feature, label = (placed(x, place) for x in (frame.z, frame.feature, frame.label))
                image = net.generate(z, feature, label, psi, noise_mode, latents.generators([frame.seed], "noise"))
            sample = Sample(finished(image), frame.seed)
            if progress:
                progress(i + 1, len(frames), sample.image)
            yield sample

    return samples()


def placed(x: Tensor | None, place: Tensor) -> Tensor | None:
    """x on the device and in the number format of `place`; None stays None."""
    return None if x is None else x.to(place.device, place.dtype)


def finished(image: Tensor) -> Tensor:
    """A network's picture as a Sample's: float32 on the CPU, in [-1,1]."""
    return image.to("cpu", torch.float32, copy=True).clamp_(-1, 1)
