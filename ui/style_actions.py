"""What the brushes, drags and buttons of the tab for style maps do, and which event calls what."""
from __future__ import annotations

import functools
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from ..comod_core.errors import CoModError
from ..nodes.host import host
from ..nodes.layout import masks_in
from ..nodes.masks import MaskBox
from ..nodes.pictures import example_names
from ..nodes.style_edits import StyleMapBlend, StyleMapTransplant
from ..nodes.stylemaps import StyleMapEncode, StyleMapInterpolate
from . import edits
from .controls import arguments
from .endpoints import on_page, stop_on_leaving
from .jobs import Job, Jobs, paced
from .looks import progress_bar
from .models import Models
from .problems import as_html, shown_as_errors
from .sources import Source, open_source
from .style_layout import ARCHITECTURE, StylePage, player_value
from .style_view import link, painted_mask, painter_value, stage_value
from .styling import (
    Edited,
    Encodings,
    Opened,
    Part,
    Settings,
    animation,
    edit,
    edited_file,
    opened,
    random_picture,
    way,
    write_frame,
)

QUEUE = "style maps"        # one edit at a time
SHOWN_AFTER = 0.7           # seconds of work that are worth a progress bar
STOPPED = '<div class="progress-text">Stopped</div>'
# Where the first references are painted on at the beginning: boxes of left, top, right, bottom in fractions of a side.
EXAMPLE_PARTS = (((0.34, 0.0, 0.66, 0.14), (0.2, 0.1, 0.8, 0.4)), ((0.22, 0.76, 0.78, 1.0),))       # hair; clothes
NO_PICTURE = "There is no picture yet. Open one, or choose an example."
NO_PAINT = "Paint over a part of a reference with its brush, and it appears here. Then drag it where you like."
Values = dict[str, Any]
Updates = dict[gr.components.Component, Any]


class StyleActions:
    """One method a button: `method(values, request)`, where values holds what its inputs hold."""

    def __init__(self, page: StylePage, models: Models):
        self._page, self._models, self._encodings = page, models, Encodings()
        self._slow = False
        self.edits, self.ways = Jobs(), Jobs()

    def begin(self, values: Values, request: gr.Request) -> Updates:
        """The tab was opened: the models that are there by now, and the examples where it is empty."""
        page, names = self._page, self._models.names(ARCHITECTURE)
        name = values["model_name"] if values["model_name"] in names else self._models.default(ARCHITECTURE)
        updates = {page.loader["model_name"]: gr.Dropdown(choices=names, value=name)}
        if values["opened"] is None:
            for index, example in enumerate(example_names()[:1 + len(page.references)], start=-1):
                source = edits.example(example)
                updates |= self._opened(source, index, _boxes(source.size, index) if index >= 0 else None)
        return updates

    def open_picture(self, values: Values, request: gr.Request, index: int = -1) -> Updates:
        """A picture from the user's disk, to edit or as reference `index`."""
        with shown_as_errors():
            return self._opened(open_source(values["file"]), index)

    def open_example(self, values: Values, request: gr.Request, chosen: gr.SelectData) -> Updates:
        """The example that was clicked."""
        with shown_as_errors():
            return self._opened(edits.example(example_names()[chosen.index]), values["example_for"])

    def random_reference(self, values: Values, request: gr.Request, index: int) -> Updates:
        """A picture that the model draws."""
        with shown_as_errors():
            return self._opened(random_picture(self._model(values), secrets.randbits(32)), index)

    def edit(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """The edited picture, after every stroke and every change of a setting."""
        yield from self._edit(values, request)

    def move(self, values: Values, request: gr.Request, event: gr.EventData) -> Iterator[Updates]:
        """A part was dragged in the edited picture."""
        page = self._page
        with shown_as_errors():
            reference = page.references[int(event.index)]
            shift = [round(side) for side in event.shift]
            values |= {f"shift_x_{event.index}": shift[0], f"shift_y_{event.index}": shift[1]}
        for updates in self._edit(values, request, float(event.released)):
            yield {reference.shift_x: shift[0], reference.shift_y: shift[1], **updates}

    def download(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """The edit of the picture itself, whatever its size and depth."""
        with shown_as_errors():
            target, parts = self._target(values), self._parts(values)
            yield from self._work(self.edits, request, "Editing the picture in its full size", lambda: edited_file(
                self._model(values), target, parts, self._settings(values)), self._saved)

    def interpolate(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Pictures on the way from the picture to its edit or to a reference; they play as they arrive."""
        with shown_as_errors():
            target, end, towards = self._target(values), None, values["towards"]
            if towards >= 0:
                end = values[f"opened_{towards}"]
                if end is None:
                    raise CoModError(f"There is no picture in reference {towards + 1} yet. Open one.")
            frames = arguments(StyleMapInterpolate, {"frames": values["frames"]})["frames"]
            job = way(self._encodings, self._model(values), target, self._parts(values), self._settings(values), end,
                      frames)
            with self.ways.entered(request.session_hash, job):
                yield from self._played(job, frames, values["fps"], target.copy.size[::-1])

    def _played(self, job: Job, frames: int, fps: float, size: tuple[int, int]) -> Iterator[Updates]:
        page, paths = self._page, []

        def written() -> Iterator[None]:
            for step in job:
                if step.picture is not None:
                    paths.append(write_frame(step.picture, f"frame-{len(paths):03}.png"))
                    yield

        yield {page.status: progress_bar(0, "Interpolating"), page.player: player_value([], fps)}
        for _ in paced(written()):
            yield {page.status: progress_bar(len(paths) / frames, f"{len(paths)} of {frames} frames"),
                   page.player: player_value([link(path) for path in paths], fps, size)}
        yield {page.status: "" if len(paths) == frames else STOPPED, page.frames: list(paths),
               page.player: player_value([link(path) for path in paths], fps, size)}

    def replay(self, values: Values, request: gr.Request) -> Values:
        """Another speed."""
        return {**values["player"], "fps": values["fps"]}

    def save(self, values: Values, request: gr.Request) -> Updates:
        """The interpolation as a file of the chosen format."""
        with shown_as_errors():
            return self._saved(animation(values["frames_made"] or (), values["kind"], values["fps"]))

    def stop(self, values: Values, request: gr.Request) -> None:
        """End the work after the step under way."""
        self.edits.stop(request.session_hash)
        self.ways.stop(request.session_hash)

    def _edit(self, values: Values, request: gr.Request, released: float = 0) -> Iterator[Updates]:
        page = self._page
        notice = self._missing(values)
        if notice:
            yield {page.stage: stage_value(notice)}
            return
        with shown_as_errors():
            target, parts = self._target(values), self._parts(values)
            released = max(released, *(float(values[f"painter_{i}"].get("released") or 0)
                                       for i in range(len(page.references))))
            yield from self._work(
                self.edits, request, "Editing the picture",
                lambda: edit(self._encodings, self._model(values), target, parts, self._settings(values)),
                lambda edited: {page.stage: stage_value(_told(edited, parts), target, edited, parts, released)})

    def _work(self, jobs: Jobs, request: gr.Request, text: str, work: Callable[[], Any],
              shown: Callable[[Any], Updates]) -> Iterator[Updates]:
        """Run `work` as a job, with a progress bar where it takes long, and show what it returns."""
        page, made, start = self._page, [], time.monotonic()
        job = Job(lambda: made.append(work()))
        if self._slow:
            yield {page.status: progress_bar(0, text)}
        try:
            with jobs.entered(request.session_hash, job):
                for step in paced(job, SHOWN_AFTER):
                    yield {page.status: progress_bar(step.done / (step.total + 1), text)}
        except Exception:
            yield {page.status: ""}
            raise
        self._slow = time.monotonic() - start > SHOWN_AFTER
        for warning in job.warnings:
            gr.Warning(as_html(warning))
        yield {page.status: "", **shown(made[0])} if made else {page.status: STOPPED}

    def _opened(self, source: Source, index: int, painted: Tensor | None = None) -> Updates:
        page, picture = self._page, opened(source)
        if index < 0:
            return {page.opened: picture}
        reference = page.references[index]
        return {reference.opened: picture, reference.shift_x: 0, reference.shift_y: 0,
                reference.painter: painter_value(index, picture, painted)}

    def _saved(self, path: Any) -> Updates:
        return {self._page.saver: {"url": link(path), "name": path.name}}

    def _missing(self, values: Values) -> str:
        """What has to be there first, in words; "" where nothing is missing."""
        if not values["model_name"]:
            return (f"There is no StyleMapGAN here yet. Put one into {host.model_folders()[0]} (`comod models` lists "
                    "those that were published) and open this tab again.")
        return "" if values["opened"] else NO_PICTURE

    def _target(self, values: Values) -> Opened:
        missing = self._missing(values)
        if missing:
            raise CoModError(missing)
        return values["opened"]

    def _model(self, values: Values) -> Any:
        return self._models.get(values["model_name"], values["precision"])

    def _settings(self, values: Values) -> Settings:
        blend, encode = (arguments(node, {name: values[name] for name in names}) for node, names in (
            (StyleMapBlend, self._page.blend), (StyleMapEncode, self._page.encode)))
        return Settings(blend["mode"], blend["strength"], encode)

    def _parts(self, values: Values) -> list[Part]:
        """What is painted on the references."""
        found = []
        for i in range(len(self._page.references)):
            mask = painted_mask(values[f"painter_{i}"]) if values[f"opened_{i}"] else None
            if mask is not None:
                shift = arguments(StyleMapTransplant, {f"shift_{axis}": values[f"shift_{axis}_{i}"] for axis in "xy"})
                found.append(Part(i, values[f"opened_{i}"], mask, tuple(shift.values())))
        return found


def _boxes(size: tuple[int, int], index: int) -> Tensor | None:
    """What is painted on example `index` of the references at the beginning, [1,1,H,W]."""
    height, width = size
    boxes = EXAMPLE_PARTS[index] if index < len(EXAMPLE_PARTS) else ()
    masks = [masks_in(MaskBox.execute("box", *box, width, height)[0]) for box in boxes]
    return torch.stack(masks).amax(dim=0) if masks else None


def _told(edited: Edited, parts: list[Part]) -> str:
    if not parts:
        return NO_PAINT
    return f"{len(parts)} part{'s' * (len(parts) > 1)} in {edited.seconds:.2f} s"


def wire(app: gr.Blocks, tab: gr.Tab, page: StylePage, do: StyleActions) -> None:
    """Let the tab's events call the actions."""
    settings = {**page.loader, **page.blend, **page.encode}
    inputs = {"opened": page.opened, **settings}
    shown = [page.opened]
    for i, one in enumerate(page.references):
        inputs |= {f"opened_{i}": one.opened, f"painter_{i}": one.painter, f"shift_x_{i}": one.shift_x,
                   f"shift_y_{i}": one.shift_y}
        shown += [one.opened, one.painter, one.shift_x, one.shift_y]
    shifts = [shift for one in page.references for shift in (one.shift_x, one.shift_y)]
    on = functools.partial(on_page, show_progress_on=page.status)
    live = {"trigger_mode": "always_last", "concurrency_id": QUEUE, "concurrency_limit": 1}
    model = {name: page.loader[name] for name in ("model_name", "precision")}

    opening = [
        on(tab.select, do.begin, {"opened": page.opened, **model}, [page.loader["model_name"], *shown]),
        on(page.open.upload, do.open_picture, {"file": page.open}, shown),
        on(page.examples.select, do.open_example, {"example_for": page.example_for}, shown, gr.SelectData)]
    for i, one in enumerate(page.references):
        opening += [on(one.open.upload, _for_reference(do.open_picture, i), {"file": one.open}, shown),
                    on(one.random.click, _for_reference(do.random_reference, i), model, shown)]
    changed = [one.painter.input for one in page.references] + [one.input for one in (*settings.values(), *shifts)]
    results = [page.stage, page.status]
    for event in (functools.partial(gr.on, changed), *(event.then for event in opening)):
        on(event, do.edit, inputs, results, **live)
    on(page.stage.input, do.move, inputs, [*results, *shifts], gr.EventData, **live)
    on(page.download.click, do.download, inputs, [page.status, page.saver], concurrency_id=QUEUE)
    on(page.start.click, do.interpolate, {**inputs, **page.interpolate, "towards": page.towards, "fps": page.fps},
       [page.status, page.player, page.frames], concurrency_id="interpolation", concurrency_limit=1)
    on(page.fps.release, do.replay, {"player": page.player, "fps": page.fps}, page.player)
    on(page.save.click, do.save, {"frames_made": page.frames, "kind": page.kind, "fps": page.fps}, page.saver)
    on(page.stop.click, do.stop, {}, None, queue=False)
    for jobs in (do.edits, do.ways):
        app.unload(stop_on_leaving(jobs))


def _for_reference(method: Callable, index: int) -> Callable:
    """A method that takes the number of a reference, for that one."""
    @functools.wraps(method)
    def call(values: Values, request: gr.Request) -> Updates:
        return method(values, request, index)

    return call
