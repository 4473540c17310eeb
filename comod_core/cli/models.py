"""`comod models`: the models that have a name."""
from __future__ import annotations

import typer

from .report import out, paragraphs


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("models", help=paragraphs(models))(models)


def models() -> None:
    """List the models that have a name: whether they are here, licence, resolution, size."""
    from rich import box
    from rich.table import Table

    from ..loading import installed_file, models_folder
    from ..models.table import MODELS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("name", "installed", "resolution", "size", "licence", "what it does"):
        number = title in ("resolution", "size")
        table.add_column(title, justify="right" if number else "left", overflow="fold", no_wrap=title == "name")
    for entry in MODELS:
        path = installed_file(entry)
        size = path.stat().st_size if path else entry.size
        table.add_row(entry.name, "yes" if path else "no", str(entry.resolution), megabytes(size), entry.licence,
                      entry.description)
    console = out()
    console.print(table)
    if not all(map(installed_file, MODELS)):
        console.print("A model that is not here: comod info NAME says which file it is and where it comes from; put it "
                      f"into\n{models_folder()}", markup=False)


def megabytes(size: int | None) -> str:
    """A file's size for a person; a dash where it is not known."""
    return "-" if size is None else f"{size / 1e6:.1f} MB"
