"""Features of many picture files into one file of instances."""
from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import CoModError
from ..images import open_picture
from ..metrics.networks import FeatureNetwork
from .extractors import encode
from .stored import ROWS, write_instances

Progress = Callable[[int, int, None], None]


def index_pictures(path: str | os.PathLike, pictures: Sequence[tuple[str, Path]], extractor: FeatureNetwork, *,
                   dtype: str = "float32", progress: Progress | None = None) -> list[tuple[Path, str]]:
    """Write the instances of picture files, given as (name, path); see `stored.write_instances`.

    Features wait in a temporary file beside `path`, so memory does not grow with the pictures. Returns the pictures
    that could not be read and why; they are left out. progress(done, total, None) is called after each. Raises
    CoModError when none could be read.
    """
    path, names, failures = Path(path), [], []
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent) as waiting:
        for done, (name, picture) in enumerate(pictures, 1):
            try:
                row = encode(extractor, open_picture(picture).image)
            except (CoModError, OSError) as problem:
                failures.append((picture, str(problem)))
            else:
                waiting.write(row.numpy().astype("<f4").tobytes())
                names.append(name)
            if progress:
                progress(done, len(pictures), None)
        if not names:
            raise CoModError(f"{path}: not written, for none of {len(pictures)} pictures could be read. The first: "
                             f"{failures[0][1] if failures else 'there was none'}")
        waiting.flush()
        waiting.seek(0)
        write_instances(path, _blocks(waiting, extractor.width), extractor.width, names,
                        extractor=extractor.name.lower(), digest=extractor.digest, dtype=dtype)
    return failures


def _blocks(file, width: int) -> Iterator[np.ndarray]:
    while part := file.read(ROWS * width * 4):
        yield np.frombuffer(part, "<f4").reshape(-1, width)
