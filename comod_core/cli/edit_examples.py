"""`comod edit learn` and `comod edit sample`: directions from examples, and pictures that nobody took."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..errors import CoModError
from . import options
from .edit_parts import default_model
from .report import library_log, out, printable, progress_bar


def learn(
    positives: Annotated[Path, typer.Argument(metavar="POSITIVES", help="A folder of pictures that have it, that "
                                         "smile, for example.")],
    negatives: Annotated[Path, typer.Argument(metavar="NEGATIVES", help="A folder of pictures that have it not.")],
    target: Annotated[Path, typer.Argument(metavar="DIRECTION.safetensors", help="The file to write.")],
    model: options.StyleModel = None, device: options.Device = None, dtype: options.DType = None,
    strategy: options.ReferenceStrategy = None, overwrite: options.Overwrite = False,
) -> None:
    """Learn what makes two folders of pictures differ, as a direction for `comod edit move`.

    Prints how many pictures are told right that were left out while learning; 50 % is chance. Pictures that differ in
    that one thing only, and many of them, make a good direction. Needs scikit-learn.
    """
    from ..directions import save_direction
    from ..editing import learn_direction
    from ..loading import load_model
    from ..photos import Options
    from .folders import pictures
    from .runs import best_device

    if target.suffix != ".safetensors":
        raise CoModError(f"{target}: the name of a direction's file ends in .safetensors.")
    if target.exists() and not overwrite:
        raise CoModError(f"{target} exists. Give another name, or replace it with --overwrite.")
    groups = [[one.path for one in pictures(folder)] for folder in (positives, negatives)]
    with progress_bar() as bar, library_log(bar.console):
        net = load_model(model or default_model(), best_device(device), dtype)
        task = bar.add_task("encoding", total=sum(map(len, groups)))
        found = learn_direction(net, *map(_Opened, groups),
                                options=Options(strategy or "whole"),
                                progress=lambda done, *_: bar.update(task, completed=done))
    save_direction(target, dataclasses.replace(found, model=net.info.sha256))
    told = "" if found.accuracy is None else f", {100 * found.accuracy:.0f} % of pictures left out told right"
    out().print(printable(f"{target}: from {len(groups[0])} and {len(groups[1])} pictures{told}"), markup=False)


class _Opened(Sequence):
    """Pictures of files, opened one at a time."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int):
        from ..images import open_picture

        return open_picture(self.paths[at]).image


def sample(
    seeds: options.Seeds = "1-8", psi: options.Psi = 0.7, model: options.StyleModel = None,
    device: options.Device = None, dtype: options.DType = None, folder: options.Out = Path("out"),
    overwrite: options.Overwrite = False,
) -> None:
    """Make pictures from the model's own distribution of style maps, one a seed. Results are called seedN.png."""
    from ..editing import generate
    from ..images import save_picture
    from ..loading import load_model
    from .instance_parts import new_file
    from .runs import best_device
    from .seeds import parse_seeds

    wanted = parse_seeds(seeds)
    paths = [new_file(folder / f"seed{seed}.png", overwrite) for seed in wanted]
    with progress_bar() as bar, library_log(bar.console):
        net = load_model(model or default_model(), best_device(device), dtype)
        task = bar.add_task("generating", total=len(wanted))
        for path, image in zip(paths, generate(net, wanted, psi=psi), strict=True):
            save_picture(path, image)
            bar.advance(task)
            bar.console.print(printable(str(path)), markup=False)
