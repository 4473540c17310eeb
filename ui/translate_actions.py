"""What the canvas and the buttons of the tab that translates do, and which event calls what."""
from __future__ import annotations

import functools
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ..comod_core.errors import CoModError
from ..nodes.host import host
from ..nodes.pictures import EXAMPLES, example_names
from ..nodes.translation import EdgeCondition, Translate
from .controls import arguments
from .endpoints import on_page, stop_on_leaving
from .jobs import Jobs
from .looks import progress_bar
from .models import TRANSLATION, Models
from .problems import as_html, in_words, shown_as_errors
from .translate_layout import BLANK, TranslatePage
from .translating import EDGES, Translations, Value, canvas, drawn, from_file, translate

QUEUE = "translations"      # one at a time
Values = dict[str, Any]
Updates = dict[gr.components.Component, Any]


class TranslateActions:
    """One method an event: `method(values, request)`, where values holds what its inputs hold."""

    def __init__(self, page: TranslatePage, models: Models):
        self._page, self._models = page, models
        self.jobs = Jobs()

    def begin(self, values: Values, request: gr.Request) -> Updates:
        """The tab was opened: the models that are there by now, and the canvas for the chosen one."""
        names = self._models.names(TRANSLATION)
        name = values["model_name"] if values["model_name"] in names else self._models.default(TRANSLATION)
        return {self._page.loader["model_name"]: gr.Dropdown(choices=names, value=name),
                **self.model_chosen({**values, "model_name": name}, request)}

    def model_chosen(self, values: Values, request: gr.Request) -> Updates:
        """The canvas for the model: it stays as it is where the model draws in the same classes."""
        page = self._page
        if values["model_name"] is None:
            text = (f"There is no model that translates yet. Put one into {host.model_folders()[0]} and open this tab "
                    "again.")
            return {page.status: progress_bar(0, as_html(text)), **self._canvas(BLANK)}
        try:
            model = self._model(values)
            value = canvas(model)
        except (CoModError, OSError) as problem:
            return {page.status: progress_bar(0, as_html(in_words(problem))), **self._canvas(BLANK)}
        old, info = values["sketch"] or BLANK, model.model.info
        same = all(old.get(name) == value[name] for name in ("kind", "classes"))
        text = f"{info.name}: {model.model.resolution}x{model.model.resolution}. Licence: {info.licence}"
        return {page.status: progress_bar(0, as_html(text)),
                **self._canvas({**value, "drawing": old["drawing"]} if same else value)}

    def open_picture(self, values: Values, request: gr.Request) -> Updates:
        """A picture's lines, or a label picture, on the canvas."""
        with shown_as_errors():
            return self._opened(values, Path(values["file"]))

    def open_example(self, values: Values, request: gr.Request, chosen: gr.SelectData) -> Updates:
        """The lines of the example that was clicked."""
        with shown_as_errors():
            return self._opened(values, EXAMPLES / f"{example_names()[chosen.index]}.png")

    def new_seed(self, values: Values, request: gr.Request) -> str:
        """A seed that nobody chose."""
        return str(secrets.randbits(32))

    def translate(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Pictures of what is on the canvas; they take the places of those before as they are made."""
        page, old = self._page, values["made"]
        with shown_as_errors():
            if not (values["sketch"] or {}).get("drawing"):
                yield {page.gallery: [], page.made: None, **self._choice(None, 0),
                       page.drawing: gr.DownloadButton(interactive=False)}
                return
            model, path = self._model(values), drawn(values["sketch"])
            inputs = arguments(Translate, {name: values[name] for name in page.settings})
            job, results = translate(model, path, inputs)
            with self.jobs.entered(request.session_hash, job):
                for made in results:
                    yield self._shown(made, old, values["chosen"] or 0)
            for warning in job.warnings:
                gr.Warning(as_html(warning))

    def choose(self, values: Values, request: gr.Request, chosen: gr.SelectData) -> Updates:
        """Another picture, larger and for the download."""
        return self._choice(values["made"], chosen.index)

    def _shown(self, made: Translations, old: Translations | None, chosen: int) -> Updates:
        page = self._page
        paths = [*made.paths, *(old.paths[len(made.paths):len(made.seeds)] if old else ())]
        captions = [f"seed {seed}" for seed in made.seeds]
        updates = {page.gallery: [(str(path), caption) for path, caption in zip(paths, captions, strict=False)]}
        if not made.finished:
            share, text = made.done / made.total, f"{made.done} of {made.total}"
            return {**updates, page.status: progress_bar(share, text)}
        pictures = "picture" if len(made.paths) == 1 else "pictures"
        return {**updates, page.made: made, **self._choice(made, min(chosen, len(made.paths) - 1)),
                page.status: progress_bar(1, f"{len(made.paths)} {pictures} in {made.seconds:.2f} s"),
                page.drawing: gr.DownloadButton(value=str(made.drawing), interactive=True)}

    def _choice(self, made: Translations | None, index: int) -> Updates:
        page = self._page
        if made is None or not 0 <= index < len(made.paths):
            return {page.chosen: None, page.large: None, page.download: gr.DownloadButton(interactive=False)}
        path = str(made.paths[index])
        return {page.chosen: index, page.large: gr.Image(path, label=f"Seed {made.seeds[index]}"),
                page.download: gr.DownloadButton(value=path, interactive=True)}

    def _canvas(self, value: Value) -> Updates:
        """The canvas; lines of pictures are there for drawings only."""
        page, lines = self._page, value["kind"] == EDGES
        return {page.sketch: value, page.examples: gr.Gallery(visible=lines), page.lines: gr.Accordion(visible=lines)}

    def _opened(self, values: Values, path: Path) -> Updates:
        model = self._model(values)
        edges = arguments(EdgeCondition, {name: values[name] for name in self._page.edges})
        return {self._page.sketch: canvas(model, from_file(model, path, edges))}

    def _model(self, values: Values) -> Any:
        return self._models.get(values["model_name"], values["precision"])


def wire(app: gr.Blocks, tab: gr.Tab, page: TranslatePage, do: TranslateActions) -> None:
    """Let the tab's events call the actions."""
    model, chosen = page.loader, [page.chosen, page.large, page.download]
    canvas_of, shown = {**model, "sketch": page.sketch}, [page.status, page.sketch, page.examples, page.lines]
    changed = [
        on_page(tab.select, do.begin, canvas_of, [model["model_name"], *shown]),
        on_page(functools.partial(gr.on, [one.input for one in model.values()]), do.model_chosen, canvas_of,
                shown),
        on_page(page.open.upload, do.open_picture, {**model, **page.edges, "file": page.open}, page.sketch),
        on_page(page.examples.select, do.open_example, {**model, **page.edges}, page.sketch, gr.SelectData),
        on_page(page.new_seed.click, do.new_seed, {}, page.settings["seed"])]
    inputs = {**canvas_of, **page.settings, "made": page.made, "chosen": page.chosen}
    live = {"trigger_mode": "always_last", "concurrency_id": QUEUE, "concurrency_limit": 1}
    strokes = functools.partial(gr.on, [one.input for one in (page.sketch, *page.settings.values())])
    for event in (strokes, *(one.then for one in changed)):
        on_page(event, do.translate, inputs, [page.status, page.gallery, page.made, page.drawing, *chosen], **live)
    on_page(page.gallery.select, do.choose, {"made": page.made}, chosen, gr.SelectData)
    app.unload(stop_on_leaving(do.jobs))
