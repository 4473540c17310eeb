"""Memory that an inference path uses again and again, because fresh large blocks cost page faults."""
from __future__ import annotations

import weakref

import numpy as np
import torch
from torch import Tensor

_HUGE = 4 << 20  # bytes from which NumPy asks for huge pages


class Scratch:
    """Named buffers of one dtype on the CPU that grow to the largest size asked for and stay."""

    def __init__(self, dtype: torch.dtype = torch.float32):
        self.dtype, self._held, self._lent = dtype, {}, {}

    def take(self, name: str, count: int) -> Tensor:
        """`count` numbers of the buffer `name`, flat, holding whatever was left in them."""
        held = self._held.get(name)
        if held is None or len(held) < count:
            self._held.pop(name, None)
            held = self._held[name] = empty(count, self.dtype)
        return held[:count]

    def lend(self, name: str, count: int) -> Tensor:
        """`count` numbers of a result, flat: the memory lent before under this name if nothing refers to it any more,
        else fresh memory. It holds whatever was left in it.
        """
        block, user = self._lent.get(name, (None, None))
        size = count * self.dtype.itemsize
        if block is None or block.nbytes != size or user() is not None:
            block = np.empty(size, np.uint8)
        view = block.view()  # what the tensor keeps alive, and nothing else does
        self._lent[name] = block, weakref.ref(view)
        with torch.inference_mode(False):
            return torch.from_numpy(view).view(self.dtype)


def empty(count: int, dtype: torch.dtype) -> Tensor:
    """`count` numbers, not set. Large blocks come from NumPy, which asks for huge pages where the system has them."""
    size = count * dtype.itemsize
    with torch.inference_mode(False):  # so that it can be written to in every mode
        if size < _HUGE:
            return torch.empty(count, dtype=dtype)
        return torch.from_numpy(np.empty(size, np.uint8)).view(dtype)
