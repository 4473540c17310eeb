"""The built-in model in float32 and in bfloat16, side by side, and how far apart they are.

    python benchmarks/precision.py      # a few seconds

Each example picture is completed with one seed in both number formats, and eight seeds give the figures: PSNR of
bfloat16 against float32, in the model's pixels under the hole. Writes benchmarks/precision.json and precision.png: what
the network sees, float32, bfloat16, and twenty times their difference.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from comod_core import completion, latents, load_model, speed  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.images import open_mask, open_picture  # noqa: E402
from comod_core.training.grids import save_grid  # noqa: E402
from comod_core.training.heldout import to_bytes  # noqa: E402

MODEL, SEEDS, TIMES, SCALE = "avatars-64", range(8), 20, 3
EXAMPLES = ("avatar", "avatar-eyes", "avatar-hair")


def tiles(net, prepared: completion.Prepared, dtype: torch.dtype) -> Tensor:
    """The network's own pictures [N,3,R,R] of the seeds in this number format."""
    net.inference_dtype = dtype
    encodings = completion.encode(net, prepared)
    found = completion.decode(net, prepared, encodings, latents.sample(net, SEEDS), SEEDS)
    return torch.stack([seed[0] for seed in found])


def main() -> None:
    net = load_model(MODEL)
    rows, cells = {}, []
    for name in EXAMPLES:
        prepared = completion.prepare(net, open_picture(ROOT / f"example_pictures/{name}.png").image,
                                      open_mask(ROOT / f"example_pictures/{name}-mask.png"))
        full, half = (tiles(net, prepared, dtype) for dtype in (torch.float32, torch.bfloat16))
        crop = prepared.crops[0]
        hidden = crop.mask.bool().expand_as(full)
        error = (half - full)[hidden].square().view(len(full), -1).mean(dim=1)
        decibels = 10 * torch.log10(4 / error)
        rows[name] = {"PSNR, lowest of the seeds (dB)": round(float(decibels.min()), 1),
                      "PSNR, mean (dB)": round(float(decibels.mean()), 1),
                      "largest difference (of 255)": round(float((half - full).abs().max()) * 127.5, 1)}
        print(name, rows[name])
        cells.append(torch.cat([crop.image[0], full[0], half[0], (half[0] - full[0]) * TIMES], dim=2))
    save_grid(Path(__file__).with_suffix(".png"), to_bytes(torch.cat(cells, dim=1)).permute(1, 2, 0), SCALE)
    with atomic_write(Path(__file__).with_suffix(".json"), "w") as file:
        file.write(json.dumps({"model": MODEL, "machine": speed.machine("cpu"), "seeds": len(SEEDS), "examples": rows},
                              indent=1) + "\n")


if __name__ == "__main__":
    main()
