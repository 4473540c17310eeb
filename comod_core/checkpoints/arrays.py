"""What a checkpoint may hold besides plain Python values: numpy arrays, torch tensors, and records of known classes.

Each builder takes the machine and the arguments that the file states, checks them all, and makes an inert value.
The table `ALLOWED` at the end is the complete list of names that a file may mention.
"""
from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .machine import Builders, Global, Machine, Record, Setters, check_key, fill_dict

_PLAIN_DTYPE = re.compile(r"[?bBhHiIlLqQefdFD]|b1|[iu][1248]|f[248]|c(8|16)|[SU]\d{1,9}")
_MAX_DIMENSIONS = 16
_ENTRY_BYTES = 256  # of a dict or set, counted against a file that names the same list again and again

STORAGE_DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
_TENSOR_DTYPES = {name: getattr(torch, name) for name in (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")}


@dataclass(eq=False)
class DType:
    """A numpy dtype in the making; its byte order arrives as its state."""
    code: str
    order: str = "="

    def resolve(self) -> np.dtype:
        return np.dtype(self.code).newbyteorder(self.order)


@dataclass(eq=False)
class Storage:
    """The flat memory of torch tensors: `values` is a one-dimensional tensor."""
    values: torch.Tensor


def _check_shape(machine: Machine, shape: Any) -> tuple[int, ...]:
    valid = isinstance(shape, tuple) and len(shape) <= _MAX_DIMENSIONS and all(
        type(length) is int and 0 <= length < 1 << 40 for length in shape)
    if not valid:
        raise machine.error("an array or tensor whose shape is not a short tuple of sizes")
    return shape


def _dtype(machine: Machine, args: tuple) -> DType:
    code = args[0] if args else None
    objects_allowed = machine.objects and code in ("O", "O8")
    if not isinstance(code, str) or not (_PLAIN_DTYPE.fullmatch(code) or objects_allowed):
        raise machine.error("a numpy dtype other than plain numbers, booleans or text")
    return DType("O" if objects_allowed else code)


def _set_dtype(machine: Machine, dtype: DType, state: Any) -> None:
    plain = isinstance(state, tuple) and len(state) in (8, 9) and state[2:5] == (None, None, None)
    if not plain or state[1] not in ("<", ">", "|", "="):
        raise machine.error("a numpy dtype with fields, or of an unknown form")
    dtype.order = state[1]


def _empty_array(machine: Machine, args: tuple) -> np.ndarray:
    if not args or not isinstance(args[0], Global) or args[0].name != "ndarray":
        raise machine.error("a numpy array of a class of its own")
    return np.empty(0, np.uint8)


def _fill_array(machine: Machine, array: np.ndarray, state: Any) -> None:
    """numpy's own `__setstate__` on an empty array, after every field of the state was checked."""
    if not isinstance(state, tuple) or len(state) != 5 or array.size or array.base is not None:
        raise machine.error("the state of a numpy array has an unknown form")
    _, shape, dtype, fortran, content = state
    count = math.prod(_check_shape(machine, shape))
    if not isinstance(dtype, DType):
        raise machine.error("a numpy array without a dtype")
    if dtype.code == "O":
        fits = type(content) is list and len(content) == count
    else:
        fits = type(content) is bytes and len(content) == count * dtype.resolve().itemsize
        machine.spend(len(content) if fits else 0)
    if not fits:
        raise machine.error(f"a numpy array of shape {shape} whose content has another size")
    array.__setstate__((1, shape, dtype.resolve(), bool(fortran), content))


def _array_from_buffer(machine: Machine, args: tuple) -> np.ndarray:
    content, dtype, shape, order = args
    count = math.prod(_check_shape(machine, shape))
    plain = isinstance(content, (bytes, bytearray)) and isinstance(dtype, DType) and dtype.code != "O"
    if not plain or len(content) != count * dtype.resolve().itemsize or order not in ("C", "F"):
        raise machine.error("a numpy array whose content has another size or form")
    machine.spend(len(content))
    return np.frombuffer(bytes(content), dtype.resolve()).reshape(shape, order=order)


def _scalar(machine: Machine, args: tuple) -> Any:
    dtype, content = args
    if not isinstance(dtype, DType) or dtype.code == "O" or type(content) is not bytes:
        raise machine.error("a numpy scalar of an unknown form")
    if not content or len(content) != dtype.resolve().itemsize:
        raise machine.error("a numpy scalar whose content has another size")
    machine.spend(len(content))
    return np.frombuffer(content, dtype.resolve())[0].item()


def _encode(machine: Machine, args: tuple) -> bytes:
    """Bytes as protocol 2 writes them: text in Latin-1."""
    if len(args) != 2 or not isinstance(args[0], str) or args[1] not in ("latin1", "latin-1"):
        raise machine.error("_codecs.encode with anything but Latin-1")
    machine.spend(len(args[0]))
    return args[0].encode("latin-1")


def _empty_bytes(machine: Machine, args: tuple) -> bytes:
    if args:
        raise machine.error("bytes(...) with an argument")
    return b""


def _ordered_dict(machine: Machine, args: tuple) -> OrderedDict:
    made: OrderedDict = OrderedDict()
    if args and type(args[0]) is list:
        machine.spend(_ENTRY_BYTES * len(args[0]))
        fill_dict(machine, made, [part for pair in args[0] for part in (pair[0], pair[1])])
    elif args:
        raise machine.error("an OrderedDict made of something that is not a list")
    return made


def _set(machine: Machine, args: tuple) -> set:
    if len(args) != 1 or type(args[0]) is not list:
        raise machine.error("a set made of something that is not a list")
    machine.spend(_ENTRY_BYTES * len(args[0]))
    return {check_key(machine, item) for item in args[0]}


def _plain_dict(machine: Machine, args: tuple) -> dict:
    if args:
        raise machine.error("a dict made with arguments")
    return {}


def _record(module: str, name: str) -> Callable[[Machine, tuple], Record]:
    def build(machine: Machine, args: tuple) -> Record:
        if args:
            raise machine.error(f"{module}.{name} with arguments")
        return Record(module, name)
    return build


def _persistent_object(machine: Machine, args: tuple) -> Record:
    """An object of StyleGAN2-ADA's `torch_utils.persistence`: its class's source text is left unread."""
    meta = args[0] if len(args) == 1 else None
    if type(meta) is not dict or not isinstance(meta.get("class_name"), str) or not isinstance(meta.get("state"), dict):
        raise machine.error("a torch_utils.persistence object of an unknown form")
    return Record("torch_utils.persistence", meta["class_name"], (), meta["state"])


def _tensor(machine: Machine, storage: Any, offset: Any, size: Any, stride: Any,
            dtype: torch.dtype | None = None) -> torch.Tensor:
    """A view of `storage`, once it is certain that no element lies outside it."""
    shape, strides = _check_shape(machine, size), _check_shape(machine, stride)
    if not isinstance(storage, Storage) or type(offset) is not int or offset < 0 or len(shape) != len(strides):
        raise machine.error("a tensor of an unknown form")
    values = storage.values if dtype is None else storage.values.view(dtype)
    count = math.prod(shape)
    last = offset + sum((length - 1) * step for length, step in zip(shape, strides, strict=True)) if count else offset
    if count > values.numel() or last >= max(values.numel(), 1) or (not count and offset > values.numel()):
        raise machine.error(f"a tensor of shape {shape} that lies outside its storage of {values.numel()} values")
    machine.spend(count * values.element_size())
    return torch.as_strided(values, shape, strides, offset) if count else values.new_empty(shape)


def _rebuild_tensor(machine: Machine, args: tuple) -> torch.Tensor:
    return _tensor(machine, *args[:4])


def _rebuild_tensor_v3(machine: Machine, args: tuple) -> torch.Tensor:
    marker = args[6]
    if not isinstance(marker, Global) or marker.module != "torch" or marker.name not in _TENSOR_DTYPES:
        raise machine.error("a tensor whose dtype is not a plain one")
    return _tensor(machine, *args[:4], dtype=_TENSOR_DTYPES[marker.name])


def _rebuild_parameter(machine: Machine, args: tuple) -> torch.Tensor:
    if not args or not isinstance(args[0], torch.Tensor):
        raise machine.error("a parameter that is not a tensor")
    return args[0]


def _size(machine: Machine, args: tuple) -> tuple[int, ...]:
    return _check_shape(machine, args[0] if args else ())


def _numpy_names() -> dict:
    table: dict = {("numpy", "dtype"): _dtype, ("numpy", "ndarray"): None}
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray", "_reconstruct"] = _empty_array
        table[f"{core}.multiarray", "scalar"] = _scalar
        table[f"{core}.numeric", "_frombuffer"] = _array_from_buffer
    return table


def _torch_names() -> dict:
    table: dict = {("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
                   ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
                   ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
                   ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
                   ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
                   ("torch", "Size"): _size, ("torch.storage", "UntypedStorage"): None}
    for name in STORAGE_DTYPES:
        table["torch", name] = table["torch.cuda", name] = None
    table.update({("torch", name): None for name in _TENSOR_DTYPES})
    return table


def _python_names() -> dict:
    table: dict = {("_codecs", "encode"): _encode, ("collections", "OrderedDict"): _ordered_dict}
    for builtins in ("builtins", "__builtin__"):
        table[builtins, "bytes"], table[builtins, "set"] = _empty_bytes, _set
    return table


ALLOWED: Builders = {
    **_python_names(), **_numpy_names(), **_torch_names(),
    ("argparse", "Namespace"): _record("argparse", "Namespace"),
    ("dnnlib.tflib.network", "Network"): _record("dnnlib.tflib.network", "Network"),
    ("dnnlib.util", "EasyDict"): _plain_dict,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent_object,
}
"""Every name that a file may mention, with the builder of its stand-in."""

SETTERS: Setters = {np.ndarray: _fill_array, DType: _set_dtype}
"""The values that may be filled after they were made."""
