"""A node at work in a thread: what it reports arrives step by step, and it can be stopped between two steps."""
from __future__ import annotations

import contextlib
import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from ..nodes.host import Interrupted, host

WAITING = 4
PACE = 0.4          # seconds between two steps that are shown
log = logging.getLogger("comod")


@dataclasses.dataclass(frozen=True)
class Step:
    """What a node reported: steps done of `total`, and a finished picture [N,C,H,W] in [-1,1] or None."""

    done: int
    total: int
    picture: torch.Tensor | None


class Job:
    """`for step in Job(work)` runs `work()`, which executes a node, in a thread of its own.

    The loop ends when the work does, or after `stop()` once the step under way is done. An exception of the work comes
    out of the loop. A loop that is left early stops the work. `warnings`: what the core logged as such meanwhile.
    The work waits when it is WAITING steps ahead of the loop, for pictures may be large.
    """

    def __init__(self, work: Callable[[], object]):
        self._work = work
        self._reports: queue.Queue[Step | BaseException | None] = queue.Queue(WAITING)
        self._left = threading.Event()
        self._stop = threading.Event()
        self.warnings: list[str] = []

    @property
    def stopped(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Stop after the step under way."""
        self._stop.set()

    def __iter__(self) -> Iterator[Step]:
        threading.Thread(target=self._run, name="comod-job", daemon=True).start()
        try:
            while (report := self._reports.get()) is not None:
                if isinstance(report, BaseException):
                    raise report
                yield report
        finally:
            self._left.set()
            self.stop()

    def _run(self) -> None:
        try:
            with host.listening(self._report), self._collected_warnings():
                self._work()
        except Interrupted:
            pass
        except BaseException as problem:
            self._put(problem)
        self._put(None)

    def _report(self, done: int, total: int, picture: torch.Tensor | None) -> None:
        self._put(Step(done, total, picture))
        if self.stopped:
            raise Interrupted

    def _put(self, report: Step | BaseException | None) -> None:
        """Hand over to the loop; to nobody when it was left."""
        while not self._left.is_set():
            with contextlib.suppress(queue.Full):
                return self._reports.put(report, timeout=0.2)

    @contextlib.contextmanager
    def _collected_warnings(self) -> Iterator[None]:
        handler = _WarningsOfThisThread(self.warnings)
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)


class _WarningsOfThisThread(logging.Handler):
    def __init__(self, texts: list[str]):
        super().__init__(logging.WARNING)
        self._texts, self._thread = texts, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._texts.append(record.getMessage())


class Jobs:
    """The jobs under way, one a browser session, so that another request of the session can stop its job."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    @contextlib.contextmanager
    def entered(self, session: str, job: Job) -> Iterator[Job]:
        """Within the block `stop(session)` stops this job; a job of the same session that still runs is stopped."""
        self.stop(session)
        self._jobs[session] = job
        try:
            yield job
        finally:
            job.stop()
            if self._jobs.get(session) is job:
                del self._jobs[session]

    def stop(self, session: str) -> bool:
        """Stop the session's job. Returns whether there was one."""
        job = self._jobs.get(session)
        if job is not None:
            job.stop()
        return job is not None


def paced(steps: Iterable[Any], since: float = 0) -> Iterator[Any]:
    """Those of the steps that are worth showing: the first one after `since` seconds, then one every PACE seconds.

    A page that is sent more than it can draw stalls, and then nobody can press its Stop button.
    """
    due = time.monotonic() + since
    for step in steps:
        if time.monotonic() >= due:
            yield step
            due = time.monotonic() + PACE
