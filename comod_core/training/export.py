"""A snapshot of a run to a model file: `python -m comod_core.training.export SNAPSHOT DST.safetensors --name ...`."""
from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checkpoints import import_checkpoint
from ..checkpoints.store import save_networks
from ..errors import CoModError
from ..files import sha256_of
from .projected import ProjectedDiscriminator
from .recipes import RECIPES, config_from_json


def export(snapshot: str | Path, destination: str | Path, metadata: dict[str, Any],
           earlier: str | Path | None = None, share: float = 0.5) -> Path:
    """Write the averaged generator and the discriminator of a snapshot (not one on features) as safetensors.

    metadata: name, licence, origin, credits, layout ("aligned" or "free"); the number of steps and the settings of the
    run are added, and what is known of the file that it began with, if any ("begun", JSON). earlier: a model file that
    the run began with; the generator's weights go only by `share` (0..1) from its to the run's own, which can keep what
    training on lost (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). Raises CoModError when the
    snapshot cannot be read or the earlier file's generator is another one.
    """
    try:
        state = torch.load(snapshot, map_location="cpu", weights_only=True)
        config = config_from_json(state["config"])
        recipe = RECIPES[config.recipe]
        generator, discriminator = recipe.networks(config)
        generator.load_state_dict(state["ema"])
        discriminator.load_state_dict(state["discriminator"])
    except (RuntimeError, KeyError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise CoModError(f"{snapshot}: not a snapshot of a training run ({error}).") from error
    networks = {"generator": recipe.plain(generator)}
    if earlier is not None:
        _go_back(networks["generator"], import_checkpoint(earlier).generator, share, earlier)
        metadata = metadata | {"earlier": json.dumps({"sha256": sha256_of(earlier), "share": share})}
    facts = recipe.facts(config) | metadata | {"steps": str(state["step"]), "training": config.to_json()}
    if state.get("begun"):
        facts["begun"] = json.dumps(state["begun"])
    if not isinstance(discriminator, ProjectedDiscriminator):       # files hold networks of the architecture alone
        networks["discriminator"] = recipe.plain(discriminator)
    return save_networks(destination, networks, facts)


@torch.no_grad()
def _go_back(net: nn.Module, earlier: nn.Module, share: float, path: str | Path) -> None:
    """Move a network's weights so that they lie `share` of the way from an earlier one's to its own."""
    if not 0 <= share <= 1:
        raise CoModError(f"share is {share}; it lies in [0,1].")
    own, theirs = net.state_dict(), earlier.state_dict()
    if {name: x.shape for name, x in own.items()} != {name: x.shape for name, x in theirs.items()}:
        raise CoModError(f"{path}: its generator is not the snapshot's; give the file that the run began with.")
    for name, value in own.items():
        if value.is_floating_point():
            value.copy_(torch.lerp(theirs[name], value, share))


def main() -> None:
    parser = argparse.ArgumentParser(prog="comod_core.training.export", description=__doc__)
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("destination", type=Path)
    for name in ("name", "licence", "origin", "credits"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--layout", choices=["aligned", "free"], default="free",
                        help="aligned: every picture is framed alike, so photos are fitted whole")
    parser.add_argument("--earlier", type=Path, metavar="FILE", help="the file that the run began with, to go back to")
    parser.add_argument("--share", type=float, default=0.5, help="how far to go from FILE's weights to the run's; 0.5")
    options = vars(parser.parse_args())
    names = ("snapshot", "destination", "earlier", "share")
    given = {name: options.pop(name) for name in names}
    print(export(given.pop("snapshot"), given.pop("destination"), options, **given))


if __name__ == "__main__":
    main()
