"""`comod instance text`: pictures that fit a text."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from . import instance_parts as parts
from . import options
from .report import printable, progress_bar


def text(
    model: parts.Model,
    caption: Annotated[str, typer.Argument(metavar="TEXT", help="What the pictures should show.")],
    clip: Annotated[Path, typer.Option(metavar="FILE", help="Weights of a CLIP of open_clip. The name begins with the "
                                       "architecture's, as in ViT-B-32.safetensors.")],
    architecture: Annotated[str | None, typer.Option(help="open_clip's name of the architecture, where the file's name "
                                                     "does not say it.")] = None,
    image: parts.Image = None,
    stored: parts.StoredOne = None,
    extractor: parts.Extractor = None,
    seeds: options.Seeds = "1-4",
    steps: Annotated[int, typer.Option(help="Steps of the search.", min=1)] = 100,
    rate: Annotated[float, typer.Option(help="How far a step goes.", min=0)] = 0.05,
    stay: Annotated[float, typer.Option(help="How much the instance holds the look back.", min=0)] = 0.1,
    views: Annotated[int, typer.Option(help="Parts of the picture that are judged besides the whole.", min=0)] = 4,
    psi: options.Psi = 1.0,
    label: Annotated[int | None, typer.Option(help="Class, for models that have classes.", min=0)] = None,
    noise_mode: options.NoiseMode = "const",
    device: options.Device = None,
    dtype: options.DType = None,
    folder: options.Out = Path("out"),
    overwrite: options.Overwrite = False,
) -> None:
    """Move each seed's z, and the instance, until a CLIP finds that the picture fits a text. Results: seedN.png.

    Ctrl-C writes the best picture of the seed under way, and ends. Prints the similarity before and after, -1 to 1.
    """
    from ..images import save_picture
    from ..instances.clip import load_clip
    from ..instances.text import guide
    from .runs import best_device
    from .seeds import parse_seeds

    wanted = parse_seeds(seeds)
    paths = {seed: parts.new_file(folder / f"seed{seed}.png", overwrite) for seed in wanted}
    judge = load_clip(clip, architecture, best_device(device))
    net = parts.generator(model, device, dtype)
    feature = parts.feature_for(net, image, stored, extractor, device)
    with progress_bar() as bar:
        task = bar.add_task("searching", total=steps * len(wanted))
        for seed, path in paths.items():
            best, stopped = _best(guide(net, judge, caption, seed, feature, label, steps=steps, rate=rate, stay=stay,
                                        views=views, psi=psi, noise_mode=noise_mode,
                                        progress=lambda *_: bar.advance(task)))
            if best:
                save_picture(path, best.image)
                bar.console.print(printable(f"{path}  similarity {best.before:.4f} before, {best.similarity:.4f} after "
                                            f"{best.step} steps"), markup=False)
            if stopped:
                raise typer.Exit(130)


def _best(states: Iterator):
    """The last state of a search, or the last before Ctrl-C, and whether that was pressed."""
    best = None
    try:
        for state in states:
            best = state
    except KeyboardInterrupt:
        return best, True
    return best, False
