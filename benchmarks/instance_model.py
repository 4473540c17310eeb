"""The built-in instance-conditioned model against a plain StyleGAN2 of the same size, its model card and contact sheet.

    python benchmarks/instance_model.py --train SET --heldout SET --other SET --other SET --cache FOLDER [--plain MODEL]

The sets are folders made by datasets/avatars: what was trained on (its first --rows pictures), held-out pictures of the
same styles, and pictures of other styles. Pictures are made as `comod instance generate` makes them, one an instance,
with psi 1. The features of all pictures are kept in --cache, for those of the training set take minutes. Writes
benchmarks/instance_model.json, docs/models/avatars-instance-64.md and its contact sheet in docs/images. Needs the extra
`metrics`.

True neighbours: a sample's nearest training picture, by the cosine of Lite0's features, is one of the NEAR nearest
training pictures of its instance, the instance itself not counted. As a control the same samples are compared with
instances that they were not made from. --plain: an unconditional model of the same size.
"""
from __future__ import annotations

import argparse
import dataclasses
import functools
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

from comod_core import load_model  # noqa: E402
from comod_core.checkpoints.store import read_header  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.instances.extractors import load_extractor  # noqa: E402
from comod_core.instances.generation import as_bytes, generate  # noqa: E402
from comod_core.loading import find_model  # noqa: E402
from comod_core.metrics import frechet_distance, kernel_distance, nearest_neighbour_scores  # noqa: E402
from comod_core.metrics.lite0 import Lite0  # noqa: E402
from comod_core.training.avatars import load_avatars  # noqa: E402
from comod_core.training.grids import save_grid  # noqa: E402
from comod_core.training.neighbourhoods import thumbnails  # noqa: E402

MODEL, SWAPPED, PLAIN = "avatars-instance-64", "its samples, another instance", "plain StyleGAN2"
RETRIEVAL, FLOOR = "nearest training picture", "real pictures"
NEAR = 50
SHEET = Path("docs/images/avatars-instance-contact-sheet.jpg")
COLUMNS = {"FD-Lite0": "{:.1f}", "KID-Lite0": "{:.3f}", "precision": "{:.2f}", "recall": "{:.2f}", "density": "{:.2f}",
           "coverage": "{:.2f}", "true neighbours": "{:.0%}", "same style": "{:.0%}", "likeness": "{:.2f}",
           "two seeds": "{:.2f}", "colours": "{:.3f}"}


@dataclasses.dataclass
class Pictures:
    """Pictures uint8 [N,3,R,R], their Lite0 features, features of length 1, styles and colours."""

    images: Tensor
    features: np.ndarray
    styles: np.ndarray
    colours: np.ndarray

    @classmethod
    def open(cls, folder: Path, count: int, network: Lite0, cache: Path) -> Pictures:
        """The first `count` pictures of a set, or all."""
        images, attributes = load_avatars(folder)
        images = np.array(images[:count])
        pictures = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        kept = cache / f"{folder.resolve().name}-{len(images)}.npy"
        if not kept.is_file():
            print(f"features of {len(images)} pictures of {folder}", flush=True)
            found = network(pictures)
            with atomic_write(kept) as file:
                np.save(file, found)
        return cls(pictures, np.load(kept), np.array([one["style"] for one in attributes[:count]]), thumbnails(images))

    @functools.cached_property
    def unit(self) -> np.ndarray:
        return unit(self.features)

    @property
    def title(self) -> str:
        return ", ".join(dict.fromkeys(self.styles))

    def subset(self, rows: np.ndarray) -> Pictures:
        return Pictures(self.images[rows], self.features[rows], self.styles[rows], self.colours[rows])


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def conditions(net, images: Tensor) -> Tensor | None:
    """The features that a network takes, of pictures uint8 [N,3,R,R]; None where it takes none."""
    if not net.feature_size:
        return None
    rows = load_extractor(net.info.features, next(net.parameters()).device)(images)
    return torch.from_numpy(unit(rows))


def samples(net, images: Tensor, first: int) -> Tensor:
    """One sample an instance, of the seeds first, first + 1, ...: uint8 [N,3,R,R]."""
    seeds = range(first, first + len(images))
    return torch.cat([as_bytes(one.image) for one in generate(net, seeds, conditions(net, images))])


def quality(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    return {"FD-Lite0": float(frechet_distance(real, fake)), "KID-Lite0": float(kernel_distance(real, fake)[0]),
            **nearest_neighbour_scores(real, fake)}


def kinship(fake: np.ndarray, shown: Tensor | np.ndarray, wanted: Pictures, train: Pictures,
            own: np.ndarray | None) -> dict[str, float]:
    """How near samples (features of length 1, pictures) are to their instances. own: rows of these in the training
    set, where they are of it."""
    likeness = wanted.unit @ train.unit.T
    if own is not None:
        likeness[np.arange(len(own)), own] = -1
    family = np.argpartition(-likeness, NEAR, axis=1)[:, :NEAR]
    nearest = (fake @ train.unit.T).argmax(axis=1)
    colours = thumbnails(np.asarray(torch.as_tensor(shown).permute(0, 2, 3, 1)))
    found = {"true neighbours": float((family == nearest[:, None]).any(axis=1).mean()),
             "likeness": float((fake * wanted.unit).sum(axis=1).mean()),
             "colours": float(np.sqrt(np.square(colours - wanted.colours).mean(axis=1)).mean())}
    if set(wanted.styles) <= set(train.styles):
        found["same style"] = float((train.styles[nearest] == wanted.styles).mean())
    return found


def measure(nets: dict, wanted: Pictures, train: Pictures, network: Lite0, own: np.ndarray | None = None) -> dict:
    """Numbers of each network, of retrieval and of real pictures, with these instances."""
    found = {}
    for name, net in nets.items():
        first, second = (samples(net, wanted.images, seed) for seed in (0, len(wanted.unit)))
        features = network(first)
        a, b = unit(features), unit(network(second))
        found[name] = quality(wanted.features, features) | kinship(a, first, wanted, train, own)
        found[name]["two seeds"] = float((a * b).sum(axis=1).mean())
        print(wanted.title, name, json.dumps(found[name]), flush=True)
        if net.feature_size:
            others = np.random.default_rng(1).permutation(len(a))
            found[SWAPPED] = kinship(a[others], first[others], wanted, train, own)
    likeness = wanted.unit @ train.unit.T
    if own is not None:
        likeness[np.arange(len(own)), own] = -1
    at = np.argsort(-likeness, axis=1)[:, :2]
    found[RETRIEVAL] = quality(wanted.features, train.features[at[:, 0]])
    found[RETRIEVAL] |= kinship(train.unit[at[:, 0]], train.images[at[:, 0]], wanted, train, own)
    found[RETRIEVAL]["two seeds"] = float((train.unit[at[:, 0]] * train.unit[at[:, 1]]).sum(axis=1).mean())
    if own is None and set(wanted.styles) <= set(train.styles):
        others = np.random.default_rng(0).choice(len(train.unit), len(wanted.unit), replace=False)
        found[FLOOR] = quality(wanted.features, train.features[others])
        found[FLOOR] |= kinship(train.unit[others], train.images[others], wanted, train, None)
    return found


def contact_sheet(net, sets: list[Pictures], train: Pictures, path: Path) -> None:
    """Instance, its three nearest training pictures, six samples (seeds 0 to 5). Not chosen: the first of each set."""
    rows = []
    for wanted, count in zip(sets, (8, 2, 2), strict=False):
        for i in range(count):
            near = np.argsort(-(train.unit @ wanted.unit[i]))[:3]
            look = conditions(net, wanted.images[i:i + 1])[0]
            made = [as_bytes(one.image)[0] for one in generate(net, range(6), look)]
            gap = torch.full((3, net.resolution, net.resolution // 8), 255, dtype=torch.uint8)
            rows.append(torch.cat([wanted.images[i], gap, *train.images[near], gap, *made], dim=2))
    save_grid(path, torch.cat(rows, dim=1).permute(1, 2, 0).contiguous())


def table(found: dict) -> list[str]:
    columns = [column for column in COLUMNS if any(column in row for row in found.values())]
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in found.items():
        values = [COLUMNS[column].format(row[column]) if column in row else "" for column in columns]
        lines.append(f"| {name} | " + " | ".join(values) + " |")
    return lines


def card(record: dict) -> str:
    """The model card as Markdown."""
    header, results = record["header"], record["results"]
    heldout, swapped = (list(results.values())[1][name] for name in (MODEL, SWAPPED))
    lines = [f"# {MODEL}", "", "*Written by benchmarks/instance_model.py.*", "",
             f"![Instances, their neighbours and samples](../images/{SHEET.name})", "",
             "Each row: the instance, which the model has never seen; its three nearest pictures of the training set; "
             f"six samples of seeds 0 to 5. The first eight rows are of the styles {record['styles']}, the others of "
             f"styles that were not trained on: {record['others']}.", "",
             "Generates drawn avatar portraits of 64x64 pixels from an instance (IC-GAN with StyleGAN2). It is there "
             f"to try everything and knows only its four styles. With held-out instances {heldout['same style']:.0%} "
             f"of the samples have the instance's style ({swapped['same style']:.0%} by chance); their colours are "
             f"{heldout['colours']:.3f} away from the instance's, those of another instance's samples "
             f"{swapped['colours']:.3f}. To the eye, samples have the colours of the instance's "
             "background, skin, hair and clothes, while hair, clothes and glasses differ from seed to seed; eyes are "
             "the weakest part, and expressions hardly vary.", "",
             f"- Data: {header['origin']}; {header['credits']}.",
             f"- Licence of the weights: {header['licence']}.",
             f"- Training: on the first {record['rows']:,} pictures of the set; {int(header['steps']):,} steps of "
             f"{record['batch']} pictures in its last run; [docs/training.md](../training.md) has all of them.",
             f"- File: SHA-256 `{record['sha256']}`, {record['bytes'] / 1e6:.1f} MB, {record['parameters'] / 1e6:.1f} "
             f"M parameters without the discriminator. Instance features: {record['features']}.",
             f"- Measured: {record['count']} instances of each set, one sample each, psi 1; {record['machine']}.", "",
             *([f"The {PLAIN} has the same layers without the instance and was trained from nothing by the same "
                f"discriminator alone, on 40,000 drawings of the same styles, for {record['plain steps']:,} steps of "
                f"{record['plain batch']} pictures. In the end that discriminator told nearly all of its pictures; "
                "[docs/training.md](../training.md) has its best moment."] if record["plain steps"] else []),
             f"'{SWAPPED.capitalize()}' are the same pictures, each compared with an instance drawn at random: what "
             f"conditioning adds is the difference. The {RETRIEVAL} is what one has without a generator: it is no new "
             f"picture. {FLOOR.capitalize()} are drawn at random from the training set.", ""]
    for name, found in results.items():
        lines += [f"**{name}**", "", *table(found), ""]
    lines += [f"- true neighbours: share of samples whose nearest training picture is one of the {NEAR} nearest of "
              f"their instance ({record['rows']:,} pictures: {NEAR / record['rows']:.1%} by chance); same style: "
              "share whose nearest training picture is of the instance's style.",
              "- likeness: mean cosine of sample and instance; two seeds: of two samples of one instance, lower is "
              "more varied; colours: root mean square difference of 8x8 thumbnails to the instance's, lower is nearer.",
              "- precision and density: how real samples look, recall and coverage: how much of the real variety they "
              "have; with 5 neighbours. All by EfficientNet-Lite0, never to be compared with a published FID; these "
              "features are also a part of the model's condition."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "heldout", "cache"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--plain", type=Path, help="an unconditional model of the same size")
    parser.add_argument("--other", type=Path, action="append", default=[])
    parser.add_argument("--rows", type=int, default=24000)
    parser.add_argument("--count", type=int, default=1000, help="instances of each set, at most")
    parser.add_argument("--model", default=MODEL, help="another file in the place of the built-in model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sheet-only", action="store_true")
    options = parser.parse_args()
    network, net = Lite0(options.device), load_model(options.model, options.device)
    train = Pictures.open(options.train, options.rows, network, options.cache)
    sets = [Pictures.open(folder, options.count, network, options.cache)
            for folder in (options.heldout, *options.other)]
    contact_sheet(net, sets, train, ROOT / SHEET)
    if options.sheet_only:
        return
    nets = {MODEL: net} | ({PLAIN: load_model(options.plain, options.device)} if options.plain else {})
    own = np.linspace(0, options.rows - 1, options.count).astype(int)
    results = {f"Instances of the training set ({train.title})": measure(nets, train.subset(own), train,
                                                                            network, own)}
    for i, wanted in enumerate(sets):
        kind = "Held-out instances of the same styles" if not i else "Instances of a style that was not trained on"
        results[f"{kind} ({wanted.title})"] = measure(nets, wanted, train, network)
    file = find_model(options.model)[0]
    header = read_header(file)
    record = {"model": MODEL, "features": net.info.features, "sha256": net.info.sha256, "bytes": file.stat().st_size,
              "rows": options.rows, "count": options.count,
              "parameters": sum(p.numel() for p in net.parameters()), "batch": json.loads(header["training"])["batch"],
              "plain steps": int(read_header(options.plain)["steps"]) if options.plain else None,
              "plain batch": json.loads(read_header(options.plain)["training"])["batch"] if options.plain else None,
              "styles": train.title,
              "others": ", ".join(one.title for one in sets[1:]),
              "header": {key: header[key] for key in ("origin", "credits", "licence", "steps")
                         if key in header},
              "machine": f"{os.cpu_count()} cores, {platform.machine()} {platform.system()}, torch {torch.__version__}",
              "results": results}
    with atomic_write(Path(__file__).with_suffix(".json"), "w") as out:
        out.write(json.dumps(record, indent=1) + "\n")
    with atomic_write(ROOT / "docs" / "models" / f"{MODEL}.md", "w") as out:
        out.write(card(record) + "\n")


if __name__ == "__main__":
    main()
