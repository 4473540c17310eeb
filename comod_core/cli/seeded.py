"""Runs that make one result a seed of each picture, and a contact sheet where it is wanted."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .folders import Source
from .journal import Journal
from .runs import Results, Run


class SeedRun(Run):
    """Pictures of `source`, once a seed. A command's own kind has `check`, `settings` and `do`."""

    def __init__(self, source: Path, seeds: Sequence[int], sampling: Mapping[str, object], results: Results):
        super().__init__(source, results)
        self.seeds, self.sampling = seeds, sampling

    def parts(self, source: Source) -> Sequence[int]:
        return self.seeds

    def undone(self, source: Source, settings: dict, journal: Journal) -> list[int]:
        if self.results.overwrite:
            return list(self.seeds)
        names = {seed: self._output(source, seed) for seed in self.seeds}
        seeds = [seed for seed, name in names.items() if not journal.finished(name, {**settings, "seed": seed})]
        for seed in seeds:
            journal.check_free(names[seed])
        if self.results.sheet:
            journal.check_free(self._sheet(source, settings)[0])
        return seeds

    def complete(self, source: Source, settings: dict, journal: Journal) -> bool:
        return not self.results.sheet or journal.finished(*self._sheet(source, settings))

    def _output(self, source: Source, seed: int) -> str:
        """Name of a result below the results' folder."""
        return f"{source.name}_seed{seed}.{self.results.format}"

    def _sheet(self, source: Source, settings: Mapping[str, object]) -> tuple[str, dict]:
        """Name of a picture's contact sheet, and what decides it."""
        return f"{source.name}_sheet.png", {**settings, "sheet": list(self.seeds)}
