"""What went wrong, as the browser shows it."""
from __future__ import annotations

import contextlib
import html
import logging
from collections.abc import Iterator

import gradio as gr
import torch

from ..comod_core.errors import CoModError

log = logging.getLogger("comod")
SECONDS_SHOWN = 20


def in_words(problem: BaseException) -> str:
    """A text for the user: the error's own where it was written for them."""
    if isinstance(problem, CoModError):
        return str(problem).removeprefix("CoMod: ")
    if isinstance(problem, torch.OutOfMemoryError):
        return "The device's memory is too small for this. Close other programs, or use a smaller model or fp16."
    if isinstance(problem, OSError):
        return f"A file could not be read or written: {problem}"
    return f"Something unexpected went wrong ({type(problem).__name__}: {problem}). The terminal shows where."


@contextlib.contextmanager
def shown_as_errors() -> Iterator[None]:
    """Exceptions of the block become messages in the browser; those that nobody foresaw are logged as well."""
    try:
        yield
    except gr.Error:
        raise
    except Exception as problem:
        if not isinstance(problem, (CoModError, OSError, torch.OutOfMemoryError)):
            log.exception("the app could not go on")
        raise gr.Error(as_html(in_words(problem)), duration=SECONDS_SHOWN, print_exception=False) from problem


def as_html(text: str) -> str:
    """Text for Gradio's messages, which read it as HTML; file names may hold anything."""
    return html.escape(text, quote=False)
