"""Options that commands share, each written once: its text, its limits, its place in the help."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import CoModError

HOLES, SAMPLING, FITTING, RESULTS = "Holes", "Sampling", "Fitting into the picture", "Results"
EDITING, ANIMATION, MODEL = "Editing", "Animation", "Model"
RANDOM = "random"


def numbers(option: str, text: str, kind: type, count: int) -> list:
    """The `count` numbers of an option's text such as "1,2". Raises CoModError for anything else."""
    try:
        found = [kind(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise CoModError(f"{option} {text!r}: write {count} numbers with commas between them.")
    return found


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
Model = Annotated[str, _option("Built-in name (comod models lists them) or file.", MODEL)]
Psi = Annotated[float, _option("Truncation: 1 is the full variety, 0 the average.", SAMPLING)]
Cutoff = Annotated[int | None, _option("Truncate only the layers below this one.", SAMPLING, min=0)]
NoiseMode = Annotated[Literal["const", "random", "none"], _option("Noise: the model's own, drawn, or none.", SAMPLING)]
Dropout = Annotated[bool, _option("Seeded dropout of the code; as published it is on.", SAMPLING)]
Device = Annotated[str | None, _option("cpu, cuda, cuda:1, mps; by itself the best there is.", MODEL,
                                       envvar="COMOD_DEVICE")]
DType = Annotated[Literal["float32", "float16", "bfloat16", "mixed"] | None, _option(
    "Number format; by itself as in the model's file, or bfloat16 where a CPU is faster in it. mixed, for GPUs: "
    "float16 for the highest resolutions.", MODEL)]

Strategy = Annotated[Literal["auto", "crop", "whole", "original"], _option(
    "crop: a box around each hole. whole: the whole picture at once. original: the picture has the model's size. "
    "auto: whole for models of aligned pictures such as faces, else crop.",
    FITTING)]
Context = Annotated[float, _option("What crop sees beyond the hole, as a fraction of it.", FITTING, min=0, max=100)]
Feather = Annotated[float | None, _option("Soft edge in pixels; by itself 2 of the model's pixels.", FITTING, min=0)]
Grow = Annotated[float, _option("Enlarge the hole by this many pixels.", FITTING, min=0)]
ColorMatch = Annotated[bool, _option("Match the colour at the hole's border.", FITTING)]
Seamless = Annotated[bool, _option(
    "What surrounds a part in its reference gives way to the photo's colours.", FITTING)]

Out = Annotated[Path, _option("Folder for the results.", RESULTS, "--out", metavar="DIR")]
Format = Annotated[Literal["png", "jpg", "webp", "tiff"], _option("File format of the results.", RESULTS)]
Sheet = Annotated[bool, _option("Also write a contact sheet a picture.", RESULTS, "--sheet")]
Overwrite = Annotated[bool, _option("Make everything anew, and replace files.", RESULTS, "--overwrite")]

Reference = Annotated[Path, _option(
    "The picture to take from. A folder holds one of the same name for each picture.", EDITING, "--reference",
    metavar="FILE|DIR")]
References = Annotated[list[Path], _option(
    "A picture to take a part from; give it once a part. A folder holds one of the same name for each picture.",
    EDITING, "--reference", metavar="FILE|DIR")]
Region = Annotated[Path, _option(
    "Where the picture changes, white on black. A folder holds NAME.png, NAME_mask.png or NAME-mask.png for each "
    "picture NAME.", EDITING, "--mask", metavar="FILE|DIR")]
PerhapsRegion = Annotated[Path | None, _option(
    "Where the picture may change, white on black; by itself everywhere. A folder as above.", EDITING, "--mask",
    metavar="FILE|DIR")]
Parts = Annotated[list[Path], _option(
    "The part to take, white on black, in the reference's own place; once for each --reference.", EDITING, "--mask",
    metavar="FILE|DIR")]
Shifts = Annotated[list[str] | None, _option(
    "How far the part moves from its place, in the picture's pixels, to the right and downwards: once for each "
    "--reference, by itself 0,0.", EDITING, "--shift", metavar="X,Y")]
Space = Annotated[Literal["w+", "w"], _option(
    "w+: blend every layer, close to the mask. w: blend the small style map alone, softer and more global.", EDITING)]
Strength = Annotated[float, _option("0 leaves the picture's style as it is, 1 takes all of the reference's.", EDITING,
                                    min=0, max=1)]
Way = Annotated[Path, _option("A file of comod edit learn.", EDITING, "--direction", metavar="FILE")]
Far = Annotated[float, _option("1 is the way from the average negative example to the average positive one; negative "
                               "numbers lead the other way.", EDITING)]
Part = Annotated[Literal["fine", "coarse"], _option(
    "What to take from the reference. coarse: its layout, fine: its colours and detail.", EDITING)]
Levels = Annotated[int, _option("How many of the model's layers are the coarse ones.", EDITING, min=0)]

Frames = Annotated[int, _option("Number of frames, both ends included.", ANIMATION, min=2)]
Rate = Annotated[float, _option("Frames a second.", ANIMATION)]
Back = Annotated[bool, _option("Then all the way back, for a loop without a jump.", ANIMATION, "--back")]
Side = Annotated[int | None, _option("Reduce larger frames to this many pixels on the longer side.", ANIMATION, min=1)]
Film = Annotated[Literal["gif", "webp", "mp4", "png"], _option(
    "gif: 255 colours. webp: without loss. mp4: needs PyAV (pip install av). png: a folder of numbered pictures.",
    ANIMATION, "--format")]

StyleModel = Annotated[str | None, _option(
    "A StyleMapGAN: name (comod models lists them) or file. By itself the built-in one, if there is one.", MODEL,
    "--model")]
StyleStrategy = Annotated[Literal["whole", "square", "crop", "original"], _option(
    "whole: the model sees all of the picture. square: its middle. crop: a square around the mask. original: the "
    "picture has the model's size.", FITTING)]
Square = Annotated[str | None, _option("A square of your own that the model sees, instead: its left and top edge and "
                                       "its side, in pixels.", FITTING, "--box", metavar="LEFT,TOP,SIDE")]
StyleFeather = Annotated[float | None, _option("Soft edge in pixels; by itself half a cell of the style map.", FITTING,
                                               "--feather", min=0)]
Refine = Annotated[int, _option("Steps that fit the model's view to the picture first: slow, but closer.", FITTING,
                                min=0)]
ReferenceStrategy = Annotated[Literal["whole", "square", "original"] | None, _option(
    "The same for the reference; by itself as the picture.", FITTING)]
ReferenceSquare = Annotated[str | None, _option("A square of your own in the reference.", FITTING, "--reference-box",
                                                metavar="LEFT,TOP,SIDE")]
