"""Pictures of features with a margin of zeros, so that convolutions of strips need no padding of their own."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .scratch import Scratch, empty


@dataclass(frozen=True)
class Plane:
    """Features of a part of a picture: whole [h+2m,w+2m,C] with a margin of m pixels on each side.

    top, left: where the part lies in the picture.
    """

    whole: Tensor
    margin: int
    top: int = 0
    left: int = 0

    @property
    def inside(self) -> Tensor:
        m = self.margin
        return self.whole[m:-m, m:-m] if m else self.whole

    def around(self, top: int, bottom: int, left: int, right: int, margin: int) -> Tensor:
        """Rows and columns of the picture, and `margin` more on each side: a view."""
        dy, dx = self.margin - self.top - margin, self.margin - self.left - margin
        return self.whole[top + dy:bottom + dy + 2 * margin, left + dx:right + dx + 2 * margin]


def plane(height: int, width: int, channels: int, margin: int, dtype: torch.dtype, scratch: Scratch | None = None,
          name: str = "", top: int = 0, left: int = 0, lent: bool = False) -> Plane:
    """A plane whose margin is zero and whose inside is not set, in memory of its own or in that of `scratch`.

    lent: the plane stays what it is for as long as anything refers to it (see `Scratch.lend`).
    """
    shape = (height + 2 * margin, width + 2 * margin, channels)
    count = shape[0] * shape[1] * channels
    if scratch is None:
        whole = empty(count, dtype).view(shape)
    else:
        whole = (scratch.lend if lent else scratch.take)(name, count).view(shape)
    if margin:
        for edge in (whole[:margin], whole[-margin:], whole[:, :margin], whole[:, -margin:]):
            edge.zero_()
    return Plane(whole, margin, top, left)
