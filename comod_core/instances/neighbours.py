"""Which instances are alike, by the cosine of their features: exactly, by an inverted file, and representatives.

By faiss (Johnson et al. 2019); the exact search does without it where it is missing. Features are gone through in
blocks, so that they need not fit into memory.
"""
from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from ..errors import CoModError
from ..files import atomic_write
from .generation import unit
from .stored import ROWS, Instances

Progress = Callable[[int, int, None], None]

_TRAINING_ROWS_A_LIST = 40  # faiss warns below 39
_MOST_TRAINING_ROWS = 1 << 17  # 1 GiB of 2048 values


def exact(instances: Instances, queries: Tensor, k: int = 10, *, rows: int = ROWS,
          progress: Progress | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest instances of each query [Q,D]: cosines [Q,k], falling, and their numbers [Q,k] (int64).

    A query that is an instance itself finds itself first. progress(done, total, None) in instances. Raises CoModError.
    """
    queries, k = _queries(instances, queries), _count("k", k, len(instances))
    best = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1, np.int64)
    for start, block in instances.blocks(rows):
        found, at = _nearest(queries, block, min(k, len(block)))
        found, at = np.concatenate([best[0], found], 1), np.concatenate([best[1], at + start], 1)
        order = np.lexsort((at, -found), axis=1)[:, :k]  # of equals the first instance
        best = np.take_along_axis(found, order, 1), np.take_along_axis(at, order, 1)
        if progress:
            progress(start + len(block), len(instances), None)
    return best


def _nearest(queries: np.ndarray, block: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest cosines of each query with the rows of a block, and their rows, in any order."""
    try:
        faiss = _faiss()
    except CoModError:
        cosines = queries @ block.T
        at = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        return np.take_along_axis(cosines, at, 1), at
    return faiss.knn(queries, block, k, metric=faiss.METRIC_INNER_PRODUCT)


class NeighbourIndex:
    """An inverted file over instances, 8 bits a value: a million of 2048 values take about 2 GiB. See `search`."""

    def __init__(self, index):
        self.index = index

    @classmethod
    def build(cls, instances: Instances, lists: int | None = None, *, rows: int = ROWS, seed: int = 0,
              progress: Progress | None = None) -> NeighbourIndex:
        """An index over these instances. lists: how many cells, None for 4 sqrt(N) as far as there are rows to train.

        Trained on rows drawn from the seed, at most 131072 of them. progress(done, total, None) in instances.
        """
        faiss = _faiss()
        if lists is None:
            lists = max(1, min(round(4 * math.sqrt(len(instances))), len(instances) // _TRAINING_ROWS_A_LIST,
                               _MOST_TRAINING_ROWS // _TRAINING_ROWS_A_LIST))
        lists = _count("lists", lists, len(instances))
        width = instances.features.shape[1]
        index = faiss.index_factory(width, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.spherical = seed % (1 << 31), True
        index.train(_sample(instances, min(lists * _TRAINING_ROWS_A_LIST, _MOST_TRAINING_ROWS), seed))
        for start, block in instances.blocks(rows):
            index.add(block)
            if progress:
                progress(start + len(block), len(instances), None)
        return cls(index)

    def __len__(self) -> int:
        return self.index.ntotal

    def search(self, queries: Tensor, k: int = 10, probes: int = 16) -> tuple[np.ndarray, np.ndarray]:
        """As `exact`, approximately. probes: how many cells are looked into; more finds more. -1 where none was found.

        Raises CoModError for queries of another width.
        """
        rows = unit(queries).reshape(-1, np.shape(queries)[-1]).numpy()
        if rows.shape[1] != self.index.d:
            raise CoModError(f"a feature of {rows.shape[1]} values, but the index is of {self.index.d}: use the same "
                             "extractor.")
        self.index.nprobe = _count("probes", min(probes, self.index.nlist), self.index.nlist)
        return self.index.search(rows, _count("k", k, len(self)))

    def save(self, path: str | os.PathLike) -> Path:
        """Write the index, whole or not at all (faiss's own format)."""
        faiss, path = _faiss(), Path(path)
        with atomic_write(path) as file:
            faiss.write_index(self.index, faiss.PyCallbackIOWriter(file.write))
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> NeighbourIndex:
        """An index that `save` wrote. Raises CoModError when it is absent or damaged.

        faiss reads the file itself and trusts it: open only files of your own.
        """
        faiss, path = _faiss(), Path(path)
        if not path.is_file():
            raise CoModError(f"{path}: there is no such file. Check the path.")
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as problem:
            raise CoModError(f"{path}: not an index of instances, or damaged. Build it again.") from problem
        if not hasattr(index, "nlist"):
            raise CoModError(f"{path}: another kind of index than an inverted file. Build it again.")
        return cls(index)


def representatives(instances: Instances, count: int, *, seed: int = 0, steps: int = 25, rows: int = ROWS,
                    progress: Progress | None = None) -> list[int]:
    """Numbers of the instances that stand for all, rising: those nearest to the centres of spherical k-means.

    At most `count` (an instance can be nearest to two centres). Centres are found on a sample of at most 131072 rows
    drawn from the seed. IC-GAN keeps 1000 of ImageNet so (Casanova et al. 2021, Section 3.1).
    """
    faiss = _faiss()
    count = _count("count", count, len(instances))
    sample = _sample(instances, _MOST_TRAINING_ROWS, seed)
    means = faiss.Kmeans(sample.shape[1], min(count, len(sample)), niter=steps, spherical=True, seed=seed % (1 << 31),
                         min_points_per_centroid=1, max_points_per_centroid=_MOST_TRAINING_ROWS)
    means.train(sample)
    _, nearest = exact(instances, means.centroids, 1, rows=rows, progress=progress)
    return sorted(set(nearest[:, 0].tolist()))


def _sample(instances: Instances, count: int, seed: int) -> np.ndarray:
    """At most `count` rows, drawn without repetition, in their order, as float32."""
    if len(instances) <= count:
        return np.ascontiguousarray(instances.features, np.float32)
    chosen = np.sort(np.random.default_rng(seed).choice(len(instances), count, replace=False))
    return np.ascontiguousarray(instances.features[chosen], np.float32)


def _queries(instances: Instances, queries: Tensor) -> np.ndarray:
    rows = unit(queries).reshape(-1, np.shape(queries)[-1]).numpy()
    if rows.shape[1] != instances.features.shape[1]:
        raise CoModError(f"a feature of {rows.shape[1]} values, but the instances have {instances.features.shape[1]}: "
                         "use the same extractor.")
    return rows


def _count(name: str, value: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CoModError(f"{name} is {value!r}: give a whole number of at least 1.")
    if not most:
        raise CoModError("there are no instances to search.")
    return min(value, most)


def _faiss():
    try:
        import faiss
    except ImportError as problem:
        raise CoModError("an index of instances, and their representatives, need faiss: pip install faiss-cpu.") \
            from problem
    return faiss
