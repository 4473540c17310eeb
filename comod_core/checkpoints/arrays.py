"""What a checkpoint may hold besides plain Python values: numpy arrays, torch tensors, and records of known classes.

Each builder takes the machine and the arguments that the file states, checks them all, and makes an inert value.
The table `ALLOWED` at the end is the complete list of names that a file may mention.
"""
from __future__ import annotations

import math
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .machine import Machine, Mutable, Record, check_key

_PLAIN_DTYPE = re.compile(r"[?bBhHiIlLqQefdFD]|b1|[iu][1248]|f[248]|c(8|16)|[SU]\d{1,9}")
_MAX_DIMENSIONS = 16

_STORAGE_DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
_TENSOR_DTYPES = {name: getattr(torch, name) for name in (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")}


@dataclass(eq=False)
class DType(Mutable):
    """A numpy dtype in the making; its byte order arrives as its state."""
    code: str
    order: str = "="

    def set_state(self, machine: Machine, state: Any) -> None:
        plain = isinstance(state, tuple) and len(state) in (8, 9) and state[2:5] == (None, None, None)
        if not plain or state[1] not in ("<", ">", "|", "="):
            raise machine.error("a numpy dtype with fields, or of an unknown form")
        self.order = state[1]

    def resolve(self) -> np.dtype:
        return np.dtype(self.code).newbyteorder(self.order)


@dataclass(eq=False)
class ArrayClass:
    """The name numpy.ndarray, only good as an argument of `_reconstruct`."""


@dataclass(eq=False)
class Array(Mutable):
    """A numpy array in the making; shape, dtype and bytes arrive as its state. `value` is what stays."""
    value: np.ndarray

    def set_state(self, machine: Machine, state: Any) -> None:
        raise machine.error("an array cannot be used before it is filled")
