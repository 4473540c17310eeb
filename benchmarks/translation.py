"""The built-in networks that translate, against pix2pix or SPADE of the same loop where there is one; their cards.

    python benchmarks/translation.py --kind edges --data SET --heldout HELDOUT [--baseline FILE] [--count 1000]

SET and HELDOUT are folders made by datasets/avatars with --parts: what the networks were trained on, and pictures that
no network saw. --baseline: pix2pix (edges) or SPADE (labels). Validation fakes are measured against all training reals,
as published. Writes translation.json beside this file, docs/models/avatars-KIND-64.md and
docs/images/avatars-KIND-contact-sheet.jpg. Needs the extra `metrics`.
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
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from segmenter import mean_iou, trained_segmenter  # noqa: E402

from comod_core import load_model  # noqa: E402
from comod_core.checkpoints.store import open_fact, read_header  # noqa: E402
from comod_core.conditions import Condition, canny, from_drawing, from_labels  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.images import open_picture  # noqa: E402
from comod_core.labels import AVATAR_PARTS, fit_labels, from_palette, outlines, paint  # noqa: E402
from comod_core.loading import find_model  # noqa: E402
from comod_core.metrics import pairwise_diversity  # noqa: E402
from comod_core.metrics.frechet import frechet_distance  # noqa: E402
from comod_core.metrics.lite0 import Lite0  # noqa: E402
from comod_core.training.avatars import load_avatars, load_labels  # noqa: E402
from comod_core.training.grids import save_grid  # noqa: E402
from comod_core.training.heldout import to_bytes  # noqa: E402
from comod_core.translation import condition_channels, translate, translate_batch  # noqa: E402

NAMES = {"edges": "avatars-edges-64", "labels": "avatars-labels-64"}
HANDMADE = {"edges": "drawings", "labels": "label_maps"}
BASELINES = {"edges": "pix2pix", "labels": "SPADE"}
PSIS = (1.0, 0.7)
SEEDS, VARIED = 4, 60          # pictures of one condition, and conditions, by which diversity is measured
REACH = 1                       # pixels that an edge may lie beside its line


def conditions_of(kind: str, labels: np.ndarray) -> Condition:
    """What the networks are given: outlines of the parts, or the parts themselves."""
    if kind == "labels":
        return from_labels(torch.from_numpy(np.array(labels)), AVATAR_PARTS)
    return Condition("edges", lines=torch.from_numpy(outlines(np.array(labels)))[:, None].float() / 255)


def pictures(net, condition: Condition, seeds: list[int], psi: float) -> Tensor:
    """One picture a condition, with the seed of the same place: uint8 [N,3,R,R]."""
    seen, made = condition.fit(net.resolution, condition_channels(net)), []
    for at in range(0, len(seeds), 50):
        made.append(to_bytes(translate_batch(net, seen[at:at + 50], seeds[at:at + 50], psi)))
    return torch.cat(made)


def found_edges(images: Tensor) -> np.ndarray:
    """Canny's edges of uint8 [N,3,R,R]: bool [N,R,R]."""
    return np.stack([canny(image.movedim(0, -1).numpy()) > 0 for image in images])


def reach(lines: np.ndarray) -> np.ndarray:
    """Everything within REACH pixels of a line: bool [N,R,R]."""
    padded = torch.nn.functional.max_pool2d(torch.from_numpy(lines).float()[:, None], 2 * REACH + 1, 1, REACH)
    return padded[:, 0].numpy() > 0


def line_agreement(images: Tensor, condition: Condition) -> dict[str, float]:
    """How far Canny's edges of the pictures are the drawing's lines: share of the lines that are found within a pixel
    (recall), of the edges that are lines (precision), and their harmonic mean; all in per cent, over all pictures."""
    edges, lines = found_edges(images), condition.lines[:, 0].numpy() > 0.5
    recall = (reach(edges) & lines).sum() / lines.sum()
    precision = (reach(lines) & edges).sum() / edges.sum()
    return {"line F1 %": 200 * recall * precision / (recall + precision), "line recall %": 100 * recall,
            "line precision %": 100 * precision}


def scores(images: Tensor, condition: Condition, features: Lite0, reals: np.ndarray, segment) -> dict[str, float]:
    """FD-Lite0 to all training pictures, and agreement with the condition."""
    return {"FD-Lite0": frechet_distance(reals, features(images))} | agreement(images, condition, segment)


def agreement(images: Tensor, condition: Condition, segment) -> dict[str, float]:
    """How far the pictures show what the condition says."""
    if condition.kind == "edges":
        return line_agreement(images, condition)
    seen, wanted = segment(images), condition.labels
    return {"label mIoU %": 100 * mean_iou(seen, wanted, len(AVATAR_PARTS)),
                    "label accuracy %": 100 * float((seen == wanted).float().mean())}


def diversity(net, condition: Condition, features: Lite0, psi: float) -> dict[str, float]:
    """Between SEEDS pictures of one condition: perceptual distance by Lite0, and mean difference of 255."""
    distances, gaps = [], []
    for i in range(min(VARIED, len(condition))):
        seen = condition[i].fit(net.resolution, condition_channels(net)).expand(SEEDS, -1, -1, -1)
        many = to_bytes(translate_batch(net, seen, range(i * SEEDS, (i + 1) * SEEDS), psi))
        distances.append(pairwise_diversity(features.describe(many)[1]))
        gaps.append(float((many[1:].float() - many[:-1].float()).abs().mean()))
    return {"diversity-Lite0": float(np.mean(distances)), "between two seeds": float(np.mean(gaps))}


def measure(networks: dict, kind: str, data: Path, heldout: Path, count: int, reals: int) -> dict[str, dict]:
    """The rows of the table: the networks, the pictures themselves, and pictures of other conditions."""
    features = Lite0()
    reals = training_features(features, data, reals)
    real = torch.from_numpy(np.array(load_avatars(heldout)[0][:count])).permute(0, 3, 1, 2).contiguous()
    condition = conditions_of(kind, load_labels(heldout)[0][:count])
    segment = trained_segmenter(load_avatars(data)[0], load_labels(data)[0]) if kind == "labels" else None
    found = {}
    for name, net in networks.items():
        for psi in PSIS if hasattr(net, "w_avg") else PSIS[:1]:
            images, row = pictures(net, condition, list(range(len(condition))), psi), f"{name}, psi {psi}"
            found[row] = scores(images, condition, features, reals, segment) | diversity(net, condition, features, psi)
            print(row, json.dumps(found[row]), flush=True)
    found["the held-out pictures"] = scores(real, condition, features, reals, segment)
    found["pictures of other conditions"] = agreement(real.roll(1, 0), condition, segment)
    return found


def training_features(features: Lite0, data: Path, count: int) -> np.ndarray:
    """Lite0 features of the first `count` training pictures; kept beside them, because they take minutes."""
    kept = data / f"features-lite0-{features.digest[:8]}-{count}.npy"
    if not kept.exists():
        images, blocks = load_avatars(data)[0][:count], []
        for at in range(0, len(images), 500):
            blocks.append(features(torch.from_numpy(np.array(images[at:at + 500])).permute(0, 3, 1, 2)))
        with atomic_write(kept) as file:
            np.save(file, np.concatenate(blocks))
    return np.load(kept)


def contact_sheet(networks: dict, kind: str, heldout: Path, path: Path) -> None:
    """The first six held-out conditions, and some by hand: condition, six seeds, and two of every other network."""
    condition, rows = conditions_of(kind, load_labels(heldout)[0][:6]), []
    given = [condition[i] for i in range(len(condition))]
    for file in sorted((ROOT / "example_conditions" / HANDMADE[kind]).glob("*.png")):
        image = open_picture(file).image
        given.append(from_drawing(image) if kind == "edges" else from_labels(from_palette(image, AVATAR_PARTS),
                                                                             AVATAR_PARTS))
    for one in given:
        tiles = []
        for i, net in enumerate(networks.values()):
            seeds = 2 if i else 6
            seen = one.fit(net.resolution, condition_channels(net))
            tiles += [to_bytes(made.image[0]) for made in translate(net, seen, range(seeds))]
        if kind == "edges":
            shown = one.fit(64, 1).expand(-1, 3, -1, -1)
        else:
            shown = paint(fit_labels(one.labels, 64), one.classes)
        rows.append(torch.cat([to_bytes(shown[0]), *tiles], dim=2))
    save_grid(path, torch.cat(rows, dim=1).permute(1, 2, 0).contiguous())


def card(kind: str, record: dict) -> str:
    """The model card as Markdown."""
    header, found, name = record["header"], record["results"], NAMES[kind]
    what = "line drawings" if kind == "edges" else "maps of seven parts (skin, hair, eyes, mouth, clothes, …)"
    others = "".join(f", two of {other}" for other in record["others"])
    columns = list(dict.fromkeys(key for row in found.values() for key in row))
    lines = [f"# {name}", "", "*Written by benchmarks/translation.py.*", "",
             f"![Conditions and pictures](../images/avatars-{kind}-contact-sheet.jpg)", "",
             f"*A row a condition: the condition, six pictures of the seeds 0 to 5{others}. The first six conditions "
             "are those of the first held-out avatars, not chosen; the others are by hand.*", "",
             f"Turns {what} into avatar portraits of 64x64 pixels, a different one for every seed. It knows these "
             "avatars, framed alike, and nothing else.", "",
             f"- Data: {header['origin']}; {header['credits']}.",
             f"- Licence of the weights: {header['licence']}.",
             f"- Training: {length(record['own'])}{gone_back(header)}; recipe `{kind}`, the settings are in the file.",
             f"- File: SHA-256 `{record['sha256']}`, {record['bytes'] / 1e6:.1f} MB, {size(record['own'])}.",
             *(other_facts(*item) for item in record["others"].items()),
             f"- Measured on {record['count']} held-out drawings, one seed each, against "
             f"{record['reals']:,} of the {record['pictures']:,} training pictures; {record['machine']}.", "",
             "| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row, values in found.items():
        cells = (f"{values[key]:.2f}" if key in values else "" for key in columns)
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    agreement = ("Agreement: Canny's edges of the result against the drawing (the outlines of the parts), one pixel of "
                 "play. The pictures themselves do not reach 100 %, because outlines and Canny's edges differ."
                 if kind == "edges" else
                 "Agreement: a small U-Net that benchmarks/segmenter.py trains on the training pictures finds the "
                 "parts in the result; its own errors are in the row of the held-out pictures.")
    lines += ["", agreement, "", f"diversity-Lite0 is the mean perceptual distance between {SEEDS} seeds of one "
              f"condition ({VARIED} conditions), \"between two seeds\" their mean difference of 255. Feature distances "
              "of EfficientNet-Lite0 compare with one another only, never with a published FID or LPIPS."]
    return "\n".join(lines)


def stages(header: dict) -> list[str]:
    """What each run that led to a file was, the first one first."""
    before, settings = open_fact(header.get("begun")), open_fact(header["training"])
    critic = ("reconstruction alone" if settings["l1_only_kimg"] >= settings["total_kimg"] else
              "a discriminator on features" if settings.get("critic") == "features" else
              "the published discriminator" if settings["architecture"] == "comodgan" else
              f"the losses that {settings['architecture']} was published with")
    return (stages(before) if before else []) + [
        f"{int(header['steps']):,} steps of {settings['batch']} pictures with {critic}"]


def gone_back(header: dict) -> str:
    share = json.loads(header.get("earlier", '{"share": 1}'))["share"]
    return "" if share == 1 else f", of which the weights go {100 * share:g} % of the way"


def facts_of(net, path: Path) -> dict:
    """What the card tells of a network; metrics.jsonl of its run, where it lies beside the file, tells its course."""
    header, course = read_header(path), path.with_name("metrics.jsonl")
    seen = [json.loads(line) for line in course.read_text("utf-8").splitlines()] if course.exists() else []
    condition = torch.zeros(1, condition_channels(net), *[net.resolution] * 2)
    with FlopCounterMode(display=False) as counter:
        translate_batch(net, condition, [0])
    return {"parameters": sum(p.numel() for p in net.parameters()), "flops": counter.get_total_flops(),
            "pictures": pictures_seen(header), "stages": stages(header), "course": seen}


def pictures_seen(header: dict) -> int:
    """How many pictures the runs that led to a file were trained with."""
    before = open_fact(header.get("begun"))
    return (pictures_seen(before) if before else 0) + int(header["steps"]) * open_fact(header["training"])["batch"]


def other_facts(name: str, facts: dict) -> str:
    return f"- {name}, by the same loop: {length(facts)}; {size(facts)}.{course_of(facts['course'])}"


def course_of(course: list[dict]) -> str:
    """When a run was at its best and where it ended, by what it measured itself at its snapshots."""
    if not course:
        return ""
    best = min(course, key=lambda seen: seen["FD-Lite0"])
    return (f" At its snapshots (256 held-out pictures) its FD-Lite0 was {best['FD-Lite0']:.0f} at best, after "
            f"{best['images']:,} pictures of the last stage, and {course[-1]['FD-Lite0']:.0f} at the end.")


def length(facts: dict) -> str:
    return f"{facts['pictures']:,} pictures, {', then '.join(facts['stages'])}"


def size(facts: dict) -> str:
    return f"{facts['parameters'] / 1e6:.1f} M parameters, {facts['flops'] / 1e9:.2f} GFLOP a picture"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=sorted(NAMES), required=True)
    for name in ("data", "heldout"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--reals", type=int, help="training pictures to compare with; by itself all of them")
    parser.add_argument("--sheet-only", action="store_true")
    options = parser.parse_args()
    kind, name = options.kind, NAMES[options.kind]
    file, networks = find_model(name)[0], {name: load_model(name)}
    others = {BASELINES[kind]: options.baseline} if options.baseline else {}
    networks |= {other: load_model(path) for other, path in others.items()}
    contact_sheet(networks, kind, options.heldout, ROOT / "docs" / "images" / f"avatars-{kind}-contact-sheet.jpg")
    if options.sheet_only:
        return
    pictures_there = len(load_avatars(options.data)[0])
    reals = min(options.reals or pictures_there, pictures_there)
    record = {"model": name, "sha256": networks[name].info.sha256, "bytes": file.stat().st_size,
              "header": {key: value for key, value in read_header(file).items()
                         if key in ("origin", "credits", "licence", "steps", "training", "begun", "earlier")},
              "count": options.count, "reals": reals, "pictures": pictures_there,
              "machine": f"{os.cpu_count()} cores, {platform.machine()} {platform.system()}, torch {torch.__version__}",
              "own": facts_of(networks[name], file),
              "others": {other: facts_of(networks[other], path) for other, path in others.items()},
              "results": measure(networks, kind, options.data, options.heldout, options.count, reals)}
    place = Path(__file__).with_suffix(".json")
    records = json.loads(place.read_text("utf-8")) if place.exists() else {}
    with atomic_write(place, "w") as out:
        out.write(json.dumps(records | {kind: record}, indent=1, sort_keys=True) + "\n")
    with atomic_write(ROOT / "docs" / "models" / f"{name}.md", "w") as out:
        out.write(card(kind, record) + "\n")


if __name__ == "__main__":
    main()
