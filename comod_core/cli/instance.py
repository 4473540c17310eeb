"""`comod instance`: pictures in the look of an instance. One command an operation."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import CoModError
from . import options
from .report import out, paragraphs, printable, progress_bar, warn

Extractor = Annotated[str | None, typer.Option(
    "--extractor", metavar="NAME|FILE", help="lite0, swav, supervised, or a ResNet-50's weights. It has to be the one "
    "that the model was trained with.")]
Stored = Annotated[Path, typer.Argument(metavar="INSTANCES", help="A file of comod instance index, or IC-GAN's "
                                        "*_instance_features.npy.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app, below `instance`."""
    group = typer.Typer(name="instance", no_args_is_help=True,
                        help="Generate pictures in the look of an instance (IC-GAN, StyleGAN2).")
    for command in (index, neighbours, generate):
        group.command(command.__name__, no_args_is_help=True, help=paragraphs(command))(command)
    app.add_typer(group)


def index(
    source: options.Source,
    target: Annotated[Path, typer.Argument(metavar="INSTANCES.safetensors", help="The file to write; its index goes "
                                           "beside it, with .json.")],
    extractor: Extractor = "lite0",
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
    extractor: Extractor = None,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a contact sheet of the picture and its "
                                               "neighbours.")] = None,
    pictures: Annotated[Path | None, typer.Option(metavar="DIR", help="For the sheet: the folder that was "
                                                  "indexed.")] = None,
    device: options.Device = None,
) -> None:
    """Print the stored instances that are nearest to a picture: similarity, number and name, a line each.

    By itself the extractor is the one that the file names. The search is exact, in blocks.
    """
    if (sheet is None) != (pictures is None):
        raise CoModError("--sheet and --pictures go together: where to write, and where the neighbours' pictures are.")
    from ..images import open_picture
    from ..instances.neighbours import exact
    from ..instances.stored import open_instances

    many, picture = open_instances(stored), open_picture(source).image
    feature = _encoded(picture, extractor or _named(many, stored), device)
    cosines, numbers = (found[0] for found in exact(many, feature, count))
    for cosine, number in zip(cosines, numbers, strict=True):
        out().print(printable(f"{cosine:.4f}  {number}  {many.names[number]}"), markup=False)
    if sheet:
        _write_sheet(sheet, picture, [many.names[number] for number in numbers], pictures)


def generate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A BigGAN or StyleGAN2: file, folder or name.")],
    image: Annotated[Path | None, typer.Option("--instance", metavar="IMAGE", help="The picture to generate in the "
                                               "look of.")] = None,
    stored: Annotated[str | None, typer.Option(metavar="INSTANCES:NUMBER", help="Instead: a stored instance.")] = None,
    extractor: Extractor = None,
    seeds: options.Seeds = "1-8",
    keep: Annotated[int | None, typer.Option(help="Keep so many of the seeds, those nearest to the instance.",
                                             min=1)] = None,
    psi: options.Psi = 1.0,
    label: Annotated[int | None, typer.Option(help="Class, for models that have classes.", min=0)] = None,
    noise_mode: options.NoiseMode = "const",
    device: options.Device = None,
    dtype: options.DType = None,
    folder: options.Out = Path("out"),
    overwrite: options.Overwrite = False,
) -> None:
    """Generate a picture a seed, in the look of an instance where the model takes one. Results are called seedN.png.

    By itself the extractor is the one that the model's file names. A plain StyleGAN2 takes no instance.
    """
    if image and stored:
        raise CoModError("--instance and --stored are two ways to say the same: give one.")
    import torch

    from ..images import save_picture
    from ..instances import generation
    from ..loading import load_model
    from .runs import best_device
    from .seeds import parse_seeds

    wanted = parse_seeds(seeds)
    net = load_model(model, best_device(device), getattr(torch, dtype) if dtype else None)
    generation.check_generator(net)
    spec = extractor or net.info.features
    feature = _instance(image, stored, spec, device)
    settings = {"psi": psi, "noise_mode": noise_mode}
    with progress_bar() as bar:
        task = bar.add_task("generating", total=len(wanted))
        settings["progress"] = lambda done, *_: bar.update(task, completed=done)
        if keep is None:
            samples = generation.generate(net, wanted, feature, label, **settings)
        else:
            measure = _extractor(spec, device)
            samples = generation.rank(net, wanted, _required(feature), measure, keep, label, **settings)
        for sample in samples:
            path = folder / f"seed{sample.seed}.png"
            if path.exists() and not overwrite:
                raise CoModError(f"{path} exists. Give another --out, or replace it with --overwrite.")
            save_picture(path, sample.image)
            distance = "" if sample.distance is None else f"  distance {sample.distance:.4f}"
            bar.console.print(printable(f"{path}{distance}"), markup=False)


def _instance(image: Path | None, stored: str | None, spec: str, device: str | None):
    """The feature that the options name, or None."""
    if image:
        from ..images import open_picture

        return _encoded(open_picture(image).image, spec, device)
    if not stored:
        return None
    from ..instances.stored import open_instances

    path, _, number = stored.rpartition(":")
    if not path or not number.isdecimal():
        raise CoModError(f"--stored {stored!r}: write the file and the instance's number, such as few.safetensors:12.")
    return open_instances(path).feature(int(number))


def _required(feature):
    if feature is None:
        raise CoModError("--keep measures the distance to an instance: give --instance or --stored.")
    return feature


def _extractor(spec: str, device: str | None):
    if not spec:
        raise CoModError("the file does not say which extractor its features come from: give --extractor.")
    from ..instances.extractors import load_extractor
    from .runs import best_device

    return load_extractor(spec, best_device(device))


def _encoded(picture, spec: str, device: str | None):
    from ..instances.extractors import encode

    return encode(_extractor(spec, device), picture)[0]


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
