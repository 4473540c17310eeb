"""Typed settings of a training run; saved beside the weights."""
from __future__ import annotations

import dataclasses
import json

from ..errors import CoModError
from ..networks import CoModConfig


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One CoModGAN run. Lengths are in images shown to the discriminator, thousands where a name says kimg."""

    network: CoModConfig = dataclasses.field(default_factory=CoModConfig)
    total_kimg: float = 25000.0
    batch: int = 32
    seed: int = 0
    learning_rate: float = 0.002
    adam_beta1: float = 0.0
    adam_beta2: float = 0.99
    r1_gamma: float = 10.0
    r1_interval: int = 16
    l1_weight: float = 0.0
    l1_warmup_weight: float = 0.0
    l1_warmup_kimg: float = 0.0
    l1_only_kimg: float = 0.0
    perceptual_weight: float = 0.0
    samples_per_hole: int = 1
    noise_mode: str = "random"
    style_mixing: float = 0.5
    ema_kimg: float = 10.0
    ema_rampup: float | None = 0.05
    mirror: bool = False
    hole_range: tuple[float, float] = (0.0, 1.0)
    brush_width: tuple[float, float] | None = None
    structured_masks: float = 0.0
    snapshot_minutes: float = 5.0

    def __post_init__(self):
        if self.batch < 1 or self.total_kimg <= 0 or not 0 <= self.hole_range[0] < self.hole_range[1] <= 1:
            raise CoModError("TrainConfig: batch and total_kimg must be positive, hole_range within [0,1] and rising.")
        if self.samples_per_hole < 1 or self.batch % self.samples_per_hole:
            raise CoModError("TrainConfig: samples_per_hole must divide the batch.")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)

    @staticmethod
    def from_json(text: str) -> TrainConfig:
        """Inverse of `to_json`. Raises CoModError when a field is unknown."""
        fields = json.loads(text)
        try:
            network = CoModConfig(**fields.pop("network"))
            tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
            return TrainConfig(network=network, **tuples)
        except (TypeError, KeyError) as error:
            raise CoModError(f"Training config: {error}. Was it written by another version?") from error
