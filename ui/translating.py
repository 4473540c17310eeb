"""Drawings and label maps to pictures as the app does it: the nodes, and what the canvas in the browser sends."""
from __future__ import annotations

import base64
import dataclasses
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..comod_core.errors import CoModError
from ..comod_core.images import open_picture, save_picture
from ..comod_core.labels import hexadecimal
from ..comod_core.translation import classes_of, condition_kind
from ..nodes.layout import images_out
from ..nodes.sockets import seeds_from
from ..nodes.translation import COLOURS, DRAWING, EdgeCondition, LabelCondition, Translate
from .edits import new_file
from .jobs import Job
from .sources import read

SIDE = 512                  # pixels of the canvas
PEN, BRUSH = 1.4, 5.0       # width of pen and brush to begin with, in the model's pixels
INK, PAPER = "#000000", "#ffffff"
EDGES = "edges"
NOTHING_DRAWN = "Nothing is drawn yet."
Value = dict[str, Any]


def canvas(model: Any, drawing: str = "") -> Value:
    """What the canvas shows for a model: a pen, or a brush and the classes. drawing: a URL, "" for none.

    Raises CoModError for a network that does not translate, and where it is not known what its classes are.
    """
    net = model.model
    kind = condition_kind(net)
    if kind == EDGES:
        classes, width = [{"name": "ink", "colour": INK}, {"name": "paper", "colour": PAPER}], PEN
    else:
        classes = [{"name": one.name, "colour": hexadecimal(one.colour)} for one in classes_of(net)]
        width = BRUSH
        if not classes:
            raise CoModError("The model's file does not say which classes it was trained with, so there is nothing to "
                             "paint with. Use the node CoMod Label Condition or comod translate with a table.")
    return {"kind": kind, "classes": classes, "size": [SIDE, SIDE], "pen": max(2, round(width * SIDE / net.resolution)),
            "drawing": drawing, "released": 0}


def drawn(value: Value) -> Path:
    """What is on the canvas as a PNG file. Raises CoModError for an empty canvas and for anything else."""
    url = value.get("drawing") or ""
    if not url:
        raise CoModError(NOTHING_DRAWN)
    try:
        with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])), formats=["PNG"]) as file:
            if max(file.size) > SIDE:
                raise CoModError(f"what was drawn has {file.size} pixels, more than {SIDE} a side.")
            picture = file.convert("RGB")
    except (OSError, ValueError, SyntaxError) as problem:
        if isinstance(problem, CoModError):
            raise
        raise CoModError(f"what was drawn arrived damaged ({problem}). Draw it again.") from problem
    path = new_file("drawing.png")
    picture.save(path)
    return path


def condition_of(model: Any, path: Path) -> Any:
    """What the condition node of the model's kind makes of a drawing's file."""
    image = images_out(open_picture(path).image)
    if condition_kind(model.model) == EDGES:
        return EdgeCondition.execute(model, image, DRAWING)[0]
    return LabelCondition.execute(model, image, COLOURS)[0]


def from_file(model: Any, path: Path, edges: dict[str, Any]) -> str:
    """A picture file as a drawing for the canvas, a URL. edges: inputs of the Edge Condition node.

    For drawings the lines that the node finds, for label maps the classes. Raises CoModError as the nodes do.
    """
    image = images_out(read(path).image)
    if condition_kind(model.model) == EDGES:
        seen = EdgeCondition.execute(model, image, **edges)[1]
    else:
        seen = LabelCondition.execute(model, image, COLOURS)[1]
    return _url(seen[:1])


def _url(image: torch.Tensor) -> str:
    """A node's IMAGE [1,H,W,3] as it fills the canvas, pixel by pixel."""
    values = (image[0] * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    file = io.BytesIO()
    Image.fromarray(values).resize((SIDE, SIDE), Image.Resampling.NEAREST).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@dataclasses.dataclass(frozen=True)
class Translations:
    """Pictures of one drawing so far: PNG files, one a seed of `seeds`. drawing: its file. done of total: runs."""

    drawing: Path
    seeds: tuple[int, ...]
    paths: tuple[Path, ...] = ()
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    finished: bool = False


def translate(model: Any, drawing: Path, inputs: dict[str, Any]) -> tuple[Job, Iterator[Translations]]:
    """A job of the Translate node on a drawing's file, and what there is after each step. inputs: the node's."""
    start = time.monotonic()
    job = Job(lambda: Translate.execute(model, condition_of(model, drawing), **inputs))

    def made() -> Iterator[Translations]:
        so_far = Translations(drawing, seeds_from(inputs["seed"], inputs["count"]))
        for step in job:
            path = new_file(f"seed{so_far.seeds[len(so_far.paths)]}.png")
            save_picture(path, step.picture)
            so_far = dataclasses.replace(so_far, paths=(*so_far.paths, path), done=step.done, total=step.total,
                                         seconds=time.monotonic() - start)
            yield so_far
        yield dataclasses.replace(so_far, finished=True, seconds=time.monotonic() - start)

    return job, made()

