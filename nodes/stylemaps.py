"""Nodes around style maps: pictures or seeds to style maps, and style maps to pictures, alone or on the way between."""
from __future__ import annotations

import torch

from ..comod_core import editing, photos, stylemaps
from ..comod_core.checks import check_style_net
from ..comod_core.errors import CoModError
from . import inputs
from ._api import io
from .host import host
from .layout import images_in, images_out, masks_in
from .sockets import Model, StyledPictures, StyleMap, seeds_from

CATEGORY = "CoMod/style map"
MAX_STEPS = 1000
MAX_FRAMES = 512


def model_input():
    return Model.Input("model", tooltip="A StyleMapGAN from CoMod Load Model.")


def style_map_input(name: str = "style_map", tooltip: str = "The style map to edit, from CoMod Style-Map Encode or "
                                                            "another edit."):
    return StyleMap.Input(name, tooltip=tooltip)


def style_map_output(name: str, tooltip: str):
    return StyleMap.Output(name, display_name="style map", tooltip=tooltip)


class StyleMapEncode(io.ComfyNode):
    """Picture -> style map."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModStyleMapEncode",
            display_name="CoMod Style-Map Encode",
            category=CATEGORY,
            description="Turns a picture into its style map, which the other style-map nodes edit and decode. Say here "
                        "how a picture of any size meets the model, and how the edit comes back into it.",
            inputs=[
                model_input(),
                io.Image.Input("image", tooltip="The picture, of any size and aspect. A batch is encoded picture by "
                                                "picture."),
                io.Combo.Input("strategy", options=list(photos.STRATEGIES), default="whole",
                               tooltip="whole: the model sees all of the picture (best for aligned faces). square: its "
                                       "middle. crop: a square around the mask. original: the picture has the model's "
                                       "size already."),
                inputs.context(),
                io.Float.Input("feather", default=inputs.AUTOMATIC, min=inputs.AUTOMATIC, max=512.0, step=1.0,
                               tooltip="Width in pixels of the soft edge around an edit. Pixels beyond it stay exactly "
                                       "as they were. -1 finds a width by itself: half a cell of the style map."),
                io.Boolean.Input("color_match", default=True, label_on="on", label_off="off",
                                 tooltip="Shift the edit's colour so that it meets the picture around the mask."),
                io.Int.Input("refine", default=0, min=0, max=MAX_STEPS,
                             tooltip="Steps of optimisation that fit the style map to the picture. 0 is what the "
                                     "encoder says, at once; 100 is closer, and slow without a GPU."),
                io.Boolean.Input("seamless", default=True, label_on="on", label_off="off",
                                 tooltip="What surrounds a part in the picture it is taken from (skin around eyes, the "
                                         "sky behind hair) gives way to this picture's colours. Switch it off to take "
                                         "those colours as well."),
                io.Mask.Input("mask", optional=True, tooltip="Only for the strategy crop: what the square is put "
                                                             "around."),
            ],
            outputs=[style_map_output("encoded", "The picture's style map, for the other style-map nodes.")],
        )

    @classmethod
    def execute(cls, model, image, strategy="whole", context=0.5, feather=inputs.AUTOMATIC, color_match=True, refine=0,
                seamless=True, mask=None):
        network = style_network(model)
        options = photos.Options(strategy, context=context, feather=None if feather < 0 else feather,
                                 color_match=color_match, seamless=seamless, refine=refine)
        around = painted(mask) if strategy == "crop" and mask is not None else None
        photo = photos.prepare(network, images_in(image), around, options)
        style = editing.encode(network, photo, progress=host.progress())
        return io.NodeOutput(StyledPictures(image, photo, on_sockets(style)))


class StyleMapSample(io.ComfyNode):
    """Seeds -> random style maps."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModStyleMapSample",
            display_name="CoMod Style-Map Sample",
            category=CATEGORY,
            description="Draws random style maps from the model's own distribution, one a seed: pictures that nobody "
                        "took, to look at or to take parts from.",
            inputs=[
                model_input(),
                inputs.seed(),
                io.Int.Input("count", default=1, min=1, max=64, tooltip="Number of different pictures, one a seed."),
                io.Float.Input("psi", default=0.7, min=0.0, max=2.0, step=0.05, display_mode=io.NumberDisplay.slider,
                               tooltip="Truncation: 1 samples the full variety, lower values pull each picture to the "
                                       "average look (0), above 1 exaggerates."),
            ],
            outputs=[style_map_output("sampled", "One style map a seed.")],
        )

    @classmethod
    def execute(cls, model, seed, count=1, psi=0.7):
        network, report = style_network(model), host.progress()
        style = stylemaps.sample(network, seeds_from(seed, count), psi)
        tiles = stylemaps.decode(network, style, progress=report).clamp(-1, 1)
        photo = photos.prepare(network, tiles)
        return io.NodeOutput(StyledPictures(images_out(tiles), photo, on_sockets(style)))


class StyleMapDecode(io.ComfyNode):
    """Style map -> picture."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModStyleMapDecode",
            display_name="CoMod Style-Map Decode",
            category=CATEGORY,
            description="Turns a style map into a picture and blends what was edited back into the one it was encoded "
                        "from. Pixels outside of the edit and its soft edge stay exactly as they were.",
            inputs=[
                model_input(),
                style_map_input(tooltip="A style map. Straight from CoMod Style-Map Encode it shows what the model "
                                        "makes of the picture unedited."),
                io.Mask.Input("mask", optional=True, tooltip="Optional: where the picture may change (1, white), "
                                                             "instead of where it was edited."),
            ],
            outputs=[
                io.Image.Output("decoded", display_name="images", tooltip="The edited pictures, in their own size."),
                io.Image.Output("model_pictures", display_name="model's pictures",
                                tooltip="What the model itself drew, in its own size, before it was blended back."),
            ],
        )

    @classmethod
    def execute(cls, model, style_map, mask=None):
        network, photo = style_network(model), style_map.photo
        area = style_map.edited if mask is None else photos.region(painted(mask), photo.size)
        tiles = stylemaps.decode(network, on_device(network, style_map.style), progress=host.progress())
        image = images_out(photos.blend_back(photo, tiles, area, style_map.donor), style_map.source)
        device = host.intermediate_device()
        return io.NodeOutput(image.to(device), images_out(tiles).to(device))


class StyleMapInterpolate(io.ComfyNode):
    """Two style maps -> pictures on the way between them."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModStyleMapInterpolate",
            display_name="CoMod Style-Map Interpolate",
            category=CATEGORY,
            description="Pictures on the way from one style map to another: from one picture to the next, or from a "
                        "picture to its edit, which grows. Save them with Save Animated WEBP, or make a video.",
            inputs=[
                model_input(),
                style_map_input(tooltip="Where the way begins. All pictures have the frame and size of this one."),
                style_map_input("target", "Where it ends: another picture's style map, or an edit of the same one."),
                io.Int.Input("frames", default=16, min=2, max=MAX_FRAMES,
                             tooltip="Number of pictures, both ends included."),
            ],
            outputs=[io.Image.Output("between", display_name="images",
                                     tooltip="The pictures in order; of a batch the first of each, then the second of "
                                             "each, and so on.")],
        )

    @classmethod
    def execute(cls, model, style_map, target, frames=16):
        network, pictures, report = style_network(model), [], host.progress()
        start, end = (on_device(network, one.style) for one in (style_map, target))
        area = donor = None
        if target.photo is style_map.photo:     # an edit of the same picture
            area = together(style_map.edited, target.edited)
            donor = style_map.donor if target.donor is None else target.donor
        for frame in editing.animate(network, style_map.photo, start, end, frames, mask=area, donor=donor):
            pictures.append(frame)
            report(len(pictures), frames, frame)
        return io.NodeOutput(images_out(torch.cat(pictures), style_map.source).to(host.intermediate_device()))


def style_network(model) -> torch.nn.Module:
    """The StyleMapGAN of a socket, on its device. Raises CoModError for another kind of network."""
    network = host.acquire(model)
    check_style_net(network)
    return network


def on_device(network: torch.nn.Module, style: stylemaps.Style) -> stylemaps.Style:
    """A style from a socket, where the network is and in its number format."""
    return _moved(style, network.w_avg.device, network.w_avg.dtype)


def on_sockets(style: stylemaps.Style) -> stylemaps.Style:
    """A style where things travel between nodes."""
    return _moved(style, host.intermediate_device())


def _moved(style: stylemaps.Style, *place) -> stylemaps.Style:
    return style.to(*place) if isinstance(style, torch.Tensor) else [level.to(*place) for level in style]


def together(a: torch.Tensor | None, b: torch.Tensor | None) -> torch.Tensor | None:
    """What either of two masks covers; None covers nothing."""
    if a is None or b is None:
        return b if a is None else a
    return torch.maximum(a, b)


def painted(mask: torch.Tensor) -> torch.Tensor:
    """MASK as the core takes it. Raises CoModError when nothing is painted: Load Image hands out such masks."""
    if not bool((mask > photos.HOLE).any()):
        raise CoModError("CoMod: the mask is empty, so there is nothing to edit. Right-click the picture, choose 'Open "
                         "in MaskEditor' and paint over the part, or connect a CoMod mask node.")
    return masks_in(mask)
