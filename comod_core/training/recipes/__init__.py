"""What can be trained: one recipe an architecture and job, each a config and the losses of one step."""
from __future__ import annotations

import json

from ...errors import CoModError
from ..config import TrainConfig
from .base import Recipe
from .completion import Completion, CompletionConfig
from .instance import Instance, InstanceConfig
from .instance_biggan import BigGANInstanceConfig, InstanceBigGAN
from .stylemap import StyleMap, StyleMapTrainConfig
from .translation import Edges, Labels, TranslationConfig

RECIPES: dict[str, type[Recipe]] = {"completion": Completion, "edges": Edges, "labels": Labels, "instance": Instance,
                                    "instance-biggan": InstanceBigGAN, "stylemap": StyleMap}


def recipe_of(config: TrainConfig) -> Recipe:
    """The recipe of these settings, ready to be trained."""
    return RECIPES[config.recipe](config)


def config_from_json(text: str) -> TrainConfig:
    """Settings from the JSON of `TrainConfig.to_json`. Raises CoModError when the recipe or a field is unknown."""
    try:
        fields = json.loads(text)
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        recipe = RECIPES[fields.setdefault("recipe", "completion")]      # runs before there were recipes have no name
        return recipe.config_type(**fields | {"network": recipe.network_config(fields)})
    except (TypeError, KeyError, ValueError) as error:
        raise CoModError(f"Training settings: {error}. Were they written by another version?") from error


__all__ = ["RECIPES", "BigGANInstanceConfig", "Completion", "CompletionConfig", "Edges", "Instance", "InstanceBigGAN",
           "InstanceConfig", "Labels", "Recipe", "StyleMap", "StyleMapTrainConfig", "TranslationConfig",
           "config_from_json", "recipe_of"]
