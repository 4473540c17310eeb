"""Nodes for latents: sampling from seeds, truncation, sweeps over psi."""
from __future__ import annotations

import torch

from ..comod_core import latents as core
from ..comod_core.errors import CoModError
from . import inputs
from ._api import io
from .host import host
from .sockets import Latent, SeededLatents, seeds_from

CATEGORY = "CoMod/latents"


class SampleLatents(io.ComfyNode):
    """Seeds -> latents of a network."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModSampleLatents",
            display_name="CoMod Sample Latents",
            category=CATEGORY,
            description="Draws one latent a seed from the model's own distribution. Each latent decides what one "
                        "completion looks like.",
            inputs=[inputs.model(), inputs.seed(), inputs.count()],
            outputs=[Latent.Output("sampled", display_name="latents",
                                   tooltip="One latent a seed, for CoMod Truncate or CoMod Co-Modulate.")],
        )

    @classmethod
    def execute(cls, model, seed, count=1):
        network, seeds = host.acquire(model), seeds_from(seed, count)
        device = host.intermediate_device()
        w = core.sample(network, seeds)
        return io.NodeOutput(SeededLatents(w.to(device), seeds, network.w_avg.to(device)))


class Truncate(io.ComfyNode):
    """Latents -> latents nearer to the average."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModTruncate",
            display_name="CoMod Truncate",
            category=CATEGORY,
            description="The truncation trick: moves latents towards the model's average. Lower psi gives safer and "
                        "more alike completions.",
            inputs=[inputs.latents(), inputs.psi(), inputs.cutoff()],
            outputs=[Latent.Output("truncated", display_name="latents", tooltip="The truncated latents.")],
        )

    @classmethod
    def execute(cls, latents, psi=1.0, cutoff=-1):
        w = core.truncate(latents.w, latents.w_avg, psi, layers_below(cutoff))
        return io.NodeOutput(SeededLatents(w, latents.seeds, latents.w_avg))


class PsiSweep(io.ComfyNode):
    """Latents -> the same latents at several psi."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModPsiSweep",
            display_name="CoMod Psi Sweep",
            category=CATEGORY,
            description="Repeats the latents once for each psi: all seeds at the first psi, then all at the second, "
                        "and so on. With CoMod Image Grid this makes a table of psi against seeds.",
            inputs=[
                inputs.latents(),
                io.String.Input("psis", default="0, 0.5, 1",
                                tooltip="Values of psi, 0 to 2, separated by commas. One row of the table each."),
                inputs.cutoff(),
            ],
            outputs=[
                Latent.Output("swept", display_name="latents", tooltip="Latents, psi by psi."),
                io.Int.Output("columns", display_name="columns",
                              tooltip="Latents a psi: the number of columns for CoMod Image Grid."),
            ],
        )

    @classmethod
    def execute(cls, latents, psis="0, 0.5, 1", cutoff=-1):
        values = psis_from(psis)
        w = [core.truncate(latents.w, latents.w_avg, psi, layers_below(cutoff)) for psi in values]
        swept = SeededLatents(torch.cat(w), latents.seeds * len(values), latents.w_avg)
        return io.NodeOutput(swept, len(latents.seeds))


def layers_below(cutoff: int) -> int | None:
    """The widget's -1 stands for all layers, which the core calls None."""
    return None if cutoff < 0 else cutoff


def psis_from(text: str) -> list[float]:
    """Numbers of "0, 0.5, 1". Raises CoModError for anything else, and for values outside 0..2."""
    try:
        values = [float(word) for word in text.replace(";", ",").split(",") if word.strip()]
    except ValueError:
        values = []
    if not values or not all(0 <= value <= 2 for value in values):
        raise CoModError(f"CoMod Psi Sweep: '{text}' is not a list of numbers from 0 to 2. Write them with commas "
                         "between: 0, 0.5, 1")
    return values
