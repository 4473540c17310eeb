"""Settings to begin with: those of the paper, and small ones for a CPU or a first try."""
from __future__ import annotations

import dataclasses

from ..networks import CoModConfig
from .recipes import CompletionConfig

SMALL_SETS = 20_000     # pictures below which the discriminator needs augmentation (Karras et al. 2020, Figure 1)

# Narrow at high resolutions, where line art needs few channels: what the built-in avatars-64 has.
NARROW = {"z_dim": 128, "w_dim": 128, "mapping_layers": 4, "mapping_fmaps": 128, "fmap_max": 128, "dropout_rate": 0.0}


def completion_preset(size: int, pictures: int, *, paper: bool = False) -> CompletionConfig:
    """Settings for pictures of size x size. paper: the networks and lengths of the paper, which want a GPU.

    The small ones reconstruct at first (L1 and perceptual), so that the layout stands before the discriminator has a
    say. A set of fewer than SMALL_SETS pictures is augmented: adaptively where the network is the paper's, else by
    DiffAugment.
    """
    small = pictures < SMALL_SETS
    if paper:
        return CompletionConfig(network=CoModConfig(resolution=size), augment="ada" if small else "none")
    network = CoModConfig(resolution=size, fmap_base=8 * size, **NARROW)
    return CompletionConfig(
        network=network, total_kimg=200.0, batch=16, r1_gamma=1.0, l1_only_kimg=30.0, l1_warmup_weight=12.0,
        l1_weight=4.0, l1_warmup_kimg=60.0, perceptual_weight=8.0, samples_per_hole=2, noise_mode="none", ema_kimg=5.0,
        hole_range=(0.0, 0.75), structured_masks=0.5, augment="diffaugment" if small else "none")


def with_changes(config: CompletionConfig, changes: dict[str, object]) -> CompletionConfig:
    """The settings with some replaced; those of the network have a "network." before their names.

    Raises TypeError for a name that there is not.
    """
    network = {name[8:]: value for name, value in changes.items() if name.startswith("network.")}
    own = {name: value for name, value in changes.items() if not name.startswith("network.")}
    return dataclasses.replace(config, network=dataclasses.replace(config.network, **network), **own)
