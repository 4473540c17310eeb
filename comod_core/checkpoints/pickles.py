"""Read foreign checkpoints without running anything in them: pickles, torch files (zip and legacy), numpy files.

Why an own reader also for torch files, where `torch.load(weights_only=True)` exists: that one keeps a process-wide
list of allowed classes, builds the listed ones for real (argparse.Namespace), and how strictly it checks a tensor
against its storage depends on the installed version. The pickles of TensorFlow networks and of
`torch_utils.persistence` need an own reader in any case (the latter hold whole torch files as byte strings), and a
torch file is only a pickle with numbers beside it. So one reader serves all; zip files are memory-mapped.
"""
from __future__ import annotations

import io
import math
import mmap
import os
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import CoModError
from .arrays import ALLOWED, SETTERS, STORAGE_DTYPES, Storage
from .machine import Allowance, Builders, Global, Machine, Record, damage_named

__all__ = ["Record", "is_torch", "read_npy", "read_pickle", "read_torch"]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LOCAL_HEADER = struct.Struct("<4s22xHH")


@dataclass
class _Source:
    """The bytes of a file, read through `stream` or addressed through `content` (writable, private to this process)."""
    content: mmap.mmap | bytearray
    stream: mmap.mmap | io.BytesIO
    place: str
    allowance: Allowance

    @property
    def size(self) -> int:
        return len(self.content)


def _open(source: str | os.PathLike | bytes, within: _Source | Machine | None = None) -> _Source:
    """The bytes of a file, or of a part `within` another."""
    if isinstance(source, bytes):
        content = bytearray(source)
        place, allowance = (within.place, within.allowance) if within else ("bytes", Allowance.of(len(source)))
        return _Source(content, io.BytesIO(content), place, allowance)
    path = Path(source)
    if not path.is_file():
        raise CoModError(f"{path}: there is no such file. Check the path.")
    if path.stat().st_size == 0:
        raise CoModError(f"{path}: the file is empty. Download or copy it again.")
    with open(path, "rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return _Source(content, content, str(path), Allowance.of(len(content)))


def _machine(source: _Source, persistent=None, objects: bool = False, nested: bool = False) -> Machine:
    return Machine(source.stream, source.place, source.allowance, _NAMES, SETTERS, persistent, objects, nested)


def read_pickle(source: str | os.PathLike | bytes) -> Any:
    """The object in a pickle file: plain Python values, numpy arrays, torch tensors and `Record`s.

    Nothing in the file is run or imported. Raises CoModError when the file mentions a name that is not on the
    list, is damaged, or claims sizes that its bytes do not have.
    """
    return _machine(_open(source)).run()


def is_torch(source: str | os.PathLike | bytes) -> bool:
    """Whether the file begins as a torch checkpoint (zip or legacy) does."""
    content = _open(source).content
    return bytes(content[:4]) == b"PK\x03\x04" or _LEGACY_MAGIC.to_bytes(10, "little") in bytes(content[:16])


def read_torch(source: str | os.PathLike | bytes) -> Any:
    """The object in a torch checkpoint, tensors on the CPU. Zip files are memory-mapped: numbers are read when used.

    Keep the file while the tensors are in use. Raises CoModError as `read_pickle` does.
    """
    return _read_torch(_open(source), nested=False)


def _read_torch(source: _Source, nested: bool) -> Any:
    with damage_named(source.place, "a torch checkpoint", zipfile.BadZipFile, struct.error):
        zipped = bytes(source.content[:4]) == b"PK\x03\x04"
        return (_ZipFile if zipped else _LegacyFile)(source, nested).read()


def read_npy(path: str | os.PathLike) -> Any:
    """The array in a `.npy` file, or the Python object (a dict of arrays) that was saved as one. Raises CoModError."""
    source = _open(path)
    with damage_named(source.place, "a numpy file"):
        version = np.lib.format.read_magic(source.stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(source.stream)
        if not dtype.hasobject:
            return _plain_array(source, shape, fortran, dtype)
    array = _machine(source, objects=True).run()
    return array.item() if isinstance(array, np.ndarray) and array.shape == () else array


def _plain_array(source: _Source, shape: tuple[int, ...], fortran: bool, dtype: np.dtype) -> np.ndarray:
    count = math.prod(shape)
    if dtype.kind not in "biufcSU" or count * dtype.itemsize != source.size - source.stream.tell():
        raise ValueError("its content does not have the size and kind that its header states")
    array = np.frombuffer(source.content, dtype, count, source.stream.tell())
    return array.reshape(shape, order="F" if fortran else "C")


class _TorchFile:
    """What zip and legacy files share: the persistent id that stands for a storage."""

    def __init__(self, source: _Source, nested: bool):
        self.source, self.nested = source, nested
        self.storages: dict[str, Storage] = {}

    def storage(self, machine: Machine, identity: Any) -> Storage:
        """The storage of a persistent id ("storage", class, key, device, number of values[, view])."""
        valid = isinstance(identity, tuple) and len(identity) in (5, 6) and identity[0] == "storage" and (
            isinstance(identity[1], Global) and identity[1].name in STORAGE_DTYPES and isinstance(identity[2], str)
            and type(identity[4]) is int and 0 <= identity[4] and identity[5:] in ((), (None,)))
        if not valid:
            raise machine.error("a reference to a storage (persistent id) of an unknown form")
        _, kind, key, _, count = identity[:5]
        dtype = STORAGE_DTYPES[kind.name]
        if key not in self.storages:
            if count * dtype.itemsize > self.source.size:
                raise machine.error(f"a storage of {count} values, more than the file has")
            self.storages[key] = Storage(self.values(machine, key, dtype, count))
        if self.storages[key].values.dtype != dtype:
            raise machine.error("one storage under two dtypes")
        return self.storages[key]

    def values(self, machine: Machine, key: str, dtype: torch.dtype, count: int) -> torch.Tensor:
        raise NotImplementedError


class _ZipFile(_TorchFile):
    """The format since torch 1.6: an uncompressed archive with NAME/data.pkl and NAME/data/KEY."""

    def read(self) -> Any:
        stream = self.source.stream
        self.archive = zipfile.ZipFile(stream)
        members = [name for name in self.archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(members) != 1:
            raise CoModError(f"{self.source.place}: a zip archive, but not a torch checkpoint (no single data.pkl).")
        self.prefix = members[0].removesuffix("data.pkl")
        order = self.prefix + "byteorder"
        if order in self.archive.NameToInfo and self.member(order) != b"little":
            raise CoModError(f"{self.source.place}: written on a big-endian machine, which is not supported.")
        pickled = _open(self.member(members[0]), self.source)
        return _machine(pickled, self.storage, nested=self.nested).run()

    def span(self, name: str) -> tuple[int, int]:
        """Where the bytes of a member begin and end in the file."""
        entry = self.archive.getinfo(name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise CoModError(f"{self.source.place}: the archive is compressed, which torch checkpoints never are.")
        header = bytes(self.source.content[entry.header_offset:entry.header_offset + _LOCAL_HEADER.size])
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        start = entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        if signature != b"PK\x03\x04" or start + entry.file_size > self.source.size:
            raise CoModError(f"{self.source.place}: damaged: '{name[:80]}' lies outside the file.")
        return start, start + entry.file_size

    def member(self, name: str) -> bytes:
        start, stop = self.span(name)
        return bytes(self.source.content[start:stop])

    def values(self, machine: Machine, key: str, dtype: torch.dtype, count: int) -> torch.Tensor:
        start, stop = self.span(f"{self.prefix}data/{key}")
        if count * dtype.itemsize > stop - start:
            raise machine.error(f"storage '{key[:40]}' has fewer bytes than its {count} values need")
        if count == 0:
            return torch.empty(0, dtype=dtype)
        flat = torch.frombuffer(self.source.content, dtype=torch.uint8, count=count * dtype.itemsize, offset=start)
        return (flat if flat.data_ptr() % dtype.itemsize == 0 else flat.clone()).view(dtype)


class _LegacyFile(_TorchFile):
    """The format before torch 1.6: magic number, version, system, object, list of keys, then the storages' bytes."""

    def read(self) -> Any:
        self.allocated = 0
        magic, protocol, system = (_machine(self.source).run() for _ in range(3))
        if magic != _LEGACY_MAGIC or protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
            raise CoModError(f"{self.source.place}: not a torch checkpoint.")
        if not system.get("little_endian", True):
            raise CoModError(f"{self.source.place}: written on a big-endian machine, which is not supported.")
        result = _machine(self.source, self.storage, nested=self.nested).run()
        keys = _machine(self.source).run()
        if not isinstance(keys, list) or sorted(keys) != sorted(self.storages):
            raise CoModError(f"{self.source.place}: damaged: the list of storages does not match the object.")
        for key in keys:
            self.fill(self.storages[key].values)
        return result.values if isinstance(result, Storage) and not self.nested else result

    def values(self, machine: Machine, key: str, dtype: torch.dtype, count: int) -> torch.Tensor:
        self.allocated += count * dtype.itemsize
        if self.allocated > self.source.size:
            raise machine.error("storages of more bytes than the file has")
        return torch.zeros(count, dtype=dtype)

    def fill(self, values: torch.Tensor) -> None:
        """Copy the next storage of the file into its place."""
        (count,) = struct.unpack("<q", self.source.stream.read(8))
        start, length = self.source.stream.tell(), values.numel() * values.element_size()
        if count != values.numel() or start + length > self.source.size:
            raise CoModError(f"{self.source.place}: cut short, or a storage of another size. Download it again.")
        if length:
            values.view(torch.uint8).copy_(
                torch.frombuffer(self.source.content, dtype=torch.uint8, count=length, offset=start))
        self.source.stream.seek(start + length)


def _embedded_storage(machine: Machine, args: tuple) -> Storage:
    """A storage that a pickle holds as the bytes of a torch file (`torch.storage._load_from_bytes`)."""
    if machine.nested or len(args) != 1 or type(args[0]) is not bytes:
        raise machine.error("an embedded torch file of an unknown form")
    machine.spend(len(args[0]))
    storage = _read_torch(_open(args[0], machine), nested=True)
    if not isinstance(storage, Storage):
        raise machine.error("an embedded torch file that is not a storage")
    return storage


_NAMES: Builders = {**ALLOWED, ("torch.storage", "_load_from_bytes"): _embedded_storage}
