"""A run over pictures: find them, plan what is not done yet, do it, note it, and go on after a failure."""
from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from .. import __version__
from ..errors import CoModError
from ..loading import load_model
from .folders import Source, pictures
from .journal import Failures, Journal, file_mark
from .report import explain, library_log, progress_bar, warn


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

    @property
    def code(self) -> int:
        """Exit code of the command."""
        return 130 if self.stopped else 1 if self.failed else 0


@dataclasses.dataclass(frozen=True)
class Task:
    """One picture with the parts (seeds, or names of files) that are to be made, and what decides their contents."""

    source: Source
    parts: Sequence
    settings: Mapping[str, object]


class Run:
    """Pictures of `source` into `results`. A command's own kind says what is made of each (the methods below `run`)."""

    def __init__(self, source: Path, results: Results):
        self.source, self.results = source, results
        self.within: Callable[..., None] = lambda *_: None      # within(done, total, ...): how far one picture is
        if results.folder.exists() and not results.folder.is_dir():
            raise CoModError(f"--out {results.folder} is a file: give a folder.")

    def run(self, model: str, device: str | None = None, dtype: str | None = None, debug: bool = False) -> Outcome:
        """Do everything that is not done yet. Raises CoModError for what would fail for every picture."""
        sources = self.sources()
        with library_log():
            net = load_model(model, best_device(device), dtype)
        self.check(net)
        self.results.folder.mkdir(parents=True, exist_ok=True)
        journal, failures = Journal(self.results.folder), Failures(self.results.folder)
        outcome = Outcome(self.results.folder)
        tasks = self._plan(sources, net, journal, failures, outcome, debug)
        start = time.monotonic()
        with progress_bar() as bar, library_log(bar.console) as log:
            line = bar.add_task("", total=sum(len(task.parts) for task in tasks))
            try:
                for task in tasks:
                    bar.update(line, description=task.source.name)
                    log.subject = task.source.path
                    self.within = functools.partial(_step, bar, line, task.source.name)
                    with _noted(task.source, failures, debug, bar.console):
                        self.do(task, net, journal, outcome, lambda: bar.advance(line))
            except KeyboardInterrupt:
                outcome.stopped = True
        outcome.failed, outcome.seconds = failures.count, time.monotonic() - start
        return outcome

    def _plan(self, sources, net, journal: Journal, failures: Failures, outcome: Outcome, debug: bool) -> list[Task]:
        dtype = getattr(net, "inference_dtype", None) or next(iter(net.state_dict().values())).dtype
        dtype = str(dtype).removeprefix("torch.")
        common = {"comod": __version__, "model": net.info.sha256, "dtype": dtype}
        tasks = []
        for source in sources:
            with _noted(source, failures, debug):
                settings = {"image": file_mark(source.path), **common, **self.settings(source)}
                parts, undone = self.parts(source), self.undone(source, settings, journal)
                outcome.skipped += len(parts) - len(undone)
                if undone or not self.complete(source, settings, journal):
                    tasks.append(Task(source, undone, settings))
        return tasks

    def sources(self) -> list[Source]:
        """The pictures. Raises CoModError when there are none."""
        return pictures(self.source, leave_out=(self.results.folder,))

    def check(self, net) -> None:
        """Raise CoModError when the network, or an option, does not suit the command."""
        raise NotImplementedError

    def settings(self, source: Source) -> dict:
        """What decides the results of a picture, apart from itself and the model, as JSON holds it."""
        raise NotImplementedError

    def parts(self, source: Source) -> Sequence:
        """What is to be made of a picture."""
        raise NotImplementedError

    def undone(self, source: Source, settings: dict, journal: Journal) -> list:
        """Those of `parts` that are missing or out of date. Raises CoModError when one would replace a file."""
        raise NotImplementedError

    def complete(self, source: Source, settings: dict, journal: Journal) -> bool:
        """Whether there is nothing to do for a picture beyond its parts."""
        return True

    def do(self, task: Task, net, journal: Journal, outcome: Outcome, advance: Callable[[], None]) -> None:
        """Make the parts of one task, note each in the journal and count it."""
        raise NotImplementedError


def _step(bar, line, name: str, done: int, total: int, *_) -> None:
    bar.update(line, description=f"{name} {done}/{total}" if done < total else name)


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
