"""Options that commands share, each written once: its text, its limits, its place in the help."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

HOLES, SAMPLING, FITTING, RESULTS = "Holes", "Sampling", "Fitting into the picture", "Results"
RANDOM = "random"


def _option(text: str, panel: str, *names: str, **more):
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


Source = Annotated[Path, typer.Argument(metavar="IMAGE|DIR", help="A picture, or a folder of pictures.")]

Mask = Annotated[str | None, _option(
    "The hole, white on black. A folder holds NAME.png, NAME_mask.png or NAME-mask.png for each picture NAME. The word "
    "random draws the paper's free-form holes.", HOLES, metavar="FILE|DIR|random")]
Outpaint = Annotated[str | None, _option(
    "Pixels to add at the left, top, right and bottom, with a mask or without.", HOLES, metavar="L,T,R,B")]
HoleRange = Annotated[str, _option("Share of the picture that random holes take.", HOLES, metavar="LOW,HIGH")]
MaskSeed = Annotated[int, _option("Another number draws other random holes.", HOLES, min=0)]

Seeds = Annotated[str, _option("One completion a seed, for example 7,8-11.", SAMPLING)]
Model = Annotated[str, _option("Built-in name (comod models lists them) or file.", SAMPLING)]
Psi = Annotated[float, _option("Truncation: 1 is the full variety, 0 the average.", SAMPLING)]
Cutoff = Annotated[int | None, _option("Truncate only the layers below this one.", SAMPLING, min=0)]
NoiseMode = Annotated[Literal["const", "random", "none"], _option("Noise: the model's own, drawn, or none.", SAMPLING)]
Dropout = Annotated[bool, _option("Seeded dropout of the code; as published it is on.", SAMPLING)]
Device = Annotated[str | None, _option("cpu, cuda, cuda:1, mps; by itself the best there is.", SAMPLING,
                                       envvar="COMOD_DEVICE")]
DType = Annotated[Literal["float32", "float16", "bfloat16"] | None, _option(
    "Number format; by itself as in the model's file.", SAMPLING)]

Strategy = Annotated[Literal["auto", "crop", "whole", "original"], _option(
    "crop: a box around each hole. whole: the whole picture at once. original: the picture has the model's size. "
    "auto: whole for models of aligned pictures such as faces, else crop.",
    FITTING)]
Context = Annotated[float, _option("What crop sees beyond the hole, as a fraction of it.", FITTING, min=0, max=100)]
Feather = Annotated[float | None, _option("Soft edge in pixels; by itself 2 of the model's pixels.", FITTING, min=0)]
Grow = Annotated[float, _option("Enlarge the hole by this many pixels.", FITTING, min=0)]
ColorMatch = Annotated[bool, _option("Match the colour at the hole's border.", FITTING)]

Out = Annotated[Path, _option("Folder for the results.", RESULTS, "--out", metavar="DIR")]
Format = Annotated[Literal["png", "jpg", "webp", "tiff"], _option("File format of the results.", RESULTS)]
Sheet = Annotated[bool, _option("Also write a contact sheet a picture.", RESULTS, "--sheet")]
Overwrite = Annotated[bool, _option("Make everything anew, and replace files.", RESULTS, "--overwrite")]
