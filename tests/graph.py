"""Runs a saved ComfyUI workflow without ComfyUI: the pack's nodes, and small stand-ins for the core nodes it uses."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

NOTES = {"Note", "MarkdownNote"}
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
CONTROLS = {"fixed", "increment", "decrement", "randomize"}
MUTED, BYPASSED = 2, 4


class LoadImage:
    """ComfyUI's Load Image: widgets [file name, upload]; mask = 1 - alpha, 64x64 of zeros where there is no alpha."""

    input_folder = None

    @classmethod
    def run(cls, widgets: list, **_: Any) -> tuple:
        with Image.open(cls.input_folder / widgets[0]) as file:
            pixels = torch.from_numpy(np.array(file.convert("RGBA"))).float() / 255
            has_alpha = "A" in file.getbands()
        return pixels[None, ..., :3], 1 - pixels[None, ..., 3] if has_alpha else torch.zeros(1, 64, 64)


class ShowImages:
    """ComfyUI's Preview Image and Save Image: what arrives is what the user sees."""

    @classmethod
    def run(cls, widgets: list, images: torch.Tensor) -> tuple:
        return (images,)


class ImageCrop:
    """ComfyUI's Image Crop: widgets [width, height, x, y] in pixels."""

    @classmethod
    def run(cls, widgets: list, image: torch.Tensor) -> tuple:
        width, height, x, y = widgets
        return (image[:, y:y + height, x:x + width],)


class PreviewAny:
    """ComfyUI's Preview as Text: what arrives is shown, and goes nowhere."""

    @classmethod
    def run(cls, widgets: list, source: Any) -> tuple:
        assert isinstance(source, str) and source
        return ()


CORE_NODES = {"LoadImage": LoadImage, "PreviewImage": ShowImages, "SaveImage": ShowImages, "ImageCrop": ImageCrop,
              "PreviewAny": PreviewAny}


def widget_values(schema, saved: list) -> dict[str, Any]:
    """Saved widget values, which go by position, by name. A seed's control takes a position of its own.

    Raises AssertionError when there are fewer or more values than the node has widgets.
    """
    values, rest = {}, list(saved or [])
    for socket in schema.inputs:
        if socket.get_io_type() not in WIDGETS:
            continue
        assert rest, f"{schema.node_id}: no value was saved for '{socket.id}'"
        values[socket.id] = rest.pop(0)
        if getattr(socket, "control_after_generate", None):
            assert rest and rest.pop(0) in CONTROLS, f"{schema.node_id}: no control was saved after '{socket.id}'"
    assert not rest, f"{schema.node_id}: values without a widget: {rest}"
    return values


def run_workflow(workflow: dict, nodes: dict) -> dict[int, torch.Tensor]:
    """Execute a workflow in the front end's format. Returns what each Preview Image or Save Image received, by node id.

    nodes: node id -> class of the pack's nodes. Raises KeyError for a node type that neither has.
    """
    by_id = {node["id"]: node for node in workflow["nodes"]
             if node["type"] not in NOTES and node.get("mode", 0) not in (MUTED, BYPASSED)}
    links = {link[0]: (link[1], link[2]) for link in workflow["links"]}
    results: dict[int, tuple] = {}

    def result_of(number: int) -> tuple:
        if number not in results:
            results[number] = execute(by_id[number])
        return results[number]

    def execute(node: dict) -> tuple:
        linked = {}
        for socket in node.get("inputs", []):
            if socket.get("link") is not None:
                source, slot = links[socket["link"]]
                linked[socket["name"]] = result_of(source)[slot]
        if node["type"] in CORE_NODES:
            return CORE_NODES[node["type"]].run(node.get("widgets_values"), **linked)
        schema = nodes[node["type"]].GET_SCHEMA()
        inputs = {**widget_values(schema, node.get("widgets_values")), **linked}
        return nodes[node["type"]].execute(**inputs).result

    shown = [number for number, node in by_id.items() if CORE_NODES.get(node["type"]) is ShowImages]
    for number, node in by_id.items():
        if node["type"] == "PreviewAny":
            result_of(number)
    return {number: result_of(number)[0] for number in shown}
