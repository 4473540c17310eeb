"""Nodes that complete pictures: encode once and co-modulate for many latents, or all in one step."""
from __future__ import annotations

from . import inputs
from ._api import io
from .sockets import Encoding

CATEGORY = "CoMod"


def _fitting_inputs():
    """How a picture of any size meets the model, and how the completion goes back into it."""
    return [inputs.size_strategy(), inputs.context(), inputs.feather(), inputs.grow(), inputs.color_match()]


class Encode(io.ComfyNode):
    """Picture and hole -> encoding."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModEncode",
            display_name="CoMod Encode",
            category=CATEGORY,
            description="Reads the known pixels around the hole, once. Any number of latents can then be decoded from "
                        "the encoding without doing this work again.",
            inputs=[inputs.model(), inputs.image(), inputs.mask(), *_fitting_inputs()],
            outputs=[Encoding.Output("encoding", display_name="encoding", tooltip="For CoMod Co-Modulate.")],
        )


class CoModulate(io.ComfyNode):
    """Encoding and latents -> completed pictures."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModCoModulate",
            display_name="CoMod Co-Modulate",
            category=CATEGORY,
            description="Decodes the encoding once for each latent and blends the result back into the picture.",
            inputs=[
                inputs.model(),
                Encoding.Input("encoding", tooltip="The picture's encoding, from CoMod Encode with the same model."),
                inputs.latents(),
                inputs.noise_mode(),
                inputs.dropout(),
            ],
            outputs=[_completed_output()],
        )


class Complete(io.ComfyNode):
    """Picture and hole -> completed pictures, in one step."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModComplete",
            display_name="CoMod Complete",
            category=CATEGORY,
            description="Completes the hole in a picture, in as many different ways as you ask for. The same as "
                        "Encode, Sample Latents, Truncate and Co-Modulate in a row.",
            inputs=[
                inputs.model(), inputs.image(), inputs.mask(), inputs.seed(), inputs.count(), inputs.psi(),
                inputs.cutoff(), inputs.noise_mode(), inputs.dropout(), *_fitting_inputs(),
            ],
            outputs=[_completed_output()],
        )


def _completed_output():
    return io.Image.Output("completed", display_name="images",
                           tooltip="Completed pictures, one a seed; with several input pictures, all of them for the "
                                   "first seed, then all for the second.")
