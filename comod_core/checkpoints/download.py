"""Download a file: whole and checked, or not at all."""
from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ..errors import CoModError
from ..files import atomic_write

_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 30


def download(url: str, path: str | os.PathLike, sha256: str | None = None, size: int | None = None,
             progress: Callable[[int, int | None], None] | None = None) -> Path:
    """Fetch `url` into `path` through a temporary file that is renamed once size and SHA-256 are right.

    sha256: 64 hexadecimal digits, or None where no digest is known. size: bytes expected, or None. progress: told
    (bytes so far, total or None) after every block; an exception it raises stops the download. Raises CoModError that
    names the address, the place, and what to do by hand.
    """
    path = Path(path)
    if not url.lower().startswith(("https://", "http://")):
        raise CoModError(f"{url}: not a web address.")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, atomic_write(path) as file:
            stated = response.headers.get("Content-Length")
            total = size if size is not None else int(stated) if stated and stated.isdigit() else None
            found, digest = _copy(response, file, total, progress)
            if total is not None and found != total:
                raise _failure(url, path, f"{found} bytes arrived where {total} were expected")
            if sha256 is not None and digest != sha256.lower():
                raise _failure(url, path, f"its SHA-256 is {digest}, not {sha256.lower()}")
    except (urllib.error.URLError, http.client.HTTPException, OSError) as problem:
        raise _failure(url, path, str(problem)) from problem
    return path


def _copy(response, file, total: int | None, progress: Callable[[int, int | None], None] | None) -> tuple[int, str]:
    digest, found = hashlib.sha256(), 0
    while block := response.read(_BLOCK):
        found += len(block)
        if total is not None and found > total:
            break
        digest.update(block)
        file.write(block)
        if progress is not None:
            progress(found, total)
    return found, digest.hexdigest()


def _failure(url: str, path: Path, what: str) -> CoModError:
    return CoModError(f"Download of {path.name} failed: {what}. Nothing was kept. By hand: fetch {url} with a browser "
                      f"and save it as {path}.")
