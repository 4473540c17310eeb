"""The components of the tab that edits through style maps, and where they are."""
from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr

from ..nodes.models import LoadModel
from ..nodes.pictures import EXAMPLES, example_names
from ..nodes.style_edits import StyleMapBlend, StyleMapTransplant
from ..nodes.stylemaps import StyleMapEncode, StyleMapInterpolate
from .controls import control, widgets
from .layout import PICTURE_FILES
from .looks import DROP_ZONE
from .models import Models
from .style_view import COLOURS, painter_value, stage_value

ARCHITECTURE = "stylemapgan"
STRATEGIES = ("whole", "square", "original")        # crop needs a mask of the picture itself
KINDS = ("gif", "webp", "mp4")
FPS, MAX_FPS = 12, 50
Controls = dict[str, gr.components.Component]

_FRAME = '<div class="frame"><img class="picture" alt="" draggable="false">{}</div>'
_ICONS = {
    "brush": "M4 20c3 0 5-1 5-4l-2-2c-3 0-3 2-3 6zM9 14 19 4l2 2-10 10",
    "eraser": "m4 15 9-9 6 6-8 8H8zM8.5 10.5l6 6M11 20h9",
    "undo": "M8 5 4 9l4 4M4 9h10a5 5 0 0 1 0 10h-4",
    "clear": "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
}


def _tool(name: str, title: str, state: str = "") -> str:
    return (f'<button type="button" class="{name}" {state} title="{title}" aria-label="{title}">'
            f'<svg viewBox="0 0 24 24"><path d="{_ICONS[name]}"/></svg></button>')


_PAINTER = (
    '<div class="bar"><span class="swatch"></span><span class="name">Reference {}</span>'
    + _tool("brush", "Brush: paint over what is taken", 'aria-pressed="true"')
    + _tool("eraser", "Eraser: take paint away", 'aria-pressed="false"')
    + '<input type="range" class="size" min="4" max="120" value="32" aria-label="Size of the brush" '
    'title="Size of the brush">'
    + _tool("undo", "Undo the last stroke", "disabled") + _tool("clear", "Clear: take all paint away") + "</div>"
    + _FRAME.format('<canvas class="paint"></canvas><div class="ring"></div>')
    + '<p class="hint-empty">Open a picture, or drop one here</p>')
_STAGE = (_FRAME.format('<img class="original" alt="" draggable="false"><svg class="outlines"></svg>')
          + '<p class="caption" aria-live="polite"></p>'
          '<p class="how">Drag an outlined part to move it, double-click it to put it back. Press elsewhere to see the '
          'original.</p>')
_PLAYER = (_FRAME.format("") + '<div class="bar"><button type="button" class="play" aria-pressed="false" '
           'title="Play or pause"></button><input type="range" class="position" min="0" max="1" value="0" '
           'aria-label="Position"></div>')


@dataclasses.dataclass
class Reference:
    """The components of one reference. opened: its picture."""

    opened: gr.State
    open: gr.UploadButton
    random: gr.Button
    painter: gr.HTML
    shift_x: gr.Number
    shift_y: gr.Number


@dataclasses.dataclass
class StylePage:
    """The tab's components. opened: the picture to edit; frames: files of the last interpolation; moved: the last drag.

    loader, blend, encode, interpolate: controls by the names of the nodes' inputs.
    """

    opened: gr.State
    frames: gr.State
    stage: gr.HTML
    status: gr.HTML
    open: gr.UploadButton
    download: gr.Button
    stop: gr.Button
    saver: gr.HTML
    examples: gr.Gallery
    example_for: gr.Radio
    loader: Controls
    blend: Controls
    encode: Controls
    interpolate: Controls
    references: list[Reference]
    towards: gr.Radio
    fps: gr.Slider
    start: gr.Button
    player: gr.HTML
    kind: gr.Radio
    save: gr.Button


def lay_out(models: Models) -> StylePage:
    """Make the tab's components, inside a `gr.Tab`."""
    parts: dict[str, Any] = {name: gr.State(None) for name in ("opened", "frames")}
    with gr.Row(elem_id="style-columns"):
        with gr.Column(scale=6, min_width=340, elem_classes=[DROP_ZONE]):
            parts |= _picture()
        with gr.Column(scale=5, min_width=340):
            parts |= _settings(models)
            parts |= _examples()
        with gr.Row(elem_id="style-references"):
            parts["references"] = [_reference(i) for i in range(len(COLOURS))]
    with gr.Accordion("Interpolation", open=False, elem_id="style-interpolation"), gr.Row():
        parts |= _interpolation()
    return StylePage(**parts)


def _picture() -> dict[str, Any]:
    with gr.Row(elem_id="style-tools"):
        tools = {
            "open": gr.UploadButton("Open picture", file_types=PICTURE_FILES, size="sm", variant="primary",
                                    elem_id="style-open"),
            "download": gr.Button("Download PNG", size="sm", elem_id="style-download"),
            "stop": gr.Button("Stop", size="sm", variant="stop", elem_id="style-stop"),
        }
    stage = gr.HTML(stage_value(""), html_template=_STAGE, js_on_load="comod.stage(element, props, trigger, watch)",
                    apply_default_css=False, elem_id="style-stage", elem_classes=["style-part"])
    status = gr.HTML(elem_id="style-status")
    saver = gr.HTML({}, html_template="", js_on_load="comod.saver(element, props, trigger, watch)",
                    elem_id="style-saver")
    return {**tools, "stage": stage, "status": status, "saver": saver}


def _settings(models: Models) -> dict[str, Any]:
    loader = {"model_name": _control(LoadModel, "model_name", dropdown=True, choices=models.names(ARCHITECTURE),
                                     value=models.default(ARCHITECTURE))}
    with gr.Row():
        blend = {name: _control(StyleMapBlend, name, min_width=150) for name in ("strength", "mode")}
    with gr.Accordion("More settings", open=False, elem_id="style-more"):
        encode = {name: _control(StyleMapEncode, name, **({"choices": list(STRATEGIES)} if name == "strategy" else {}))
                  for name in ("strategy", "feather", "color_match", "seamless", "refine")}
        loader["precision"] = _control(LoadModel, "precision")
    return {"loader": loader, "blend": blend, "encode": encode}


def _interpolation() -> dict[str, Any]:
    ends = [("the edit", -1), *((f"reference {i + 1}", i) for i in range(len(COLOURS)))]
    with gr.Column(scale=1, min_width=300):
        towards = gr.Radio(ends, value=-1, label="From the picture to", elem_id="style-towards")
        with gr.Row():
            interpolate = {"frames": _control(StyleMapInterpolate, "frames", min_width=130)}
            fps = gr.Slider(1, MAX_FPS, FPS, step=1, label="Frames a second", min_width=130, elem_id="style-fps")
        start = gr.Button("Interpolate", variant="primary", size="md", elem_id="style-start")
        with gr.Row(elem_id="style-export"):
            kind = gr.Radio([(kind.upper(), kind) for kind in KINDS], value=KINDS[0], label="Format", min_width=240,
                            elem_id="style-kind")
            save = gr.Button("Download", size="sm", min_width=90, elem_id="style-save")
    with gr.Column(scale=1, min_width=300):
        player = gr.HTML(player_value([], FPS), html_template=_PLAYER, apply_default_css=False,
                         js_on_load="comod.player(element, props, trigger, watch)", elem_id="style-player",
                         elem_classes=["style-part"])
    return {"interpolate": interpolate, "towards": towards, "fps": fps, "start": start, "player": player, "kind": kind,
            "save": save}


def player_value(links: list[str], fps: float, size: tuple[int, int] = (1, 1)) -> dict[str, Any]:
    """What the player shows: links of frames of size (width, height)."""
    return {"frames": links, "fps": fps, "size": list(size)}


def _examples() -> dict[str, Any]:
    pictures = [str(EXAMPLES / f"{name}.png") for name in example_names()]
    examples = gr.Gallery(pictures, format="png", fit_columns=False, object_fit="contain", allow_preview=False,
                          interactive=False, buttons=[], label="Examples", columns=6, height=140,
                          elem_id="style-examples")
    choices = [("picture", -1), *((f"reference {i + 1}", i) for i in range(len(COLOURS)))]
    return {"examples": examples,
            "example_for": gr.Radio(choices, value=-1, label="Open examples as", elem_id="style-example-for")}


def _reference(i: int) -> Reference:
    with gr.Column(min_width=200, elem_classes=[DROP_ZONE]):
        opened = gr.State(None)
        painter = gr.HTML(painter_value(i), html_template=_PAINTER.format(i + 1), apply_default_css=False,
                          js_on_load="comod.painter(element, props, trigger, watch)", elem_id=f"style-painter-{i + 1}",
                          elem_classes=["style-part"])
        with gr.Row():
            upload = gr.UploadButton("Open picture", file_types=PICTURE_FILES, size="sm", min_width=90,
                                     elem_id=f"style-open-{i + 1}")
            random = gr.Button("Random", size="sm", min_width=70, elem_id=f"style-random-{i + 1}")
        with gr.Row():
            shifts = [control(widgets(StyleMapTransplant)[f"shift_{axis}"], elem_id=f"style-shift-{axis}-{i + 1}",
                              min_width=80) for axis in "xy"]
    return Reference(opened, upload, random, painter, *shifts)


def _control(node: type, name: str, **properties: Any) -> gr.components.Component:
    return control(widgets(node)[name], elem_id=f"style-{name}", **properties)
