"""Files that are either whole or absent."""
from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .errors import DiskFullError

FULL = (errno.ENOSPC, errno.EDQUOT)
ROOM = 1 << 20      # bytes: with fewer left a write that failed for no stated reason failed for this one
# Names of files that may hold a picture which `images.open_picture` reads.
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".tga",
                              ".avif"})


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = "wb") -> Iterator[IO]:
    """Open a temporary sibling of `path`; on success flush it to disk and rename it to `path`, on failure remove it.

    The folder is created when it is missing. A reader sees the old file or the new one, never a part of it. The
    temporary name keeps the suffix of `path`, because some writers choose their format by it.
    Raises DiskFullError, which is a CoModError and an OSError, when there is no room for it, else OSError as `open`
    does (no permission).
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=f".tmp{path.suffix}")
    except OSError as problem:
        _raise_if_full(problem, path)
        raise
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException as problem:
        try:
            _raise_if_full(problem, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        raise


def _raise_if_full(problem: BaseException, path: Path) -> None:
    # NumPy and torch do not say why they could write a part only, so the disk is asked
    known = getattr(problem, "errno", None)
    if known in FULL or (known is None and isinstance(problem, (OSError, RuntimeError)) and _room(path) < ROOM):
        raise DiskFullError(f"{path}: the disk is full. Make room and do it again; what was written before is "
                            "whole.") from problem


def _room(path: Path) -> int:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return ROOM


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file as 64 hexadecimal digits, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
