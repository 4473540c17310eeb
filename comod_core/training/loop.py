"""The training loop: everything random is a function of (seed, step), so a killed run resumes to the same losses."""
from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from ..files import atomic_write
from .config import TrainConfig
from .place import Place
from .recipes import recipe_of
from .trainer import Trainer

log = logging.getLogger("comod")


@dataclasses.dataclass
class Progress:
    """What one step reports: images seen, losses as floats, images per second since the run was started."""

    step: int
    images: int
    losses: dict[str, float]
    speed: float


def train(config: TrainConfig, images: np.ndarray, out: str | Path,
          on_snapshot: Callable[[Trainer], None] | None = None, start: str | Path | None = None,
          place: Place | None = None, beside: Mapping[str, np.ndarray] | None = None) -> Iterator[Progress]:
    """Train, resuming from `out`/snapshot.pt when it exists, and yield the progress of every step.

    images uint8 [N,R,R,C]; beside: see `Trainer`. start: a model file whose weights a new run begins with. A snapshot
    is written every `snapshot_minutes` and at the end, then `on_snapshot` is called, in the first process alone.
    Closing the iterator writes one too.
    """
    out = Path(out)
    trainer, snapshot = Trainer(recipe_of(config), images, place, beside), out / "snapshot.pt"
    if snapshot.exists():
        trainer.restore(snapshot)
    elif start is not None:
        fresh = trainer.start_from(start)
        if fresh:
            log.warning("%d layers are not in %s and begin new, the first is %s.", len(fresh), start, fresh[0])
    if trainer.place.main:
        with atomic_write(out / "config.json", "w") as file:
            file.write(config.to_json())
    started, first, saved = time.monotonic(), trainer.images_seen, time.monotonic()
    while trainer.images_seen < config.total_kimg * 1000:
        losses = trainer.run_step()
        now = time.monotonic()
        try:
            yield Progress(trainer.step, trainer.images_seen, losses, (trainer.images_seen - first) / (now - started))
        except GeneratorExit:
            if trainer.place.main:
                trainer.save(snapshot)
            raise
        done = trainer.images_seen >= config.total_kimg * 1000
        if trainer.place.main and (done or now - saved > config.snapshot_minutes * 60):
            trainer.save(snapshot)
            saved = now
            if on_snapshot is not None:
                on_snapshot(trainer)
