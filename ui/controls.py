"""Gradio controls from the nodes' schemas: the same ranges, defaults and tooltips, written down once."""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import gradio as gr

from ..comod_core.errors import CoModError
from ..nodes._api import io

MAX_SLIDER_STEPS = 600      # ranges with more steps are typed
MAX_RADIO_OPTIONS = 4
EXACT_IN_BROWSER = 2 ** 53  # beyond it the browser's numbers skip whole numbers
HINT = "hint"               # class of a control whose tooltip shows when the pointer or the focus is on it


def widgets(node: type[io.ComfyNode], names: Iterable[str] | None = None) -> dict[str, Any]:
    """Inputs of a node that are controls, by id: all of them in the schema's order, or those of `names` in theirs."""
    found = {socket.id: socket for socket in node.GET_SCHEMA().inputs if getattr(socket, "is_widget", False)}
    return found if names is None else {name: found[name] for name in names}


def controls(node: type[io.ComfyNode], names: Iterable[str] | None = None, **properties: Any) -> dict[str, Any]:
    """Gradio components for `widgets(node, names)`, by id, placed where they are called for."""
    return {name: control(socket, **properties) for name, socket in widgets(node, names).items()}


def control(socket: Any, dropdown: bool = False, **properties: Any) -> gr.components.Component:
    """The component for one input of a schema; `dropdown`: also where the options are few.

    Raises CoModError for a kind of input that no component is known for.
    """
    properties = {"label": label(socket), "info": socket.tooltip, "value": socket.default, "elem_classes": [HINT],
                  "elem_id": f"control-{socket.id}", **properties}
    kind = socket.get_io_type()
    if kind == "BOOLEAN":
        return gr.Checkbox(**properties)
    if kind == "COMBO":
        component = gr.Dropdown if dropdown or len(socket.options) > MAX_RADIO_OPTIONS else gr.Radio
        return component(**{"choices": list(socket.options), **properties})
    if kind in ("INT", "FLOAT"):
        return _number(socket, kind == "INT", properties)
    raise CoModError(f"{socket.id}: the app has no control for an input of type {kind}.")


def label(socket: Any) -> str:
    """What stands above a control."""
    return socket.display_name or socket.id.replace("_", " ").capitalize()


def _number(socket: Any, whole: bool, properties: dict[str, Any]) -> gr.components.Component:
    if whole and socket.max >= EXACT_IN_BROWSER:
        return gr.Textbox(**{**properties, "value": str(socket.default), "max_lines": 1})
    step = socket.step or (1 if whole else 0.01)
    scale = {"minimum": socket.min, "maximum": socket.max, "step": step, **properties}
    if (socket.max - socket.min) / step <= MAX_SLIDER_STEPS:
        return gr.Slider(**scale)
    return gr.Number(precision=0 if whole else None, **scale)


def arguments(node: type[io.ComfyNode], values: dict[str, Any]) -> dict[str, Any]:
    """What a control gave, as the node's `execute` takes it: whole numbers as int, texts of numbers read.

    Raises CoModError, naming the control, for a missing number and for one outside of the schema's range.
    """
    found = widgets(node)
    return {name: _argument(found[name], value) for name, value in values.items()}


def _argument(socket: Any, value: Any) -> Any:
    kind = socket.get_io_type()
    if kind not in ("INT", "FLOAT"):
        return value
    try:
        number = int(str(value).strip()) if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if kind == "INT" and isinstance(number, float):
        number = int(value) if number.is_integer() else math.nan
    if not socket.min <= number <= socket.max:
        wanted = "whole number" if kind == "INT" else "number"
        raise CoModError(f"{label(socket)} is '{value}': give a {wanted} from {socket.min} to {socket.max}.")
    return number
