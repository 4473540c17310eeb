"""What the commands print: results on standard output, errors and progress on standard error."""
from __future__ import annotations

import contextlib
import errno
import inspect
import logging
import sys
import time
from collections.abc import Iterator

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


def paragraphs(command) -> str:
    """A command's docstring with each paragraph on one line, to be wrapped by the help."""
    blocks = inspect.cleandoc(command.__doc__).split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def printable(text: object) -> str:
    """The text with control characters written as escapes, so that a file's name cannot drive the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in str(text))


def out() -> Console:
    """Console on standard output. Made anew each time: tests and pipes replace the stream."""
    width = None if sys.stdout.isatty() else 160
    return Console(file=sys.stdout, highlight=False, soft_wrap=True, width=width)


def err() -> Console:
    """Console on standard error."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def explain(error: BaseException) -> str:
    """One error as text for a person: the pack's own texts as they are, others with the name of their type."""
    text = str(error).strip()
    if any(kind.__name__ == "CoModError" for kind in type(error).__mro__):
        return text
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.filename + ': ' if error.filename else ''}the disk is full. Make room and do it again."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def complain(error: BaseException | str) -> None:
    """Print an error on standard error."""
    text = error if isinstance(error, str) else explain(error)
    err().print(Text.assemble(("comod: error: ", "bold red"), printable(text)))


def warn(text: str, console: Console | None = None) -> None:
    """Print a warning on standard error, or on the console of a running progress bar."""
    (console or err()).print(Text.assemble(("comod: warning: ", "yellow"), printable(text)))


class LogLines(logging.Handler):
    """The library's log as warnings of the command line; `subject` is the file that is being worked on."""

    def __init__(self, console: Console | None = None):
        super().__init__(logging.WARNING)
        self.console, self.subject = console, None

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        warn(f"{self.subject}: {text}" if self.subject else text, self.console)


@contextlib.contextmanager
def library_log(console: Console | None = None) -> Iterator[LogLines]:
    """Show what the library logs, within this block."""
    lines, logger = LogLines(console), logging.getLogger("comod")
    logger.addHandler(lines)
    try:
        yield lines
    finally:
        logger.removeHandler(lines)


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
    console = err()
    return Progress(SpinnerColumn(), BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn(),
                    TextColumn("{task.description}", markup=False), console=console, transient=True,
                    disable=not console.is_terminal, refresh_per_second=4)
