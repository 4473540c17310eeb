"""What the commands print: results on standard output, errors and progress on standard error."""
from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


def printable(text: object) -> str:
    """The text with control characters written as escapes, so that a file's name cannot drive the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in str(text))


def out() -> Console:
    """Console on standard output. Made anew each time: tests and pipes replace the stream."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=True)


def err() -> Console:
    """Console on standard error."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def explain(error: BaseException) -> str:
    """One error as text for a person: the pack's own texts as they are, others with the name of their type."""
    text = str(error).strip()
    if type(error).__name__ == "CoModError":
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def complain(error: BaseException | str) -> None:
    """Print an error on standard error."""
    text = error if isinstance(error, str) else explain(error)
    err().print(Text.assemble(("comod: error: ", "bold red"), printable(text)))


def warn(text: str) -> None:
    """Print a warning on standard error."""
    err().print(Text.assemble(("comod: warning: ", "yellow"), printable(text)))


class Speed(ProgressColumn):
    """Completed images a second since the start."""

    def __init__(self):
        super().__init__()
        self._start = time.monotonic()

    def render(self, task) -> Text:
        elapsed = time.monotonic() - self._start
        return Text(f"{task.completed / elapsed:.2f} img/s" if task.completed and elapsed > 0 else "- img/s")


def progress_bar() -> Progress:
    """Progress on standard error: bar, count, images a second, time left and what is being done. Silent in a pipe."""
    return Progress(SpinnerColumn(), BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn(),
                    TextColumn("{task.description}", markup=False), console=err(), transient=True)
