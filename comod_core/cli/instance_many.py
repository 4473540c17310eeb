"""`comod instance ivf` and `representatives`: for files of very many instances."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import CoModError
from . import options
from .report import out, printable, progress_bar

Stored = Annotated[Path, typer.Argument(metavar="INSTANCES", help="A file of comod instance index, or IC-GAN's "
                                        "*_instance_features.npy.")]


def ivf(stored: Stored, overwrite: options.Overwrite = False) -> None:
    """Build an inverted file beside INSTANCES, with the suffix .faiss, for neighbours --approximate.

    A million instances of 2048 values take about 2 GiB and an hour on one processor core; a search then takes
    milliseconds. Needs faiss.
    """
    from ..instances.neighbours import NeighbourIndex
    from ..instances.stored import open_instances

    target = beside(stored)
    if target.exists() and not overwrite:
        raise CoModError(f"{target} exists. Replace it with --overwrite.")
    many = open_instances(stored)
    with progress_bar() as bar:
        task = bar.add_task("building", total=len(many))
        index = NeighbourIndex.build(many, progress=lambda done, *_: bar.update(task, completed=done))
    index.save(target)
    out().print(printable(f"{target}: {len(index)} instances"), markup=False)


def representatives(
    stored: Stored,
    target: Annotated[Path, typer.Argument(metavar="FEW.safetensors", help="The file to write.")],
    count: Annotated[int, typer.Option("--count", "-k", help="At most so many.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Another number begins elsewhere.", min=0)] = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Keep the instances that stand for all: those nearest to the centres of k-means, as IC-GAN's 1000 are.

    Needs faiss.
    """
    from ..instances import neighbours
    from ..instances.stored import open_instances, save_instances

    if target.exists() and not overwrite:
        raise CoModError(f"{target} exists. Give another name, or replace it with --overwrite.")
    many = open_instances(stored)
    with progress_bar() as bar:
        task = bar.add_task("looking for the nearest", total=len(many))
        kept = neighbours.representatives(many, count, seed=seed,
                                          progress=lambda done, *_: bar.update(task, completed=done))
    save_instances(target, many.subset(kept))
    out().print(printable(f"{target}: {len(kept)} of {len(many)} instances"), markup=False)


def approximate(stored: Path, many, feature, count: int):
    """As `neighbours.exact`, by the inverted file beside a file of instances. Raises CoModError where there is none."""
    from ..instances.neighbours import NeighbourIndex

    path = beside(stored)
    if not path.is_file():
        raise CoModError(f"{path}: there is no inverted file. Build it with: comod instance ivf {stored}")
    index = NeighbourIndex.load(path)
    if len(index) != len(many):
        raise CoModError(f"{path}: holds {len(index)} instances, {stored} {len(many)}. Build it again: comod instance "
                         f"ivf {stored} --overwrite")
    return index.search(feature, count)


def beside(stored: Path) -> Path:
    """Where the inverted file of a file of instances lies."""
    return stored.with_suffix(".faiss")
