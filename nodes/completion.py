"""Nodes that complete pictures: encode once and co-modulate for many latents, or all in one step."""
from __future__ import annotations

import torch

from ..comod_core import completion as core
from ..comod_core.errors import CoModError
from ..comod_core.regions import HOLE
from . import inputs
from ._api import io
from .host import host
from .latents import layers_below
from .layout import images_in, images_out, masks_in
from .sockets import EncodedPictures, Encoding, seeds_from

CATEGORY = "CoMod"


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

    @classmethod
    def execute(cls, model, image, mask, size_strategy="auto", context=0.5, feather=inputs.AUTOMATIC, grow=0,
                color_match=True):
        network = host.acquire(model)
        prepared = core.prepare(network, images_in(image), _holes(mask), size_strategy=size_strategy, context=context,
                                feather=_feather(feather), grow=grow, color_match=color_match)
        encodings = core.encode(network, prepared, progress=host.progress())
        return io.NodeOutput(EncodedPictures(image, prepared, tuple(encodings)))


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

    @classmethod
    def execute(cls, model, encoding, latents, noise_mode="const", dropout=True):
        network, prepared, report, pictures = host.acquire(model), encoding.prepared, host.progress(), []
        runs = len(prepared.crops)
        for tiles in core.decode(network, prepared, encoding.encodings, latents.w, latents.seeds,
                                 noise_mode=noise_mode, dropout=dropout, progress=report):
            pictures.append(core.blend(prepared, tiles))
            report(len(pictures) * runs, len(latents.seeds) * runs, pictures[-1])
        return io.NodeOutput(_completed(pictures, encoding.source))


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

    @classmethod
    def execute(cls, model, image, mask, seed, count=1, psi=1.0, cutoff=-1, noise_mode="const", dropout=True,
                size_strategy="auto", context=0.5, feather=inputs.AUTOMATIC, grow=0, color_match=True):
        completions = core.complete(
            host.acquire(model), images_in(image), _holes(mask), seeds_from(seed, count), psi=psi,
            cutoff=layers_below(cutoff), noise_mode=noise_mode, dropout=dropout, size_strategy=size_strategy,
            context=context, feather=_feather(feather), grow=grow, color_match=color_match, progress=host.progress())
        return io.NodeOutput(_completed([completion.image for completion in completions], image))


def _fitting_inputs():
    """How a picture of any size meets the model, and how the completion goes back into it."""
    return [inputs.size_strategy(), inputs.context(), inputs.feather(), inputs.grow(), inputs.color_match()]


def _completed_output():
    return io.Image.Output("completed", display_name="images",
                           tooltip="Completed pictures, one a seed; with several input pictures, all of them for the "
                                   "first seed, then all for the second.")


def _completed(pictures: list[torch.Tensor], source: torch.Tensor) -> torch.Tensor:
    """Completions [N,C,H,W] of the IMAGE `source`, seed by seed, as one IMAGE."""
    return images_out(torch.cat(pictures), source).to(host.intermediate_device())


def _feather(pixels: float) -> float | None:
    """The widget's -1 stands for a width by itself, which the core calls None."""
    return None if pixels < 0 else pixels


def _holes(mask: torch.Tensor) -> torch.Tensor:
    """MASK as the core takes it. Raises CoModError when no mask of the batch has a hole.

    Load Image hands out such a mask (64x64 of zeros) for every picture in which nothing was painted.
    """
    if not bool((mask > HOLE).any()):
        raise CoModError("CoMod: the mask is empty, so there is no hole to complete. Right-click the picture, choose "
                         "'Open in MaskEditor' and paint over what should be replaced, or connect a CoMod mask node.")
    return masks_in(mask)
