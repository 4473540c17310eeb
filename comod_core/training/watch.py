"""What a person sees of a run: a log, sample grids, held-out metrics and their curves, all beside the snapshots.

log.jsonl (means of the losses), fakes*.png (fixed pictures, holes and seeds), metrics.jsonl (held-out pictures, at each
snapshot), curves.png (both), and TensorBoard's files where it is installed.
"""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import latents
from ..errors import CoModError
from ..files import atomic_write
from ..metrics import frechet_distance, l1
from .grids import completion_grid, save_grid
from .loop import Progress, train
from .place import Place
from .recipes import CompletionConfig
from .trainer import Trainer

GRID_ROWS, GRID_SEEDS = 8, 6
HELDOUT = 256           # pictures that are measured at a snapshot
LOG_SECONDS = 30.0
FIXED = 2 ** 40         # a step that no run reaches: its holes are those of the grids and of the measurements


class HeldOut:
    """Measures the averaged generator on pictures that it was not trained on, always in the same holes and seeds.

    images uint8 [N,R,R,3]: at most `HELDOUT` of them, spread evenly, are used. The Frechet distance is left out where
    the packages of Lite0 are missing; with so few pictures it serves to compare snapshots of one run, nothing else.
    """

    def __init__(self, images: np.ndarray):
        rows = np.linspace(0, len(images) - 1, min(len(images), HELDOUT)).astype(int)
        self.images = torch.from_numpy(np.stack([images[row] for row in rows])).permute(0, 3, 1, 2).contiguous()
        try:
            from ..metrics.lite0 import Lite0
            self.features = Lite0()
        except CoModError:
            self.features = None
        self._real = None

    @torch.inference_mode()
    def measure(self, trainer: Trainer) -> dict[str, float]:
        """L1 and the mean difference between two seeds, both over the holes and of 255; FD-Lite0."""
        net, device = trainer.ema, trainer.place.device
        holes = trainer.recipe.holes.rows(FIXED, range(len(self.images)))
        first, second = [], []
        for at in range(0, len(self.images), 32):
            real = self.images[at:at + 32].to(device).float() / 127.5 - 1
            for side, offset in ((first, 0), (second, len(self.images))):
                seeds = range(at + offset, at + offset + len(real))
                dropout = latents.generators(seeds, "dropout")
                encoding = net.encode(real, holes[at:at + 32].to(device), generators=dropout)
                side.append(to_bytes(net.decode(encoding, latents.sample(net, seeds)).cpu()))
        a, b = torch.cat(first), torch.cat(second)
        arrays = [x.numpy() for x in (self.images, a, b, holes)]
        found = {"L1 in the hole": np.nanmean(l1(arrays[0], arrays[1], arrays[3])),
                 "between two seeds": np.nanmean(l1(arrays[1], arrays[2], arrays[3]))}
        if self.features is not None and len(a) > 1:
            self._real = self.features(self.images) if self._real is None else self._real
            found["FD-Lite0"] = frechet_distance(self._real, self.features(a))
        return {name: round(float(value), 3) for name, value in found.items()}


def to_bytes(images: Tensor) -> Tensor:
    """[-1,1] to uint8, clamped and rounded."""
    return (images.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)


def watched(config: CompletionConfig, images: np.ndarray, heldout: np.ndarray | None, out: Path, *,
            start: Path | None = None, place: Place | None = None,
            report: Callable[[str], None] = print) -> Iterator[Progress]:
    """`loop.train`, with everything written that this file's docstring names; report gets a line a snapshot."""
    place = place or Place(config.precision)
    board = _tensorboard(out) if place.main else None
    held = HeldOut(heldout) if heldout is not None and place.main else None
    shown = images if heldout is None else heldout
    rows = torch.from_numpy(np.array(shown[:GRID_ROWS])).permute(0, 3, 1, 2).float() / 127.5 - 1

    def snapshot(trainer: Trainer) -> None:
        at = trainer.images_seen
        holes = trainer.recipe.holes.rows(FIXED, range(len(rows)))
        grid = completion_grid(trainer.ema, rows.to(place.device), holes.to(place.device), range(GRID_SEEDS))
        name = f"fakes{at // 1000:06d}.png"
        save_grid(out / name, grid.cpu(), scale=max(1, 128 // config.network.resolution))
        text = f"{at} images: {name}"
        if held is not None:
            found = held.measure(trainer)
            _append(out / "metrics.jsonl", {"images": at} | found, board)
            text += "".join(f", {key} {value}" for key, value in found.items())
        draw_curves(out)
        report(text)

    sums: dict[str, list[float]] = {}
    last = time.monotonic()
    for progress in train(config, images, out, snapshot, start, place):
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
