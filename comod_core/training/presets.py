"""What the recipes' presets share, and changes to settings by name."""
from __future__ import annotations

import dataclasses

from .config import TrainConfig

SMALL_SETS = 20_000     # pictures below which the discriminator needs augmentation (Karras et al. 2020, Figure 1)

# Narrow at high resolutions, where line art needs few channels: what the built-in avatars-64 has.
NARROW = {"z_dim": 128, "w_dim": 128, "mapping_layers": 4, "mapping_fmaps": 128, "fmap_max": 128, "dropout_rate": 0.0}


def augmentation(pictures: int, small: str = "diffaugment") -> str:
    """`small` for a set of few pictures, "none" for a large one."""
    return small if pictures < SMALL_SETS else "none"


def with_changes(config: TrainConfig, changes: dict[str, object]) -> TrainConfig:
    """The settings with some replaced; those of the network have a "network." before their names.

    Raises TypeError for a name that there is not.
    """
    network = {name[8:]: value for name, value in changes.items() if name.startswith("network.")}
    own = {name: value for name, value in changes.items() if not name.startswith("network.")}
    return dataclasses.replace(config, network=dataclasses.replace(config.network, **network), **own)
