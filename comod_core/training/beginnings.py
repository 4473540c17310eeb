"""Settings for a run that begins with a model file: the file's network, at the resolution of the pictures."""
from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ..checkpoints import import_checkpoint
from ..errors import CoModError
from ..loading import find_model
from ..networks.biggan import GENERATOR_PLAN, BigGANConfig
from ..networks.comodgan import CoModConfig
from ..networks.registry import ARCHITECTURES as KINDS
from .config import TrainConfig
from .recipes import config_from_json
from .recipes.translation_config import ARCHITECTURES

# what the pictures and the job decide, whatever the file's network had
JOB = ("resolution", "image_channels", "label_size", "feature_size", "pix2pix", "condition_channels")
RECIPE_OF = {"stylemapgan": "stylemap", "stylegan2": "instance", "biggan": "instance-biggan", "comodgan": "completion"}


def network_of(start: str | Path, run: str | Path) -> Any:
    """Configuration of the network that a model file of any format holds, or of the run's own where there is one.

    Raises CoModError as `import_checkpoint` does.
    """
    run = Path(run)
    if (run / "snapshot.pt").exists() and (run / "config.json").exists():
        return config_from_json((run / "config.json").read_text("utf-8")).network
    return import_checkpoint(start_file(start)).generator.config


def start_file(name: str | Path) -> Path:
    """The file or folder of a model, by its path or its name in the table. Raises CoModError as `find_model` does."""
    return Path(name) if Path(name).exists() else find_model(name)[0]


def differences(config: TrainConfig, run: str | Path) -> list[str]:
    """What keeps a run's snapshot from being gone on with: recipe and settings of the network that are other ones.

    In words, "name: before, now"; none where there is no snapshot.
    """
    run = Path(run)
    if not ((run / "snapshot.pt").exists() and (run / "config.json").exists()):
        return []
    before = config_from_json((run / "config.json").read_text("utf-8"))
    if before.recipe != config.recipe:
        return [f"recipe: {before.recipe}, now {config.recipe}"]
    old, new = ({"kind": _kind(one), **dataclasses.asdict(one)} for one in (before.network, config.network))
    return [f"network.{name}: {old[name]}, now {new[name]}" for name in new if name in old and old[name] != new[name]]


def recipe_for(found: Any, path: str | Path) -> str:
    """The recipe that trains a network of this configuration. Raises CoModError where several do."""
    name = _kind(found)
    if name not in RECIPE_OF or getattr(found, "pix2pix", False):
        raise CoModError(f"--start {path}: this network translates; say --recipe edges or --recipe labels.")
    return RECIPE_OF[name]


def like(config: TrainConfig, found: Any, path: str | Path) -> TrainConfig:
    """The settings with the network of a file, so that its layers are taken wherever the resolution allows it.

    Widths, latents and the like become the file's; resolution, channels of the pictures, classes, features and
    conditions stay. Raises CoModError when the recipe trains another architecture.
    """
    kind = _kind(found)
    if hasattr(config, "architecture"):                 # of edges and labels: the network follows its name
        config = dataclasses.replace(config, architecture=kind) if kind in ARCHITECTURES else config
    own = config.network
    if type(own) is not type(found) or getattr(own, "pix2pix", 0) != getattr(found, "pix2pix", 0):
        raise CoModError(f"--start {path}: the recipe {config.recipe} does not train its network ({kind}). Leave "
                         "--recipe out, or name the one that made it.")
    kept = {field: getattr(own, field) for field in JOB if hasattr(own, field)}
    network = dataclasses.replace(found, **kept, **_fitted(own, found))
    return dataclasses.replace(config, network=network)


def _kind(network: Any) -> str:
    return next(kind.name for kind in KINDS if isinstance(network, kind.config))


def _fitted(own: Any, found: Any) -> dict[str, Any]:
    """The fields that have to follow the resolution."""
    if isinstance(found, CoModConfig):
        return {}
    fitted = {name: _lengthened(getattr(found, name), len(own.channels)) for name in ("channels", "critic_channels")
              if isinstance(getattr(found, name, None), tuple)}
    if hasattr(found, "style_size"):
        fitted["style_size"] = min(found.style_size, own.resolution // 2)
    if isinstance(found, BigGANConfig):
        chunk = found.z_dim // found.chunks
        fitted["z_dim"] = chunk * (len(GENERATOR_PLAN[own.resolution][0]) + 1)
    return fitted


def _lengthened(channels: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Channels at 4, 8, ... for `count` resolutions: cut off, or each new one half of the one before."""
    while len(channels) < count:
        channels = (*channels, max(channels[-1] // 2, 8))
    return channels[:count]
