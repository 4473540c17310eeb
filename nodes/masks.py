"""Nodes that make and edit masks (1 = hole), and extend a picture for outpainting."""
from __future__ import annotations

import torch

from ..comod_core import masks as core
from ..comod_core.errors import CoModError
from . import inputs
from ._api import io
from .host import host
from .layout import images_in, images_out, masks_in, masks_out
from .sockets import seeds_from

CATEGORY = "CoMod/mask"
REGIONS = ["box", "left half", "right half", "top half", "bottom half"]


def _hole_output():
    return io.Mask.Output("hole", display_name="mask", tooltip="The mask: 1 (white) is the hole.")


def _fraction(name: str, default: float, tooltip: str):
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)


class MaskFreeForm(io.ComfyNode):
    """Seed -> random holes as the network was trained on."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModMaskFreeForm",
            display_name="CoMod Mask Free-Form",
            category=CATEGORY,
            description="Random holes of boxes and brush strokes, drawn as for the training of the CoModGAN paper.",
            inputs=[
                inputs.seed(),
                inputs.count(),
                *inputs.size_inputs(),
                _fraction("hole_min", 0.2, "Least part of the picture that is hole: 0.2 is one fifth."),
                _fraction("hole_max", 0.8, "Greatest part of the picture that is hole; more than hole_min."),
                inputs.size_image(),
            ],
            outputs=[_hole_output()],
        )

    @classmethod
    def execute(cls, seed, count=1, width=512, height=512, hole_min=0.2, hole_max=0.8, image=None):
        size = _size(height, width, image)
        return _on_socket(core.free_form_batch(size, seeds_from(seed, count), (hole_min, hole_max),
                                               brush_width=core.scaled_brush(size)))


class MaskBox(io.ComfyNode):
    """Rectangle or half of the picture as a hole."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModMaskBox",
            display_name="CoMod Mask Box",
            category=CATEGORY,
            description="A rectangular hole, or one half of the picture. Positions are fractions of the picture, so "
                        "the same box fits every size.",
            inputs=[
                io.Combo.Input("region", options=REGIONS, default="box",
                               tooltip="box uses the four numbers below; the halves ignore them."),
                _fraction("left", 0.25, "Left edge of the box: 0 is the picture's left, 1 its right."),
                _fraction("top", 0.25, "Upper edge of the box: 0 is the picture's top, 1 its bottom."),
                _fraction("right", 0.75, "Right edge of the box, beyond left."),
                _fraction("bottom", 0.75, "Lower edge of the box, beyond top."),
                *inputs.size_inputs(),
                inputs.size_image(),
            ],
            outputs=[_hole_output()],
        )

    @classmethod
    def execute(cls, region="box", left=0.25, top=0.25, right=0.75, bottom=0.75, width=512, height=512, image=None):
        height, width = size = _size(height, width, image)
        if region != "box":
            return _on_socket(core.half(size, region.removesuffix(" half")))
        rows, columns = (round(top * height), round(bottom * height)), (round(left * width), round(right * width))
        return _on_socket(core.box(size, rows[0], columns[0], rows[1] - rows[0], columns[1] - columns[0]))


class Outpaint(io.ComfyNode):
    """Picture -> larger picture whose new frame is the hole."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModOutpaint",
            display_name="CoMod Outpaint",
            category=CATEGORY,
            description="Extends the picture on any side and marks the new area as the hole, for CoMod Complete or "
                        "CoMod Encode.",
            inputs=[
                inputs.image(),
                *[io.Int.Input(side, default=default, min=0, max=4096, tooltip=f"Pixels to add on the {word}.")
                  for side, default, word in (("left", 0, "left"), ("top", 0, "top"), ("right", 128, "right"),
                                              ("bottom", 0, "bottom"))],
                io.Mask.Input("mask", optional=True, tooltip="Optional: a hole inside the picture, completed along "
                                                             "with the new frame."),
            ],
            outputs=[
                io.Image.Output("extended", display_name="image", tooltip="The picture with the new, empty area."),
                io.Mask.Output("hole", display_name="mask", tooltip="The new area (and the given hole) as mask."),
            ],
        )

    @classmethod
    def execute(cls, image, left=0, top=0, right=128, bottom=0, mask=None):
        if not any((left, top, right, bottom)):
            raise CoModError("CoMod Outpaint: all four sides are 0, so there is nothing to add. Raise one of them.")
        height, width = image.shape[1:3]
        inner = None if mask is None else core.to_size(masks_in(mask), (height, width))
        extended, holes = core.outpaint(images_in(image), inner, left, top, right, bottom)
        extended = images_out(extended)
        extended[:, top:top + height, left:left + width] = image
        return io.NodeOutput(extended, masks_out(holes))


class MaskEdit(io.ComfyNode):
    """Mask -> inverted, filled, grown or shrunk, feathered mask."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModMaskEdit",
            display_name="CoMod Mask Edit",
            category=CATEGORY,
            description="Changes a mask in this order: invert, fill enclosed islands, grow or shrink, feather.",
            inputs=[
                io.Mask.Input("mask", tooltip="The mask to change: 1 (white) is the hole."),
                io.Boolean.Input("invert", default=False, tooltip="Swap hole and known pixels first. Use it for masks "
                                                                  "of other tools that mark what to keep."),
                io.Boolean.Input("fill", default=False, tooltip="Make islands that the hole encloses part of the hole, "
                                                                "so that drawing an outline is enough."),
                io.Int.Input("grow", default=0, min=-512, max=512,
                             tooltip="Enlarge the hole by this many pixels; negative shrinks it."),
                io.Int.Input("feather", default=0, min=0, max=512,
                             tooltip="Soften the edge over this many pixels."),
            ],
            outputs=[_hole_output()],
        )

    @classmethod
    def execute(cls, mask, invert=False, fill=False, grow=0, feather=0):
        holes = masks_in(mask)
        if invert:
            holes = core.invert(holes)
        if fill:
            holes = core.fill_holes(holes)
        holes = core.shrink(holes, -grow) if grow < 0 else core.grow(holes, grow)
        return _on_socket(core.feather(holes, feather) if feather else holes)


def _size(height: int, width: int, image: torch.Tensor | None) -> tuple[int, int]:
    """(H, W) of the picture where one is connected, else of the numbers."""
    return (height, width) if image is None else tuple(image.shape[1:3])


def _on_socket(holes: torch.Tensor) -> io.NodeOutput:
    return io.NodeOutput(masks_out(holes).to(host.intermediate_device()))
