"""Small runs of the recipes whose steps can be recorded as CUDA graphs, as small as Lite0's discriminator allows."""
import dataclasses

import numpy as np

from comod_core.training.recipes import RECIPES, recipe_of
from comod_core.training.trainer import Trainer

CHANGES = {
    "completion": {"guided": 16, "samples_per_hole": 2, "l1_only_kimg": 0.0, "l1_warmup_kimg": 0.0},
    "stylemap": {"warmup_kimg": 0.0, "balance": 0.5, "part_blends": 0.5},
    "instance": {"pull_weight": 1.0, "neighbours": 4, "colour_pool": 16},
}


def settings(name: str, **changes):
    preset, own = RECIPES[name].preset(64, 30_000), CHANGES[name]
    common = {"batch": 4, "r1_gamma": 0.0, "critic": "features", "adversarial_weight": 0.3, "augment": "none"}
    return dataclasses.replace(preset, **common | own | changes)


def trainer_of(name: str, **changes) -> Trainer:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (256 if name == "completion" else 32, 64, 64, 3), np.uint8)
    features = rng.standard_normal((len(images), 1472), np.float32)
    beside = {"labels": rng.integers(0, 4, images.shape[:3]).astype(np.uint8),
              "instances": features / np.linalg.norm(features, axis=1, keepdims=True)}
    recipe = recipe_of(settings(name, **changes))
    return Trainer(recipe, images, beside={key: beside[key] for key in recipe.beside})
