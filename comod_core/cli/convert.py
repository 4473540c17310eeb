"""`comod convert`: a foreign checkpoint into a safetensors file."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import CoModError
from .report import out, paragraphs, printable


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("convert", no_args_is_help=True, help=paragraphs(convert))(convert)


def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="CoModGAN's .pkl or the .pth of its "
                                           "PyTorch port, StyleMapGAN's .pt, a .pkl of StyleGAN2-ADA or IC-GAN, or the "
                                           "folder of an IC-GAN BigGAN.")],
    target: Annotated[Path | None, typer.Argument(metavar="[DST.safetensors]", help="By itself SRC's name with "
                                                  ".safetensors, beside it.")] = None,
    which: Annotated[str, typer.Option(help="ema: the averaged generator, the one to use. train: the one that was "
                                       "being trained.")] = "ema",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DST when it exists.")] = False,
) -> None:
    """Write a checkpoint's generator and discriminator, its configuration, licence and origin as safetensors.

    Nothing in SRC is run, and no TensorFlow is needed.
    """
    target = target or source.with_suffix(".safetensors")
    if target.exists() and not overwrite and not (source.exists() and target.samefile(source)):
        raise CoModError(f"{target} exists. Give another DST, or replace it with --overwrite.")
    from ..checkpoints import convert

    console = out()
    convert(source, target, which, progress=lambda text: console.print(printable(text), markup=False))
