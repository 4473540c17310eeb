"""Completion as the app runs it: the Complete node in a job, its pictures written to files as they arrive."""
from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ..comod_core.errors import CoModError
from ..comod_core.images import Picture
from ..nodes.completion import Complete
from ..nodes.layout import images_out, masks_out
from ..nodes.sockets import seeds_from
from .edits import write
from .jobs import Job
from .models import Models
from .sources import HOLE, Source, read

NO_HOLE = ("There is no hole to complete yet. Paint over what should be replaced with the brush, or use 'Random hole', "
           "'Mask file' or 'Extend'.")


@dataclasses.dataclass(frozen=True)
class Results:
    """Completions of one source, as far as done.

    before: the source's picture; paths: PNG files, one a seed of `seeds`. done of total: the model's runs. seconds:
    since the start. finished: nothing more will come, all done or `stopped` by the user.
    """

    source: Source
    before: Path
    seeds: tuple[int, ...]
    paths: tuple[Path, ...] = ()
    done: int = 0
    total: int = 1
    seconds: float = 0.0
    finished: bool = False

    @property
    def stopped(self) -> bool:
        """Whether it ended with pictures missing."""
        return self.finished and len(self.paths) < len(self.seeds)

    @property
    def gallery(self) -> list[tuple[str, str]]:
        """Files and captions."""
        return [(str(path), f"seed {seed}") for path, seed in zip(self.paths, self.seeds, strict=False)]


def complete(models: Models, source: Source, hole: torch.Tensor, model_name: str | None, precision: str,
             inputs: dict[str, Any]) -> tuple[Job, Iterator[Results]]:
    """A job that completes `hole` [1,1,H,W] of the source, and what there is after each of its steps.

    inputs: the Complete node's, seed and count among them. Looping over the second value runs the job.
    Raises CoModError when there is no hole; the loop raises what the node does.
    """
    if not bool((hole > HOLE).any()):
        raise CoModError(NO_HOLE)
    picture = read(source.path)
    job = Job(lambda: Complete.execute(models.get(model_name, precision), images_out(picture.image), masks_out(hole),
                                       **inputs))
    return job, _results(job, source, picture, seeds_from(inputs["seed"], inputs["count"]))


def _results(job: Job, source: Source, picture: Picture, seeds: tuple[int, ...]) -> Iterator[Results]:
    start = time.monotonic()
    results = Results(source, write(picture.image, f"{source.name}.png", picture), seeds)
    yield results
    for step in job:
        paths = results.paths
        if step.picture is not None:
            paths += (write(step.picture, f"{source.name}-seed{seeds[len(paths)]}.png", picture),)
        results = dataclasses.replace(results, paths=paths, done=step.done, total=step.total,
                                      seconds=time.monotonic() - start)
        yield results
    yield dataclasses.replace(results, finished=True, seconds=time.monotonic() - start)
