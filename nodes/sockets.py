"""The pack's own socket types and what travels on them."""
from __future__ import annotations

from dataclasses import dataclass

import torch

from ..comod_core.completion import Prepared
from ..comod_core.networks.comodgan import Encoding as NetworkEncoding
from ..comod_core.photos import Photo
from ..comod_core.stylemaps import Style
from ._api import io

Model = io.Custom("COMOD_MODEL")
Encoding = io.Custom("COMOD_ENCODING")
Latent = io.Custom("COMOD_LATENT")
StyleMap = io.Custom("COMOD_STYLE_MAP")
StyleDirection = io.Custom("COMOD_STYLE_DIRECTION")
Instance = io.Custom("COMOD_INSTANCE")
Condition = io.Custom("COMOD_CONDITION")


@dataclass(frozen=True)
class EncodedPictures:
    """What Encode puts on a socket: the IMAGE [B,H,W,C] it came from, what `completion.prepare` made of it, and one
    encoding a crop."""

    source: torch.Tensor
    prepared: Prepared
    encodings: tuple[NetworkEncoding, ...]


@dataclass(frozen=True)
class SeededLatents:
    """Latents on a socket: `w` [N,layers,w_dim], the N seeds they came from, and the network's `w_avg` [w_dim].

    The seeds travel along because dropout and noise of a sample are drawn from its seed as well.
    """

    w: torch.Tensor
    seeds: tuple[int, ...]
    w_avg: torch.Tensor


@dataclass(frozen=True)
class StyledPictures:
    """Style maps on a socket: the IMAGE [B,H,W,C] they came from, what `photos.prepare` made of it, and their style.

    edited [1 or N,1,H,W] in [0,1]: where the pictures were edited; None where nothing has been edited yet. donor: where
    the edits came from, see `photos.blend_back`.
    """

    source: torch.Tensor
    photo: Photo
    style: Style
    edited: torch.Tensor | None = None
    donor: torch.Tensor | None = None


@dataclass(frozen=True)
class InstanceFeatures:
    """Instances on a socket: features [N,D] of unit length, float32 on the CPU.

    extractor and digest: name of the network that they came from and SHA-256 of its weights, "" where unknown.
    """

    features: torch.Tensor
    extractor: str = ""
    digest: str = ""


def seeds_from(seed: int, count: int) -> tuple[int, ...]:
    """`count` seeds that follow `seed`: seed, seed + 1, ... ; after 2**64 - 1 comes 0."""
    return tuple((seed + step) % 2 ** 64 for step in range(count))
