"""`comod bias`: the two published experiments on what a completion model prefers."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import CoModError
from . import options
from .report import library_log, out, paragraphs, printable, progress_bar

app = typer.Typer(no_args_is_help=True, help="What a completion model prefers: colours and shapes (Xu and Wei).")

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for result.json, chart.png and pictures.png.")]


def register(parent: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("colour", no_args_is_help=True, help=paragraphs(colour))(colour)
    app.command("shape", no_args_is_help=True, help=paragraphs(shape))(shape)
    parent.add_typer(app, name="bias")


def colour(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.")],
    mask: Annotated[Path | None, typer.Option(help="The hole, white on black; by itself the bottom quarter.")] = None,
    samples: Annotated[int, typer.Option(help="Completions, of the seeds 0, 1, ...", min=1)] = 40,
    model: options.Model = "avatars-64", psi: options.Psi = 1.0, folder: Out = Path("out/bias-colour"),
    device: options.Device = None, dtype: options.DType = None,
) -> None:
    """Complete one picture many times and count the colours of the fills.

    Nine names: red, orange, yellow, green, blue, purple, black, gray, white. A fill's name is that of most of its
    pixels.
    """
    from ..evaluation.bias import COLOURS, colour_bias
    from ..images import open_mask

    net = _network(model, device, dtype)
    picture = _rgb(image)
    hole = None if mask is None else open_mask(mask)
    with progress_bar() as bar, library_log(bar.console):
        task = bar.add_task("completing", total=samples)
        found = colour_bias(net, picture, hole, range(samples), lambda at, _: bar.update(task, completed=at), psi=psi)
    facts = {"experiment": "colour", "image": image.name, "model": net.info.name, "psi": psi, "samples": samples,
             "counts": found.counts, "named": found.named}
    bars = [(name, count, COLOURS[name]) for name, count in found.counts.items()]
    _write(folder, facts, bars, f"Colour of {samples} fills of {image.name}", "fills", found.images)
    shares = ", ".join(f"{name} {count}" for name, count in found.counts.items() if count)
    out().print(printable(f"{shares}. Chart and pictures in {folder}."), markup=False)


def shape(
    source: Annotated[Path, typer.Argument(metavar="IMAGE|DIR", help="A picture with an object, or a folder.")],
    silhouettes: Annotated[Path, typer.Option("--masks", help="The object's silhouette, white on black; for a "
                                              "folder one of the same name for each picture.")],
    segmenter: Annotated[str, typer.Option(help="grabcut (OpenCV's, needs no weights), or a TorchScript file: picture "
                                           "[1,3,H,W] in [0,1] to logits [1,1 or classes,H,W].")] = "grabcut",
    seeds: options.Seeds = "0", model: options.Model = "avatars-64", psi: options.Psi = 1.0,
    folder: Out = Path("out/bias-shape"), device: options.Device = None, dtype: options.DType = None,
) -> None:
    """Hide objects by their own silhouettes, complete, segment again, and compare the new object with the hole.

    An overlap (intersection over union) near 1 says that the hole's shape decides the object's.
    """
    from ..evaluation.bias import grabcut, shape_bias, torchscript_segmenter
    from .seeds import parse_seeds

    net = _network(model, device, dtype)
    pairs = _pairs(source, silhouettes)
    numbers = parse_seeds(seeds)
    segment = grabcut if segmenter == "grabcut" else torchscript_segmenter(segmenter)
    with progress_bar() as bar, library_log(bar.console):
        task = bar.add_task("completing", total=len(pairs) * len(numbers))
        found = shape_bias(net, pairs, segment, numbers, lambda done, _: bar.update(task, completed=done), psi=psi)
    values = list(found.overlaps.values())
    rows = [{"image": name, "seed": seed, "overlap": value} for (name, seed), value in found.overlaps.items()]
    facts = {"experiment": "shape", "model": net.info.name, "psi": psi, "segmenter": segmenter, "overlaps": rows,
             "mean": sum(values) / len(values)}
    shares = [sum(k / 10 <= v < (k + 1) / 10 + (k == 9) for v in values) for k in range(10)]
    bins = [(f"{k / 10:.1f} to {(k + 1) / 10:.1f}", share, "#0b6e75") for k, share in enumerate(shares)]
    _write(folder, facts, bins, "Overlap of new object and hole", "completions", found.images)
    out().print(printable(f"Mean overlap {facts['mean']:.3f} over {len(values)} completions. Chart and pictures in "
                          f"{folder}."), markup=False)


def _network(model: str, device: str | None, dtype: str | None):

    from ..loading import load_model
    from .runs import best_device

    return load_model(model, best_device(device), dtype)


def _rgb(path: Path):
    from ..images import open_picture

    image = open_picture(path).image
    return image[:, :1].expand(-1, 3, -1, -1).contiguous() if image.shape[1] == 1 else image[:, :3].contiguous()


def _pairs(source: Path, silhouettes: Path) -> list:
    from ..images import open_mask
    from .folders import MaskFolder, pictures

    if source.is_dir() != silhouettes.is_dir():
        raise CoModError(f"{source} and {silhouettes}: give two files or two folders.")
    files = MaskFolder(silhouettes) if source.is_dir() else None
    found = []
    for item in pictures(source, (silhouettes,)):
        silhouette = open_mask(files.of(item) if files else silhouettes)
        found.append((item.name, _rgb(item.path), silhouette))
    return found


def _write(folder: Path, facts: dict, bars: list[tuple[str, int, str]], title: str, unit: str, images: list) -> None:
    import numpy as np
    from PIL import Image

    from ..evaluation.charts import STYLE, load_matplotlib
    from ..files import atomic_write

    matplotlib = load_matplotlib()
    with matplotlib.rc_context(STYLE):
        figure = matplotlib.figure.Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        names, counts, hues = zip(*bars, strict=True)
        axes.bar_label(axes.bar(names, counts, color=hues, edgecolor="#9aa5b1", linewidth=0.8), fontsize=8)
        axes.set(title=title, ylabel=unit)
        axes.tick_params(axis="x", labelsize=7.5)
        axes.yaxis.get_major_locator().set_params(integer=True)
        with atomic_write(folder / "chart.png") as file:
            figure.savefig(file, format="png", dpi=130)
    columns = min(8, len(images))
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    sheet = np.full((-(-len(images) // columns) * height, columns * width, 3), 255, np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * height, place % columns * width
        sheet[top:top + image.shape[0], left:left + image.shape[1]] = image
    with atomic_write(folder / "pictures.png") as file:
        Image.fromarray(sheet).save(file, "PNG")
    with atomic_write(folder / "result.json", "w") as file:
        json.dump(facts, file, indent=1)
