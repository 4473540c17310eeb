"""`comod translate`: drawings and label maps to pictures."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .report import out, paragraphs, printable
from .seeds import parse_seeds

CONDITION = "Condition"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("translate", no_args_is_help=True, help=paragraphs(translate))(translate)


def translate(
    command: typer.Context, source: options.Source,
    model: options.Model = "avatars-edges-64",
    way: Annotated[str | None, typer.Option(
        "--from", rich_help_panel=CONDITION, metavar="WAY|FILE", help="How the picture is read. For drawings: drawing, "
        "canny or soft (edges of a photo), or the TorchScript file of an edge network. For label maps: colours or "
        "numbers. By itself the first of them.")] = None,
    classes: Annotated[Path | None, typer.Option(
        rich_help_panel=CONDITION, metavar="FILE", help="Class table of a label picture: a name and a colour such as "
        "#f3be96 a line. By itself the model's.")] = None,
    low: Annotated[float, typer.Option(rich_help_panel=CONDITION, help="Canny's lower threshold, of 255.")] = 50.0,
    high: Annotated[float, typer.Option(rich_help_panel=CONDITION, help="Canny's upper threshold, of 255.")] = 120.0,
    softness: Annotated[float, typer.Option(rich_help_panel=CONDITION, help="Of soft: lower finds more lines.")] = 0.06,
    seeds: options.Seeds = "0", psi: options.Psi = 1.0, noise_mode: options.NoiseMode = "const",
    dropout: options.Dropout = True, device: options.Device = None, dtype: options.DType = None,
    folder: options.Out = Path("out"), format: options.Format = "png", sheet: options.Sheet = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Turn a drawing or a label map into pictures, one a seed; or each picture of a folder.

    A folder that was left unfinished goes on where it stopped. What fails is listed in DIR/failures.csv, the rest goes
    on, and the exit code is 1.
    """
    numbers = parse_seeds(seeds)
    from .runs import Results
    from .translations import Translations

    run = Translations(source, way, classes, numbers, {"low": low, "high": high, "softness": softness},
                       {"psi": psi, "noise_mode": noise_mode, "dropout": dropout},
                       Results(folder, format, sheet, overwrite))
    outcome = run.run(model, device, dtype, debug=command.find_root().params["debug"])
    out().print(printable(outcome.summary()), markup=False)
    raise typer.Exit(outcome.code)
