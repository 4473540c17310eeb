"""Where the chunks of an evaluation are measured: in this process, or by Ray Data on many."""
from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from ..errors import CoModError
from ..metrics.networks import FeatureNetwork
from .measure import measure
from .pictures import Chunk
from .protocol import Protocol

ENGINES = ("local", "ray")
AHEAD = 8       # chunks that a worker may have waiting, which bounds the memory


@dataclasses.dataclass(frozen=True)
class Work:
    """A chunk to be measured, what decides its numbers and the file that they go to."""

    chunk: Chunk
    settings: dict
    path: Path


class Local:
    """One chunk after the other in this process."""

    def __call__(self, works: Iterable[Work], completer, features: FeatureNetwork, protocol: Protocol,
                 progress: Callable[..., None]) -> Iterator[tuple[Work, dict[str, np.ndarray]]]:
        """Yield each work with the arrays of `measure`; progress() is called after each hole."""
        for work in works:
            yield work, measure(completer, features, work.chunk, protocol, progress)


class Ray:
    """Ray Data with `workers` actors, each with its own copy of the networks; one CPU each, or one GPU where they are.

    Joins the Ray cluster that RAY_ADDRESS names, else starts a local one, which ends with it. A chunk's pictures travel
    with it, so the machines need no common disk. Raises CoModError when Ray is not installed.
    """

    def __init__(self, workers: int = 2):
        try:
            import ray.data
        except ImportError as error:
            raise CoModError("--engine ray needs Ray Data: pip install 'comod-gan[scale]'.") from error
        if workers < 1:
            raise CoModError(f"--workers {workers}: give at least 1.")
        self.ray, self.workers = ray, workers

    def __call__(self, works: Iterable[Work], completer, features: FeatureNetwork, protocol: Protocol,
                 progress: Callable[..., None]) -> Iterator[tuple[Work, dict[str, np.ndarray]]]:
        """As `Local`, in any order within AHEAD chunks a worker."""
        own = not self.ray.is_initialized()
        works = iter(works)
        try:
            while window := list(itertools.islice(works, AHEAD * self.workers)):
                for row in self._measured(window, completer, features, protocol):
                    work = window[row["index"]]
                    progress(len(work.chunk.names) * len(protocol.bins))
                    yield work, row["arrays"]
        finally:
            if own:
                self.ray.shutdown()

    def _measured(self, window: list[Work], completer, features, protocol: Protocol) -> Iterator[dict]:
        if not self.ray.is_initialized():
            alone = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": self.workers, "include_dashboard": False}
            self.ray.init(log_to_driver=False, **alone)
        context = self.ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        gpu = getattr(features.device, "type", str(features.device)).startswith("cuda")
        items = [{"index": i, "chunk": work.chunk} for i, work in enumerate(window)]
        data = self.ray.data.from_items(items, override_num_blocks=len(items))
        data = data.map(_Worker, fn_constructor_args=(completer, features, protocol), num_gpus=1 if gpu else 0,
                        num_cpus=1, compute=self.ray.data.ActorPoolStrategy(size=min(self.workers, len(items))))
        yield from data.iter_rows()


class _Worker:
    """What an actor of `Ray` does with a chunk."""

    def __init__(self, completer, features: FeatureNetwork, protocol: Protocol):
        self.completer, self.features, self.protocol = completer, features, protocol

    def __call__(self, row: dict) -> dict:
        return {"index": row["index"], "arrays": measure(self.completer, self.features, row["chunk"], self.protocol)}
