"""The built-in model on held-out avatars against the obvious baselines, its model card, and the README's contact sheet.

    python benchmarks/avatars.py --data HELDOUT [--count 1280] [--run RUN] [--unet UNET] [--sheet-only]

HELDOUT is a folder made by datasets/avatars with the split "heldout": no picture of it was trained on. Free-form holes
are measured as `comod evaluate` does, which gives the same numbers; halves are added here. RUN is the folder that
`comod train` left, UNET that of unet.py: the curve of both and the U-Net's numbers come from them. Writes
benchmarks/avatars.json, docs/models/avatars-64.md and its pictures in docs/images. Needs the extra `metrics`.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from unet import UNet, UNetFiller  # noqa: E402

from comod_core import load_model, masks  # noqa: E402
from comod_core.checkpoints.store import read_header  # noqa: E402
from comod_core.completion import complete  # noqa: E402
from comod_core.evaluation.completers import FILLERS, Filler, Network  # noqa: E402
from comod_core.evaluation.pictures import ArrayPictures  # noqa: E402
from comod_core.evaluation.protocol import Protocol  # noqa: E402
from comod_core.evaluation.report import shown  # noqa: E402
from comod_core.evaluation.run import evaluate  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.loading import find_model  # noqa: E402
from comod_core.metrics import frechet_distance  # noqa: E402
from comod_core.metrics.lite0 import Lite0  # noqa: E402
from comod_core.training.avatars import load_avatars  # noqa: E402
from comod_core.training.grids import save_grid  # noqa: E402
from comod_core.training.watch import read_rows  # noqa: E402

MODEL = "avatars-64"
CARD, IMAGES = ROOT / "docs" / "models" / f"{MODEL}.md", ROOT / "docs" / "images"
SIDES = ("left", "right", "top", "bottom")
PAIRS = 1280        # features of Lite0
METRICS = ("FD-Lite0", "KID-Lite0", "P-IDS-Lite0", "U-IDS-Lite0", "diversity-Lite0", "L1 in the hole")


def halves(completer, real: Tensor, features: Lite0) -> dict[str, float]:
    """Every picture without its left, right, upper or lower half, by turns: FD-Lite0 and mean errors, of 255.

    real uint8 [N,3,R,R]. "between two seeds": mean difference in the hole, where the completer has seeds.
    """
    holes = torch.cat([masks.half(completer.size, SIDES[i % 4]) for i in range(len(real))])
    both = torch.stack([completer(image, holes[i:i + 1], [2 * i, 2 * i + 1], [1.0])[0] for i, image in enumerate(real)])

    def gap(a: Tensor, b: Tensor) -> float:
        return float(((a.float() - b.float()).abs() * holes).sum() / (holes.sum() * 3))

    found = {"FD-Lite0": frechet_distance(features(real), features(both[:, 0])),
             "L1 in the hole": gap(both[:, 0], real)}
    return found | ({"between two seeds": gap(both[:, 0], both[:, 1])} if completer.varies else {})


def parameters(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def run(net, unet: Path | None, data: Path, count: int, out: Path) -> dict:
    pictures, features, protocol = ArrayPictures(data), Lite0(), Protocol(count=count, pairs=count)
    real = torch.from_numpy(np.array(load_avatars(data)[0][:count])).permute(0, 3, 1, 2).contiguous()
    middle = len(real) // 2
    found = {"half of the pictures against the other half": {
        "FD-Lite0": frechet_distance(features(real[:middle]), features(real[middle:2 * middle]))}}
    baselines = [Filler(name, net.resolution) for name in FILLERS]
    if unet:
        baselines.append(UNetFiller(unet / "unet.safetensors", net.resolution))
    for completer in (Network(net), *baselines):
        result = evaluate(completer, features, pictures, protocol, out / completer.name)
        found[completer.name] = {"protocol": result["protocol"], "rows": result["rows"],
                                 "halves": halves(completer, real, features)}
        print(completer.name, json.dumps(found[completer.name]["halves"]), flush=True)
    return found


def draw_curves(curves: dict[str, list[dict]], path: Path) -> None:
    """What was measured on held-out pictures while training, over the pictures seen: one plot a quantity."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = ("FD-Lite0", "L1 in the hole", "between two seeds")
    figure, axes = pyplot.subplots(1, len(names), figsize=(4.2 * len(names), 3.2), layout="constrained")
    for axis, name in zip(axes, names, strict=True):
        for label, rows in curves.items():
            points = [(row["images"] / 1000, row[name]) for row in rows if name in row]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
        axis.set(title=name, xlabel="thousand pictures seen")
        axis.grid(alpha=0.3)
    axes[0].legend()
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=110)
    pyplot.close(figure)


def hole_title(row: dict) -> str:
    low, high = (round(100 * edge) for edge in row["holes"])
    return "mixed" if row["mixed"] else f"{low}–{high} %"


def card(record: dict) -> str:
    """The model card as Markdown."""
    header, found = record["header"], record["results"]
    names = [name for name in found if "rows" in found[name]]

    def seen(name: str) -> int:
        return record["curves"][name][-1]["images"] // 1000

    lines = [f"# {MODEL}", "", "*Written by benchmarks/avatars.py.*", "",
             "![Held-out avatars, holes and completions](../images/avatars-contact-sheet.jpg)", "",
             "Completes drawn avatar portraits of 64x64 pixels, framed alike. It is there to try everything and knows "
             "nothing else.", "",
             f"- Data: {header['origin']}; {header['credits']}.",
             f"- Licence of the weights: {header['licence']}.",
             f"- Training: {int(header['steps']):,} steps in its last run; "
             "[docs/training.md](../training.md) tells the whole story.",
             f"- File: SHA-256 `{record['sha256']}`, {record['bytes'] / 1e6:.1f} MB, "
             f"{record['parameters'] / 1e6:.1f} M parameters without the discriminator.",
             f"- Measured on {record['count']} held-out drawings; {record['machine']}. Free-form holes, one seed "
             f"a hole: the numbers of `comod evaluate {MODEL} --data HELDOUT --count {record['count']} --pairs "
             f"{record['count']}` with OMP_NUM_THREADS={record['threads']} (other numbers change the last digits).", ""]
    for metric in METRICS:
        if "IDS" in metric and record["count"] < PAIRS:
            continue        # fewer pairs than features can be told apart whatever the quality
        rows = found[names[0]]["rows"]
        lines += [f"**{metric}**", "", "| hole | " + " | ".join(map(hole_title, rows)) + " |",
                  "|---" * (len(rows) + 1) + "|"]
        for name in names:
            values = [shown(metric, row["scores"][metric]) if metric in row["scores"] else "" for row in
                      found[name]["rows"]]
            if any(values):
                lines.append(f"| {name} | " + " | ".join(values) + " |")
        lines.append("")
    columns = list(found[names[0]]["halves"])
    lines += ["**Half of the picture** (left, right, upper, lower by turns; differences of 255)", "",
              "| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(f"{found[name]['halves'][c]:.2f}" if c in found[name]["halves"] else ""
                                          for c in columns) + " |" for name in names]
    if "unet-l1" in found:
        lines += ["", f"unet-l1: benchmarks/unet.py, a plain U-Net of {record['U-Net parameters'] / 1e6:.1f} M "
                  f"parameters, trained by L1 alone with the same pictures, holes and loop: {seen('unet-l1')} thousand "
                  f"pictures, avatars-64 {seen(MODEL)} thousand. L1 favours it. Distances of Lite0's features favour "
                  "avatars-64, in whose training the first blocks of that network had a say (perceptual distance, "
                  "discriminator)."]
    floor = found["half of the pictures against the other half"]["FD-Lite0"]
    lines += ["", f"Two halves of the real pictures ({record['count'] // 2} each; fewer pictures, larger "
              f"distances) have an FD-Lite0 of {floor:.2f}. Feature distances of "
              "EfficientNet-Lite0 compare with one another only, never with a published FID."]
    if record["curves"]:
        lines += ["", "![Held-out metrics over the training](../images/avatars-curve.png)",
                  "", "256 held-out pictures, mixed holes, at every snapshot of the training."]
    return "\n".join(lines)


def contact_sheet(net, real: Tensor, path: Path) -> None:
    """Eight held-out avatars: picture, hole, six completions of seeds 0 to 5. Not chosen: the first eight."""
    boxes = [masks.box(64, 20, 12, 30, 40), masks.half(64, "right"), masks.half(64, "bottom"), masks.half(64, "top"),
             masks.half(64, "left"), masks.box(64, 10, 8, 34, 48)]
    holes = boxes + [masks.free_form(64, seed, (0.3, 0.6), brush_width=(4, 12)) for seed in (1, 2)]
    rows = []
    for image, hole in zip(real, holes, strict=False):
        results = complete(net, image[None].float() / 127.5 - 1, hole, range(6))
        fills = [((result.image[0] + 1) * 127.5).round().to(torch.uint8) for result in results]
        rows.append(torch.cat([image, torch.where(hole[0] > 0, 172, image), *fills], dim=2))
    save_grid(path, torch.cat(rows, dim=1).permute(1, 2, 0).contiguous())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1280)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--unet", type=Path)
    parser.add_argument("--sheet-only", action="store_true")
    options = parser.parse_args()
    if options.unet and not options.run:
        parser.error("--unet needs --run: the card says how long both were trained")
    net, file = load_model(MODEL), find_model(MODEL)[0]
    real = torch.from_numpy(np.array(load_avatars(options.data)[0][:8])).permute(0, 3, 1, 2)
    contact_sheet(net, real, IMAGES / "avatars-contact-sheet.jpg")
    if options.sheet_only:
        return
    record = {"model": MODEL, "sha256": net.info.sha256, "bytes": file.stat().st_size,
              "parameters": parameters(net), "U-Net parameters": parameters(UNet()),
              "header": {key: read_header(file)[key] for key in ("origin", "credits", "licence", "steps")},
              "count": options.count, "threads": torch.get_num_threads(),
              "machine": f"{os.cpu_count()} cores, {platform.machine()} {platform.system()}, "
              f"torch {torch.__version__}", "curves": {name: read_rows(folder / "metrics.jsonl")
                         for name, folder in ((MODEL, options.run), ("unet-l1", options.unet)) if folder},
              "results": run(net, options.unet, options.data, options.count, ROOT / "out" / "avatars")}
    with atomic_write(Path(__file__).with_suffix(".json"), "w") as out:
        out.write(json.dumps(record, indent=1) + "\n")
    if record["curves"]:
        draw_curves(record["curves"], IMAGES / "avatars-curve.png")
    with atomic_write(CARD, "w") as out:
        out.write(card(record) + "\n")


if __name__ == "__main__":
    main()
