"""`comod bench`: how fast the networks run on this machine."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import CoModError
from .report import err, out, paragraphs

Network = Annotated[Literal["comodgan", "stylemapgan", "biggan", "stylegan2"], typer.Option(
    "--network", help="Which architecture, as published and with random weights.")]
Sizes = Annotated[str, typer.Option(metavar="N,N", help="Pixels a side of the model's pictures.")]
Batches = Annotated[str, typer.Option(metavar="N,N", help="Variations of one hole, or pictures.")]
Formats = Annotated[str, typer.Option(
    "--dtype", metavar="NAME,NAME", help="float32, bfloat16, float16; by itself those that the device is good at.")]
Holes = Annotated[str, typer.Option(
    "--hole", metavar="SHARE,SHARE", help="Share of the picture's area that is hidden: what is known is not decoded.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Runs = Annotated[int, typer.Option(min=1, help="Runs a case; the median counts.")]
Folder = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write bench.json and bench.md there.")]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("bench", help=paragraphs(bench))(bench)


def bench(network: Network = "comodgan", size: Sizes = "512", batch: Batches = "1", dtype: Formats = "",
          hole: Holes = "1", device: Device = "cpu", runs: Runs = 3, folder: Folder = None) -> None:
    """Measure a network on this machine: seconds, operations a second, share of the convolutions' peak, memory.

    The peak is that of the fastest plain convolution, measured in the same run. On a CPU each case's memory is that of
    a process of its own. Compare only what was measured on a machine that does nothing else.
    """
    cases = _cases(network, size, batch, dtype, hole, device)
    import json

    from .. import speed
    from ..files import atomic_write

    rows, console = [], err()
    for row in speed.bench(cases, runs):
        rows.append(row)
        console.print(f"{len(rows)} of {len(cases)}: {row['seconds']:.3g} s", markup=False)
    text = f"{speed.machine(device)}; median of {runs} runs; random weights.\n\n{speed.table(rows)}"
    out().print(text, markup=False)
    if folder is not None:
        record = json.dumps({"machine": speed.machine(device), "runs": runs, "rows": rows}, indent=1)
        for name, content in (("bench.json", record), ("bench.md", text)):
            with atomic_write(folder / name, "w") as file:
                file.write(content + "\n")


def _cases(network: str, size: str, batch: str, dtype: str, hole: str, device: str) -> list:
    """Every combination. Raises CoModError for what cannot be measured."""
    import torch

    from ..networks.fast import good_at_bfloat16
    from ..speed import Case, configuration

    kind = torch.device(device).type
    if kind not in ("cpu", "cuda") or kind == "cuda" and not torch.cuda.is_available():
        raise CoModError(f"--device {device}: measured are cpu, and cuda where there is such a GPU.")
    usual = ["float32", "bfloat16"] if kind == "cuda" or good_at_bfloat16() else ["float32"]
    if kind == "cuda":
        usual.insert(1, "float16")
    sizes, batches = _values("--size", size, int), _values("--batch", batch, int)
    for one in sizes:
        configuration(network, one)
    return [Case(network, one, n, name.strip(), device, share) for one in sizes
            for name in (dtype.split(",") if dtype else usual) for n in batches
            for share in (_values("--hole", hole, float) if network == "comodgan" else [1.0])]


def _values(option: str, text: str, kind: type) -> list:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as problem:
        raise CoModError(f"{option} {text!r}: write numbers with commas between them.") from problem
