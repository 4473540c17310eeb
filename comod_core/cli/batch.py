"""Completion of pictures, each with its hole, once a seed."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..checks import check_net, check_sampling
from ..completion import complete
from ..images import open_picture, save_picture
from .folders import Source, pictures
from .holes import Holes
from .journal import Journal
from .runs import Outcome, Results, Task
from .seeded import SeedRun
from .sheet import write_sheet


class Batch(SeedRun):
    """Pictures of `source` with their holes, once a seed. `sampling` are the keywords of `completion.complete`."""

    def __init__(self, source: Path, holes: Holes, seeds: Sequence[int], sampling: Mapping[str, object],
                 results: Results):
        super().__init__(source, seeds, sampling, results)
        self.holes = holes

    def sources(self) -> list[Source]:
        folders = [self.results.folder] + ([self.holes.folder.folder] if self.holes.folder else [])
        found = pictures(self.source, leave_out=tuple(folders))
        return self.holes.folder.pictures_among(found) if self.holes.folder else found

    def check(self, net) -> None:
        check_net(net)
        check_sampling(net, self.sampling["psi"], self.sampling["cutoff"], self.sampling["noise_mode"])

    def settings(self, source: Source) -> dict:
        return {**self.holes.settings(source), **self.sampling}

    def undone(self, source: Source, settings: dict, journal: Journal) -> list[int]:
        seeds = super().undone(source, settings, journal)
        if self.holes.random and not self.results.overwrite:
            journal.check_free(self._mask(source))
        return seeds

    def do(self, task: Task, net, journal: Journal, outcome: Outcome, advance: Callable[[], None]) -> None:
        picture = open_picture(task.source.path)
        image, mask = self.holes.apply(task.source, picture.image)
        if self.holes.random:
            save_picture(self.results.folder / self._mask(task.source), mask * 2 - 1)
            journal.add(self._mask(task.source), dict(task.settings))
        for completion in complete(net, image, mask, task.parts, **self.sampling) if task.parts else ():
            name = self._output(task.source, completion.seed)
            save_picture(self.results.folder / name, completion.image, picture)
            journal.add(name, {**task.settings, "seed": completion.seed})
            outcome.made += 1
            advance()
        if self.results.sheet:
            name, settings = self._sheet(task.source, task.settings)
            finished = [self.results.folder / self._output(task.source, seed) for seed in self.seeds]
            write_sheet(self.results.folder / name, image, mask, finished)
            journal.add(name, settings)

    def _mask(self, source: Source) -> str:
        """Name of a random hole's picture: only here can one see it."""
        return f"{source.name}_mask.png"
