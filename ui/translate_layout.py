"""The components of the tab that translates drawings and label maps, and where they are."""
from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr

from ..nodes.models import LoadModel
from ..nodes.pictures import EXAMPLES, example_names
from ..nodes.translation import EdgeCondition, Translate
from .controls import control, widgets
from .layout import PICTURE_FILES
from .looks import DROP_ZONE
from .models import TRANSLATION, Models
from .translating import INK, PAPER, SIDE, Value

LARGE_HEIGHT, GALLERY_HEIGHT, COLUMNS = 300, 390, 3
FROM_PHOTO = "soft"         # how lines are found in an opened picture, to begin with
Controls = dict[str, gr.components.Component]

_SKETCH = (
    '<div class="bar"><button type="button" class="tool" data-tool="brush" title="Draw">Brush</button>'
    '<button type="button" class="tool fill" data-tool="fill" title="Fill an area of one class">Fill</button>'
    '<button type="button" class="tool" data-tool="eraser" title="Rub out">Eraser</button>'
    '<input type="range" class="size" min="2" max="90" value="11" aria-label="Width" title="Width">'
    '<button type="button" class="undo" disabled title="Take the last stroke back">Undo</button>'
    '<button type="button" class="clear" title="Begin with an empty canvas">Clear</button></div>'
    '<div class="palette" role="group" aria-label="Classes"></div>'
    '<div class="frame"><canvas class="paint" aria-label="Canvas"></canvas><p class="empty ask"></p>'
    '<div class="ring"></div></div>')
BLANK: Value = {"kind": "edges", "classes": [{"name": "ink", "colour": INK}, {"name": "paper", "colour": PAPER}],
                "size": [SIDE, SIDE], "pen": 11, "drawing": "", "released": 0}


@dataclasses.dataclass
class TranslatePage:
    """The tab's components. made: the results; chosen: the number of one of them.

    loader, settings, edges: controls by the names of the nodes' inputs.
    """

    made: gr.State
    chosen: gr.State
    sketch: gr.HTML
    open: gr.UploadButton
    drawing: gr.DownloadButton
    examples: gr.Gallery
    lines: gr.Accordion
    loader: Controls
    settings: Controls
    edges: Controls
    new_seed: gr.Button
    status: gr.HTML
    gallery: gr.Gallery
    large: gr.Image
    download: gr.DownloadButton


def lay_out(models: Models) -> TranslatePage:
    """Make the tab's components, inside a `gr.Tab`."""
    parts: dict[str, Any] = {name: gr.State(None) for name in ("made", "chosen")}
    with gr.Row(elem_id="translate-columns", elem_classes=["columns"]):
        with gr.Column(scale=6, min_width=340):
            parts |= _canvas_column()
        with gr.Column(scale=5, min_width=340):
            parts |= _settings(models)
            parts |= _results()
    return TranslatePage(**parts)


def _canvas_column() -> dict[str, Any]:
    sketch = gr.HTML(BLANK, html_template=_SKETCH, js_on_load="comod.sketch(element, props, trigger, watch)",
                     apply_default_css=False, elem_id="sketch", elem_classes=["style-part"])
    with gr.Row(elem_id="translate-tools", elem_classes=["tools", DROP_ZONE]):
        upload = gr.UploadButton("Open picture", file_types=PICTURE_FILES, size="sm", elem_id="translate-open")
        drawing = gr.DownloadButton("Download drawing", size="sm", interactive=False, elem_id="translate-drawing")
    examples = gr.Gallery([str(EXAMPLES / f"{name}.png") for name in example_names()], format="png", fit_columns=False,
                          object_fit="contain", allow_preview=False, interactive=False, buttons=[], columns=6,
                          label="Lines of an example", height=130, elem_id="translate-examples", elem_classes=["strip"])
    with gr.Accordion("Lines of an opened picture", open=False, elem_id="translate-lines") as lines:
        edges = {name: _control(EdgeCondition, name, **({"value": FROM_PHOTO} if name == "lines_from" else {}))
                 for name in widgets(EdgeCondition)}
    return {"sketch": sketch, "open": upload, "drawing": drawing, "examples": examples, "lines": lines,
            "edges": edges}


def _settings(models: Models) -> dict[str, Any]:
    with gr.Row():
        loader = {"model_name": _control(LoadModel, "model_name", dropdown=True, choices=models.names(TRANSLATION),
                                         value=models.default(TRANSLATION), scale=2, min_width=150)}
        settings = {"seed": _control(Translate, "seed", scale=2, min_width=110)}
        new_seed = gr.Button("New seed", size="sm", scale=1, min_width=70, elem_id="translate-new-seed",
                             elem_classes=["new-seed"])
    with gr.Row():
        settings |= {name: _control(Translate, name, min_width=150) for name in ("count", "psi")}
    with gr.Accordion("More settings", open=False, elem_id="translate-more"):
        settings |= {name: _control(Translate, name) for name in widgets(Translate) if name not in settings}
        loader["precision"] = _control(LoadModel, "precision")
    return {"loader": loader, "settings": settings, "new_seed": new_seed}


def _results() -> dict[str, Any]:
    status = gr.HTML(elem_id="translate-status")
    gallery = gr.Gallery(format="png", fit_columns=False, object_fit="contain", allow_preview=False, interactive=False,
                         buttons=[], columns=COLUMNS, label="Pictures", height=GALLERY_HEIGHT,
                         elem_id="translate-gallery", elem_classes=["strip"])
    large = gr.Image(label="Chosen", type="filepath", format="png", interactive=False, height=LARGE_HEIGHT, buttons=[],
                     elem_id="translate-large", elem_classes=["fitted"])
    download = gr.DownloadButton("Download PNG", size="sm", interactive=False, elem_id="translate-download")
    return {"status": status, "gallery": gallery, "large": large, "download": download}


def _control(node: type, name: str, **properties: Any) -> gr.components.Component:
    return control(widgets(node)[name], **{"elem_id": f"translate-{name}", **properties})
