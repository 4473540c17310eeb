"""`comod instance interpolate`: the way from the look of one instance to that of another."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import CoModError
from . import instance_parts as parts
from . import options
from .report import out, printable, progress_bar


def interpolate(
    model: parts.Model,
    target: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="The animation to write, NAME.gif, .webp or .mp4; "
                                           "any other name is a folder for numbered pictures.")],
    start: Annotated[str | None, typer.Option("--from", metavar="IMAGE|INSTANCES:NUMBER", help="The look at the "
                                              "beginning: a picture, or a stored instance.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="IMAGE|INSTANCES:NUMBER", help="The look at the end; by "
                                            "itself that of the beginning.")] = None,
    seed: Annotated[int, typer.Option(help="Seed at the beginning.", min=0)] = 1,
    end_seed: Annotated[int | None, typer.Option(help="Seed at the end; by itself the same.", min=0)] = None,
    label: Annotated[int | None, typer.Option(help="Class, for models that have classes.", min=0)] = None,
    end_label: Annotated[int | None, typer.Option(help="Class at the end; by itself the same.", min=0)] = None,
    frames: options.Frames = 24,
    rate: options.Rate = 12.0,
    back: options.Back = False,
    extractor: parts.Extractor = None,
    psi: options.Psi = 1.0,
    noise_mode: options.NoiseMode = "const",
    device: options.Device = None,
    dtype: options.DType = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Go from one instance, seed and class to another, as an animation or as numbered pictures.

    Only what differs at the two ends changes: looks, with the same seed, or the class, with the same look.
    """
    from ..animations import LIMITS, save_animation
    from ..images import save_picture
    from ..instances import generation

    film = target.suffix.lower() in LIMITS
    if target.exists() and not overwrite:
        raise CoModError(f"{target} exists. Give another name, or replace it with --overwrite.")
    net = parts.generator(model, device, dtype)
    spec = extractor or net.info.features
    looks = [_look(text, spec, device) for text in (start, start if end is None else end)]
    seeds, labels = (seed, seed if end_seed is None else end_seed), (label, label if end_label is None else end_label)
    with progress_bar() as bar:
        task = bar.add_task("generating", total=frames)
        samples = generation.interpolate(net, frames, tuple(looks), seeds, labels, psi=psi, noise_mode=noise_mode,
                                         progress=lambda *_: bar.advance(task))
        if film:
            save_animation(target, (sample.image for sample in samples), rate, back=back)
        else:
            for number, sample in enumerate(samples):
                save_picture(target / f"{number:04d}.png", sample.image)
    out().print(printable(f"{target}: {frames} frames"), markup=False)


def _look(text: str | None, spec: str, device: str | None):
    """The feature of a picture's path, or of FILE:NUMBER; None for None."""
    if text is None or Path(text).is_file():
        return parts.feature(text and Path(text), None, spec, device)
    if not text.rpartition(":")[2].isdecimal():
        raise CoModError(f"{text}: there is no such picture. Give one, or FILE:NUMBER for a stored instance.")
    return parts.feature(None, text, spec, device)
