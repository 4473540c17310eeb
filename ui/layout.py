"""The components of the tab that completes, and where they are."""
from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr

from ..nodes.completion import Complete
from ..nodes.masks import MaskFreeForm, Outpaint
from ..nodes.models import LoadModel
from ..nodes.pictures import EXAMPLES, example_names
from .controls import controls, widgets
from .looks import DROP_ZONE
from .models import Models
from .sources import CANVAS, HOLE_COLOUR, HOLE_OPACITY

ARCHITECTURE = "comodgan"
PICTURE_FILES = ["image", ".tif", ".tiff", ".webp", ".avif"]
MAIN = ("count", "seed", "psi")
HOLES = ("hole_min", "hole_max")
SIDES = ("left", "top", "right", "bottom")
EDITOR_HEIGHT, RESULTS_HEIGHT = 470, 340
COLUMNS, ROW_HEIGHT, MOST_ROWS = 4, 140, 2
BRUSH_RADIUS = 36           # pixels of the canvas
Controls = dict[str, gr.components.Component]


@dataclasses.dataclass
class Page:
    """The components that buttons read and change. The last four hold controls by the names of the nodes' inputs."""

    source: gr.State
    results: gr.State
    chosen: gr.State
    open_picture: gr.UploadButton
    open_mask: gr.UploadButton
    random_hole: gr.Button
    clear_hole: gr.Button
    back: gr.Button
    editor: gr.ImageEditor
    examples: gr.Gallery
    extend: gr.Button
    new_seed: gr.Button
    start: gr.Button
    stop: gr.Button
    status: gr.HTML
    gallery: gr.Gallery
    slider: gr.ImageSlider
    download: gr.DownloadButton
    go_on: gr.Button
    loader: Controls
    complete: Controls
    holes: Controls
    sides: Controls


def lay_out(models: Models) -> Page:
    """Make the tab's components, inside a `gr.Tab`."""
    parts: dict[str, Any] = {name: gr.State(None) for name in ("source", "results", "chosen")}
    with gr.Row(elem_id="columns"):
        with gr.Column(scale=6, min_width=340):
            parts |= _picture_column()
        with gr.Column(scale=5, min_width=340):
            parts |= _settings_column(models)
            parts |= _results()
    return Page(**parts)


def _picture_column() -> dict[str, Any]:
    with gr.Row(elem_id="tools", elem_classes=[DROP_ZONE]):
        tools = {
            "open_picture": gr.UploadButton("Open picture", file_types=PICTURE_FILES, size="sm", variant="primary"),
            "open_mask": gr.UploadButton("Mask file", file_types=PICTURE_FILES, size="sm"),
            "random_hole": gr.Button("Random hole", size="sm", elem_id="random-hole"),
            "clear_hole": gr.Button("Clear hole", size="sm", elem_id="clear-hole"),
            "back": gr.Button("Back", size="sm", interactive=False, elem_id="back"),
        }
    colour = ("#{:02x}{:02x}{:02x}".format(*HOLE_COLOUR), HOLE_OPACITY)
    brush = gr.Brush(default_size=BRUSH_RADIUS, colors=[colour], default_color=colour, color_mode="fixed")
    editor = gr.ImageEditor(type="pil", format="png", sources=(), transforms=(), layers=False, buttons=[],
                            canvas_size=CANVAS[::-1], brush=brush, eraser=gr.Eraser(BRUSH_RADIUS),
                            height=EDITOR_HEIGHT, label="Picture and hole", elem_id="editor")
    examples = _strip([str(EXAMPLES / f"{name}.png") for name in example_names()], label="Examples", columns=6,
                      height=140, elem_id="examples")
    with gr.Accordion("Extend the picture (outpainting)", open=False, elem_id="outpainting"):
        with gr.Row():
            sides = controls(Outpaint, SIDES, min_width=90)
        extend = gr.Button("Extend", size="sm", elem_id="extend")
    with gr.Accordion("Size of random holes", open=False), gr.Row():
        holes = controls(MaskFreeForm, HOLES, min_width=150)
    return {**tools, "editor": editor, "examples": examples, "sides": sides, "extend": extend, "holes": holes}


def _settings_column(models: Models) -> dict[str, Any]:
    with gr.Row():
        loader = controls(LoadModel, ["model_name"], dropdown=True, scale=2, min_width=150,
                          choices=models.names(ARCHITECTURE), value=models.default(ARCHITECTURE))
        complete = controls(Complete, ["seed"], scale=2, min_width=110)
        new_seed = gr.Button("New seed", size="sm", scale=1, min_width=70, elem_id="new-seed")
    with gr.Row():
        complete |= controls(Complete, ["count", "psi"], min_width=150)
    with gr.Accordion("More settings", open=False, elem_id="more"):
        others = [name for name in widgets(Complete) if name not in MAIN]
        complete |= controls(Complete, others)
        loader |= controls(LoadModel, ["precision"])
    with gr.Row():
        buttons = {"start": gr.Button("Complete", variant="primary", scale=3, elem_id="start"),
                   "stop": gr.Button("Stop", variant="stop", scale=1, min_width=80, interactive=False, elem_id="stop")}
    complete = {name: complete[name] for name in widgets(Complete)}
    return {"loader": loader, "complete": complete, "new_seed": new_seed, **buttons}


def _results() -> dict[str, Any]:
    status = gr.HTML(elem_id="status")
    gallery = _strip(None, label="Completions", columns=COLUMNS, height=gallery_height(1), elem_id="completions")
    with gr.Row(elem_id="after"):
        download = gr.DownloadButton("Download PNG", size="sm", interactive=False, elem_id="download")
        go_on = gr.Button("Continue with this", size="sm", interactive=False, elem_id="go-on")
    slider = gr.ImageSlider(label="Before and after", type="filepath", format="png", max_height=RESULTS_HEIGHT,
                            buttons=["fullscreen"], interactive=False, elem_id="comparison")
    return {"status": status, "gallery": gallery, "slider": slider, "download": download, "go_on": go_on}


def _strip(pictures: list[str] | None, **properties: Any) -> gr.Gallery:
    """Pictures to choose one from."""
    return gr.Gallery(pictures, format="png", fit_columns=False, object_fit="contain", allow_preview=False,
                      interactive=False, buttons=[], **properties)


def gallery_height(count: int) -> int:
    """Height in pixels of the gallery for so many completions; more rows than MOST_ROWS scroll."""
    return 45 + ROW_HEIGHT * min(MOST_ROWS, -(-count // COLUMNS))
