"""`comod dataset`: pictures of any kind to a set for training."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
) -> None:
    """Make a set for training: crop, resize, leave out doubles and what cannot be read, keep some pictures apart.

    What was left out is listed in DIR/skipped.csv, what is in it is shown in DIR/contact-sheet.png. Train with
    `comod train --data DIR`.
    """
    from ..training.prepare import PrepareConfig, prepare

    config = PrepareConfig(size, crop, min_size, heldout, near, background=background, limit=limit)
    with progress_bar() as bar:
        task = bar.add_task("reading", total=limit)
        done = prepare(source, folder, config, workers, lambda seen, _: bar.update(task, completed=seen))
    out().print(printable(summary(done, folder)), markup=False)


def summary(done, folder: Path) -> str:
    """What was made, in a sentence or two."""
    text = f"{done.training} pictures for training and {done.heldout} held out in {folder}."
    if done.skipped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(done.skipped.items()))
        text += f" Left out: {reasons}; see {folder / 'skipped.csv'}."
    return text
