"""What the buttons of the tab for instances do, and which event calls what."""
from __future__ import annotations

import functools
import secrets
from collections.abc import Iterator
from typing import Any

import gradio as gr

from ..comod_core.errors import CoModError
from ..nodes.host import host
from ..nodes.instances import (
    FOLDER,
    NO_FILE,
    InstanceCondition,
    InstanceInterpolate,
    InstanceNeighbours,
    InstanceRank,
    instance_files,
)
from ..nodes.pictures import EXAMPLES, example_names
from . import instances
from .controls import arguments
from .endpoints import on_page, stop_on_leaving
from .instance_layout import ARCHITECTURES, InstancePage, class_slider
from .instances import NO_FILES, Look, Made
from .jobs import Jobs
from .looks import progress_bar
from .models import Models
from .problems import as_html, in_words, shown_as_errors
from .sources import open_source

QUEUE = "instances"         # one run at a time
Values = dict[str, Any]
Updates = dict[gr.components.Component, Any]
SHARED = ("seed", "psi", "noise_mode")      # settings of all three runs


class InstanceActions:
    """One method a button: `method(values, request)`, where values holds what its inputs hold."""

    def __init__(self, page: InstancePage, models: Models):
        self._page, self._models = page, models
        self.jobs = Jobs()

    def begin(self, values: Values, request: gr.Request) -> Updates:
        """The tab was opened: the models and files that are there by now, and an example where it is empty."""
        page, names, files = self._page, self._models.names(*ARCHITECTURES), list(instance_files()) or [NO_FILE]
        name = values["model_name"] if values["model_name"] in names else self._models.default(*ARCHITECTURES)
        file = values["instances"] if values["instances"] in files else files[0]
        updates = {page.loader["model_name"]: gr.Dropdown(choices=names, value=name),
                   page.neighbours["instances"]: gr.Dropdown(choices=files, value=file)}
        if values["look"] is None and example_names():
            updates |= self._taken(_example(0))
        return updates | self.model_chosen({**values, "model_name": name}, request)

    def model_chosen(self, values: Values, request: gr.Request) -> Updates:
        """What the model takes: its classes on the slider, its extractor, a line about it."""
        page = self._page
        try:
            net = self._models.get(values["model_name"], values["precision"]).model
        except (CoModError, OSError) as problem:
            return {page.status: progress_bar(0, as_html(in_words(problem))), **self._classes(0),
                    page.settings["extractor"]: values["extractor"]}
        takes = " and ".join(filter(None, [
            f"an instance of {net.info.features or 'an extractor that its file does not name'}" if net.feature_size
            else "no instance", f"{net.label_size} classes" if net.label_size else ""]))
        text = f"{net.info.name}: {net.resolution}x{net.resolution}, takes {takes}. Licence: {net.info.licence}"
        return {page.status: progress_bar(0, as_html(text)), **self._classes(net.label_size),
                page.settings["extractor"]: net.info.features or values["extractor"]}

    def open_photo(self, values: Values, request: gr.Request) -> Updates:
        """A photo from the user's disk becomes the instance."""
        with shown_as_errors():
            source = open_source(values["file"])
            return self._taken(Look(source.name, source.path))

    def open_example(self, values: Values, request: gr.Request, chosen: gr.SelectData) -> Updates:
        """The example that was clicked becomes the instance."""
        with shown_as_errors():
            return self._taken(_example(chosen.index))

    def take(self, values: Values, request: gr.Request, chosen: gr.SelectData) -> Updates:
        """The stored instance that was clicked becomes the instance."""
        with shown_as_errors():
            return self._taken(values["found"][chosen.index])

    def find(self, values: Values, request: gr.Request) -> Updates:
        """The stored instances that are nearest to the instance. What stands in the way is said beside them."""
        return self._stored(values, lambda count: instances.neighbours(
            values["instances"], values["look"], values["extractor"], count) if values["look"] else [])

    def others(self, values: Values, request: gr.Request) -> Updates:
        """Stored instances of anywhere in the file."""
        return self._stored(values, lambda count: instances.some(values["instances"], count, secrets.randbits(32)))

    def new_seed(self, values: Values, request: gr.Request) -> str:
        """A seed that nobody chose."""
        return str(secrets.randbits(32))

    def stop(self, values: Values, request: gr.Request) -> None:
        """End the work after the step under way."""
        self.jobs.stop(request.session_hash)

    def as_target(self, values: Values, request: gr.Request) -> Updates:
        """The instance is where an interpolation ends."""
        look: Look | None = values["look"]
        return {self._page.target: look, self._page.target_picture: look and look.tile()}

    def generate(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """A picture a seed, as they are made."""
        yield from self._run(values, request, lambda model: instances.gallery(
            model, values["look"], values["extractor"], self._inputs(InstanceCondition, values, model, "count")))

    def draw(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Of many pictures those nearest to the instance."""
        yield from self._run(values, request, lambda model: instances.ranked(
            model, values["look"], values["extractor"], self._inputs(InstanceRank, values, model, "draws", "keep")))

    def go(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """The way from the instance to the target."""
        ends = values["look"], values["target"] or values["look"]
        names = ("frames", "end_seed", "end_label")
        yield from self._run(values, request, lambda model: instances.way(
            model, ends, values["extractor"], self._inputs(InstanceInterpolate, values, model, *names)))

    def finish(self, values: Values, request: gr.Request) -> Updates:
        """After a run, however it ended."""
        page = self._page
        return {**{button: gr.Button(interactive=True) for button in (page.generate, page.draw, page.go)},
                page.stop: gr.Button(interactive=False)}

    def choose(self, values: Values, request: gr.Request, chosen: gr.SelectData) -> Updates:
        """Another picture, larger and for the download."""
        return self._choice(values["made"], chosen.index)

    def move(self, values: Values, request: gr.Request) -> Updates:
        """The picture at a position of the way."""
        return self._choice(values["made"], int(values["position"]) - 1)

    def _run(self, values: Values, request: gr.Request, begin) -> Iterator[Updates]:
        page = self._page
        with shown_as_errors():
            model = self._models.get(values["model_name"], values["precision"])
            job, results = begin(model)
            idle = {button: gr.Button(interactive=False) for button in (page.generate, page.draw, page.go)}
            yield {page.gallery: [], page.large: None, page.made: None, page.chosen: None, **idle,
                   page.position: gr.Slider(visible=False), page.stop: gr.Button(interactive=True),
                   page.download: gr.DownloadButton(interactive=False), page.film: gr.DownloadButton(interactive=False)}
            with self.jobs.entered(request.session_hash, job):
                yield from self._show(results)
            for warning in job.warnings:
                gr.Warning(as_html(warning))

    def _show(self, results: Iterator[Made]) -> Iterator[Updates]:
        page, shown = self._page, 0
        for made in results:
            updates = {page.status: progress_bar(*_progress(made))}
            if len(made.paths) > shown:
                pictures = [(str(path), caption) for path, caption in zip(made.paths, made.captions, strict=True)]
                updates |= {page.gallery: pictures, page.made: made}
                if not shown:
                    updates |= self._choice(made, 0)
                shown = len(made.paths)
            if made.finished and made.film and shown > 1:
                updates |= {page.position: gr.Slider(1, shown, 1, visible=True),
                            page.film: gr.DownloadButton(value=str(instances.film(made)), interactive=True)}
            yield updates

    def _classes(self, count: int) -> Updates:
        """The controls of the class, for a network of so many."""
        page = self._page
        return {page.settings["label"]: class_slider(count),
                page.interpolate["end_label"]: gr.Number(-1, visible=count > 0)}

    def _inputs(self, node: type, values: Values, model: Any, *names: str) -> Values:
        """Inputs of a node, those of the controls that it shares with others among them. Raises CoModError."""
        label = int(values["label"]) if model.model.label_size else -1
        return arguments(node, {**{name: values[name] for name in (*SHARED, *names)}, "label": label})

    def _stored(self, values: Values, search) -> Updates:
        page, files = self._page, instance_files()
        try:
            if values["instances"] not in files:
                raise CoModError("")
            count = arguments(InstanceNeighbours, {"count": values["neighbours"]})["count"]
            found = search(count)
        except (CoModError, OSError) as problem:
            text = as_html(in_words(problem)) or NO_FILES.format(host.model_folders()[0] / FOLDER)
            return {page.found: [], page.stored: gr.Gallery([], visible=False),
                    page.note: gr.HTML(f"<p>{text}</p>", visible=True)}
        pictures = [(look.tile(), look.caption) for look in found]
        return {page.found: found, page.stored: gr.Gallery(pictures, visible=True, selected_index=None),
                page.note: gr.HTML(visible=False)}

    def _taken(self, look: Look) -> Updates:
        page = self._page
        return {page.look: look, page.picture: gr.Image(look.preview(), label=(
            f"Instance: {look.name}" if look.number is None else f"Stored instance {look.number}: {look.name}"))}

    def _choice(self, made: Made | None, index: int) -> Updates:
        page = self._page
        if made is None or index >= len(made.paths):
            return {page.chosen: None, page.large: None, page.download: gr.DownloadButton(interactive=False)}
        path = str(made.paths[index])
        return {page.chosen: index, page.large: gr.Image(path, label=made.captions[index].capitalize()),
                page.download: gr.DownloadButton(value=path, interactive=True)}


def _example(index: int) -> Look:
    name = example_names()[index]
    return Look(name, EXAMPLES / f"{name}.png")


def _progress(made: Made) -> tuple[float, str]:
    """Share of the work that is done, and in words."""
    seconds, count = f"{made.seconds:.1f} s", len(made.paths)
    if made.finished:
        stopped = made.done < made.total or not made.total
        pictures = "picture" if count == 1 else "pictures"
        return 1.0, f"{'Stopped: ' * stopped}{count} {pictures} in {seconds}"
    if not made.total:
        return 0.0, "Loading the model"
    return made.done / made.total, f"{made.done} of {made.total}, {seconds}"


def wire(app: gr.Blocks, tab: gr.Tab, page: InstancePage, do: InstanceActions) -> None:
    """Let the tab's events call the actions."""
    loader, label, extractor = page.loader, page.settings["label"], page.settings["extractor"]
    look, taken = {"look": page.look}, [page.look, page.picture]
    search = {**look, "instances": page.neighbours["instances"], "neighbours": page.neighbours["count"],
              "extractor": extractor}
    shown = [page.found, page.stored, page.note]
    about = [page.status, label, page.interpolate["end_label"], extractor]
    model = {**loader, "extractor": extractor}
    choosing = [
        on_page(tab.select, do.begin, {**look, **model, "instances": page.neighbours["instances"]},
                [loader["model_name"], page.neighbours["instances"], *taken, *about]),
        on_page(page.open.upload, do.open_photo, {"file": page.open}, taken),
        on_page(page.examples.select, do.open_example, {}, taken, gr.SelectData),
        on_page(page.stored.select, do.take, {"found": page.found}, taken, gr.SelectData),
        on_page(functools.partial(gr.on, [one.input for one in loader.values()]), do.model_chosen, model, about)]
    for event in (*(one.then for one in choosing), page.neighbours["instances"].input,
                  page.neighbours["count"].input, extractor.input):
        on_page(event, do.find, search, shown, trigger_mode="always_last")
    on_page(page.others.click, do.others, search, shown)
    on_page(page.as_target.click, do.as_target, look, [page.target, page.target_picture])
    on_page(page.new_seed.click, do.new_seed, {}, page.settings["seed"])
    on_page(page.stop.click, do.stop, {}, None, queue=False)
    on_page(page.gallery.select, do.choose, {"made": page.made}, _choice(page), gr.SelectData)
    on_page(page.position.input, do.move, {"made": page.made, "position": page.position}, _choice(page),
            trigger_mode="always_last")
    _wire_runs(page, do, {**look, **loader, **page.settings})
    app.unload(stop_on_leaving(do.jobs))


def _wire_runs(page: InstancePage, do: InstanceActions, inputs: Values) -> None:
    buttons = [page.generate, page.draw, page.go, page.stop]
    results = [page.status, page.gallery, page.made, page.position, page.film, *_choice(page), *buttons]
    for button, run, more in ((page.generate, do.generate, {}), (page.draw, do.draw, page.rank),
                              (page.go, do.go, {**page.interpolate, "target": page.target})):
        done = on_page(button.click, run, {**inputs, **more}, results, concurrency_id=QUEUE, concurrency_limit=1)
        on_page(done.then, do.finish, {}, buttons)


def _choice(page: InstancePage) -> list[gr.components.Component]:
    return [page.chosen, page.large, page.download]
