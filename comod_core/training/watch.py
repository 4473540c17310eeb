"""What a person sees of a run: a log, sample grids, held-out metrics and their curves, all beside the snapshots.

log.jsonl (means of the losses), fakes*.png (fixed pictures, holes and seeds), metrics.jsonl (held-out pictures, at each
snapshot), curves.png (both), and TensorBoard's files where it is installed.
"""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from ..files import atomic_write
from .config import TrainConfig
from .grids import save_grid
from .heldout import HeldOut
from .loop import Progress, train
from .place import Place
from .trainer import Trainer

LOG_SECONDS = 30.0


def watched(config: TrainConfig, images: np.ndarray, heldout: np.ndarray | None, out: Path, *,
            start: Path | None = None, place: Place | None = None, report: Callable[[str], None] = print,
            beside: Mapping[str, np.ndarray] | None = None,
            beside_heldout: Mapping[str, np.ndarray] | None = None) -> Iterator[Progress]:
    """`loop.train`, with everything written that this file's docstring names; report gets a line a snapshot."""
    place = place or Place(config.precision)
    board = _tensorboard(out) if place.main else None
    whole = (images, beside) if heldout is None else (heldout, beside_heldout)
    held = HeldOut(*whole, device=place.device) if place.main else None

    def snapshot(trainer: Trainer) -> None:
        at, name = trainer.images_seen, f"fakes{trainer.images_seen // 1000:06d}.png"
        with torch.inference_mode():
            grid = trainer.recipe.grid(trainer.ema, held)
        save_grid(out / name, grid, scale=max(1, 128 // trainer.recipe.resolution))
        text = f"{at} images: {name}"
        if heldout is not None:
            found = {key: round(float(value), 3) for key, value in trainer.recipe.measure(trainer.ema, held).items()}
            _append(out / "metrics.jsonl", {"images": at} | found, board)
            text += "".join(f", {key} {value}" for key, value in found.items())
        draw_curves(out)
        report(text)

    sums: dict[str, list[float]] = {}
    last = time.monotonic()
    for progress in train(config, images, out, snapshot, start, place, beside):
        for name, value in progress.losses.items():
            sums.setdefault(name, []).append(value)
        if place.main and time.monotonic() - last > LOG_SECONDS:
            means = {name: round(float(np.mean(values)), 4) for name, values in sums.items()}
            _append(out / "log.jsonl", {"images": progress.images, "img/s": round(progress.speed, 2)} | means, board)
            sums, last = {}, time.monotonic()
        yield progress


def _append(path: Path, row: dict, board=None) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    if board is not None:
        for name, value in row.items():
            if name != "images":
                board.add_scalar(f"{path.stem}/{name}", value, row["images"])
        board.flush()


def _tensorboard(out: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(out / "tensorboard"))


def read_rows(path: Path) -> list[dict]:
    """The lines of a .jsonl file; a line that a killed run left unfinished is passed over."""
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def draw_curves(out: Path) -> None:
    """curves.png of what log.jsonl and metrics.jsonl hold: one small plot a quantity over the images seen."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    kinds = [read_rows(out / name) for name in ("metrics.jsonl", "log.jsonl")]
    plots = [(name, rows) for rows in kinds for name in dict.fromkeys(key for row in rows for key in row)
             if name != "images"]
    if not plots:
        return
    columns = min(3, len(plots))
    figure, axes = pyplot.subplots(-(-len(plots) // columns), columns, squeeze=False, layout="constrained",
                                   figsize=(4.2 * columns, 2.6 * -(-len(plots) // columns)))
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, rows) in zip(axes.flat, plots, strict=False):
        points = [(row["images"] / 1000, row[name]) for row in rows if name in row]
        axis.set_axis_on()
        axis.plot(*zip(*points, strict=True), marker="o" if len(points) < 30 else None, markersize=3, linewidth=1.2)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("thousand images", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
    with atomic_write(out / "curves.png") as file:
        figure.savefig(file, format="png", dpi=110)
    pyplot.close(figure)
