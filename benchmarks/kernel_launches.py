"""What the Triton kernels are launched with, found out without a GPU: ops run on "meta" tensors, nothing computes."""
from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from comod_core.ops.kernels import fir, pointwise

SWITCHED = ("ops.bias_act", "ops.upfirdn2d", "ops.modulated_conv2d", "networks.layers")


@dataclass(frozen=True)
class Launch:
    """One launch: the program, what it gets by position and by name, and the bytes of its tensors."""

    program: str
    arguments: tuple
    settings: dict[str, Any]

    @property
    def bytes(self) -> int:
        """Every tensor once, with its dtype's size: read or written."""
        tensors = {id(part): part for part in self.arguments if isinstance(part, Tensor)}
        return sum(spread(part) for part in tensors.values())


def spread(x: Tensor) -> int:
    """Bytes of a tensor in memory: a value that is repeated by a stride of 0 counts once."""
    count = 1
    for size, stride in zip(x.shape, x.stride(), strict=True):
        count *= size if stride or size == 0 else 1
    return count * x.element_size()


class _Recorder:
    def __init__(self, name: str, found: list[Launch]):
        self.name, self.found = name, found

    def __getitem__(self, grid):
        return lambda *arguments, **settings: self.found.append(Launch(self.name, arguments, settings))


@contextlib.contextmanager
def recorded() -> Iterator[list[Launch]]:
    """Within the block every tensor's ops use the kernels, and their launches are listed instead of made."""
    found: list[Launch] = []
    changes = [(importlib.import_module(f"comod_core.{name}"), "usable", lambda *_: True) for name in SWITCHED]
    changes += [(pointwise, "pointwise_program", _Recorder("pointwise_program", found)),
                (pointwise, "slope_program", _Recorder("slope_program", found)),
                (fir, "fir_program", _Recorder("fir_program", found))]
    kept = [(place, name, getattr(place, name)) for place, name, _ in changes]
    for place, name, value in changes:
        setattr(place, name, value)
    try:
        yield found
    finally:
        for place, name, value in kept:
            setattr(place, name, value)
