"""Typed settings of a training run; saved beside the weights."""
from __future__ import annotations

import dataclasses
import json

from ..errors import CoModError

# the names in recipes.RECIPES, for who should not import them
RECIPE_NAMES = ("completion", "edges", "labels", "instance", "instance-biggan", "stylemap")
AUGMENTATIONS = ("none", "diffaugment", "ada")
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What every recipe has. Lengths are in images shown to the discriminator, thousands where a name says kimg.

    batch: images a step over all processes. accumulate: parts that a process cuts its share of a batch into, to save
    memory. critic_rate: learning rate of the discriminator, None for learning_rate; both fall to nothing over the
    last decay_kimg. generator_beta1: Adam's first for the generator, None for the discriminator's. ema_kimg:
    half-life of the averaged generator, never more than ema_rampup of what was seen. augment: "none", "diffaugment"
    (Zhao et al. 2020) or "ada" (Karras et al. 2020), whose strength follows ada_target and moves from 0 to 1 in
    ada_kimg at most. freeze_d: resolutions of the discriminator, from the highest down, that stay as they are (Mo et
    al. 2020). precision: "fp32", or "bf16" and "fp16" for mixed precision. cuda_graphs: record a step on an NVIDIA
    GPU and replay it (`recorded`). Raises CoModError when values do not fit.
    """

    recipe: str = ""
    total_kimg: float = 25000.0
    batch: int = 32
    accumulate: int = 1
    seed: int = 0
    learning_rate: float = 0.002
    adam_beta1: float = 0.0
    adam_beta2: float = 0.99
    generator_beta1: float | None = None
    critic_rate: float | None = None
    decay_kimg: float = 0.0
    r1_gamma: float = 10.0
    r1_interval: int = 16
    ema_kimg: float = 10.0
    ema_rampup: float | None = 0.05
    mirror: bool = False
    augment: str = "none"
    ada_target: float = 0.6
    ada_kimg: float = 500.0
    freeze_d: int = 0
    precision: str = "fp32"
    cuda_graphs: bool = False
    snapshot_minutes: float = 5.0

    def __post_init__(self):
        if self.batch < 1 or self.total_kimg <= 0 or self.r1_interval < 1 or self.accumulate < 1:
            raise CoModError("Training: batch, accumulate, r1_interval and total_kimg must be positive.")
        if self.augment not in AUGMENTATIONS or self.precision not in PRECISIONS:
            raise CoModError(f"Training: augment is one of {', '.join(AUGMENTATIONS)}, precision one of "
                             f"{', '.join(PRECISIONS)}; got {self.augment!r} and {self.precision!r}.")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)
