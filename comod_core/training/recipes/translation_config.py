"""Settings of the recipes that translate conditions into pictures, and the three architectures they can train."""
from __future__ import annotations

import dataclasses
from typing import Any

from ...errors import CoModError
from ...labels import parse_table
from ...networks import (
    CoModConfig,
    CoModDiscriminator,
    CoModGenerator,
    Pix2PixConfig,
    Pix2PixDiscriminator,
    Pix2PixGenerator,
    SpadeConfig,
    SpadeDiscriminator,
    SpadeGenerator,
)
from ..config import TrainConfig
from ..presets import NARROW
from ..projected import check_critic

ARCHITECTURES: dict[str, tuple[type, type, type]] = {
    "comodgan": (CoModConfig, CoModGenerator, CoModDiscriminator),
    "pix2pix": (Pix2PixConfig, Pix2PixGenerator, Pix2PixDiscriminator),
    "spade": (SpadeConfig, SpadeGenerator, SpadeDiscriminator),
}
# what each is published with, where the others have nothing of the kind
PUBLISHED: dict[str, dict[str, Any]] = {
    "comodgan": {},
    "pix2pix": {"learning_rate": 0.0002, "adam_beta1": 0.5, "adam_beta2": 0.999, "r1_gamma": 0.0,
                "l1_weight": 100.0, "l1_warmup_weight": 100.0},
    "spade": {"learning_rate": 0.0002, "critic_rate": 0.0004, "adam_beta1": 0.0, "adam_beta2": 0.9,
              "r1_gamma": 0.0, "adversarial": "hinge", "matching_weight": 10.0, "perceptual_weight": 10.0},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslationConfig(TrainConfig):
    """Settings of `Edges` and `Labels`.

    architecture: "comodgan", "pix2pix" or "spade"; a network of another one is replaced by a small one.
    classes: of label maps, "name #rrggbb" each, in the order of their numbers.
    l1_weight: of the mean absolute difference, reached from l1_warmup_weight over l1_warmup_kimg; the first
    l1_only_kimg are trained without the discriminator and with 0.9 for Adam's first beta. perceptual_weight: of
    `PerceptualDistance`. Of both, nearest_share counts for the nearest of samples_per_condition pictures alone and the
    rest for all.
    diversity_weight: of the perceptual distance between two pictures of one condition, rewarded as far as
    diversity_limit. matching_weight: of the difference of the discriminator's features (SPADE). adversarial: "logistic"
    or "hinge". guided (comodgan): so many values of z say what the picture shows beyond what its condition tells
    (`ConditionCodes`), so that the network learns what z is for; of the samples_per_condition pictures the first is
    guided and compared with the picture, the others have a random z and only the discriminator sees them. critic:
    "pictures", the architecture's own discriminator, or "features", `ProjectedDiscriminator` on condition and picture,
    without R1; adversarial_weight: of the generator's loss by it.
    jitter: pixels by which conditions are moved against their pictures; drop: share of them in which places are left
    out; warp: pixels by which both are moved together, so that a network follows a condition wherever it lies.
    """

    recipe: str = "edges"
    network: Any = dataclasses.field(default_factory=lambda: CoModConfig(pix2pix=True))
    architecture: str = "comodgan"
    classes: tuple[str, ...] = ()
    l1_weight: float = 0.0
    l1_warmup_weight: float = 0.0
    l1_warmup_kimg: float = 0.0
    l1_only_kimg: float = 0.0
    perceptual_weight: float = 0.0
    samples_per_condition: int = 1
    nearest_share: float = 1.0
    diversity_weight: float = 0.0
    diversity_limit: float = 0.3
    matching_weight: float = 0.0
    adversarial: str = "logistic"
    guided: int = 0
    critic: str = "pictures"
    adversarial_weight: float = 1.0
    noise_mode: str = "random"
    style_mixing: float = 0.5
    jitter: float = 0.0
    drop: float = 0.0
    warp: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        if self.architecture not in ARCHITECTURES:
            raise CoModError(f"Training: architecture {self.architecture!r} is not one of {', '.join(ARCHITECTURES)}.")
        if not isinstance(self.network, ARCHITECTURES[self.architecture][0]):
            object.__setattr__(self, "network", small_network(self.architecture, self.network.resolution,
                                                              condition_channels(self.network)))
        if self.adversarial not in ("logistic", "hinge"):
            raise CoModError(f"Training: adversarial {self.adversarial!r} is neither logistic nor hinge.")
        check_critic(self)
        if self.samples_per_condition < 1 or self.batch % self.samples_per_condition:
            raise CoModError("Training: samples_per_condition must divide the batch.")
        if self.diversity_weight and (self.samples_per_condition < 2 or not self.perceptual_weight):
            raise CoModError("Training: diversity_weight needs samples_per_condition of at least 2 and a "
                             "perceptual_weight.")
        if self.guided and (self.architecture != "comodgan" or not 0 < self.guided <= self.network.z_dim):
            raise CoModError("Training: guided lies from 0 to z_dim and is for comodgan.")
        if self.guided and self.diversity_weight:
            raise CoModError("Training: a guided z needs no diversity_weight; set it to 0.")
        if self.architecture == "comodgan" and not self.network.pix2pix:
            raise CoModError("Training: this network completes holes; set network.pix2pix=true.")
        if self.matching_weight and (self.architecture == "comodgan" or self.critic == "features"):
            raise CoModError("Training: matching_weight is for the discriminators of pix2pix and spade, which give "
                             "features.")
        channels, count = condition_channels(self.network), len(parse_table(self.classes)) if self.classes else 0
        if self.recipe == "labels" and channels != count:
            raise CoModError(f"Training: the network takes {channels} channels and there are {count} classes; set "
                             f"network.condition_channels={count}.")


def condition_channels(network) -> int:
    return network.encoder_channels if isinstance(network, CoModConfig) else network.condition_channels


def small_network(architecture: str, size: int, channels: int) -> CoModConfig | Pix2PixConfig | SpadeConfig:
    """A small network of an architecture for pictures of size x size and conditions of so many channels."""
    if architecture == "comodgan":
        return CoModConfig(resolution=size, pix2pix=True, condition_channels=channels, fmap_base=16 * size, **NARROW)
    layers = 3 if size >= 64 else 1
    if architecture == "pix2pix":
        return Pix2PixConfig(resolution=size, condition_channels=channels, unet_channels=16, unet_max=112,
                             patch_channels=32, patch_layers=layers)
    return SpadeConfig(resolution=size, condition_channels=channels, z_dim=128, spade_channels=24, spade_max=96,
                       spade_hidden=48, patch_channels=32, patch_layers=layers)
