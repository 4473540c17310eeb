"""`comod instance`: pictures in the look of an instance. One command an operation."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import CoModError
from . import instance_parts as parts
from . import options
from .instance_many import Stored, approximate, ivf, representatives
from .instance_text import text
from .instance_ways import interpolate
from .report import out, paragraphs, printable, progress_bar, warn


def register(app: typer.Typer) -> None:
    """Add the commands to the app, below `instance`."""
    group = typer.Typer(name="instance", no_args_is_help=True,
                        help="Generate pictures in the look of an instance (IC-GAN, StyleGAN2).")
    for command in (index, neighbours, generate, interpolate, text, ivf, representatives):
        group.command(command.__name__, no_args_is_help=True, help=paragraphs(command))(command)
    app.add_typer(group)


def index(
    source: options.Source,
    target: Annotated[Path, typer.Argument(metavar="INSTANCES.safetensors", help="The file to write; its index goes "
                                           "beside it, with .json.")],
    extractor: parts.Extractor = "lite0-colours",
    dtype: Annotated[Literal["float32", "float16"], typer.Option(help="float16 takes half the space.")] = "float32",
    device: options.Device = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the features of a folder of pictures into one file, to look for neighbours in it or to generate from.

    Pictures that cannot be read are named and left out; then the exit code is 1.
    """
    if target.suffix != ".safetensors":
        raise CoModError(f"{target}: the name of a file of instances ends in .safetensors.")
    if target.exists() and not overwrite:
        raise CoModError(f"{target} exists. Give another name, or replace it with --overwrite.")
    from ..instances.extractors import load_extractor
    from ..instances.indexing import index_pictures
    from .folders import pictures
    from .runs import best_device

    found = [(one.name, one.path) for one in pictures(source)]
    network = load_extractor(extractor, best_device(device))
    with progress_bar() as bar:
        task = bar.add_task("encoding", total=len(found))
        failed = index_pictures(target, found, network, dtype=dtype,
                                progress=lambda done, *_: bar.update(task, completed=done))
    for _, problem in failed:
        warn(problem)
    out().print(printable(f"{target}: {len(found) - len(failed)} instances of {network.name}"), markup=False)
    raise typer.Exit(1 if failed else 0)


def neighbours(
    source: Annotated[Path, typer.Argument(metavar="IMAGE", help="The picture whose neighbours are looked for.")],
    stored: Stored,
    count: Annotated[int, typer.Option("--count", "-k", help="How many.", min=1)] = 5,
    extractor: parts.Extractor = None,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a contact sheet of the picture and its "
                                               "neighbours.")] = None,
    pictures: Annotated[Path | None, typer.Option(metavar="DIR", help="For the sheet: the folder that was "
                                                  "indexed.")] = None,
    near: Annotated[bool, typer.Option("--approximate", help="Search the inverted file that comod instance ivf made: "
                                       "quick in very many.")] = False,
    device: options.Device = None,
) -> None:
    """Print the stored instances that are nearest to a picture: similarity, number and name, a line each.

    By itself the extractor is the one that the file names, and the search exact, in blocks.
    """
    if (sheet is None) != (pictures is None):
        raise CoModError("--sheet and --pictures go together: where to write, and where the neighbours' pictures are.")
    from ..images import open_picture
    from ..instances.neighbours import exact
    from ..instances.stored import open_instances

    many, picture = open_instances(stored), open_picture(source).image
    feature = parts.encoded(picture, extractor or _named(many, stored), device)
    found = approximate(stored, many, feature, count) if near else exact(many, feature, count)
    cosines, numbers = (rows[0][found[1][0] >= 0] for rows in found)        # an inverted file may find fewer
    for cosine, number in zip(cosines, numbers, strict=True):
        out().print(printable(f"{cosine:.4f}  {number}  {many.names[number]}"), markup=False)
    if sheet:
        _write_sheet(sheet, picture, [many.names[number] for number in numbers], pictures)


def generate(
    model: parts.Model,
    image: parts.Image = None,
    stored: parts.StoredOne = None,
    extractor: parts.Extractor = None,
    seeds: options.Seeds = "1-8",
    keep: Annotated[int | None, typer.Option(help="Keep so many of the seeds, those nearest to the instance.",
                                             min=1)] = None,
    psi: options.Psi = 1.0,
    label: Annotated[str | None, typer.Option(metavar="CLASSES", help="Class, for models that have classes; of several "
                                              "such as 207,281-285 each seed is generated as each.")] = None,
    noise_mode: options.NoiseMode = "const",
    device: options.Device = None,
    dtype: options.DType = None,
    folder: options.Out = Path("out"),
    overwrite: options.Overwrite = False,
) -> None:
    """Generate a picture a seed, in the look of an instance where the model takes one. Results are called seedN.png.

    By itself the extractor is the one that the model's file names. A plain StyleGAN2 takes no instance. With several
    classes the results are called seedN-classL.png.
    """
    from ..images import save_picture
    from ..instances import generation
    from .seeds import parse_seeds

    wanted, labels = parse_seeds(seeds), [None] if label is None else parse_seeds(label, "--label")
    net = parts.generator(model, device, dtype)
    feature = parts.feature_for(net, image, stored, extractor, device)
    settings = {"psi": psi, "noise_mode": noise_mode}
    with progress_bar() as bar:
        task = bar.add_task("generating", total=len(wanted) * len(labels))
        settings["progress"] = lambda *_: bar.advance(task)
        for one in labels:
            if keep is None:
                samples = generation.generate(net, wanted, feature, one, **settings)
            else:
                measure = parts.extractor_of(extractor or net.info.features, device)
                samples = generation.rank(net, wanted, _required(feature), measure, keep, one, **settings)
            for sample in samples:
                of_class = f"-class{one}" if len(labels) > 1 else ""
                distance = "" if sample.distance is None else f"  distance {sample.distance:.4f}"
                path = parts.new_file(folder / f"seed{sample.seed}{of_class}.png", overwrite)
                save_picture(path, sample.image)
                bar.console.print(printable(f"{path}{distance}"), markup=False)


def _required(feature):
    if feature is None:
        raise CoModError("--keep measures the distance to an instance: give --instance or --stored.")
    return feature


def _named(many, path: Path) -> str:
    if not many.extractor:
        raise CoModError(f"{path}: does not say which extractor its features come from: give --extractor.")
    return many.extractor


def _write_sheet(path: Path, picture, names: list[str], folder: Path) -> None:
    from ..images import open_picture, save_picture
    from .folders import pictures
    from .sheet import sheet, tile

    places = {one.name: one.path for one in pictures(folder)}
    missing = [name for name in names if name not in places]
    if missing:
        raise CoModError(f"--pictures {folder}: {missing[0]} is not in it. Give the folder that was indexed.")
    tiles = [tile(picture), *(tile(open_picture(places[name]).image) for name in names)]
    side = max(max(one.shape[-2:]) for one in tiles)
    save_picture(path, sheet([_squared(one, side) for one in tiles]))


def _squared(tile, side: int):
    """A tile in the middle of a white square."""
    import torch

    square = torch.ones(1, 3, side, side)
    top, left = ((side - length) // 2 for length in tile.shape[-2:])
    square[..., top:top + tile.shape[-2], left:left + tile.shape[-1]] = tile
    return square
