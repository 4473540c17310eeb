"""What the page's buttons do. Values arrive by the names of `Page`; results go out by component."""
from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import gradio as gr

from ..comod_core.errors import CoModError
from ..nodes.completion import Complete
from ..nodes.masks import MaskFreeForm, Outpaint
from ..nodes.pictures import example_names
from . import edits
from .completing import Results, complete
from .controls import arguments
from .jobs import Job, Jobs
from .layout import ARCHITECTURE, Page, gallery_height
from .looks import progress_bar
from .models import Models
from .problems import as_html, shown_as_errors
from .sources import Source, editor_value, open_source, painted_hole

Values = dict[str, Any]
Updates = dict[gr.components.Component, Any]
NO_PICTURE = "There is no picture yet. Open one, or choose an example."


class Actions:
    """One method a button: `method(values, request)`, where values holds what its inputs hold."""

    def __init__(self, page: Page, models: Models, jobs: Jobs):
        self._page, self._models, self._jobs = page, models, jobs

    def begin(self, values: Values, request: gr.Request) -> Updates:
        """A fresh page: the first example, and the models that are there by now."""
        names, first = self._models.names(ARCHITECTURE), self._models.default(ARCHITECTURE)
        return {**self._edit(edits.first_example()),
                self._page.loader["model_name"]: gr.Dropdown(choices=names, value=first)}

    def open_picture(self, values: Values, request: gr.Request) -> Updates:
        """A picture from the user's disk."""
        with shown_as_errors():
            return self._edit(open_source(values["file"]))

    def open_example(self, values: Values, request: gr.Request, chosen: gr.SelectData) -> Updates:
        """The example that was clicked."""
        with shown_as_errors():
            return self._edit(edits.example(example_names()[chosen.index]))

    def open_mask(self, values: Values, request: gr.Request) -> Updates:
        """A hole from a mask file."""
        with shown_as_errors():
            return self._edit(edits.with_mask_file(_source(values), values["file"]))

    def random_hole(self, values: Values, request: gr.Request) -> Updates:
        """A hole as in training."""
        with shown_as_errors():
            limits = arguments(MaskFreeForm, {name: values[name] for name in self._page.holes})
            return self._edit(edits.with_random_hole(_source(values), **limits))

    def clear_hole(self, values: Values, request: gr.Request) -> Updates:
        """No hole."""
        with shown_as_errors():
            return self._edit(_source(values).with_hole(None))

    def extend(self, values: Values, request: gr.Request) -> Updates:
        """Room at the sides, which is hole."""
        with shown_as_errors():
            source = _source(values)
            sides = arguments(Outpaint, {name: values[name] for name in self._page.sides})
            return self._edit(edits.extended(source, painted_hole(source, values["editor"]), sides))

    def back(self, values: Values, request: gr.Request) -> Updates:
        """The picture before the last 'Extend' or 'Continue with this'."""
        with shown_as_errors():
            source = _source(values)
            return self._edit(source.previous or source)

    def go_on(self, values: Values, request: gr.Request) -> Updates:
        """The chosen completion becomes the picture to edit."""
        with shown_as_errors():
            results: Results = values["results"]
            path = results.paths[values["chosen"]]
            return self._edit(open_source(path, results.source.name, previous=results.source))

    def choose(self, values: Values, request: gr.Request, chosen: gr.SelectData) -> Updates:
        """Another completion in the comparison and for the download."""
        return self._choice(values["results"], chosen.index)

    def new_seed(self, values: Values, request: gr.Request) -> str:
        """A seed that nobody chose."""
        return str(secrets.randbits(32))

    def stop(self, values: Values, request: gr.Request) -> None:
        """End the work after the step under way."""
        self._jobs.stop(request.session_hash)

    def complete(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Complete the picture; completions show as they arrive."""
        page = self._page
        with shown_as_errors():
            source = _source(values)
            hole = painted_hole(source, values["editor"])
            inputs = arguments(Complete, {name: values[name] for name in page.complete})
            job, results = complete(self._models, source, hole, values["model_name"], values["precision"], inputs)
            yield {page.status: progress_bar(0, "Loading the model"), page.slider: None, page.results: None,
                   page.gallery: gr.Gallery([], height=gallery_height(inputs["count"])),
                   page.chosen: None, page.download: gr.DownloadButton(interactive=False),
                   page.go_on: gr.Button(interactive=False), page.start: gr.Button(interactive=False),
                   page.stop: gr.Button(interactive=True)}
            with self._jobs.entered(request.session_hash, job):
                yield from self._show(results)
            self._warn(job)

    def finish(self, values: Values, request: gr.Request) -> Updates:
        """After a completion, however it ended."""
        return {self._page.start: gr.Button(interactive=True), self._page.stop: gr.Button(interactive=False)}

    def _show(self, results: Iterator[Results]) -> Iterator[Updates]:
        page, shown = self._page, 0
        for result in results:
            updates = {page.status: progress_bar(*_progress(result))}
            if len(result.paths) > shown:
                updates |= {page.gallery: result.gallery, page.results: result}
                if not shown:
                    updates |= self._choice(result, 0)
                shown = len(result.paths)
            yield updates

    def _choice(self, results: Results | None, index: int) -> Updates:
        page = self._page
        if results is None or index >= len(results.paths):
            return {page.chosen: None}
        path = str(results.paths[index])
        return {page.chosen: index, page.slider: (str(results.before), path),
                page.download: gr.DownloadButton(value=path, interactive=True),
                page.go_on: gr.Button(interactive=True)}

    def _edit(self, source: Source | None) -> Updates:
        page = self._page
        if source is None:
            return {page.source: None, page.editor: None}
        return {page.source: source, page.editor: editor_value(source),
                page.back: gr.Button(interactive=source.previous is not None)}

    def _warn(self, job: Job) -> None:
        for warning in job.warnings:
            gr.Warning(as_html(warning))


def _source(values: Values) -> Source:
    if values["source"] is None:
        raise CoModError(NO_PICTURE)
    return values["source"]


def _progress(results: Results) -> tuple[float, str]:
    """Share of the work that is done, and in words."""
    made, wanted, seconds = len(results.paths), len(results.seeds), f"{results.seconds:.1f} s"
    pictures = "picture" if wanted == 1 else "pictures"
    if results.stopped:
        return results.done / results.total, f"Stopped: {made} of {wanted} {pictures} in {seconds}"
    if results.finished:
        return 1.0, f"{made} {pictures} in {seconds}"
    text = f"{made} of {wanted} {pictures}, {seconds}" if results.done else "Loading the model"
    return results.done / results.total, text
