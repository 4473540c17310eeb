"""`comod evaluate`: how good the completions of a model are, by the hole's share of the picture."""
from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from ..errors import CoModError
from . import options
from .report import library_log, out, paragraphs, printable, progress_bar, warn

DATA, PROTOCOL, RUN = "Data", "Protocol", "Run"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("evaluate", no_args_is_help=True, help=paragraphs(evaluate))(evaluate)


def _option(text: str, panel: str, *names: str, **more):
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Built-in name (comod models lists them) or file; or "
                                         "mean-colour, telea, navier-stokes, which a model should beat.")],
    data: Annotated[Path, _option("Folder of pictures, .npy file uint8 [N,H,W,3], or folder that holds images.npy.",
                                  DATA, "--data", metavar="FOLDER|NPY")],
    folder: Annotated[Path, _option("Folder for result.json, report.html, report.png and the features.", RUN, "--out",
                                    metavar="DIR")] = Path("out/evaluation"),
    holes: Annotated[str, _option("Edges of the bins of the hole's share of the picture.", PROTOCOL)] =
        "0,0.2,0.4,0.6,0.8,1",
    count: Annotated[int | None, _option("Pictures, chosen by the seed; by itself all.", DATA, min=2)] = None,
    seed: Annotated[int, _option("Decides pictures, holes and completions.", PROTOCOL, min=0)] = 0,
    features: Annotated[str, _option("lite0, inception, or a TorchScript file uint8 [N,3,H,W] to [N,D].", PROTOCOL)] =
        "lite0",
    lpips: Annotated[bool, _option("Measure diversity by LPIPS on AlexNet as well, whose weights are to be on this "
                                   "machine.", PROTOCOL, "--lpips")] = False,
    psi: Annotated[str, _option("Truncations, for example 1,0.7,0.4; the first is the one in the report's pictures.",
                                PROTOCOL)] = "1",
    pairs: Annotated[int, _option("Pictures that are completed twice a hole, for diversity.", PROTOCOL,
                                  min=0)] = 2000,
    raw: Annotated[bool, _option("The network's own output, as published numbers are made: no feather, no colour "
                                 "match.", PROTOCOL, "--raw")] = False,
    size: Annotated[int | None, _option("Side in pixels, for mean-colour, telea and navier-stokes.", PROTOCOL,
                                        min=16)] = None,
    device: options.Device = None, dtype: options.DType = None,
    overwrite: Annotated[bool, _option("Measure everything anew.", RUN, "--overwrite")] = False,
    engine: Annotated[str, _option("local, or ray: through Ray Data, on the cluster that RAY_ADDRESS names, else here.",
                                   RUN)] = "local",
    workers: Annotated[int, _option("Processes of --engine ray.", RUN, min=1)] = 2,
) -> None:
    """Measure a completion model: P-IDS, U-IDS, FD, KID, precision and recall, diversity, pixel errors.

    Every real picture gets one free-form hole of each bin. Pictures that cannot be read are reported and skipped. A
    run that was stopped goes on where it was. The same command gives the same numbers; docs/evaluation.md explains
    them.
    """
    from ..evaluation.engines import ENGINES, Local, Ray
    from ..evaluation.gallery import cases
    from ..evaluation.protocol import Protocol
    from ..evaluation.report import check_packages, write_report
    from ..evaluation.run import evaluate
    from .runs import best_device

    protocol = Protocol(numbers("--holes", holes), numbers("--psi", psi), seed, count, pairs, raw)
    check_packages()
    if engine not in ENGINES:
        raise CoModError(f"--engine {engine}: there are {', '.join(ENGINES)}.")
    place = best_device(device)
    with library_log():
        completer, network = _completer(model, place, dtype, size, raw), _features(features, place, lpips)
        pictures = _pictures(data, folder)
    with progress_bar() as bar, library_log(bar.console):
        line = bar.add_task(pictures.title, total=None)
        with _stoppable():
            result = evaluate(completer, network, pictures, protocol, folder,
                              lambda done, total: bar.update(line, completed=done, total=total), overwrite,
                              Ray(workers) if engine == "ray" else Local())
            write_report(folder, result, cases(completer, pictures, result["examples"], protocol))
    for text in result["warnings"]:
        warn(text)
    _print(result)
    out().print(printable(f"{folder / 'report.html'}, report.png and result.json written."), markup=False)


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise CoModError(f"{option} {text!r}: write numbers with commas between them, for example 0.2,0.4.") from None


def _completer(model: str, device, dtype: str | None, size: int | None, raw: bool):

    from ..evaluation.completers import FILLERS, Filler, Network
    from ..loading import load_model

    if model in FILLERS and not Path(model).exists():
        if size is None:
            raise CoModError(f"{model} works at any size: say which with --size, that of the model to compare with.")
        return Filler(model, size)
    net = load_model(model, device, dtype)
    if size not in (None, net.resolution):
        raise CoModError(f"--size {size}: this model completes pictures of {net.resolution}x{net.resolution}.")
    return Network(net, raw)


def _features(spec: str, device, lpips: bool):
    from ..metrics.loading import load_features
    from ..metrics.lpips_distance import Lpips

    network = load_features(spec, device)
    network.lpips = Lpips(device) if lpips else None
    return network


def _pictures(data: Path, out: Path):
    """The data set at a path. Raises CoModError when there is none."""
    from ..evaluation.pictures import ArrayPictures, FilePictures
    from .folders import pictures

    if data.suffix == ".npy" and data.is_file() or (data / "images.npy").is_file():
        return ArrayPictures(data)
    sources = pictures(data, leave_out=(out,))
    return FilePictures([(source.name, source.path) for source in sources], data.resolve().name)


@contextlib.contextmanager
def _stoppable():
    """Ctrl-C ends the command; what was measured stays."""
    try:
        yield
    except KeyboardInterrupt:
        out().print("stopped; the same command goes on from here")
        raise typer.Exit(130) from None


def _print(result: dict) -> None:
    """The headline metrics by bin, as a table on standard output."""
    from rich import box
    from rich.table import Table

    from ..evaluation.report import headline, tables

    names = {name for name, _, _ in headline(result)}
    for found in tables(result):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(f"{result['protocol']['model']['name']}, psi {found['psi']}, hole")
        for title in found["titles"]:
            table.add_column(title, justify="right")
        for metric, values in found["lines"]:
            if metric in names:
                table.add_row(metric, *values)
        out().print(table)
