"""The components of the tab that generates in the look of an instance, and where they are."""
from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr

from ..nodes.instances import InstanceCondition, InstanceEncode, InstanceInterpolate, InstanceNeighbours, InstanceRank
from ..nodes.models import LoadModel
from ..nodes.pictures import EXAMPLES, example_names
from .controls import control, widgets
from .layout import PICTURE_FILES
from .looks import DROP_ZONE
from .models import Models

ARCHITECTURES = ("biggan", "stylegan2")
PICTURE_HEIGHT, NEIGHBOURS_HEIGHT, RESULTS_HEIGHT, CHOSEN_HEIGHT = 270, 255, 315, 280
COLUMNS = 4
COUNT, NEIGHBOURS = 8, 12       # pictures that a fresh page asks for
Controls = dict[str, gr.components.Component]


@dataclasses.dataclass
class InstancePage:
    """The tab's components. look: the instance; found: the stored ones that are shown; target: where an interpolation
    ends; made: the results; chosen: the number of one of them.

    loader, settings, neighbours, rank, interpolate: controls by the names of the nodes' inputs.
    """

    look: gr.State
    found: gr.State
    target: gr.State
    made: gr.State
    chosen: gr.State
    open: gr.UploadButton
    picture: gr.Image
    stored: gr.Gallery
    note: gr.HTML
    others: gr.Button
    examples: gr.Gallery
    loader: Controls
    settings: Controls
    neighbours: Controls
    rank: Controls
    interpolate: Controls
    new_seed: gr.Button
    generate: gr.Button
    stop: gr.Button
    draw: gr.Button
    as_target: gr.Button
    target_picture: gr.Image
    go: gr.Button
    status: gr.HTML
    gallery: gr.Gallery
    position: gr.Slider
    large: gr.Image
    download: gr.DownloadButton
    film: gr.DownloadButton


def lay_out(models: Models) -> InstancePage:
    """Make the tab's components, inside a `gr.Tab`."""
    parts: dict[str, Any] = {name: gr.State(None) for name in ("look", "found", "target", "made", "chosen")}
    with gr.Row(elem_id="instance-columns", elem_classes=["columns"]):
        with gr.Column(scale=6, min_width=340):
            parts |= _instance_column()
            parts |= _ranking() | _interpolation()
        with gr.Column(scale=5, min_width=340):
            parts |= _settings(models)
            parts |= _results()
    return InstancePage(**parts)


def _instance_column() -> dict[str, Any]:
    with gr.Row(elem_id="instance-tools", elem_classes=["tools", DROP_ZONE]):
        upload = gr.UploadButton("Open photo", file_types=PICTURE_FILES, size="sm", variant="primary",
                                 elem_id="instance-open")
        others = gr.Button("Stored ones at random", size="sm", elem_id="instance-others")
    with gr.Row():
        picture = _picture("Instance: the look to generate in", "instance-picture", PICTURE_HEIGHT, min_width=180)
        examples = _strip([str(EXAMPLES / f"{name}.png") for name in example_names()], label="Examples", columns=3,
                          height=PICTURE_HEIGHT, min_width=180, elem_id="instance-examples")
    with gr.Row():
        neighbours = {"instances": _control(InstanceNeighbours, "instances", dropdown=True, scale=2, min_width=150),
                      "count": _control(InstanceNeighbours, "count", elem_id="instance-neighbours", value=NEIGHBOURS,
                                        label="Neighbours", scale=1, min_width=100)}
    note = gr.HTML(visible=False, elem_id="instance-note")
    stored = _strip(None, label="Stored instances; a click takes one", columns=6, height=NEIGHBOURS_HEIGHT,
                    elem_id="instance-stored")
    return {"open": upload, "others": others, "picture": picture, "examples": examples, "neighbours": neighbours,
            "note": note, "stored": stored}


def _settings(models: Models) -> dict[str, Any]:
    with gr.Row():
        loader = {"model_name": _control(LoadModel, "model_name", dropdown=True, choices=models.names(*ARCHITECTURES),
                                         value=models.default(*ARCHITECTURES), scale=2, min_width=150)}
        settings = {"seed": _control(InstanceCondition, "seed", scale=2, min_width=110)}
        new_seed = gr.Button("New seed", size="sm", scale=1, min_width=70, elem_id="instance-new-seed",
                             elem_classes=["new-seed"])
    with gr.Row():
        settings["count"] = _control(InstanceCondition, "count", value=COUNT, min_width=150)
        settings["psi"] = _control(InstanceCondition, "psi", min_width=150)
    settings["label"] = class_slider(0)
    with gr.Accordion("More settings", open=False, elem_id="instance-more"):
        settings["noise_mode"] = _control(InstanceCondition, "noise_mode")
        settings["extractor"] = _control(InstanceEncode, "extractor")
        loader["precision"] = _control(LoadModel, "precision")
    with gr.Row():
        buttons = {"generate": gr.Button("Generate", variant="primary", scale=3, elem_id="instance-generate"),
                   "stop": gr.Button("Stop", variant="stop", scale=1, min_width=80, interactive=False,
                                     elem_id="instance-stop")}
    return {"loader": loader, "settings": settings, "new_seed": new_seed, **buttons}


def class_slider(classes: int) -> gr.Slider:
    """The control of the class for a network of so many; it is hidden where there are none."""
    socket = widgets(InstanceCondition)["label"]
    return gr.Slider(0, max(1, classes - 1), 0, step=1, label="Class", info=socket.tooltip, visible=classes > 0,
                     elem_classes=["hint"], elem_id="instance-label")


def _ranking() -> dict[str, Any]:
    with gr.Accordion("Best of many", open=False, elem_id="instance-ranking"):
        with gr.Row():
            rank = {name: _control(InstanceRank, name, min_width=130) for name in ("draws", "keep")}
        draw = gr.Button("Draw and keep the nearest", size="sm", variant="primary", elem_id="instance-draw")
    return {"rank": rank, "draw": draw}


def _interpolation() -> dict[str, Any]:
    with gr.Accordion("Interpolate", open=False, elem_id="instance-interpolation"):
        with gr.Row():
            with gr.Column(scale=1, min_width=110):
                picture = _picture("Target", "instance-target", 130)
                as_target = gr.Button("This instance", size="sm", elem_id="instance-as-target")
            with gr.Column(scale=2, min_width=180):
                interpolate = {name: _control(InstanceInterpolate, name)
                               for name in ("frames", "end_seed", "end_label")}
        go = gr.Button("Interpolate", size="sm", variant="primary", elem_id="instance-go")
    return {"interpolate": interpolate, "target_picture": picture, "as_target": as_target, "go": go}


def _results() -> dict[str, Any]:
    status = gr.HTML(elem_id="instance-status")
    gallery = _strip(None, label="Pictures", columns=COLUMNS, height=RESULTS_HEIGHT, elem_id="instance-gallery")
    position = gr.Slider(1, 2, 1, step=1, label="Position on the way", visible=False, elem_id="instance-position")
    large = _picture("Chosen", "instance-large", CHOSEN_HEIGHT)
    with gr.Row(elem_classes=["tools"]):
        download = gr.DownloadButton("Download PNG", size="sm", interactive=False, elem_id="instance-download")
        film = gr.DownloadButton("Download GIF", size="sm", interactive=False, elem_id="instance-film")
    return {"status": status, "gallery": gallery, "position": position, "large": large, "download": download,
            "film": film}


def _control(node: type, name: str, **properties: Any) -> gr.components.Component:
    return control(widgets(node)[name], **{"elem_id": f"instance-{name}", **properties})


def _picture(label: str, name: str, height: int, **properties: Any) -> gr.Image:
    return gr.Image(label=label, type="filepath", format="png", interactive=False, height=height, buttons=[],
                    elem_id=name, elem_classes=["fitted"], **properties)


def _strip(pictures: list[str] | None, **properties: Any) -> gr.Gallery:
    """Pictures to choose one from."""
    return gr.Gallery(pictures, format="png", fit_columns=False, object_fit="contain", allow_preview=False,
                      interactive=False, buttons=[], elem_classes=["strip"], **properties)
