"""`comod export`: a model as files for other programs."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import CoModError
from . import options
from .report import out, paragraphs, printable


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("export", no_args_is_help=True, help=paragraphs(export))(export)


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Built-in name (comod models lists them) or file.")],
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")] = Path("out/export"),
    onnx: Annotated[bool, typer.Option("--onnx", help="ONNX graphs (pip install 'comod-gan[onnx]').")] = False,
    torch: Annotated[bool, typer.Option("--torch", help="Programs of torch.export, .pt2.")] = False,
    pixels: Annotated[bool, typer.Option("--uint8", help="Pictures and masks go in and out as bytes, [N,R,R,3] and "
                                         "[N,R,R]; 255 is the hole.")] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write a model as ONNX graphs or programs of torch.export, with the number of samples open.

    A CoModGAN and a StyleMapGAN become an encode and a decode file, other generators one. Each file is run beside
    PyTorch first, and not written where the two differ by more than 0.001.
    """
    if not (onnx or torch):
        raise CoModError("say what to write: --onnx, --torch, or both.")
    from ..exporting import export_onnx, export_torch
    from ..loading import load_model

    net = load_model(model, dtype="float32")
    folder.mkdir(parents=True, exist_ok=True)
    stem, console = folder / net.info.name, out()
    for wanted, write in ((onnx, export_onnx), (torch, export_torch)):
        for path in write(net, stem, pixels, overwrite) if wanted else ():
            console.print(printable(f"{path}  {path.stat().st_size / 1e6:.1f} MB"), markup=False)
