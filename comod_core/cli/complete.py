"""`comod complete`: fill the holes of one picture or of a folder of them."""
from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from ..errors import CoModError
from .report import out
from .seeds import parse_seeds

RANDOM = "random"
FORMATS = ("png", "jpg", "webp", "tiff")
DTYPES = ("float32", "float16", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Options that go to `complete` as they are; the defaults are its own."""

    psi: float = 1.0
    cutoff: int | None = None
    noise_mode: str = "const"
    dropout: bool = True
    size_strategy: str = "crop"
    context: float = 0.5
    feather: float | None = None
    grow: float = 0
    color_match: bool = True


@dataclasses.dataclass(frozen=True)
class Holes:
    """Where the holes come from: a mask file or folder, "random", or room (left, top, right, bottom) to add."""

    mask: str | None = None
    outpaint: tuple[int, int, int, int] | None = None
    hole_range: tuple[float, float] = (0.0, 1.0)
    mask_seed: int = 0


@dataclasses.dataclass(frozen=True)
class Output:
    """Where results go and in which form."""

    folder: Path
    format: str = "png"
    sheet: bool = False
    overwrite: bool = False


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("complete", no_args_is_help=True)(complete)


def complete(
    source: Annotated[Path, typer.Argument(metavar="IMAGE|DIR", help="A picture, or a folder of pictures.")],
    mask: Annotated[str | None, typer.Option(
        metavar="FILE|DIR|random", help="The hole, white on black; a folder holds NAME.* or NAME_mask.* for each "
        "picture NAME; random draws the paper's free-form holes.")] = None,
    outpaint: Annotated[str | None, typer.Option(
        metavar="L,T,R,B", help="Instead of a mask: pixels to add at the left, top, right and bottom.")] = None,
    seeds: Annotated[str, typer.Option(help="One completion a seed, for example 7,8-11.")] = "0",
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path("out"),
    model: Annotated[str, typer.Option(help="Built-in name (see comod models) or file.")] = "avatars-64",
    psi: Annotated[float, typer.Option(help="Truncation: 1 full variety, 0 the average.")] = Sampling.psi,
    cutoff: Annotated[int | None, typer.Option(min=0, help="Truncate only layers below this one.")] = Sampling.cutoff,
    noise_mode: Annotated[str, typer.Option(help="const, random or none.")] = Sampling.noise_mode,
    dropout: Annotated[bool, typer.Option("--dropout/--no-dropout", help="Dropout of the code, seeded; as published "
                                          "it is on.")] = Sampling.dropout,
    strategy: Annotated[str, typer.Option(help="crop: a box around each hole. whole: the whole picture at once. "
                                          "original: the picture has the model's size.")] = Sampling.size_strategy,
    context: Annotated[float, typer.Option(min=0, max=100, help="What crop sees beyond the hole, as a fraction of "
                                           "it.")] = Sampling.context,
    feather: Annotated[float | None, typer.Option(min=0, help="Width of the soft edge in pixels; by itself 2 of the "
                                                  "model's pixels.")] = Sampling.feather,
    grow: Annotated[float, typer.Option(min=0, help="Enlarge the hole by this many pixels.")] = Sampling.grow,
    color_match: Annotated[bool, typer.Option("--color-match/--no-color-match", help="Match the colour at the hole's "
                                              "border.")] = Sampling.color_match,
    hole_range: Annotated[str, typer.Option(metavar="LOW,HIGH", help="Share of the picture that random holes "
                                            "take.")] = "0,1",
    mask_seed: Annotated[int, typer.Option(min=0, help="Another number draws other random holes.")] = 0,
    format: Annotated[str, typer.Option(help=", ".join(FORMATS))] = "png",
    sheet: Annotated[bool, typer.Option("--sheet", help="Also write a contact sheet a picture.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; by itself the best there is.")] = None,
    dtype: Annotated[str | None, typer.Option(help=f"{', '.join(DTYPES)}; by itself as in the model's file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make everything anew, and replace files.")] = False,
) -> None:
    """Fill the holes of a picture, or of each picture in a folder, once a seed.

    Known pixels outside the feather stay exactly as they are. A folder that was left unfinished goes on where it
    stopped: results that were made with the same settings are not made again. What fails is listed in DIR/failures.csv,
    the rest goes on, and the exit code is 1.
    """
    sampling = Sampling(psi, cutoff, noise_mode, dropout, strategy, context, feather, grow, color_match)
    holes = Holes(mask, _sides(outpaint), _range(hole_range), mask_seed)
    if (mask is None) == (outpaint is None):
        raise CoModError("give --mask FILE, --mask DIR, --mask random, or --outpaint L,T,R,B (one of them).")
    _one_of("--noise-mode", noise_mode, ("const", "random", "none"))
    _one_of("--strategy", strategy, ("crop", "whole", "original"))
    _one_of("--format", format, FORMATS)
    if dtype:
        _one_of("--dtype", dtype, DTYPES)
    from .batch import Batch

    batch = Batch(source, holes, parse_seeds(seeds), sampling, Output(folder, format, sheet, overwrite))
    result = batch.run(model, device, dtype)
    out().print(result.summary(), markup=False)
    raise typer.Exit(1 if result.failed else 0)


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise CoModError(f"{option} {value!r} is not one of {', '.join(allowed)}.")


def _numbers(option: str, text: str, kind: type, count: int) -> list:
    try:
        found = [kind(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise CoModError(f"{option} {text!r}: write {count} numbers with commas between them.")
    return found


def _sides(text: str | None) -> tuple[int, int, int, int] | None:
    return None if text is None else tuple(_numbers("--outpaint", text, int, 4))


def _range(text: str) -> tuple[float, float]:
    return tuple(_numbers("--hole-range", text, float, 2))
