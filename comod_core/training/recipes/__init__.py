"""What can be trained: one recipe an architecture and job, each a config and the losses of one step."""
from __future__ import annotations

from .. import config as settings
from ..config import TrainConfig
from .completion import Completion, CompletionConfig

RECIPES = {"completion": Completion}


def recipe_of(config: TrainConfig):
    """The recipe of these settings, ready to be trained."""
    return RECIPES[config.recipe](config)


def config_from_json(text: str) -> TrainConfig:
    """Settings from the JSON of `TrainConfig.to_json`. Raises CoModError when the recipe or a field is unknown."""
    return settings.from_json({name: recipe.config_type for name, recipe in RECIPES.items()},
                              {name: recipe.network_type for name, recipe in RECIPES.items()}, text)


__all__ = ["RECIPES", "Completion", "CompletionConfig", "config_from_json", "recipe_of"]
