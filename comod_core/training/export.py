"""A snapshot of a run to a model file: `python -m comod_core.training.export SNAPSHOT DST.safetensors --name ...`."""
from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.store import save_networks
from ..errors import CoModError
from .projected import ProjectedDiscriminator
from .recipes import RECIPES, config_from_json


def export(snapshot: str | Path, destination: str | Path, metadata: dict[str, Any]) -> Path:
    """Write the averaged generator and the discriminator of a snapshot (not one on features) as safetensors.

    metadata: name, licence, origin, credits, layout ("aligned" or "free"); the number of steps and the settings of the
    run are added, and what is known of the file that it began with, if any ("begun", JSON). Raises CoModError when the
    snapshot cannot be read.
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
    facts = recipe.facts(config) | metadata | {"steps": str(state["step"]), "training": config.to_json()}
    if state.get("begun"):
        facts["begun"] = json.dumps(state["begun"])
    networks = {"generator": recipe.plain(generator)}
    if not isinstance(discriminator, ProjectedDiscriminator):       # files hold networks of the architecture alone
        networks["discriminator"] = recipe.plain(discriminator)
    return save_networks(destination, networks, facts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="comod_core.training.export", description=__doc__)
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("destination", type=Path)
    for name in ("name", "licence", "origin", "credits"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--layout", choices=["aligned", "free"], default="free",
                        help="aligned: every picture is framed alike, so photos are fitted whole")
    options = vars(parser.parse_args())
    print(export(options.pop("snapshot"), options.pop("destination"), options))


if __name__ == "__main__":
    main()
