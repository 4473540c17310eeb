"""Train a CoModGAN on a folder of rendered pictures: `python -m comod_core.training --data DIR --out DIR`.

The folder holds images.npy, uint8 [N,R,R,3] (datasets/avatars makes one). Stop it at any time and start it again:
it goes on from its last snapshot to the same losses.
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from ..files import atomic_write
from ..networks import CoModConfig
from .grids import completion_grid, save_grid
from .loop import Trainer, train
from .recipes import CompletionConfig, config_from_json, recipe_of

# For the built-in model: narrow at high resolutions, where line art needs few channels; reconstruction alone until the
# layout stands (a third of the cost of a full step), then adversarial with a strong L1. docs/training.md has the story.
AVATARS_64 = CompletionConfig(
    network=CoModConfig(resolution=64, z_dim=128, w_dim=128, mapping_layers=4, mapping_fmaps=128, fmap_base=512,
                        fmap_max=128, dropout_rate=0.25),
    total_kimg=400.0, batch=8, r1_gamma=1.0, l1_only_kimg=100.0, l1_warmup_weight=25.0, l1_weight=6.0,
    l1_warmup_kimg=200.0, noise_mode="none", ema_kimg=5.0, hole_range=(0.0, 0.75), brush_width=(4.0, 12.0),
    structured_masks=0.5, snapshot_minutes=4.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="comod_core.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with images.npy")
    parser.add_argument("--out", type=Path, required=True, help="folder for snapshots, grids and the log")
    parser.add_argument("--config", type=Path, help="config.json of another run; the avatars' recipe without it")
    parser.add_argument("--kimg", type=float, help="stop after so many thousand images")
    parser.add_argument("--start", type=Path, help="model file (.safetensors) whose weights a new run begins with")
    options = parser.parse_args()
    config = config_from_json(options.config.read_text("utf-8")) if options.config else AVATARS_64
    images = np.load(options.data / "images.npy", mmap_mode="r")
    total = options.kimg or config.total_kimg
    options.out.mkdir(parents=True, exist_ok=True)
    show(options.out, config, images, total, options.start)


def show(out: Path, config: CompletionConfig, images: np.ndarray, total: float, start: Path | None = None) -> None:
    """Drive the loop: a line of means every half minute to log.jsonl and the terminal, a grid at each snapshot."""
    rows = torch.from_numpy(np.array(images[:8])).permute(0, 3, 1, 2).float() / 127.5 - 1
    holes = recipe_of(config).holes.rows(2 ** 40, range(len(rows)))

    def snapshot(trainer: Trainer) -> None:
        name = f"fakes{trainer.images_seen // 1000:06d}.png"
        save_grid(out / name, completion_grid(trainer.ema, rows, holes, range(6)))
        print(f"snapshot at {trainer.images_seen} images, {name}", flush=True)

    sums, last = {}, time.monotonic()
    for progress in train(config, images, out, snapshot, start):
        for name, value in progress.losses.items():
            sums.setdefault(name, []).append(value)
        if time.monotonic() - last > 30:
            means = {name: round(float(np.mean(values)), 4) for name, values in sums.items()}
            line = json.dumps({"images": progress.images, "img/s": round(progress.speed, 1)} | means)
            print(line, flush=True)
            with open(out / "log.jsonl", "a", encoding="utf-8") as file:
                file.write(line + "\n")
            sums, last = {}, time.monotonic()
        if progress.images >= total * 1000:
            break
    with atomic_write(out / "done.json", "w") as file:
        json.dump({"images": progress.images}, file)


if __name__ == "__main__":
    main()
