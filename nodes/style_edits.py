"""Nodes that edit style maps: blend, transplant, mix, and moves along a learned direction."""
from __future__ import annotations

import dataclasses
import logging

import torch

from ..comod_core import directions, editing, photos, stylemaps
from ..comod_core.errors import CoModError
from ._api import io
from .inputs import MAX_SIDE
from .sockets import StyleDirection, StyledPictures
from .stylemaps import (
    CATEGORY,
    model_input,
    on_device,
    on_sockets,
    painted,
    style_map_input,
    style_map_output,
    style_network,
    together,
)

_log = logging.getLogger("comod")


def _strength_input():
    return io.Float.Input("strength", default=1.0, min=0.0, max=1.0, step=0.05, display_mode=io.NumberDisplay.slider,
                          tooltip="How far the edit goes: 0 leaves the style as it is, 1 takes all of the reference's.")


class StyleMapBlend(io.ComfyNode):
    """Two style maps and a mask -> one with the reference under the mask."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModStyleMapBlend",
            display_name="CoMod Style-Map Blend",
            category=CATEGORY,
            description="Takes what the reference has at the same place under the mask: its eyes, its hair. The two "
                        "pictures should be framed alike, as aligned faces are.",
            inputs=[
                model_input(),
                style_map_input(),
                style_map_input("reference", "The style map to take from."),
                io.Mask.Input("mask", tooltip="Where to take the reference: 1 (white), in the picture's own place."),
                io.Combo.Input("mode", options=list(reversed(stylemaps.SPACES)), default="w+",
                               tooltip="w+: blend every layer, close to the mask. w: blend the small style map alone, "
                                       "whole cells of it; softer and more global."),
                _strength_input(),
            ],
            outputs=[style_map_output("blended", "The blended style map.")],
        )

    @classmethod
    def execute(cls, model, style_map, reference, mask, mode="w+", strength=1.0):
        network, photo = style_network(model), style_map.photo
        area = photos.region(painted(mask), photo.size)
        place = photos.to_model(photo, area)
        style = stylemaps.blend(network, *_styles(network, style_map, reference), place, space=mode, strength=strength)
        donor = photos.donated(photo, reference.photo.inputs, place, donor=style_map.donor)
        return io.NodeOutput(_edited(style_map, style, area, donor))


class StyleMapTransplant(io.ComfyNode):
    """Two style maps, a mask and a shift -> one with a part of the reference at another place."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModStyleMapTransplant",
            display_name="CoMod Style-Map Transplant",
            category=CATEGORY,
            description="Puts a part of the reference at a place of your choice; nothing needs to be aligned. For "
                        "several parts use several of these nodes in a row: later parts cover earlier ones.",
            inputs=[
                model_input(),
                style_map_input(),
                style_map_input("reference", "The style map to take the part from."),
                io.Mask.Input("mask", tooltip="The part: 1 (white), in the reference's own place."),
                *[io.Int.Input(f"shift_{axis}", default=0, min=-MAX_SIDE, max=MAX_SIDE,
                               tooltip=f"Pixels of the picture by which the part moves {way}, from its place in the "
                                       "reference's frame.")
                  for axis, way in (("x", "to the right (negative: left)"), ("y", "downwards (negative: up)"))],
                _strength_input(),
            ],
            outputs=[style_map_output("transplanted", "The style map with the part in it.")],
        )

    @classmethod
    def execute(cls, model, style_map, reference, mask, shift_x=0, shift_y=0, strength=1.0):
        network = style_network(model)
        own, other = _styles(network, style_map, reference)
        taken, shift, place = editing.landing(style_map.photo, reference.photo, painted(mask), (shift_x, shift_y))
        if not bool((place > photos.HOLE).any()):
            raise CoModError(f"CoMod Style-Map Transplant: moved by {shift_x}, {shift_y}, nothing of the part lands in "
                             "the picture. Choose a smaller shift.")
        style = stylemaps.transplant(network, own, [stylemaps.Patch(other, taken, shift)], strength)
        donor = photos.donated(style_map.photo, reference.photo.inputs, taken, shift, style_map.donor)
        return io.NodeOutput(_edited(style_map, style, place, donor))


class StyleMapMix(io.ComfyNode):
    """Two style maps -> the coarse look of one with the fine look of the other."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModStyleMapMix",
            display_name="CoMod Style-Map Mix",
            category=CATEGORY,
            description="Style mixing: keeps the picture's layout and takes the reference's colours and detail, or the "
                        "other way round.",
            inputs=[
                model_input(),
                style_map_input(),
                style_map_input("reference", "The style map to take from."),
                io.Combo.Input("part", options=list(reversed(editing.PARTS)), default="fine",
                               tooltip="What to take from the reference. fine: its colours and detail. coarse: its "
                                       "layout (pose, shape)."),
                io.Int.Input("levels", default=stylemaps.COARSE_LEVELS, min=0, max=18,
                             tooltip="How many of the model's layers, from the smallest on, are the coarse ones."),
            ],
            outputs=[style_map_output("mixed", "The mixed style map.")],
        )

    @classmethod
    def execute(cls, model, style_map, reference, part="fine", levels=stylemaps.COARSE_LEVELS):
        network = style_network(model)
        own, other = _styles(network, style_map, reference)
        style = stylemaps.mix(network, *((other, own) if part == "coarse" else (own, other)), levels)
        return io.NodeOutput(_edited(style_map, style, None))


class StyleMapDirection(io.ComfyNode):
    """Style maps of two kinds of picture -> what makes them differ."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModStyleMapDirection",
            display_name="CoMod Style-Map Direction",
            category=CATEGORY,
            description="Learns from two batches of pictures what makes them differ (smiling or not, day or night), as "
                        "a direction for CoMod Style-Map Move. Needs scikit-learn.",
            inputs=[
                style_map_input("positives", "Style maps of pictures that have it, from CoMod Style-Map Encode."),
                style_map_input("negatives", "Style maps of pictures that do not, encoded with the same model."),
            ],
            outputs=[
                StyleDirection.Output("direction", display_name="direction", tooltip="For CoMod Style-Map Move."),
                io.String.Output("report", display_name="report",
                                 tooltip="How well the two kinds can be told apart, as text."),
            ],
        )

    @classmethod
    def execute(cls, positives, negatives):
        direction = directions.learn(_map_of(positives, "Direction").float(), _map_of(negatives, "Direction").float())
        told = "unknown: give at least two pictures of each kind" if direction.accuracy is None else (
            f"{direction.accuracy:.0%} of pictures told right that were left out while learning (50% is chance)")
        return io.NodeOutput(direction, f"examples: {len(positives.style)} and {len(negatives.style)}\n"
                                        f"accuracy: {told}\ndistance: {direction.gap:.3g}")


class StyleMapMove(io.ComfyNode):
    """Style map and direction -> style map with more or less of it."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModStyleMapMove",
            display_name="CoMod Style-Map Move",
            category=CATEGORY,
            description="Moves a style map along a direction that CoMod Style-Map Direction learned, everywhere or "
                        "only under a mask.",
            inputs=[
                style_map_input(tooltip="The style map to move, from CoMod Style-Map Encode, Sample or Blend in mode "
                                        "w."),
                StyleDirection.Input("direction", tooltip="From CoMod Style-Map Direction, with the same model."),
                io.Float.Input("strength", default=1.0, min=-10.0, max=10.0, step=0.1,
                               tooltip="How far: 1 is the way from the average negative picture to the average "
                                       "positive one. Negative numbers lead the other way."),
                io.Mask.Input("mask", optional=True, tooltip="Optional: move only here (1, white)."),
            ],
            outputs=[style_map_output("moved", "The moved style map.")],
        )

    @classmethod
    def execute(cls, style_map, direction, strength=1.0, mask=None):
        area = None if mask is None else photos.region(painted(mask), style_map.photo.size)
        small = None if area is None else photos.to_model(style_map.photo, area)
        style = directions.move(_map_of(style_map, "Move"), direction, strength, small)
        return io.NodeOutput(_edited(style_map, style, area))


def _styles(network: torch.nn.Module, *pictures: StyledPictures) -> list[stylemaps.Style]:
    return [on_device(network, one.style) for one in pictures]


def _map_of(pictures: StyledPictures, node: str) -> torch.Tensor:
    """The style as one map. Raises CoModError where an edit has left one map a layer."""
    if not isinstance(pictures.style, torch.Tensor):
        raise CoModError(f"CoMod Style-Map {node}: this style map was edited layer by layer (Blend in mode w+, "
                         "Transplant or Mix). Move first and edit then, or blend in mode w.")
    return pictures.style


def _edited(pictures: StyledPictures, style: stylemaps.Style, area: torch.Tensor | None,
            donor: torch.Tensor | None = None) -> StyledPictures:
    """The pictures with a new style, edited where they were and in `area` [N,1,H,W] too; None: everywhere.

    donor: of all edits so far; None where this one brings none of its own.
    """
    for text in editing.remarks(pictures.photo, area):
        _log.warning("%s", text)
    if area is None:
        area = torch.ones(1, 1, *pictures.photo.size)
    return dataclasses.replace(pictures, style=on_sockets(style), edited=together(pictures.edited, area),
                               donor=pictures.donor if donor is None else donor)
