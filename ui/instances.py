"""Instances as the app runs them: the nodes, with pictures to look at, and their results written to files."""
from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from ..comod_core.animations import save_animation
from ..comod_core.errors import CoModError
from ..comod_core.images import WRITERS, open_picture, save_picture, to_integers
from ..nodes.instances import (
    InstanceCondition,
    InstanceEncode,
    InstanceInterpolate,
    InstanceNeighbours,
    InstanceRank,
    instance_files,
    opened,
)
from ..nodes.layout import images_in, images_out
from ..nodes.sockets import InstanceFeatures, seeds_from
from .edits import new_file
from .jobs import Job
from .sources import read

TILE, PREVIEW = 160, 640    # pixels a side of a neighbour's picture, and of the instance's
FPS = 12
NO_FILES = ("There is no file of stored instances yet. Make one with <code>comod instance index PICTURES {0}/"
            "NAME.safetensors</code>, or put IC-GAN's <code>*_instance_features.npy</code> there. A folder {0}/NAME "
            "with the pictures shows them here.")


@dataclasses.dataclass(frozen=True)
class Look:
    """An instance: the photo of a file, or a stored one, which has its feature and perhaps a picture.

    number: of a stored instance. likeness: cosine with the instance whose neighbour it is; None for others.
    """

    name: str
    picture: Path | None = None
    feature: InstanceFeatures | None = None
    number: int | None = None
    likeness: float | None = None

    def encoded(self, extractor: str) -> InstanceFeatures:
        """The feature; that of a photo is made by the Encode node and kept."""
        return self.feature or _encoded(self.picture, self.picture.stat().st_mtime_ns, extractor)

    @property
    def caption(self) -> str:
        return self.name if self.likeness is None else f"{self.likeness:.2f} {self.name}"

    def tile(self) -> Image.Image:
        """A picture to show: a square of the file's, or the name where there is none."""
        if self.picture is None:
            tile = Image.new("RGB", (TILE, TILE), (226, 232, 240))
            words = "\n".join(self.name[i:i + 16] for i in range(0, min(len(self.name), 80), 16))
            ImageDraw.Draw(tile).multiline_text((TILE / 2, TILE / 2), words, (71, 85, 105), anchor="mm", align="center",
                                                font_size=16)
            return tile
        return ImageOps.pad(self._whole(), (TILE, TILE), Image.Resampling.LANCZOS, color=(226, 232, 240))

    def preview(self) -> Image.Image:
        """The same of at most PREVIEW pixels a side, uncut."""
        if self.picture is None:
            return self.tile()
        whole = self._whole()
        return whole if max(whole.size) <= PREVIEW else ImageOps.contain(whole, (PREVIEW, PREVIEW))

    def _whole(self) -> Image.Image:
        values = to_integers(read(self.picture).image)
        return Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).convert("RGB")


@functools.lru_cache(maxsize=64)
def _encoded(path: Path, changed: int, extractor: str) -> InstanceFeatures:
    return InstanceEncode.execute(images_out(read(path).image), extractor)[0]


def neighbours(file: str, look: Look, extractor: str, count: int) -> list[Look]:
    """The stored instances that are nearest to a look, by the Neighbours node. Raises CoModError as it does."""
    found, text = InstanceNeighbours.execute(file, count, look.encoded(extractor)).result
    looks = []
    for row, line in zip(found.features, text.splitlines(), strict=True):
        likeness, number, name = line.split(" ", 2)
        feature = InstanceFeatures(row[None], found.extractor, found.digest)
        looks.append(Look(name, picture_of(file, name), feature, int(number), float(likeness)))
    return looks


def some(file: str, count: int, seed: int) -> list[Look]:
    """Stored instances drawn from all of a file, in its order. Raises CoModError."""
    many = opened(file)
    numbers = np.random.default_rng(seed).choice(len(many), min(count, len(many)), replace=False)
    return [Look(many.names[i], picture_of(file, many.names[i]), InstanceFeatures(
        many.feature(i)[None], many.extractor, many.digest), i) for i in sorted(numbers.tolist())]


def picture_of(file: str, name: str) -> Path | None:
    """The picture of a stored instance, where a folder beside the file, of its name, has one."""
    folder = instance_files()[file].with_suffix("").resolve()
    for ending in ("", *WRITERS):
        path = (folder / f"{name}{ending}").resolve()
        if path.is_relative_to(folder) and path.is_file():
            return path
    return None


@dataclasses.dataclass(frozen=True)
class Made:
    """Pictures of a run so far: PNG files and what stands below each. done of total: the model's runs.

    total 0: not begun. finished: nothing more will come, all done or stopped. film: whether they are frames.
    """

    paths: tuple[Path, ...] = ()
    captions: tuple[str, ...] = ()
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    finished: bool = False
    film: bool = False


def gallery(model: Any, look: Look | None, extractor: str, inputs: dict[str, Any]) -> tuple[Job, Iterator[Made]]:
    """A job of the Instance-Condition node: a picture a seed, as they are made. inputs: the node's."""
    instance = _instance(model, look, extractor)
    names = [f"seed {seed}" for seed in seeds_from(inputs["seed"], inputs["count"])]
    job = Job(lambda: InstanceCondition.execute(model, instance=instance, **inputs))
    return job, _made(job, names)


def ranked(model: Any, look: Look | None, extractor: str, inputs: dict[str, Any]) -> tuple[Job, Iterator[Made]]:
    """A job of the Instance Rank node: the nearest of many pictures, once all are drawn. inputs: the node's."""
    instance, results = _instance(model, look, extractor), []
    if instance is None:
        raise CoModError("This model takes no instance, so there is nothing to be near to.")
    measure = {} if instance.extractor else {"extractor": extractor}
    job = Job(lambda: results.append(InstanceRank.execute(model, instance, **inputs, **measure)))

    def made() -> Iterator[Made]:
        for so_far in _made(job, []):
            if so_far.finished and results:
                images, text = results[0].result
                distances = [line.split() for line in text.splitlines()]
                paths = [_write(images_in(image[None]), f"seed{seed}.png") for image, (_, seed) in
                         zip(images, distances, strict=True)]
                captions = [f"seed {seed}, distance {distance}" for distance, seed in distances]
                so_far = dataclasses.replace(so_far, paths=tuple(paths), captions=tuple(captions))
            yield so_far

    return job, made()


def way(model: Any, looks: tuple[Look | None, Look | None], extractor: str,
        inputs: dict[str, Any]) -> tuple[Job, Iterator[Made]]:
    """A job of the Instance Interpolate node: pictures from one look to another. inputs: the node's."""
    ends = [_instance(model, look, extractor) for look in looks]
    names = [f"{i + 1} of {inputs['frames']}" for i in range(inputs["frames"])]
    job = Job(lambda: InstanceInterpolate.execute(model, instance=ends[0], target=ends[1], **inputs))
    return job, _made(job, names, film=True)


def film(made: Made) -> Path:
    """The pictures there and back as an animated GIF."""
    path = new_file("interpolation.gif")
    save_animation(path, (open_picture(one).image for one in made.paths), FPS, back=True)
    return path


def _instance(model: Any, look: Look | None, extractor: str) -> InstanceFeatures | None:
    """What the node's `instance` gets: None for networks that take none."""
    if not getattr(model.model, "feature_size", 0):
        return None
    if look is None:
        raise CoModError("There is no instance yet. Open a photo, choose an example, or a stored instance.")
    return look.encoded(extractor)


def _made(job: Job, names: Sequence[str], film: bool = False) -> Iterator[Made]:
    """What there is after each step; pictures are written where they have names."""
    start, made = time.monotonic(), Made(film=film)
    yield made
    for step in job:
        paths = made.paths
        if step.picture is not None and len(paths) < len(names):
            paths += (_write(step.picture, f"{names[len(paths)].replace(' ', '-')}.png"),)
        made = dataclasses.replace(made, paths=paths, captions=tuple(names[:len(paths)]), done=step.done,
                                   total=step.total, seconds=time.monotonic() - start)
        yield made
    yield dataclasses.replace(made, finished=True, seconds=time.monotonic() - start)


def _write(picture: Tensor, name: str) -> Path:
    path = new_file(name)
    save_picture(path, picture)
    return path
