"""A run over pictures and seeds: plan, complete, save, note, and go on after a failure."""
from __future__ import annotations

import contextlib
import dataclasses
import errno
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from .. import __version__
from ..checks import check_net, check_sampling
from ..completion import complete
from ..errors import CoModError
from ..images import open_picture, save_picture
from ..loading import load_model
from ..networks import CoModGenerator
from .folders import Source, pictures
from .holes import Holes
from .journal import Failures, Journal, file_mark
from .report import explain, library_log, progress_bar, warn
from .sheet import write_sheet


@dataclasses.dataclass(frozen=True)
class Results:
    """Where results go and in which form."""

    folder: Path
    format: str = "png"
    sheet: bool = False
    overwrite: bool = False


@dataclasses.dataclass
class Outcome:
    """What a run did: results made, results that were there already, pictures that failed."""

    folder: Path
    made: int = 0
    skipped: int = 0
    failed: int = 0
    stopped: bool = False
    seconds: float = 0.0

    def summary(self) -> str:
        """One line for a person."""
        speed = f" in {self.seconds:.1f} s ({self.made / self.seconds:.2f} img/s)" if self.made and self.seconds else ""
        parts = [f"{self.made} made{speed}"]
        if self.skipped:
            parts.append(f"{self.skipped} already there")
        if self.failed:
            parts.append(f"{self.failed} failed (see {self.folder / 'failures.csv'})")
        if self.stopped:
            parts.append("stopped; the same command goes on from here")
        return f"{self.folder}: " + ", ".join(parts)


@dataclasses.dataclass(frozen=True)
class Task:
    """One picture with the seeds that are still to be done, and what decides its results apart from the seed."""

    source: Source
    seeds: Sequence[int]
    settings: Mapping[str, object]


class Batch:
    """Pictures of `source` with their holes, once a seed. `sampling` are the keywords of `completion.complete`."""

    def __init__(self, source: Path, holes: Holes, seeds: Sequence[int], sampling: Mapping[str, object],
                 results: Results):
        self.source, self.holes, self.seeds, self.sampling, self.results = source, holes, seeds, sampling, results
        if results.folder.exists() and not results.folder.is_dir():
            raise CoModError(f"--out {results.folder} is a file: give a folder.")

    def run(self, model: str, device: str | None = None, dtype: str | None = None, debug: bool = False) -> Outcome:
        """Do everything that is not done yet. Raises CoModError for what would fail for every picture."""
        sources = self._sources()
        with library_log():
            net = load_model(model, best_device(device), getattr(torch, dtype) if dtype else None)
        check_net(net)
        check_sampling(net, self.sampling["psi"], self.sampling["cutoff"], self.sampling["noise_mode"])
        self.results.folder.mkdir(parents=True, exist_ok=True)
        journal, failures = Journal(self.results.folder), Failures(self.results.folder)
        outcome = Outcome(self.results.folder)
        tasks = self._plan(sources, net, journal, failures, outcome, debug)
        start = time.monotonic()
        with progress_bar() as bar, library_log(bar.console) as log:
            line = bar.add_task("", total=sum(len(task.seeds) for task in tasks))
            try:
                for task in tasks:
                    bar.update(line, description=task.source.name)
                    log.subject = task.source.path
                    with _noted(task.source, failures, debug, bar.console):
                        self._do(task, net, journal, outcome, lambda: bar.advance(line))
            except KeyboardInterrupt:
                outcome.stopped = True
        outcome.failed, outcome.seconds = failures.count, time.monotonic() - start
        return outcome

    def output(self, source: Source, seed: int) -> str:
        """Name of a result below the results' folder."""
        return f"{source.name}_seed{seed}.{self.results.format}"

    def _mask(self, source: Source) -> str:
        """Name of a random hole's picture: only here can one see it."""
        return f"{source.name}_mask.png"

    def _sheet(self, source: Source, settings: Mapping[str, object]) -> tuple[str, dict]:
        """Name of a picture's contact sheet, and what decides it."""
        return f"{source.name}_sheet.png", {**settings, "sheet": list(self.seeds)}

    def _sources(self) -> list[Source]:
        folders = [self.results.folder] + ([self.holes.folder.folder] if self.holes.folder else [])
        found = pictures(self.source, leave_out=tuple(folders))
        return self.holes.folder.pictures_among(found) if self.holes.folder else found

    def _plan(self, sources, net: CoModGenerator, journal: Journal, failures: Failures, outcome: Outcome,
              debug: bool) -> list[Task]:
        common = {"comod": __version__, "model": net.info.sha256, "dtype": str(net.w_avg.dtype).removeprefix("torch."),
                  **self.sampling}
        tasks = []
        for source in sources:
            with _noted(source, failures, debug):
                settings = {"image": file_mark(source.path), **self.holes.settings(source), **common}
                task = Task(source, self._undone(source, settings, journal), settings)
                outcome.skipped += len(self.seeds) - len(task.seeds)
                if task.seeds or (self.results.sheet and not journal.finished(*self._sheet(source, settings))):
                    tasks.append(task)
        return tasks

    def _undone(self, source: Source, settings: Mapping[str, object], journal: Journal) -> list[int]:
        """The seeds whose results are missing or out of date. Raises CoModError when one would replace a file."""
        if self.results.overwrite:
            return list(self.seeds)
        names = {seed: self.output(source, seed) for seed in self.seeds}
        seeds = [seed for seed, name in names.items() if not journal.finished(name, {**settings, "seed": seed})]
        for seed in seeds:
            journal.check_free(names[seed])
        if self.results.sheet:
            journal.check_free(self._sheet(source, settings)[0])
        if self.holes.random:
            journal.check_free(self._mask(source))
        return seeds

    def _do(self, task: Task, net: CoModGenerator, journal: Journal, outcome: Outcome,
            advance: Callable[[], None]) -> None:
        picture = open_picture(task.source.path)
        image, mask = self.holes.apply(task.source, picture.image)
        if self.holes.random:
            save_picture(self.results.folder / self._mask(task.source), mask * 2 - 1)
            journal.add(self._mask(task.source), dict(task.settings))
        for completion in complete(net, image, mask, task.seeds, **self.sampling) if task.seeds else ():
            name = self.output(task.source, completion.seed)
            save_picture(self.results.folder / name, completion.image, picture)
            journal.add(name, {**task.settings, "seed": completion.seed})
            outcome.made += 1
            advance()
        if self.results.sheet:
            name, settings = self._sheet(task.source, task.settings)
            finished = [self.results.folder / self.output(task.source, seed) for seed in self.seeds]
            write_sheet(self.results.folder / name, image, mask, finished)
            journal.add(name, settings)


def best_device(wanted: str | None) -> torch.device:
    """The device that was asked for, else CUDA, Apple's GPU or the CPU. Raises CoModError when it is not there."""
    if wanted is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(name)
    try:
        return torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError) as problem:
        reason = str(problem).splitlines()[0]
        raise CoModError(f"--device {wanted}: cannot be used here ({reason}). Try cpu.") from problem


@contextlib.contextmanager
def _noted(source: Source, failures: Failures, debug: bool, console=None) -> Iterator[None]:
    """Note what goes wrong with one picture and go on. A full disk and Ctrl-C are no matter of one picture."""
    try:
        yield
    except Exception as problem:
        if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        failures.add(source.path, explain(problem))
        warn(f"{source.path}: {explain(problem)}", console)
        if debug:
            traceback.print_exc()
