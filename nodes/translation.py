"""Nodes that turn drawings and label maps into pictures."""
from __future__ import annotations

from pathlib import Path

import torch

from ..comod_core import conditions, labels
from ..comod_core import translation as core
from ..comod_core.errors import CoModError
from . import inputs
from ._api import io
from .host import host
from .layout import images_in, images_out, rounded
from .sockets import Condition, Model, seeds_from

CATEGORY = "CoMod/translate"
DRAWING = "drawing"
FOLDER = "detectors"
SUFFIXES = (".pt", ".pth", ".torchscript")
COLOURS, NUMBERS = "colours", "numbers"


def model_input():
    return Model.Input("model", tooltip="A network that translates, from CoMod Load Model: avatars-edges-64 for "
                                        "drawings, avatars-labels-64 for label maps, or another of the kind.")


class EdgeCondition(io.ComfyNode):
    """Drawing or photo -> lines for a network."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModEdgeCondition",
            display_name="CoMod Edge Condition",
            category=CATEGORY,
            description="Lines for CoMod Translate: those of a drawing, or those that an edge detector finds in a "
                        "photo.",
            inputs=[
                model_input(),
                io.Image.Input("image", tooltip="The drawing or photo, of any size; one that is not square is set into "
                                                "a square of paper. A batch gives one condition a picture."),
                io.Combo.Input("lines_from", options=[DRAWING, *conditions.DETECTORS, *detector_files()],
                               default=DRAWING,
                               tooltip="drawing: the picture is a drawing, dark lines on light paper or the reverse. "
                                       "canny: thin edges of a photo. soft: edges of a photo, as dark as they are "
                                       "strong. Or an edge network of your own in models/comod/detectors."),
                io.Float.Input("low", default=50.0, min=0.0, max=1000.0, step=5.0,
                               tooltip="Canny's lower threshold: a line goes on as long as the edge is this strong."),
                io.Float.Input("high", default=120.0, min=0.0, max=1000.0, step=5.0,
                               tooltip="Canny's upper threshold: a line begins where the edge is this strong. Lower "
                                       "values find more lines."),
                io.Float.Input("softness", default=0.06, min=0.005, max=1.0, step=0.005,
                               tooltip="For soft: the change of brightness that makes about two thirds of a full line. "
                                       "Lower values find more lines."),
            ],
            outputs=[
                Condition.Output("lines", display_name="condition", tooltip="For CoMod Translate."),
                io.Image.Output("seen", display_name="preview", tooltip="The lines as the network sees them."),
            ],
        )

    @classmethod
    def execute(cls, model, image, lines_from=DRAWING, low=50.0, high=120.0, softness=0.06):
        network, picture = translator(model), images_in(image)
        if lines_from == DRAWING:
            condition = conditions.from_drawing(picture)
        else:
            detector = lines_from if lines_from in conditions.DETECTORS else detector_network(lines_from)
            condition = conditions.from_photo(picture, detector, network.resolution, low=low, high=high,
                                              softness=softness)
        return io.NodeOutput(condition, preview(network, condition))


class LabelCondition(io.ComfyNode):
    """Label picture -> label map for a network."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModLabelCondition",
            display_name="CoMod Label Condition",
            category=CATEGORY,
            description="A label map for CoMod Translate, from a picture that is painted in the classes' colours or "
                        "holds their numbers.",
            inputs=[
                model_input(),
                io.Image.Input("image", tooltip="The label picture, of any size; transparent parts are unlabelled. A "
                                                "batch gives one condition a picture."),
                io.Combo.Input("painted_in", options=[COLOURS, NUMBERS], default=COLOURS,
                               tooltip="colours: each pixel has the colour of its class. numbers: each grey value, 0 "
                                       "to 255, is the number of a class, and 255 is unlabelled."),
                io.String.Input("classes", default="", multiline=True,
                                tooltip="The classes, one a line, as a name and a colour: skin #f3be96. Empty: those "
                                        "that the model was trained with."),
            ],
            outputs=[
                Condition.Output("map", display_name="condition", tooltip="For CoMod Translate."),
                io.Image.Output("seen", display_name="preview",
                                tooltip="The label map as the network sees it, in the classes' colours; unlabelled "
                                        "places are black."),
                io.String.Output("table", display_name="classes", tooltip="The classes, one a line, to paint with."),
            ],
        )

    @classmethod
    def execute(cls, model, image, painted_in=COLOURS, classes=""):
        network = translator(model)
        table = class_table(network, classes)
        if painted_in == COLOURS:
            found = labels.from_palette(images_in(image), table)
        else:
            found = labels.from_numbers(images_in(image)[:, :1], table)
        condition = conditions.from_labels(found, table)
        return io.NodeOutput(condition, preview(network, condition), "\n".join(map(str, table)))


class Translate(io.ComfyNode):
    """Condition and seeds -> pictures."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModTranslate",
            display_name="CoMod Translate",
            category=CATEGORY,
            description="Turns a drawing or a label map into pictures, a different one for every seed.",
            inputs=[
                model_input(),
                Condition.Input("condition", tooltip="From CoMod Edge Condition or CoMod Label Condition."),
                inputs.seed(),
                io.Int.Input("count", default=6, min=1, max=64, tooltip="Number of different pictures, one a seed."),
                inputs.psi(), inputs.noise_mode(), inputs.dropout(),
            ],
            outputs=[io.Image.Output("translated", display_name="images",
                                     tooltip="All conditions with the first seed, then all with the next.")],
        )

    @classmethod
    def execute(cls, model, condition, seed, count=6, psi=1.0, noise_mode="const", dropout=True):
        network = translator(model, host.acquire(model))
        made = core.translate(network, condition, seeds_from(seed, count), psi=psi, noise_mode=noise_mode,
                              dropout=dropout, progress=host.progress())
        pictures = torch.cat([one.image for one in made])
        return io.NodeOutput(rounded(images_out(pictures)).to(host.intermediate_device()))


def translator(model, network: torch.nn.Module | None = None) -> torch.nn.Module:
    """The network of a socket, where it is. Raises CoModError for one that does not translate."""
    network = model.model if network is None else network
    core.check_translator(network)
    return network


def class_table(network: torch.nn.Module, text: str) -> tuple[labels.LabelClass, ...]:
    """The classes that the widget lists, else those of the network. Raises CoModError where there are none."""
    if text.strip():
        return labels.parse_table(text, "CoMod Label Condition, classes")
    table = core.classes_of(network)
    if not table:
        raise CoModError("CoMod Label Condition: the model's file does not say which classes it was trained with. List "
                         "them in `classes`, one a line in the order of their numbers: skin #f3be96.")
    return table


def preview(network: torch.nn.Module, condition: conditions.Condition) -> torch.Tensor:
    """A condition as the network sees it, as IMAGE. Raises CoModError where it takes another kind."""
    fitted = condition.fit(network.resolution, core.condition_channels(network))
    if condition.kind == "edges" or fitted.shape[1] == 3 != len(condition.classes):
        return images_out(fitted[:, :3].expand(-1, 3, -1, -1)).to(host.intermediate_device())
    seen = labels.fit_labels(condition.labels, network.resolution)
    return images_out(labels.paint(seen, condition.classes)).to(host.intermediate_device())


def detector_files() -> list[str]:
    """TorchScript files in the folder `detectors` of the model folders."""
    return sorted({f"{FOLDER}/{path.name}" for folder in host.model_folders() for path in (folder / FOLDER).glob("*")
                   if path.suffix.lower() in SUFFIXES and path.is_file()})


def detector_network(name: str) -> conditions.Detector:
    """The edge network of that name. Raises CoModError where there is no such file."""
    found = [folder / name for folder in host.model_folders() if name in detector_files() and (folder / name).is_file()]
    if not found:
        raise CoModError(f"CoMod Edge Condition: there is no edge network '{name}'. Put it into "
                         f"{Path(host.model_folders()[0]) / FOLDER} and press R, or choose canny or soft.")
    return conditions.load_detector(found[0])
