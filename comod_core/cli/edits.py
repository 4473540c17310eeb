"""A run of edits: what is done to each picture, and how its result or its animation is written."""
from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from .. import editing
from ..animations import check_animation, save_animation
from ..checks import check_style_net
from ..directions import open_direction
from ..editing import Edit, Reference
from ..errors import CoModError
from ..geometry import Box
from ..images import Picture, open_mask, open_picture, save_picture
from ..photos import Options, Progress
from .folders import MASK_ENDS, Companions, Source, pictures
from .journal import Journal, file_mark
from .runs import Outcome, Results, Run, Task

_log = logging.getLogger("comod")


@dataclasses.dataclass(frozen=True)
class Film:
    """An animation: number of frames, frames a second, whether it runs back, pixels of its longer side at most."""

    frames: int
    fps: float
    back: bool = False
    side: int | None = None


def framed(strategy: str, box: tuple[int, int, int] | None, **more) -> Options:
    """`photos.Options` with a box from left, top and side."""
    return Options(strategy, box and Box(box[1], box[0], box[2]), **more)


class Operation:
    """An operation of `editing` by its name, with its keywords and where its references and masks come from.

    reference_options None: references are framed as the picture. direction: file of one, for "move". Raises CoModError
    for files that are not there.
    """

    def __init__(self, name: str, keywords: Mapping[str, object], options: Options, reference_options: Options | None,
                 references: Sequence[Path], masks: Sequence[Path], direction: Path | None = None):
        self.name, self.options, self.reference_options = name, options, reference_options
        self.keywords = dict(keywords)
        self.file, self.direction = direction, None if direction is None else open_direction(direction)
        self.references = [Companions("--reference", path, "reference") for path in references]
        self.masks = [Companions("--mask", path, "mask", MASK_ENDS) for path in masks]

    @property
    def folders(self) -> list[Path]:
        """Folders that hold references and masks, not pictures to edit."""
        return [one.path for one in (*self.references, *self.masks) if one.folder]

    def settings(self, source: Source) -> dict:
        """What decides the result, as JSON holds it. Raises CoModError when a reference or mask is missing."""
        own = self.reference_options
        way = {} if self.file is None else {"direction": file_mark(self.file)}
        return {"operation": self.name, **self.keywords, **way, **dataclasses.asdict(self.options),
                "reference_options": own and dataclasses.asdict(own),
                "references": [file_mark(one.of(source)) for one in self.references],
                "masks": [file_mark(one.of(source)) for one in self.masks]}

    def apply(self, net, source: Source, image: Tensor, progress: Progress | None = None) -> Edit:
        """The edited picture; image [1,C,H,W] in [-1,1]. progress: see `editing`."""
        references, mask = self._references(source), self._mask(source)
        if self.name == "reconstruct":
            return editing.reconstruct(net, image, mask=mask, options=self.options, progress=progress)
        if self.name == "move":
            return editing.move(net, image, self.direction, mask=mask, options=self.options, progress=progress,
                                **self.keywords)
        if self.name == "transplant":
            return self._transplant(net, source, image, references, progress)
        operation = {"blend": editing.blend, "mix": editing.mix}[self.name]
        return operation(net, image, references[0], mask=mask, options=self.options,
                         reference_options=self.reference_options, progress=progress, **self.keywords)

    def frames(self, net, source: Source, image: Tensor, count: int,
               progress: Progress | None = None) -> Iterator[Tensor]:
        """The frames of an interpolation, each [1,C,H,W]."""
        return editing.interpolate(net, image, self._references(source)[0], count, mask=self._mask(source),
                                   options=self.options, reference_options=self.reference_options, progress=progress,
                                   **self.keywords)

    def _transplant(self, net, source: Source, image: Tensor, references: list[Tensor], progress) -> Edit:
        keywords = dict(self.keywords)
        own = self.reference_options or dataclasses.replace(self.options, box=None)
        parts = [Reference(picture, open_mask(mask.of(source)), tuple(shift), own)
                 for picture, mask, shift in zip(references, self.masks, keywords.pop("shifts"), strict=True)]
        return editing.transplant(net, image, parts, options=self.options, progress=progress, **keywords)

    def _references(self, source: Source) -> list[Tensor]:
        return [open_picture(one.of(source)).image for one in self.references]

    def _mask(self, source: Source) -> Tensor | None:
        return open_mask(self.masks[0].of(source)) if self.masks and self.name != "transplant" else None


class EditRun(Run):
    """Pictures of `source`, each edited, or with `film` animated."""

    def __init__(self, source: Path, operation: Operation, results: Results, film: Film | None = None):
        super().__init__(source, results)
        self.operation, self.film = operation, film
        if film and results.format != "png":
            check_animation(f"animation.{results.format}", (1, 1), film.frames, film.fps, film.side)

    def sources(self) -> list[Source]:
        found = pictures(self.source, leave_out=(self.results.folder, *self.operation.folders))
        for masks in self.operation.masks:
            found = masks.folder.pictures_among(found) if masks.folder else found
        return found

    def check(self, net) -> None:
        check_style_net(net)
        way = self.operation.direction
        if way and way.model not in ("", net.info.sha256):
            raise CoModError(f"--direction {self.operation.file}: was learned with another model. Learn it with this "
                             "one: comod edit learn.")

    def settings(self, source: Source) -> dict:
        return {**self.operation.settings(source), **(dataclasses.asdict(self.film) if self.film else {})}

    def parts(self, source: Source) -> list[str]:
        name = f"{source.name}_{self.operation.name}"
        if self.film and self.results.format == "png":
            digits = max(3, len(str(self.film.frames)))
            return [f"{name}/{i + 1:0{digits}}.png" for i in range(self.film.frames)]
        return [f"{name}.{self.results.format}"]

    def undone(self, source: Source, settings: dict, journal: Journal) -> list[str]:
        names = self.parts(source)
        if self.results.overwrite:
            return names
        undone = [name for name in names if not journal.finished(name, settings)]
        for name in undone:
            journal.check_free(name)
        return undone

    def do(self, task: Task, net, journal: Journal, outcome: Outcome, advance: Callable[[], None]) -> None:
        picture = open_picture(task.source.path)
        for name in self._write(task, net, picture):
            journal.add(name, dict(task.settings))
            outcome.made += 1
            advance()

    def _write(self, task: Task, net, picture: Picture) -> Iterator[str]:
        """Write what is undone; yields the names of finished files."""
        if self.film is None:
            edit = self.operation.apply(net, task.source, picture.image, self.within)
            for text in edit.warnings:
                _log.warning(text)
            save_picture(self.results.folder / task.parts[0], edit.image, picture)
            yield task.parts[0]
            return
        path, count = self.results.folder / task.parts[0], self.film.frames
        if self.results.format != "png":
            check_animation(path, tuple(picture.image.shape[-2:]), count, self.film.fps, self.film.side)
            frames = self.operation.frames(net, task.source, picture.image, count, self.within)
            save_animation(path, frames, self.film.fps, back=self.film.back, side=self.film.side)
            yield task.parts[0]
            return
        frames = self.operation.frames(net, task.source, picture.image, count)
        for name, frame in zip(self.parts(task.source), frames, strict=True):
            if name in task.parts:
                save_picture(self.results.folder / name, frame, picture)
                yield name
