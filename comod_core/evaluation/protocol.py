"""What is measured: the holes, the seeds and the number of pictures. Equal protocols give comparable numbers."""
from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence

from torch import Tensor

from .. import masks
from ..errors import CoModError

Bin = tuple[float, float]
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """holes: edges of the hole-ratio bins. psis: truncations, the first is the one of the report's pictures.

    seed: decides pictures, holes and completions. count: pictures, None for all. pairs: pictures, from the first on,
    that get a second completion a hole, for diversity. raw: the network's own output, without feather and colour match.
    Raises CoModError for values out of range.
    """

    holes: Sequence[float] = BINS
    psis: Sequence[float] = (1.0,)
    seed: int = 0
    count: int | None = None
    pairs: int = 2000
    raw: bool = False

    def __post_init__(self):
        edges = list(self.holes)
        if len(edges) < 2 or edges[0] < 0 or edges[-1] > 1 or any(a >= b for a, b in self.bins):
            raise CoModError(f"--holes {_text(edges)}: give rising shares of the picture from 0 to 1, at least two.")
        if not len(self.psis) or len(set(self.psis)) < len(self.psis) or not all(map(math.isfinite, self.psis)):
            raise CoModError(f"--psi {_text(self.psis)}: give one or more different numbers.")
        if self.seed < 0 or self.pairs < 0 or (self.count is not None and self.count < 2):
            raise CoModError(f"seed {self.seed}, pairs {self.pairs}, count {self.count}: give a seed and pairs of at "
                             "least 0 and a count of at least 2.")

    @property
    def bins(self) -> list[Bin]:
        return list(zip(self.holes[:-1], self.holes[1:], strict=True))


def number(*parts: object) -> int:
    """A whole number from 0 to 2^64 - 1 that depends on the parts alone."""
    text = "|".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def hole(name: str, size: int, bin: Bin, seed: int) -> Tensor:
    """The hole of a picture in a bin, float32 [1,1,R,R], 1 = hole: free-form, by the picture's name and the seed."""
    low, high = bin
    return masks.free_form(size, number("hole", seed, name, low, high), bin, brush_width=masks.scaled_brush(size))


def completion_seeds(name: str, bin: Bin, seed: int) -> tuple[int, int]:
    """Seeds of a picture's first and second completion in a bin."""
    return tuple(number("completion", seed, name, *bin, which) for which in (1, 2))


def _text(numbers: Sequence[float]) -> str:
    return ",".join(f"{x:g}" for x in numbers)
