"""Instances of a training set: their features, and which pictures are alike."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import CoModError
from ..files import atomic_write
from ..instances.neighbours import exact
from ..instances.stored import Instances
from ..metrics.networks import FeatureNetwork

QUERIES, ROWS, PICTURES = 1024, 16384, 1024     # at a time: queries, instances, pictures
PAIRS = 16384                                   # of which the components of steps are found, at most
SIDE = 8                                        # of the thumbnails by which colours are compared


def write_features(path: str | Path, images: np.ndarray, extractor: FeatureNetwork,
                   progress: Callable[[int, int], None] | None = None) -> None:
    """Features of pictures uint8 [N,S,S,3] as a .npy file: float16 [N,extractor.width], rows of length 1.

    The file appears whole or not at all, and memory does not grow with N. progress(done, total) in pictures.
    """
    header = {"descr": "<f2", "fortran_order": False, "shape": (len(images), extractor.width)}
    with atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(images), PICTURES):
            part = torch.from_numpy(np.array(images[start:start + PICTURES])).permute(0, 3, 1, 2).contiguous()
            rows = extractor(part)
            file.write((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("<f2").tobytes())
            if progress:
                progress(start + len(part), len(images))


def neighbourhoods(features: np.ndarray, count: int, device: torch.device | str = "cpu",
                   images: np.ndarray | None = None, pool: int | None = None) -> np.ndarray:
    """The `count` nearest instances of each, itself among them: int32 [N,count].

    features [N,F], rows of length 1, compared by cosine: on a GPU there, else by faiss where it is installed. pool:
    of so many nearest by features, those whose colours lie most alike in `images` (uint8 [N,S,S,3]) are taken. Blocks
    of ROWS instances and QUERIES queries are in memory at a time. Raises CoModError when there are too few instances.
    """
    wanted = count if pool is None else pool
    if not 1 <= count <= wanted <= len(features):
        raise CoModError(f"Training: {count} neighbours from a pool of {wanted} of {len(features)} instances. Take "
                         "fewer neighbours, a pool of at least as many, or more pictures.")
    small = None if pool is None else thumbnails(images)
    found = np.empty((len(features), count), np.int32)
    for start in range(0, len(features), QUERIES):
        rows = slice(start, min(start + QUERIES, len(features)))
        near = _nearest(features, rows, wanted, torch.device(device))
        if small is not None:
            distance = np.square(small[near] - small[rows, None]).sum(axis=2)
            near = np.take_along_axis(near, np.argsort(distance, axis=1, kind="stable")[:, :count], axis=1)
        found[rows] = near
    return found


def of_groups(groups: np.ndarray, count: int) -> np.ndarray:
    """Instances of the same group as each one's neighbours, itself first, then those after it in turn: int32 [N,count].

    groups int [N]. A group of fewer repeats. Raises CoModError for other values and where no group has two.
    """
    if groups.ndim != 1 or groups.dtype.kind not in "iu":
        raise CoModError(f"Training: groups.npy is {groups.dtype} {list(groups.shape)}; it must hold one whole number "
                         "a picture.")
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(groups[order]) != 0])
    sizes = np.diff(np.r_[starts, len(groups)])
    if sizes.max() < 2:
        raise CoModError("Training: in groups.npy every picture is a group of its own. Give pictures that belong "
                         "together the same number.")
    start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    place = np.arange(len(groups)) - start
    found = np.empty((len(groups), count), np.int32)
    for step in range(count):
        found[order, step] = order[start + (place + step) % size]
    return found


class Steps:
    """The step from an instance to a neighbour of it as a z: what the neighbour has of its own.

    Steps of features and of colours (`thumbnails`, scaled to the features' variance) together are projected on their
    principal components and whitened, so that over all pairs the values of a z are uncorrelated and of variance 1, as
    those of a random z are. features [N,F], images uint8 [N,S,S,3], neighbours int [N,K]; size: values of a z.
    """

    def __init__(self, features: np.ndarray, images: np.ndarray, neighbours: np.ndarray, size: int):
        self.features, self.colours, self.size = features, thumbnails(images), size
        rows = np.linspace(0, len(features) - 1, min(len(features), PAIRS)).astype(int)
        near = neighbours[rows, 1 + np.arange(len(rows)) % (neighbours.shape[1] - 1)]
        self.scale = 1.0
        parts = np.split(self._between(rows, near), [features.shape[1]], axis=1)
        lengths = [np.square(part).sum() for part in parts]
        self.scale = float(np.sqrt(lengths[0] / max(lengths[1], 1e-12)))
        steps = self._between(rows, near)
        values, axes = np.linalg.eigh(steps.T @ steps / len(steps))
        kept = [i for i in range(len(values))[::-1][:size] if values[i] > values[-1] * 1e-6]
        self.axes = axes[:, kept] / np.sqrt(values[kept])

    def __call__(self, instance: int, neighbour: int) -> np.ndarray:
        """z of a step, float32 [size], of a random z's length; zeros past the components that there are."""
        step = self._between([instance], [neighbour])[0] @ self.axes
        length = max(float(np.sqrt(np.square(step).sum())), 1e-12)
        return np.pad(step * (self.size ** 0.5 / length), (0, self.size - len(step))).astype(np.float32)

    def _between(self, instances: Sequence[int], neighbours: Sequence[int]) -> np.ndarray:
        features = np.stack([self.features[i] for i in neighbours]).astype(np.float64)
        features -= np.stack([self.features[i] for i in instances])
        colours = self.colours[neighbours].astype(np.float64) - self.colours[instances]
        return np.concatenate([features, colours * self.scale], axis=1)


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Mean colours of SIDE x SIDE cells: uint8 [N,S,S,3] -> float32 [N,SIDE*SIDE*3] in [0,1]."""
    cell = images.shape[1] // SIDE
    parts = [images[i:i + PICTURES].reshape(-1, SIDE, cell, SIDE, cell, 3).mean(axis=(2, 4), dtype=np.float32)
             for i in range(0, len(images), PICTURES)]
    return np.concatenate(parts).reshape(len(images), -1) / 255


def _nearest(features: np.ndarray, rows: slice, count: int, device: torch.device) -> np.ndarray:
    """The `count` nearest instances of some, the nearest first: int64 [n,count]."""
    queries = torch.from_numpy(np.array(features[rows], np.float32))
    if device.type == "cpu":
        return exact(Instances(features, range(len(features))), queries, count, rows=ROWS)[1]
    return _nearest_on(device, features, queries, count)


def _nearest_on(device: torch.device, features: np.ndarray, queries: Tensor, count: int) -> np.ndarray:
    queries, best, at = queries.to(device), None, None
    for start in range(0, len(features), ROWS):
        block = torch.from_numpy(np.array(features[start:start + ROWS])).to(device).float()
        cosine, index = (queries @ block.t()).topk(min(count, len(block)), dim=1)
        if best is not None:
            cosine, index = torch.cat([best, cosine], 1), torch.cat([at, index + start], 1)
        best, order = cosine.topk(min(count, cosine.shape[1]), dim=1)
        at = index.gather(1, order)
    return at.cpu().numpy()
