"""The built-in style-map model on held-out avatars against copy-paste and a vector model, its card and contact sheet.

    python benchmarks/stylemap.py --data HELDOUT [--count 500] [--sheet-only]

HELDOUT is a folder made by datasets/avatars with the split "heldout", part labels and known edits (--parts --edits): no
picture of it was trained on. Writes benchmarks/stylemap.json, docs/models/avatars-stylemap-64.md and
docs/images/avatars-stylemap-contact-sheet.jpg. Needs the extra `metrics`.

Copy-paste takes the reference's pixels under the mask, as they are or made seamless as the doors' edits are. The
vector model is the built-in avatars-64: its encoder's global code is the one vector that a picture becomes. Its
reconstruction is decoded from that vector alone (the whole picture is a hole, w is the mean); its edit completes the
masked part of the source with the mean of both vectors.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from comod_core import editing, load_model, masks, photos, stylemaps  # noqa: E402
from comod_core.checkpoints.store import read_header  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.loading import find_model  # noqa: E402
from comod_core.metrics import frechet_distance, perceptual_distance  # noqa: E402
from comod_core.metrics.lite0 import Lite0  # noqa: E402
from comod_core.training.avatars import load_avatars, load_edits, load_labels  # noqa: E402
from comod_core.training.grids import save_grid  # noqa: E402
from comod_core.training.heldout import to_bytes  # noqa: E402

MODEL, VECTOR = "avatars-stylemap-64", "avatars-64"
PARTS = ("hair", "eyes", "mouth", "clothes")
GROW = 2            # pixels by which an edit's mask is larger than the part, as a brush is
BATCH, RUNS = 50, 20
WHOLE = ("MSE", "perceptual-Lite0", "FD-Lite0", "FD_lerp-Lite0")
LOCAL = ("MSE_src", "MSE_ref", "MSE_part", "FD-Lite0")
SHEET = ROOT / "docs" / "images" / "avatars-stylemap-contact-sheet.jpg"


@dataclasses.dataclass
class Pairs:
    """Every picture with the next one. source, reference [N,3,R,R] in [-1,1]; own, its: their labels [N,1,R,R]."""

    source: Tensor
    own: Tensor
    names: list[str]

    @property
    def reference(self) -> Tensor:
        return self.source.roll(-1, 0)

    def part(self, name: str) -> tuple[Tensor, Tensor]:
        """Mask of an edit (the part in either picture, grown) and where the reference has the part."""
        here = self.own == self.names.index(name)
        taken = here.roll(-1, 0)
        return masks.grow((here | taken).float(), GROW), taken.float()


@dataclasses.dataclass
class Known:
    """Edits whose outcome is drawn: pictures, references and outcomes [N,3,R,R], masks [N,1,R,R], parts [N] by name."""

    source: Tensor
    reference: Tensor
    outcome: Tensor
    mask: Tensor
    part: np.ndarray

    @classmethod
    def load(cls, folder: Path, count: int) -> Known:
        """The first `count` edits that take from another picture; masks as in `Pairs.part`."""
        images, (labels, names) = load_avatars(folder)[0], load_labels(folder)
        edits, edited = load_edits(folder)
        rows = np.flatnonzero(edits[:, 0] != np.arange(len(edits)))[:count]
        its, part = edits[rows].T
        taken = (labels[rows] == part[:, None, None]) | (labels[its] == part[:, None, None])
        mask = masks.grow(torch.from_numpy(taken)[:, None].float(), GROW)
        return cls(as_pictures(images[rows]), as_pictures(images[its]), as_pictures(edited[rows]), mask,
                   np.array(names)[part])


def as_pictures(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array)).permute(0, 3, 1, 2).float() / 127.5 - 1


def load(folder: Path, count: int) -> Pairs:
    images, (labels, names) = load_avatars(folder)[0][:count], load_labels(folder)
    return Pairs(as_pictures(images), torch.from_numpy(np.array(labels[:count]))[:, None], names)


def batched(job: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """job over BATCH rows at a time, clamped: what is saved of a picture."""
    found = [job(*parts) for parts in zip(*(x.split(BATCH) for x in rows), strict=True)]
    return torch.cat(found).clamp(-1, 1)


class StyleMaps:
    """Decodes what `stylemaps` makes of two encoded pictures: the network's own output, nothing pasted."""

    def __init__(self, net):
        self.net, self.name = net, MODEL

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.net.decode(self.net.encode(x))

    def lerp(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        return self.net.decode(torch.lerp(self.net.encode(a), self.net.encode(b), t))

    def edit(self, a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
        return self.net.decode(stylemaps.blend(self.net, self.net.encode(a), self.net.encode(b), mask))


class Doors(StyleMaps):
    """What every door gives: the same, blended back into the untouched picture, as `editing.blend` does."""

    def __init__(self, net):
        super().__init__(net)
        self.name = f"{MODEL}, blended back"

    def edit(self, a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
        photo, reference = photos.prepare(self.net, a), photos.prepare(self.net, b)
        donor = photos.donated(photo, reference.inputs, mask)
        return photos.blend_back(photo, super().edit(a, b, mask), mask, donor)


class CopyPaste:
    name = "copy-paste of pixels"

    def edit(self, a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
        return torch.lerp(a, b, mask)


class SeamlessPaste:
    """Copy-paste with what the doors do to an edit, but without a network: the surroundings' colours, the soft edge."""

    name = "copy-paste, seamless"

    def __init__(self, net):
        self.net = net

    def edit(self, a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
        photo = photos.prepare(self.net, a)
        donor = photos.donated(photo, photos.prepare(self.net, b).inputs, mask)
        return photos.blend_back(photo, b, mask, donor)


class Vectors:
    """The vector model; see the top of this file."""

    def __init__(self, net):
        self.net, self.name = net, f"{VECTOR}, its vector"

    def _vector(self, x: Tensor) -> Tensor:
        return self.net.encode(x, torch.zeros_like(x[:, :1]), dropout=False).code

    def _decode(self, x: Tensor, mask: Tensor, code: Tensor) -> Tensor:
        encoding = dataclasses.replace(self.net.encode(x, mask, dropout=False), code=code, raw_code=code)
        w = self.net.w_avg.expand(len(x), self.net.num_layers, -1)
        return self.net.decode(encoding, w, "none")

    def reconstruct(self, x: Tensor) -> Tensor:
        return self._decode(x, torch.ones_like(x[:, :1]), self._vector(x))

    def lerp(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        code = torch.lerp(self._vector(a), self._vector(b), t.flatten(1))
        return self._decode(a, torch.ones_like(a[:, :1]), code)

    def edit(self, a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
        return self._decode(a, mask, (self._vector(a) + self._vector(b)) / 2)


class Scores:
    """Numbers by Lite0 and by pixels, which are in [-1,1]."""

    def __init__(self, pairs: Pairs):
        self.pairs, self.features = pairs, Lite0()
        self.real, self.maps = self.features.describe(to_bytes(pairs.source))

    def fd(self, images: Tensor) -> float:
        return frechet_distance(self.real, self.features(to_bytes(images)))

    def floor(self) -> float:
        """Of one half of the pictures against the other."""
        middle = len(self.real) // 2
        return frechet_distance(self.real[:middle], self.real[middle:])

    def whole(self, method) -> dict[str, float]:
        """One random share a pair for the interpolations, as published."""
        x = self.pairs.source
        again = batched(method.reconstruct, x)
        features, maps = self.features.describe(to_bytes(again))
        t = torch.rand(len(x), 1, 1, 1, generator=torch.Generator().manual_seed(0))
        between = batched(method.lerp, x, self.pairs.reference, t)
        values = (mse(again, x), perceptual_distance(self.maps, maps).mean(), frechet_distance(self.real, features),
                  self.fd(between))
        return {name: float(value) for name, value in zip(WHOLE, values, strict=True)}

    def local(self, method) -> dict[str, dict[str, float]]:
        found, (a, b) = {}, (self.pairs.source, self.pairs.reference)
        for part in PARTS:
            mask, taken = self.pairs.part(part)
            edited = batched(method.edit, a, b, mask)
            values = (mse(edited, a, 1 - mask), mse(edited, b, mask), mse(edited, b, taken), self.fd(edited))
            found[part] = dict(zip(LOCAL, values, strict=True))
        return found

    def known(self, method, edits: Known) -> dict[str, float]:
        """MSE to the drawn outcome under the mask, by part, and FD-Lite0 between what is made and what is drawn."""
        made = batched(method.edit, edits.source, edits.reference, edits.mask)
        found = {part: mse(made[rows], edits.outcome[rows], edits.mask[rows])
                 for part in PARTS for rows in [torch.from_numpy(edits.part == part)]}
        drawn = self.features(to_bytes(edits.outcome))
        return found | {"FD-Lite0": float(frechet_distance(drawn, self.features(to_bytes(made))))}

    def samples(self, net) -> dict[str, float]:
        """FD-Lite0 of as many random pictures."""
        found = {}
        for psi in (0.7, 1.0):
            found[f"psi {psi}"] = self.fd(batched(net.decode, stylemaps.sample(net, range(len(self.real)), psi)))
        return found


def mse(a: Tensor, b: Tensor, mask: Tensor | None = None) -> float:
    """Mean squared difference on [-1,1]; under masks [N,1,R,R], over all pixels of all of them."""
    gap = (a - b).square().mean(dim=1, keepdim=True)
    return float(gap.mean() if mask is None else (gap * mask).sum() / mask.sum())


def latency(net, vector, pairs: Pairs) -> dict[str, float]:
    """Median milliseconds of RUNS, one picture at a time, after one that is left out."""
    a, b, (mask, _) = pairs.source[:1], pairs.reference[:1], (x[:1] for x in pairs.part("hair"))
    style = net.encode(a)
    jobs = {"encode": lambda: net.encode(a), "decode": lambda: net.decode(style),
            "blend (encode two, decode one)": lambda: StyleMaps(net).edit(a, b, mask),
            "editing.blend, as in every door": lambda: editing.blend(net, a, b, mask),
            f"{VECTOR}, its edit": lambda: Vectors(vector).edit(a, b, mask)}
    found = {}
    for name, job in jobs.items():
        times = []
        for _ in range(RUNS + 1):
            start = time.perf_counter()
            job()
            times.append(1000 * (time.perf_counter() - start))
        found[name] = statistics.median(times[1:])
    return found


def run(net, pairs: Pairs, edits: Known) -> dict:
    vector, scores = load_model(VECTOR), Scores(pairs)
    found = {"floor": scores.floor(), "latency": latency(net, vector, pairs), "load": os.getloadavg()[0],
             "samples": scores.samples(net), "edits": len(edits.part), "whole": {}, "local": {}, "known": {}}
    for method in (StyleMaps(net), Vectors(vector)):
        found["whole"][method.name] = scores.whole(method)
        print(method.name, found["whole"][method.name], flush=True)
    for method in (StyleMaps(net), Doors(net), CopyPaste(), SeamlessPaste(net), Vectors(vector)):
        found["local"][method.name] = scores.local(method)
        found["known"][method.name] = scores.known(method, edits)
        print(method.name, found["local"][method.name], found["known"][method.name], flush=True)
    return found


def table(rows: dict[str, dict[str, float]], columns: tuple[str, ...]) -> list[str]:
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(shown(column, row[column]) for column in columns) + " |")
    return [*lines, ""]


def shown(column: str, value: float) -> str:
    if column.startswith("FD"):
        return f"{value:.1f}"
    return f"{value:.4f}" if column.startswith("MSE") or column in PARTS else f"{value:.3f}"


def card(record: dict) -> str:
    """The model card as Markdown."""
    header, found, count = record["header"], record["results"], record["count"]
    lines = [f"# {MODEL}", "", "*Written by benchmarks/stylemap.py.*", "",
             "![Held-out avatars and what edits make of them](../images/avatars-stylemap-contact-sheet.jpg)", "",
             "Each row: a picture, the next one as its reference, its reconstruction, then the reference's hair, eyes, "
             "mouth and clothes in the picture, as every door gives them. Not chosen: the first eight.", "",
             "A StyleMapGAN (Kim et al., CVPR 2021) for drawn avatar portraits of 64x64 pixels, framed alike: it edits "
             "them and draws random ones. It is there to try everything and knows nothing else.", "",
             f"- Data: {header['origin']}; {header['credits']}.",
             f"- Licence of the weights: {header['licence']}.",
             f"- Training: {int(header['steps']):,} steps in its last run; mapping {header['mapping']}; "
             "[docs/training.md](../training.md) tells how.",
             f"- File: SHA-256 `{record['sha256']}`, {record['bytes'] / 1e6:.1f} MB, "
             f"{record['parameters'] / 1e6:.1f} M parameters without the discriminator.",
             f"- Measured on {count} held-out drawings with `python benchmarks/stylemap.py --data HELDOUT --count "
             f"{count}`; {record['machine']}. Pixels are on [-1,1].", "",
             "**Whole pictures.** FD_lerp: pictures decoded at a random share of the way between two encoded ones.", ""]
    lines += table(found["whole"], WHOLE)
    lines += ["The vector model's picture is decoded from its encoder's global code alone, with w at its mean; it was "
              "made to complete holes, not to reconstruct.", "",
              f"FD-Lite0 of {count} random pictures: "
              + ", ".join(f"{value:.1f} with {name}" for name, value in found["samples"].items())
              + f". One half of the real pictures against the other: {found['floor']:.1f} (fewer pictures, larger "
              "distances).", "",
              "**Edits whose outcome is known.** The avatar generator draws a picture with a part of another one, in "
              f"that one's colours; {found['edits']} such edits, masks as below. MSE to that drawing under the mask, "
              "and FD-Lite0 between what is made and what is drawn.", "", *table(found["known"], (*PARTS, "FD-Lite0")),
              f"**Edits.** A part of the next picture, under a mask of the part in either picture, {GROW} pixels "
              "larger. MSE_src: outside of the mask against the picture; MSE_ref: inside against the reference, whose "
              "skin and background are there too; MSE_part: only where the reference has the part. FD-Lite0: of the "
              "edited pictures against the real ones, which shows seams and parts that do not fit. Blended back: "
              "seamless, so that the reference's skin around its eyes gives way to the picture's; MSE_ref and MSE_part "
              "count that as an error.", ""]
    for part in PARTS:
        lines += [f"*{part}*", "", *table({name: row[part] for name, row in found["local"].items()}, LOCAL)]
    lines += ["Copy-paste has no pixel error by definition. The vector model completes the masked part with the mean "
              "of both pictures' codes and keeps all other pixels.", "",
              f"**Latency**, median of {RUNS} runs, one picture, {record['threads']} threads, load of the machine "
              f"{found['load']:.1f}: "
              + ", ".join(f"{name} {value:.0f} ms" for name, value in found["latency"].items()) + ".", "",
              "Feature distances of EfficientNet-Lite0 compare with one another only, never with a published FID, and "
              "perceptual-Lite0 never with LPIPS."]
    return "\n".join(lines)


def contact_sheet(net, pairs: Pairs, path: Path) -> None:
    """Eight held-out avatars: picture, reference, reconstruction, one edit a part, as every door gives it."""
    parts = [pairs.part(part)[0] for part in PARTS]
    rows = []
    for i in range(8):
        a, b = pairs.source[i:i + 1], pairs.reference[i:i + 1]
        edits = [editing.blend(net, a, b, part[i:i + 1]).image for part in parts]
        rows.append(to_bytes(torch.cat([a, b, StyleMaps(net).reconstruct(a), *edits], dim=3))[0])
    save_grid(path, torch.cat(rows, dim=1).permute(1, 2, 0).contiguous())


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--sheet-only", action="store_true")
    options = parser.parse_args()
    net, file, pairs = load_model(MODEL), find_model(MODEL)[0], load(options.data, options.count)
    edits = Known.load(options.data, options.count)
    contact_sheet(net, pairs, SHEET)
    if options.sheet_only:
        return
    record = {"model": MODEL, "sha256": net.info.sha256, "bytes": file.stat().st_size, "vector model": VECTOR,
              "parameters": sum(p.numel() for p in net.parameters()), "count": len(pairs.source),
              "header": {key: read_header(file)[key] for key in ("origin", "credits", "licence", "steps", "mapping")},
              "machine": f"{os.cpu_count()} cores, {platform.machine()} {platform.system()}, torch {torch.__version__}",
              "threads": torch.get_num_threads(), "results": run(net, pairs, edits)}
    with atomic_write(Path(__file__).with_suffix(".json"), "w") as out:
        out.write(json.dumps(record, indent=1) + "\n")
    with atomic_write(ROOT / "docs" / "models" / f"{MODEL}.md", "w") as out:
        out.write(card(record) + "\n")


if __name__ == "__main__":
    main()
