"""`comod dataset`: pictures of any kind to a set for training."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import CoModError
from .report import out, paragraphs, printable, progress_bar


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("dataset", no_args_is_help=True, help=paragraphs(dataset))(dataset)


def dataset(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Folder of pictures; WebDataset shards, a path or URL "
                                          "such as shots-{000..012}.tar; or hf:NAME[:SPLIT], a Hugging Face dataset.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder of the set.")],
    size: Annotated[int, typer.Option(help="Side of the squares in pixels, a power of two.")] = 64,
    crop: Annotated[str, typer.Option(help="Which square of a longer picture: center, or top (portraits).")] = "center",
    min_size: Annotated[int | None, typer.Option(help="Shortest side that is taken. By itself SIZE.")] = None,
    heldout: Annotated[float, typer.Option(help="Share that is kept apart to measure with, 0 to 1.")] = 0.05,
    near: Annotated[int | None, typer.Option(help="Pictures are doubles too when their 64-bit difference hashes differ "
                                             "in at most so many bits. 4 finds what was saved again as JPEG.")] = None,
    background: Annotated[int, typer.Option(help="Grey under transparent parts, 0 to 255.")] = 255,
    limit: Annotated[int | None, typer.Option(help="Stop after so many pictures.")] = None,
    workers: Annotated[int, typer.Option(help="Pictures that are read at once.")] = 4,
    pairs: Annotated[str | None, typer.Option(metavar="DIR|left|right", help="For the recipes edges and labels: a "
                                              "folder with the condition of each picture under the same name, or the "
                                              "half of each picture that is its condition (pix2pix's files).")] = None,
    kind: Annotated[Literal["edges", "labels"], typer.Option("--as", help="What the conditions of --pairs are: "
                                                             "drawings or label maps.")] = "edges",
    classes: Annotated[Path | None, typer.Option(metavar="FILE", help="Class table of label maps: a name and a colour "
                                                 "such as #f3be96 a line, in the order of their numbers.")] = None,
) -> None:
    """Make a set for training: crop, resize, leave out doubles and what cannot be read, keep some pictures apart.

    What was left out is listed in DIR/skipped.csv, what is in it is shown in DIR/contact-sheet.png. Train with
    `comod train --data DIR`.
    """
    from ..labels import read_table
    from ..training.pairs import PairConfig, prepare_pairs
    from ..training.prepare import PrepareConfig, prepare

    config = PrepareConfig(size, crop, min_size, heldout, near, background=background, limit=limit)
    if pairs is None and classes is not None:
        raise CoModError("--classes goes with --pairs: say where the label maps are.")
    paired = pairs and PairConfig(pairs, kind, read_table(classes) if classes else ())
    with progress_bar() as bar:
        task = bar.add_task("reading", total=limit)
        settings = (config, workers, lambda seen, _: bar.update(task, completed=seen))
        done = prepare_pairs(source, folder, paired, *settings) if paired else prepare(source, folder, *settings)
    out().print(printable(summary(done, folder)), markup=False)


def summary(done, folder: Path) -> str:
    """What was made, in a sentence or two."""
    text = f"{done.training} pictures for training and {done.heldout} held out in {folder}."
    if done.skipped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(done.skipped.items()))
        text += f" Left out: {reasons}; see {folder / 'skipped.csv'}."
    return text
