"""`comod train`: train a network on one's own pictures."""
from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..errors import CoModError
from ..training.config import RECIPE_NAMES
from .report import err, library_log, out, paragraphs, printable, progress_bar


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train", no_args_is_help=True, help=paragraphs(train))(train)


def train(
    data: Annotated[str, typer.Option("--data", metavar="SOURCE", help="A set made by `comod dataset`, or any source "
                                      "that it takes: then the set is made first, in RUN/data.")],
    folder: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder of the run. One that holds a snapshot "
                                         "goes on from it.")] = Path("run"),
    recipe: Annotated[str | None, typer.Option(help=f"What to train: {', '.join(RECIPE_NAMES)}. By itself that of "
                                               "--config, else what fits --start, else completion.")] = None,
    size: Annotated[int, typer.Option(help="Side in pixels, a power of two, where SOURCE is not a prepared set.")] = 64,
    paper: Annotated[bool, typer.Option("--paper", help="The networks of the paper in place of small ones; for a "
                                        "GPU.")] = False,
    kimg: Annotated[float | None, typer.Option(help="Stop after so many thousand pictures.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pictures a step, over all processes.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of masks, white where the hole is, in place of random "
                                               "ones.")] = None,
    config: Annotated[Path | None, typer.Option(help="config.json of another run, to begin with its settings.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting of config.json, "
                                                     "such as r1_gamma=5 or network.fmap_max=256. Repeatable.")] = None,
    start: Annotated[str | None, typer.Option(help="Model whose weights a new run begins with: a name of comod models, "
                                              "or any file that comod convert reads. Without --config the network is "
                                              "the file's, at the size of the pictures.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model that is written. By itself RUN's.")] = None,
    licence: Annotated[str, typer.Option(help="Licence that is written into the model.")] = "unknown",
) -> None:
    """Train a network on your own pictures and write RUN/model.safetensors, which every door of CoMod takes.

    Stop it at any time, with Ctrl-C or by force, and run the same command again: it goes on from the last snapshot.
    RUN/fakes*.png shows completions of held-out pictures, RUN/curves.png the losses and the held-out metrics. Several
    GPUs or machines: accelerate launch -m comod_core train ...
    """
    from ..training.place import Place, processes
    from ..training.prepare import load_prepared

    together = processes()
    console = err()
    with library_log(console):
        prepared = _prepared(data, folder / "data", size, together)
        images, heldout = load_prepared(prepared)
        base = _base(config, recipe, prepared, images, paper, start, folder)
        chosen = _changed(base, {"total_kimg": kimg, "batch": batch, "mask_folder": masks}, change)
        _check_same(chosen, folder)
        if together.is_main_process:
            console.print(printable(chosen.to_json()), markup=False)
        place = Place(chosen.precision)
        beside = _beside(chosen, prepared, images, heldout, console, place)
        if heldout is not None and len(beside[1]) < len(beside[0]):
            text = f"{prepared / 'heldout'} has not all of {', '.join(beside[0])}: nothing is held out."
            console.print(printable(text), markup=False)
            heldout = None
        stopped = _run(chosen, images, heldout, folder, start, place, beside)
    if place.main:
        _finish(folder, name or folder.resolve().name, licence, data, chosen.recipe)
    raise typer.Exit(130 if stopped else 0)


def _prepared(data: str, inside: Path, size: int, together) -> Path:
    from ..training.prepare import PrepareConfig, prepare
    from .dataset import summary

    if (Path(data) / "images.npy").is_file():
        return Path(data)
    if together.is_main_process and not (inside / "dataset.json").is_file():
        with progress_bar() as bar:
            task = bar.add_task("reading", total=None)
            done = prepare(data, inside, PrepareConfig(size), progress=lambda seen, _: bar.update(task, completed=seen))
        out().print(printable(summary(done, inside)), markup=False)
    together.wait_for_everyone()
    return inside


def _base(file: Path | None, recipe: str | None, prepared: Path, images, paper: bool, start: str | None,
          run: Path):
    """The settings of a file, else the recipe's own in the number format that suits this machine, with the network of
    the model that a run begins with."""
    from ..training.beginnings import like, network_of, recipe_for
    from ..training.place import suited_precision
    from ..training.recipes import RECIPES, config_from_json

    if recipe is not None and recipe not in RECIPES:
        raise CoModError(f"--recipe {recipe}: there are {', '.join(RECIPES)}.")
    if file is None:
        found = None if start is None else network_of(start, run)
        kind = RECIPES[recipe or (recipe_for(found, start) if found else "completion")]
        settings = kind.preset(images.shape[1], len(images), paper=paper)
        chosen = kind.for_set(dataclasses.replace(settings, precision=suited_precision()), prepared)
        return like(chosen, found, start) if found else chosen
    chosen = config_from_json(file.read_text("utf-8"))
    if recipe not in (None, chosen.recipe):
        raise CoModError(f"--recipe {recipe}: {file} holds the settings of {chosen.recipe}. Leave one of them out.")
    return chosen


def _check_same(chosen, folder: Path) -> None:
    """Raise CoModError when the run in the folder has another network, so that it cannot be gone on with."""
    from ..training.beginnings import differences

    if found := differences(chosen, folder):
        some = "; ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")
        raise CoModError(f"{folder} holds a run with another network ({some}). Give another --out, or the options that "
                         "the run was begun with.")


def _beside(config, prepared: Path, images, heldout, console, place) -> tuple[dict, dict]:
    """What the recipe needs next to the pictures, for those that are trained on and those that are held out."""
    from ..training.prepare import load_beside
    from ..training.recipes import recipe_of

    recipe, folders = recipe_of(config), [prepared, prepared / "heldout"]
    for folder, pictures in zip(folders, (images, heldout), strict=True):
        if place.main and pictures is not None:
            recipe.complete_data(folder, pictures, lambda text: console.print(printable(text), markup=False))
    place.wait()
    return load_beside(folders[0], recipe.beside), load_beside(folders[1], recipe.beside)


def _changed(chosen, options: dict, changes: list[str] | None):
    import json

    from ..training.presets import with_changes

    wanted = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()
              if value is not None}
    for text in changes or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise CoModError(f"--set {text!r}: write NAME=VALUE.")
        try:
            value = json.loads(value)
        except ValueError:
            pass                                                # plain text
        wanted[key] = tuple(value) if isinstance(value, list) else value
    try:
        return with_changes(chosen, wanted)
    except TypeError as error:
        raise CoModError(f"--set: {error}. The names are those of config.json.") from error


def _run(config, images, heldout, folder: Path, start: str | None, place, beside: tuple[dict, dict]) -> bool:
    """Train with a progress bar. Returns whether the user stopped it."""
    from ..training.beginnings import start_file
    from ..training.watch import watched

    file = None if start is None or (folder / "snapshot.pt").exists() else start_file(start)
    with progress_bar() as bar:
        task = bar.add_task("training", total=int(config.total_kimg * 1000))

        def say(text: str) -> None:
            bar.console.print(printable(text), markup=False)

        steps = watched(config, images, heldout, folder, start=file, place=place, report=say,
                        beside=beside[0], beside_heldout=beside[1])
        with contextlib.closing(steps), _asked_to_stop() as asked:
            for progress in steps:
                text = " ".join(f"{key} {value:.3f}" for key, value in progress.losses.items())
                bar.update(task, completed=progress.images, description=text)
                if asked.is_set():
                    say("Stopped; the same command goes on from here.")
                    return True
    return False


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event, so that the step is finished and saved; a second one stops at once."""
    asked = threading.Event()
    before = {}

    def ask(number: int, _) -> None:
        asked.set()
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _finish(folder: Path, name: str, licence: str, data: str, recipe: str) -> None:
    from ..training.export import export
    from ..training.recipes import RECIPES

    if (folder / "snapshot.pt").exists():
        facts = {"name": name, "licence": licence, "origin": f"trained with comod train on {Path(data).name}"}
        target = export(folder / "snapshot.pt", folder / "model.safetensors", facts)
        out().print(printable(f"{target}: use it with {RECIPES[recipe].command} --model {target}, or put it into "
                              "ComfyUI's or the app's models folder."), markup=False)
