"""Training steps as CUDA graphs: recorded once, then replayed, so that no kernel waits for Python.

A step of a small network launches thousands of kernels that take less time than Python needs to launch them. Only the
pictures and draws of a step go in anew; the networks, their gradients and the optimisers' states stay where they are.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from ..errors import CoModError
from ..graphs import rebuild, tensors
from ..ops import kernels

EAGER = 3       # steps of a stage before it is recorded: libraries choose their ways, optimisers make their states


def check_recordable(config: Any, recipe: Any, device: torch.device, world: int) -> None:
    """Raise CoModError where settings or place keep a step from being the same work every time."""
    reasons = {
        "there is no NVIDIA GPU": device.type != "cuda",
        f"the recipe {config.recipe} cannot be recorded": not recipe.recordable,
        "several processes train": world > 1,
        "set accumulate=1": config.accumulate > 1,
        "set augment=none": config.augment != "none",
        "precision fp16 looks at its gradients": config.precision == "fp16",
        "set network.dropout_rate=0": getattr(config.network, "dropout_rate", 0) > 0,
        "set critic_steps=1": getattr(config, "critic_steps", 1) > 1,
    }
    found = [reason for reason, holds in reasons.items() if holds]
    if found:
        raise CoModError(f"Training: cuda_graphs does not go here: {'; '.join(found)}.")


class RecordedSteps:
    """A recipe's steps: the first `eager` ones of each stage as they are, the others from one recording a stage.

    A stage is what `Recipe.stage` says and whether it is the turn of the lazy R1.
    """

    def __init__(self, eager: int = EAGER):
        self.eager = eager
        self.seen: Counter[Hashable] = Counter()
        self.graphs: dict[Hashable, Recording] = {}
        self.stream = torch.cuda.Stream()

    def __call__(self, trainer: Any) -> dict[str, Tensor]:
        """One update of all networks. Returns the losses as scalars on the device; the next step overwrites them."""
        config = trainer.config
        stage = trainer.recipe.stage(trainer.images_seen)
        key = stage, bool(config.r1_gamma) and trainer.step % config.r1_interval == 0
        if key not in self.graphs and self.seen[key] < self.eager:
            self.seen[key] += 1
            with kernels.always():
                return self._on_stream(trainer)
        parts = trainer.drawn()
        if key not in self.graphs:
            self.graphs[key] = Recording(lambda own: trainer.recipe.update(trainer, own, *stage), parts,
                                         trainer.place.device)
        return self.graphs[key].replay(parts)

    def _on_stream(self, trainer: Any) -> dict[str, Tensor]:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            losses = trainer.recipe.step(trainer)
        torch.cuda.current_stream().wait_stream(self.stream)
        return losses


class Recording:
    """One graph with the tensors that it reads and writes."""

    def __init__(self, run: Callable[[Any], dict[str, Tensor]], parts: Sequence[Any], device: torch.device):
        self.inputs: list[Tensor] = []
        own = rebuild(parts, self.inputs, device)
        self.graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(device)
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"), kernels.always():
            self.losses = run(own)

    def replay(self, parts: Sequence[Any]) -> dict[str, Tensor]:
        for own, given in zip(self.inputs, tensors(parts), strict=True):
            own.copy_(given)        # not asynchronous: the host draws anew into the memory that this frees
        self.graph.replay()
        return self.losses


class Ahead:
    """What the host draws for a step, begun in a thread while the device is busy with the step before."""

    def __init__(self, draw: Callable[[int], Any]):
        self._draw, self._pool = draw, ThreadPoolExecutor(1, "draws")
        self._next: tuple[int, Future] | None = None

    def __call__(self, step: int) -> Any:
        """What is drawn for a step; waits for it."""
        begun, self._next = self._next, None
        return begun[1].result() if begun is not None and begun[0] == step else self._draw(step)

    def begin(self, step: int) -> None:
        """Draw for a step that will be asked for next."""
        self._next = step, self._pool.submit(self._draw, step)
