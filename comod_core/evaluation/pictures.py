"""Real pictures for an evaluation: from files or from one array, in a seeded order, a chunk at a time."""
from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..errors import CoModError
from ..images import open_picture, to_integers
from .protocol import number

log = logging.getLogger("comod")


class FilePictures:
    """Picture files, each with a name that decides its holes and seeds. title: what the set is called in the report."""

    def __init__(self, files: Sequence[tuple[str, Path]], title: str):
        self.names, self.title = [name for name, _ in files], title
        self._paths = [path for _, path in files]

    def load(self, index: int) -> np.ndarray:
        """uint8 [H,W,3], transparency on white. Raises CoModError when the file cannot be read."""
        image = open_picture(self._paths[index]).image
        if image.shape[1] == 4:
            alpha = (image[:, 3:] + 1) / 2
            image = image[:, :3] * alpha + (1 - alpha)
        return to_integers(image.expand(-1, 3, -1, -1))


class ArrayPictures:
    """Pictures uint8 [N,H,W,3] of a .npy file, or of images.npy in a folder; memory-mapped.

    Raises CoModError when there is no such array or it holds something else.
    """

    def __init__(self, path: str | Path):
        path = Path(path)
        self.title = path.name if path.is_dir() else path.stem
        path = path / "images.npy" if path.is_dir() else path
        try:
            self._images = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CoModError(f"{path}: not a whole NumPy array ({error}).") from error
        if self._images.dtype != np.uint8 or self._images.ndim != 4 or self._images.shape[3] != 3:
            raise CoModError(f"{path}: {self._images.dtype} {list(self._images.shape)}; expected uint8 [N,H,W,3], RGB.")
        self.names = [f"{i:06d}" for i in range(len(self._images))]

    def load(self, index: int) -> np.ndarray:
        """uint8 [H,W,3]."""
        return np.array(self._images[index])


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some pictures: their places in the set, names, images uint8 [n,3,R,R]; first: pictures in the chunks before."""

    first: int
    places: list[int]
    names: list[str]
    images: Tensor

    @property
    def digest(self) -> str:
        """SHA-256 of the pixels."""
        return hashlib.sha256(self.images.numpy().tobytes()).hexdigest()


def resized(values: np.ndarray, size: int) -> Tensor:
    """uint8 [H,W,3] -> uint8 [3,R,R]: the centre square, by Pillow's Lanczos filter; untouched at that size already."""
    if values.shape[:2] != (size, size):
        values = np.asarray(ImageOps.fit(Image.fromarray(values), (size, size), Image.Resampling.LANCZOS))
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


def chunks(pictures, size: int, seed: int, count: int | None, skipped: dict[str, str], rows: int = 64,
           ) -> Iterator[Chunk]:
    """The pictures in an order that the seed decides, `rows` at a time, until `count` were readable.

    What cannot be read is logged, noted in `skipped` (name: reason) and replaced by the next one.
    """
    order = sorted(range(len(pictures.names)), key=lambda i: number("order", seed, pictures.names[i]))
    places, images, first = [], [], 0
    for place in order:
        if first + len(places) == count:
            break
        try:
            images.append(resized(pictures.load(place), size))
        except CoModError as error:
            skipped[pictures.names[place]] = str(error)
            log.warning("%s: skipped. %s", pictures.names[place], error)
            continue
        places.append(place)
        if len(places) == rows:
            yield _chunk(pictures, first, places, images)
            first, places, images = first + rows, [], []
    if places:
        yield _chunk(pictures, first, places, images)


def _chunk(pictures, first: int, places: list[int], images: list[Tensor]) -> Chunk:
    return Chunk(first, places, [pictures.names[place] for place in places], torch.stack(images))
