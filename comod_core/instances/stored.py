"""Files of instances: features of many pictures, with their names and classes.

CoMod's own form is NAME.safetensors, one tensor "features" [N,D] that is read where it lies, and NAME.json, the index:
names, classes and the extractor. IC-GAN's `*_instance_features.npy` (a pickled dict) is read too; nothing in it is run.
"""
from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from torch import Tensor

from ..checkpoints.machine import damage_named
from ..checkpoints.pickles import read_npy
from ..errors import CoModError
from ..files import atomic_write
from .generation import unit

FORMAT = "comod-instances-1"
ROWS = 16384
"""How many rows are in memory at a time where all are gone through: 128 MiB of 2048 values in float32."""
BUILT_IN = Path(__file__).resolve().parents[1] / "models" / "instances"
_DTYPES = {"float32": "F32", "float16": "F16"}


@dataclass(frozen=True)
class Instances:
    """features [N,D] of unit length (float32 or float16, perhaps on disk), one name each, and perhaps one class each.

    extractor and digest: name of the network that made the features and SHA-256 of its weights, "" where unknown.
    """

    features: np.ndarray
    names: Sequence[str]
    labels: Sequence[int] | None = None
    extractor: str = ""
    digest: str = ""

    def __len__(self) -> int:
        return len(self.features)

    def feature(self, index: int) -> Tensor:
        """One instance's feature [D], float32 of unit length. Raises CoModError when there is no such instance."""
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(self):
            raise CoModError(f"instance {index!r} of {len(self)}: give a number from 0 to {len(self) - 1}.")
        return unit(torch.from_numpy(np.array(self.features[index], np.float32)))

    def blocks(self, rows: int = ROWS) -> Iterator[tuple[int, np.ndarray]]:
        """The features as float32 blocks of at most `rows`, each with the number of its first row."""
        for start in range(0, len(self), rows):
            yield start, np.ascontiguousarray(self.features[start:start + rows], np.float32)

    def subset(self, indices: Sequence[int]) -> Instances:
        """These instances alone, in memory."""
        labels = None if self.labels is None else [self.labels[i] for i in indices]
        return Instances(np.asarray(self.features[list(indices)]), [self.names[i] for i in indices], labels,
                         self.extractor, self.digest)


def built_in() -> dict[str, Path]:
    """Files of instances that come with the package: name -> path. A folder of that name has their pictures."""
    return {path.stem: path for path in sorted(BUILT_IN.glob("*.safetensors"))}


def open_instances(path: str | os.PathLike) -> Instances:
    """The instances of a file: CoMod's .safetensors (its .json beside it), or IC-GAN's .npy; or a built-in name.

    Features of the former stay on disk until they are used. Raises CoModError for absent, damaged or other files.
    """
    path = Path(path)
    if not path.exists():
        path = built_in().get(str(path), path)
    if not path.is_file():
        raise CoModError(f"{path}: there is no such file. Check the path.")
    with open(path, "rb") as file:
        numpy = file.read(6) == b"\x93NUMPY"
    return _open_npy(path) if numpy else _open_own(path)


def save_instances(path: str | os.PathLike, instances: Instances, dtype: str = "float32") -> Path:
    """Write instances as NAME.safetensors and NAME.json; see `write_instances`."""
    blocks = (block for _, block in instances.blocks())
    return write_instances(path, blocks, instances.features.shape[1], instances.names, instances.labels,
                           instances.extractor, instances.digest, dtype)


def write_instances(path: str | os.PathLike, blocks: Iterable[np.ndarray], width: int, names: Sequence[str],
                    labels: Sequence[int] | None = None, extractor: str = "", digest: str = "",
                    dtype: str = "float32") -> Path:
    """Write features that arrive in blocks [n,width], one row a name, without ever holding them all.

    Rows are divided by their length. dtype: "float32" or "float16" (half the size, values to 3 digits). Equal content
    gives equal bytes. Raises CoModError when rows and names do not match, or a row has no length.
    """
    path = Path(path)
    if path.suffix != ".safetensors" or dtype not in _DTYPES:
        raise CoModError(f"{path}: the name of a file of instances ends in .safetensors, its dtype is float32 or "
                         "float16.")
    if labels is not None and len(labels) != len(names):
        raise CoModError(f"{len(labels)} classes for {len(names)} instances: give one each.")
    index = {"format": FORMAT, "extractor": extractor, "digest": digest, "names": [str(name) for name in names],
             "labels": None if labels is None else [int(label) for label in labels]}
    text = json.dumps(index, ensure_ascii=False, indent=0).encode()
    with atomic_write(path) as file:
        _write_features(file, blocks, len(names), width, dtype, hashlib.sha256(text).hexdigest())
        with atomic_write(path.with_suffix(".json")) as other:
            other.write(text)
    return path


def _write_features(file, blocks: Iterable[np.ndarray], count: int, width: int, dtype: str, index: str) -> None:
    header = {"__metadata__": {"format": FORMAT, "index_sha256": index},
              "features": {"dtype": _DTYPES[dtype], "shape": [count, width],
                           "data_offsets": [0, count * width * np.dtype(dtype).itemsize]}}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    file.write(struct.pack("<Q", len(text)) + text)
    written = 0
    for block in blocks:
        if block.ndim != 2 or block.shape[1] != width or written + len(block) > count:
            raise CoModError(f"features of shape {list(block.shape)} after {written} rows: expected {count} rows of "
                             f"{width} in all.")
        if len(block):
            file.write(unit(torch.from_numpy(np.array(block, np.float32))).numpy().astype(dtype).tobytes())
        written += len(block)
    if written != count:
        raise CoModError(f"{written} features for {count} names: give one each.")


def _open_own(path: Path) -> Instances:
    try:
        with safetensors.safe_open(path, framework="np") as file:
            facts = file.metadata() or {}
            known = facts.get("format") == FORMAT and list(file.keys()) == ["features"]
            part = file.get_slice("features") if known else None
            shape, kind = (part.get_shape(), part.get_dtype()) if known else ([], "")
    except (safetensors.SafetensorError, OSError, ValueError) as problem:
        raise CoModError(f"{path}: neither a file of instances nor IC-GAN's .npy ({problem}).") from problem
    dtype = next((name for name, code in _DTYPES.items() if code == kind), None)
    if dtype is None or len(shape) != 2:
        raise CoModError(f"{path}: a safetensors file, but none of instances.")
    index = _index(path.with_suffix(".json"), facts.get("index_sha256"), shape[0])
    with open(path, "rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
    features = np.memmap(path, np.dtype(dtype), "r", start, tuple(shape)) if shape[0] else np.zeros(shape, dtype)
    return Instances(features, index["names"], index["labels"], str(index.get("extractor", "")),
                     str(index.get("digest", "")))


def _index(path: Path, digest: str | None, count: int) -> dict[str, Any]:
    """The content of the .json beside the features, checked to belong to them."""
    try:
        text = path.read_bytes()
        index = json.loads(text)
    except (OSError, ValueError, RecursionError) as problem:
        raise CoModError(f"{path}: the index of the instances cannot be read ({problem}). Keep it beside the "
                         ".safetensors of the same name.") from problem
    if hashlib.sha256(text).hexdigest() != digest:
        raise CoModError(f"{path}: belongs to other features than the .safetensors beside it. Make both again.")
    names, labels = index.get("names"), index.get("labels")
    if not isinstance(names, list) or len(names) != count or not (labels is None or len(labels) == count):
        raise CoModError(f"{path}: not as many names or classes as features. Make both again.")
    return index


def _open_npy(path: Path) -> Instances:
    """IC-GAN's stored instances: a dict of instance_features [N,D], labels and image_path."""
    content = read_npy(path)
    with damage_named(str(path), "a file of stored instances"):
        if isinstance(content, np.ndarray):
            content = {"instance_features": content}
        features = content.get("instance_features") if isinstance(content, dict) else None
        features = np.asarray(features)
        if features.ndim != 2 or features.dtype.kind != "f" or not len(features):
            raise ValueError("there is no array instance_features [N,D] of numbers in it")
        names = _column(content.get("image_path"), len(features))
        labels = _column(content.get("labels"), len(features))
        names = [_text(name) for name in names] if names is not None else [str(i) for i in range(len(features))]
        labels = None if labels is None else [int(label) for label in labels]
        return Instances(unit(torch.from_numpy(features.astype(np.float32))).numpy(), names, labels)


def _column(values: Any, count: int) -> list | None:
    """One value an instance, or None where the file has none."""
    if values is None:
        return None
    values = np.asarray(values).reshape(-1).tolist() if isinstance(values, np.ndarray) else list(values)
    if len(values) != count:
        raise ValueError(f"{len(values)} names or classes for {count} features")
    return values


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
