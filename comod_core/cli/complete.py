"""`comod complete`: fill the holes of one picture or of a folder of them."""
from __future__ import annotations

from pathlib import Path

import typer

from ..errors import CoModError
from . import options
from .report import out, paragraphs, printable
from .seeds import parse_seeds


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("complete", no_args_is_help=True, help=paragraphs(complete))(complete)


def complete(
    command: typer.Context, source: options.Source, mask: options.Mask = None, outpaint: options.Outpaint = None,
    hole_range: options.HoleRange = "0,1", mask_seed: options.MaskSeed = 0, seeds: options.Seeds = "0",
    model: options.Model = "avatars-64", psi: options.Psi = 1.0, cutoff: options.Cutoff = None,
    noise_mode: options.NoiseMode = "const", dropout: options.Dropout = True, device: options.Device = None,
    dtype: options.DType = None, strategy: options.Strategy = "auto", context: options.Context = 0.5,
    feather: options.Feather = None, grow: options.Grow = 0, color_match: options.ColorMatch = True,
    folder: options.Out = Path("out"), format: options.Format = "png", sheet: options.Sheet = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Fill the holes of a picture, or of each picture in a folder, once a seed.

    Known pixels outside of the soft edge stay exactly as they are. A folder that was left unfinished goes on where it
    stopped: results that were made with the same settings are not made again. What fails is listed in
    DIR/failures.csv, the rest goes on, and the exit code is 1.
    """
    if mask is None and outpaint is None:
        raise CoModError("say where the hole is: --mask FILE, --mask DIR, --mask random, or --outpaint L,T,R,B.")
    sides = None if outpaint is None else tuple(options.numbers("--outpaint", outpaint, int, 4))
    holes = {"mask": mask, "outpaint": sides, "mask_seed": mask_seed,
             "hole_range": tuple(options.numbers("--hole-range", hole_range, float, 2))}
    sampling = {"psi": psi, "cutoff": cutoff, "noise_mode": noise_mode, "dropout": dropout, "size_strategy": strategy,
                "context": context, "feather": feather, "grow": grow, "color_match": color_match}
    numbers = parse_seeds(seeds)
    from .batch import Batch
    from .holes import Holes
    from .runs import Results

    batch = Batch(source, Holes(**holes), numbers, sampling, Results(folder, format, sheet, overwrite))
    outcome = batch.run(model, device, dtype, debug=command.find_root().params["debug"])
    out().print(printable(outcome.summary()), markup=False)
    raise typer.Exit(outcome.code)
