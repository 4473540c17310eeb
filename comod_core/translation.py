"""Image to image: a condition (line drawing, label map) and a seed to a picture, with any of the networks that do so.

A seed draws its own z, dropout and noise on the CPU and its picture is made alone, so neither batch size nor order
changes a bit.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import latents
from .checks import check_sampling, check_seeds
from .conditions import Condition
from .errors import CoModError
from .labels import LabelClass, parse_table

Progress = Callable[[int, int, "Tensor | None"], None]


@dataclass(frozen=True)
class Translated:
    """One picture: image [1,3,R,R] float32 on the CPU, in [-1,1]; which condition it was made of, and its seed."""

    image: Tensor
    condition: int
    seed: int


def check_translator(net) -> None:
    """A network that makes a picture of a condition. Raises CoModError."""
    if not getattr(net, "pix2pix", False):
        raise CoModError("this network translates no drawings or label maps: load one that does (avatars-edges-64, "
                         "avatars-labels-64, a CoModGAN for image to image, pix2pix or SPADE).")


def condition_channels(net) -> int:
    """How many channels the network's conditions have."""
    check_translator(net)
    return net.config.encoder_channels if hasattr(net, "encode") else net.config.condition_channels


def condition_kind(net) -> str:
    """"edges" or "labels": what the file says the network was trained with, or what its channels tell."""
    channels = condition_channels(net)
    stated = getattr(net.info, "condition", "")
    return stated or ("edges" if channels in (1, 3) else "labels")


def classes_of(net) -> tuple[LabelClass, ...]:
    """The classes that a network of label maps was trained with; none where its file does not say."""
    check_translator(net)
    return parse_table(net.info.classes) if getattr(net.info, "classes", ()) else ()


def translate(net, condition: Condition | Tensor, seeds: int | Iterable[int], *, psi: float = 1.0,
              cutoff: int | None = None, noise_mode: str = "const", dropout: bool = True,
              progress: Progress | None = None) -> Iterator[Translated]:
    """One picture for every condition and seed: all conditions with the first seed, then with the next.

    condition: a `Condition`, or what the network sees, [N,C,R,R]. psi: truncation of a CoModGAN's latents, the
    spread of SPADE's z; pix2pix has none. noise_mode: of a CoModGAN. dropout: as published, of a CoModGAN's code and
    in pix2pix's decoder. progress(done, total, image) is called after each; what it raises stops the work. Arguments
    are checked at the call, the network runs as pictures are asked for. Raises CoModError.
    """
    check_translator(net)
    seeds = check_seeds(seeds)
    check_sampling(net, psi, cutoff if hasattr(net, "num_layers") else None, noise_mode)
    if isinstance(condition, Condition):
        condition = condition.fit(net.resolution, condition_channels(net))
    if condition.ndim != 4 or condition.shape[1:] != (condition_channels(net), net.resolution, net.resolution):
        raise CoModError(f"condition of shape {list(condition.shape)}: this network takes "
                         f"[N,{condition_channels(net)},{net.resolution},{net.resolution}].")
    return _pictures(net, condition, seeds, (psi, cutoff, noise_mode, dropout), progress)


def _pictures(net, condition: Tensor, seeds: Sequence[int], options: tuple,
              progress: Progress | None) -> Iterator[Translated]:
    place = next(net.parameters())
    condition = condition.to(place.device, place.dtype)
    encodings, total = {}, len(seeds) * len(condition)
    for i, seed in enumerate(seeds):
        for row in range(len(condition)):
            with torch.inference_mode():        # not around the yield: the mode would leak into the caller
                if hasattr(net, "encode") and row not in encodings:
                    encodings[row] = net.encode(condition[row:row + 1], dropout=False)
                one = encodings.get(row, condition[row:row + 1])
                image = _one(net, one, seed, *options).to("cpu", torch.float32, copy=True).clamp_(-1, 1)
            if progress:
                progress(i * len(condition) + row + 1, total, image)
            yield Translated(image, row, seed)


def _one(net, given, seed: int, psi: float, cutoff: int | None, noise_mode: str, dropout: bool) -> Tensor:
    """One picture. given: a CoModGAN's encoding, or else the condition [1,C,R,R]."""
    if hasattr(net, "encode"):
        w = latents.truncate(latents.sample(net, [seed]), net.w_avg, psi, cutoff)
        keep = latents.generators([seed], "dropout") if dropout and net.config.dropout_rate else None
        return net.decode(given.drop(keep), w, noise_mode, latents.generators([seed], "noise"))
    if hasattr(net, "z_dim"):
        z = torch.randn(1, net.z_dim, generator=latents.generators([seed], "z")[0])
        return net.translate(given, (psi * z).to(given.device, given.dtype))
    return net.translate(given, latents.generators([seed], "dropout"), dropout)


@torch.inference_mode()
def translate_batch(net, condition: Tensor, seeds: Sequence[int], psi: float = 1.0) -> Tensor:
    """What the network sees [N,C,R,R], and a seed each, to pictures [N,3,R,R] at once: for measurements and grids.

    The seeds' z and dropout are those of `translate`; batches may round differently in the last bit.
    """
    if hasattr(net, "encode"):
        encoding = net.encode(condition, generators=latents.generators(seeds, "dropout"))
        return net.decode(encoding, latents.truncate(latents.sample(net, seeds), net.w_avg, psi)).clamp(-1, 1)
    if hasattr(net, "z_dim"):
        z = torch.cat([torch.randn(1, net.z_dim, generator=g) for g in latents.generators(seeds, "z")]) * psi
        return net.translate(condition, z.to(condition.device, condition.dtype))
    return net.translate(condition, latents.generators(seeds, "dropout"))
