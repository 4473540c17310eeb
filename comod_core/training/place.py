"""Where a run takes place: one process or many, through Hugging Face Accelerate."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CoModError
from ..ops.processor import good_at_bfloat16

MISSING = "Training needs accelerate: pip install 'comod-gan[train]'."


def processes():
    """The processes of the run before its precision is settled: `is_main_process` and `wait_for_everyone()`.

    Raises CoModError when accelerate is not installed.
    """
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise CoModError(MISSING) from error
    return PartialState(cpu=_no_device())


def _no_device() -> bool:
    """Whether there is a CPU alone: accelerate lets several processes work together on CPUs only when it is told."""
    return not torch.accelerator.is_available()


def moved(part: Any, device: torch.device) -> Any:
    """A dataclass with its tensors on a device; the same one where they are there already."""
    found = {name: value.to(device) for name, value in vars(part).items() if isinstance(value, Tensor)}
    return dataclasses.replace(part, **found)


def suited_precision() -> str:
    """What a new run takes by itself: "bf16" on a CPU with AMX (faster there, benchmarks/NOTES.md), else "fp32"."""
    return "bf16" if _no_device() and good_at_bfloat16() else "fp32"


class Place:
    """This process among those of the run: its device, its rows of each batch, and how they agree on gradients.

    precision: "fp32", "bf16" or "fp16". `accelerate launch` starts several processes; without it there is one. Raises
    CoModError when accelerate is not installed.
    """

    def __init__(self, precision: str = "fp32", cpu: bool = False):
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise CoModError(MISSING) from error
        self.accelerator = Accelerator(mixed_precision={"fp32": "no"}.get(precision, precision),
                                       cpu=cpu or _no_device())
        self.device = self.accelerator.device
        torch.backends.cudnn.benchmark = True       # shapes stay the same from step to step
        self.rank, self.world = self.accelerator.process_index, self.accelerator.num_processes
        self.autocast, self.backward = self.accelerator.autocast, self.accelerator.backward

    @property
    def main(self) -> bool:
        return self.rank == 0

    def prepare(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimiser as accelerate wraps it (for the loss scale of fp16)."""
        return self.accelerator.prepare_optimizer(optimizer)

    def parts(self, batch: int, accumulate: int) -> list[Sequence[int]]:
        """This process's rows of a batch, cut into `accumulate` parts.

        Rows are dealt out in turn, so that the strided groups of minibatch_std hold the same pictures however many
        processes and parts there are. Raises CoModError when the batch cannot be dealt out evenly.
        """
        shares = self.world * accumulate
        if batch % shares:
            raise CoModError(f"Training: a batch of {batch} cannot be dealt out to {self.world} processes with "
                             f"{accumulate} parts each. Take a multiple of {shares}.")
        return [range(self.rank * accumulate + part, batch, shares) for part in range(accumulate)]

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes."""
        return value if self.world == 1 else self.accelerator.reduce(value, reduction="mean")

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes, in one message."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.accelerator.reduce(torch.cat([g.reshape(-1) for g in gradients]), reduction="mean")
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def wait(self) -> None:
        self.accelerator.wait_for_everyone()
