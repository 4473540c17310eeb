"""Inputs that several nodes share, each written once: id, range, default and tooltip.

The Gradio app builds its controls from these too.
"""
from __future__ import annotations

from ..comod_core.checks import SIZE_STRATEGIES
from ..comod_core.latents import SEED_MAX
from ..comod_core.networks.layers import NOISE_MODES
from ._api import io
from .sockets import Latent, Model

MAX_SIDE = 8192
AUTOMATIC = -1.0


def model():
    return Model.Input("model", tooltip="A completion network from CoMod Load Model.")


def image():
    return io.Image.Input("image", tooltip="The picture, of any size and aspect. A batch is completed picture by "
                                           "picture.")


def mask():
    return io.Mask.Input("mask", tooltip="The hole: 1 (white) is completed, 0 is kept. Another size than the picture's "
                                         "is resized to it; one mask serves a whole batch.")


def latents():
    return Latent.Input("latents", tooltip="Latents from CoMod Sample Latents, CoMod Truncate or CoMod Psi Sweep.")


def seed():
    return io.Int.Input("seed", default=0, min=0, max=SEED_MAX, control_after_generate=True,
                        tooltip="Seed of the first sample; the next samples use seed + 1, seed + 2 and so on. The same "
                                "seed gives the same picture in every node, batch size and program of the pack.")


def count():
    return io.Int.Input("count", default=1, min=1, max=64,
                        tooltip="Number of different completions, one a seed.")


def psi():
    return io.Float.Input("psi", default=1.0, min=0.0, max=2.0, step=0.05, display_mode=io.NumberDisplay.slider,
                          tooltip="Truncation: 1 samples the full variety, lower values pull each sample to the "
                                  "average look (0), above 1 exaggerates.")


def cutoff():
    return io.Int.Input("cutoff", default=-1, min=-1, max=32,
                        tooltip="Truncate only the layers below this index, coarse ones first: 4 keeps the variety of "
                                "fine detail and tames the layout. -1 truncates all layers.")


def noise_mode():
    return io.Combo.Input("noise_mode", options=list(NOISE_MODES), default="const",
                          tooltip="Fine-grained noise inside the network: const uses the model's own noise maps, "
                                  "random draws them from the seed, none leaves them out.")


def dropout():
    return io.Boolean.Input("dropout", default=True, label_on="on", label_off="off",
                            tooltip="Dropout of the picture's code, drawn from the seed. On is how the networks were "
                                    "published, and gives more variety; off depends on the latent alone.")


def size_strategy():
    return io.Combo.Input("size_strategy", options=list(SIZE_STRATEGIES), default="auto",
                          tooltip="auto: whole for models of aligned pictures such as faces, crop for others. crop: "
                                  "complete a box around each hole at the model's scale and blend it back (best for "
                                  "photos). whole: the model sees the whole picture (best for aligned faces). "
                                  "original: the picture has the model's size already.")


def context():
    return io.Float.Input("context", default=0.5, min=0.0, max=4.0, step=0.05,
                          tooltip="Surroundings that the model sees around a hole with the strategy crop, as a "
                                  "fraction of the hole's size on each side (at least an eighth).")


def feather():
    return io.Float.Input("feather", default=AUTOMATIC, min=AUTOMATIC, max=512.0, step=1.0,
                          tooltip="Width in pixels of the soft edge around the hole, on known pixels. Those beyond it "
                                  "stay exactly as they were; 0 keeps every known pixel. -1 finds a width by itself.")


def grow():
    return io.Int.Input("grow", default=0, min=0, max=512,
                        tooltip="Enlarge the hole by this many pixels first, to cover the rim of what is removed.")


def color_match():
    return io.Boolean.Input("color_match", default=True, label_on="on", label_off="off",
                            tooltip="Shift the completion's colour so that it meets the known pixels at the border.")


def size_inputs(default: int = 512):
    """Width, height and the optional picture that overrides them, for nodes that make masks."""
    return [
        io.Int.Input("width", default=default, min=16, max=MAX_SIDE, tooltip="Width of the mask in pixels."),
        io.Int.Input("height", default=default, min=16, max=MAX_SIDE, tooltip="Height of the mask in pixels."),
    ]


def size_image():
    return io.Image.Input("image", optional=True,
                          tooltip="Optional: take width and height from this picture instead of the numbers.")
