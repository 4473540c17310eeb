"""`comod models`: the models that have a name."""
from __future__ import annotations

import typer

from .report import out


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("models")(models)


def models() -> None:
    """List the models that have a name: whether they are here, licence, resolution, size."""
    from rich import box
    from rich.table import Table

    from ..loading import installed_file, models_folder
    from ..models.table import MODELS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("name", "installed", "resolution", "size", "licence", "what it does"):
        table.add_column(title, justify="right" if title in ("resolution", "size") else "left", overflow="fold")
    for entry in MODELS:
        path = installed_file(entry)
        size = path.stat().st_size if path else entry.size
        table.add_row(entry.name, "yes" if path else "no", str(entry.resolution), megabytes(size), entry.licence,
                      entry.description)
    console = out()
    console.print(table)
    for entry in MODELS:
        if not installed_file(entry):
            place = entry.url or entry.origin
            console.print(f"{entry.name}: {entry.file} from {place} goes to {models_folder()}", markup=False)


def megabytes(size: int | None) -> str:
    """A file's size for a person; a dash where it is not known."""
    return "-" if size is None else f"{size / 1e6:.1f} MB"
