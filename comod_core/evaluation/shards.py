"""Measured chunks on disk, each under a key of everything that decides it, so that a run goes on where it stopped."""
from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import CoModError
from ..files import atomic_write

log = logging.getLogger("comod")


class Shards:
    """Safetensors files in a folder. A file is whole or absent; one that cannot be read counts as absent."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, settings: Mapping) -> Path:
        """Where the chunk made with these settings (anything that JSON can hold) lies, or will."""
        text = json.dumps(settings, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"

    def whole(self, path: Path) -> bool:
        """Whether the chunk is there and can be read."""
        if not path.is_file():
            return False
        try:
            with safe_open(path, framework="numpy") as file:
                return "real" in file.keys()
        except (SafetensorError, OSError) as error:
            log.warning("%s: cannot be read (%s), so it is made again.", path.name, error)
            return False

    def save(self, path: Path, arrays: Mapping[str, np.ndarray], settings: Mapping) -> None:
        """Write the arrays, with the settings as metadata."""
        content = save({key: np.ascontiguousarray(value) for key, value in arrays.items()},
                       {"settings": json.dumps(settings, sort_keys=True)})
        with atomic_write(path) as file:
            file.write(content)


def column(paths: Sequence[Path], key: str, *place: int) -> np.ndarray:
    """One array over all chunks, joined along the pictures; place: psi and bin, where the array has them.

    Raises CoModError when a file is missing or damaged.
    """
    parts = []
    for path in paths:
        try:
            with safe_open(path, framework="numpy") as file:
                parts.append(_sliced(file.get_slice(key), place))
        except (SafetensorError, OSError) as error:
            raise CoModError(f"{path}: cannot be read ({error}). Run the evaluation again.") from error
    return np.concatenate(parts)


def _sliced(array, place: tuple[int, ...]) -> np.ndarray:
    return np.asarray(array[place or slice(None)]).reshape(array.get_shape()[len(place):])
