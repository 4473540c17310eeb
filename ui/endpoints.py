"""The app's named endpoints, for gradio_client and plain HTTP: files and plain values in, PNG files out."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gradio as gr

from ..comod_core.errors import CoModError
from ..comod_core.images import open_mask, save_picture
from ..nodes.completion import Complete
from ..nodes.layout import images_out, masks_in
from ..nodes.masks import MaskFreeForm, Outpaint
from . import edits
from .completing import complete
from .controls import arguments
from .jobs import Jobs
from .layout import ARCHITECTURE
from .models import Models
from .problems import as_html, shown_as_errors
from .sources import named, open_source, read

QUEUE = "completions"       # one completion at a time, from the page and from here together


def with_names(function: Callable, names: Iterable[str], event_data: type | None = None) -> Callable:
    """`function(values, request)` as Gradio calls functions: one parameter a component, which its API calls by `names`.

    values: what the components hold, by name. event_data: a class of Gradio's event data, which comes as third
    argument. A generator stays one.
    """
    names = tuple(names)
    special = {"request": gr.Request} | ({"event": event_data} if event_data else {})

    def split(given: tuple) -> tuple:
        return dict(zip(names, given, strict=False)), *given[len(names):]

    if inspect.isgeneratorfunction(function):
        def call(*given):
            yield from function(*split(given))
    else:
        def call(*given):
            return function(*split(given))
    call.__signature__ = inspect.Signature([
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in (*names, *special)])
    call.__annotations__ = special
    call.__name__, call.__doc__ = function.__name__, function.__doc__
    return call


def on_page(event: Callable, method: Callable, inputs: dict[str, gr.components.Component], outputs: Any,
            event_data: type | None = None, **options: Any) -> Any:
    """Let a component's event call `method(values, request)` of a tab's actions; not part of the named endpoints.

    Give `show_progress_on` a light component, such as the tab's status. Otherwise Gradio reads every output again
    whenever any event begins or ends, and reading an ImageEditor means drawing, packing and sending its pictures.
    """
    return event(with_names(method, inputs, event_data), list(inputs.values()), outputs, show_progress="hidden",
                 api_name=f"page_{method.__name__}", api_visibility="private", **options)


def stop_on_leaving(jobs: Jobs) -> Callable:
    """What `gr.Blocks.unload` calls, so that the work of a page that was closed ends."""
    def leave(request: gr.Request) -> None:
        jobs.stop(request.session_hash)

    return leave


class Endpoints:
    """The endpoints' functions. Values arrive by name, from the page's own controls."""

    def __init__(self, models: Models, jobs: Jobs):
        self._models, self._jobs = models, jobs

    def complete(self, values: dict[str, Any], request: gr.Request) -> Iterator[list[str]]:
        """Complete the hole of a picture, once a seed. image, mask: files; the mask is white where the hole is, or
        transparent. The list of PNG files grows while the work goes on; the last one is complete. Pixels outside of the
        hole and its soft edge are those of the picture, 16 bits and transparency included."""
        with shown_as_errors():
            source = open_source(_given(values.pop("image"), "image"))
            hole = named(open_mask, _given(values.pop("mask"), "mask"))
            model = values.pop("model_name"), values.pop("precision")
            job, results = complete(self._models, source, hole, *model, arguments(Complete, values))
            with self._jobs.entered(request.session_hash, job):
                paths = ()
                for result in results:
                    if result.paths != paths:
                        paths = result.paths
                        yield [str(path) for path in paths]
            for warning in job.warnings:
                gr.Warning(as_html(warning))

    def random_mask(self, values: dict[str, Any], request: gr.Request) -> str:
        """A free-form hole of the picture's size, white on black, as PNG."""
        with shown_as_errors():
            height, width = open_source(_given(values.pop("image"), "image")).size
            inputs = arguments(MaskFreeForm, values)
            path = edits.new_file("mask.png")
            save_picture(path, masks_in(MaskFreeForm.execute(**inputs, width=width, height=height)[0]) * 2 - 1)
            return str(path)

    def extend(self, values: dict[str, Any], request: gr.Request) -> tuple[str, str]:
        """The picture with room at its sides, and the mask of that room, both for `complete`."""
        with shown_as_errors():
            picture = read(_given(values.pop("image"), "image"))
            extended, hole = Outpaint.execute(images_out(picture.image), **arguments(Outpaint, values)).result
            mask = edits.new_file("mask.png")
            save_picture(mask, masks_in(hole) * 2 - 1)
            return str(edits.write_image(extended, "extended.png", picture)), str(mask)

    def models(self, values: dict[str, Any], request: gr.Request) -> list[str]:
        """Names for `model_name`."""
        return self._models.names(ARCHITECTURE)

    def stop(self, values: dict[str, Any], request: gr.Request) -> bool:
        """Stop this client's completion after the step under way; what is done stays. Returns whether there was one."""
        return self._jobs.stop(request.session_hash)


def _given(path: str | None, name: str) -> str:
    if path is None:
        raise CoModError(f"{name} is missing: give a picture file.")
    return path


def register(endpoints: Endpoints, controls: dict[str, dict[str, gr.components.Component]]) -> None:
    """Add the endpoints to the page under construction. controls: the page's, by node and by name."""
    with gr.Row(visible=False):
        image, mask = gr.File(label="image"), gr.File(label="mask")
        pictures, files = gr.File(label="pictures", file_count="multiple"), [gr.File(label="file") for _ in range(2)]
        answer, button = gr.JSON(label="answer"), gr.Button()
    complete_inputs = {"image": image, "mask": mask, **controls["loader"], **controls["complete"]}
    for function, inputs, outputs, options in (
            (endpoints.complete, complete_inputs, pictures, {"concurrency_id": QUEUE, "concurrency_limit": 1}),
            (endpoints.random_mask, {"image": image, "seed": controls["complete"]["seed"], **controls["holes"]},
             files[0], {}),
            (endpoints.extend, {"image": image, **controls["sides"]}, files, {}),
            (endpoints.models, {}, answer, {}),
            (endpoints.stop, {}, answer, {"queue": False})):
        button.click(with_names(function, inputs), list(inputs.values()), outputs, api_name=function.__name__,
                     show_progress="hidden", **options)
