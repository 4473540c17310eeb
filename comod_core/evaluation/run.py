"""An evaluation from pictures to result.json: chunks are measured one at a time and kept, then scored."""
from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import PIL
import torch

from .. import __version__, masks
from ..errors import CoModError
from ..files import atomic_write
from ..metrics.discriminative import few_pairs
from ..metrics.networks import FeatureNetwork
from .engines import Local, Ray, Work
from .pictures import chunks
from .protocol import Protocol
from .scores import NEIGHBOURS, examples, rows
from .shards import Shards, column

Progress = Callable[[int, int], None]


def evaluate(completer, features: FeatureNetwork, pictures, protocol: Protocol, out: Path,
             progress: Progress | None = None, fresh: bool = False, engine: Local | Ray | None = None) -> dict:
    """Measure `completer` on `pictures` and write OUT/result.json and OUT/features/*.safetensors; returns the result.

    completer: `completers.Network` or `Filler`. pictures: `pictures.FilePictures` or `ArrayPictures`. A chunk that was
    measured before with the same settings is not measured again, unless `fresh`. Memory holds one chunk of pictures
    (`engines.Ray`: a few a worker), then the features of one psi. progress(done, total) counts holes. Equal arguments
    give an equal file on the same machine. Raises CoModError when fewer than two pictures can be read.
    """
    out, shards, skipped = Path(out), Shards(Path(out) / "features"), {}
    if out.exists() and not out.is_dir():
        raise CoModError(f"--out {out} is a file: give a folder.")
    total = min(protocol.count or len(pictures.names), len(pictures.names)) * len(protocol.bins)
    settings, step = _settings(completer, features, protocol), _counter(progress, total)
    digest, names, places, paths = hashlib.sha256(), [], [], []

    def missing() -> Iterator[Work]:
        for chunk in chunks(pictures, completer.size, protocol.seed, protocol.count, skipped):
            own = settings | {"first": chunk.first, "names": chunk.names, "pictures": chunk.digest}
            path = shards.path(own)
            digest.update(chunk.images.numpy().tobytes())
            names.extend(chunk.names)
            places.extend(chunk.places)
            paths.append(path)
            if fresh or not shards.whole(path):
                yield Work(chunk, own, path)
            else:
                step(len(chunk.names) * len(protocol.bins))

    for work, arrays in (engine or Local())(missing(), completer, features, protocol, step):
        shards.save(work.path, arrays, work.settings)
    if len(names) < 2:
        raise CoModError(f"{pictures.title}: {len(names)} pictures could be read; an evaluation needs at least 2.")
    result = {"protocol": settings | _facts(completer, pictures, names, digest.hexdigest(), protocol),
              "warnings": _warnings(pictures, names, skipped, protocol, features.width), "skipped": skipped,
              "rows": rows(paths, features, protocol),
              "examples": [{**case, "at": places[case["at"]]} for case in examples(paths, names, protocol)],
              "features": [path.name for path in paths]}
    with atomic_write(out / "result.json", "w") as file:
        file.write(json.dumps(result, indent=1) + "\n")
    return result


def _settings(completer, features: FeatureNetwork, protocol: Protocol) -> dict:
    """What decides every number, apart from the pictures."""
    sampling = {"psi": list(protocol.psis), "noise_mode": "const", "dropout": True,
                **getattr(completer, "fitting", {})}
    lpips = {"lpips": {"name": features.lpips.name, "sha256": features.lpips.digest}} if features.lpips else {}
    return {"comod": __version__, "model": completer.facts, **lpips,
            "features": {"name": features.name, "sha256": features.digest, "width": features.width},
            "masks": {"sampler": "free_form", "holes": list(protocol.holes), "size": completer.size,
                      "brush_width": list(masks.scaled_brush(completer.size))},
            "sampling": sampling, "seed": protocol.seed, "pairs": protocol.pairs,
            "versions": {"torch": torch.__version__, "numpy": np.__version__, "opencv": cv2.__version__,
                         "pillow": PIL.__version__}}


def _facts(completer, pictures, names: list[str], digest: str, protocol: Protocol) -> dict:
    """What the numbers were made from and how, for the reader."""
    import sklearn

    return {
        "data": {"name": pictures.title, "count": len(names), "of": len(pictures.names), "sha256": digest},
        "resize": f"centre square, Lanczos, to {completer.size}x{completer.size}; pictures of that size as they are",
        "file_path": "reals and completions: uint8 RGB as a lossless file holds them, then the feature network",
        "metrics": {
            "P-IDS, U-IDS": f"LinearSVC(dual=False) fitted and scored on {len(names)} reals and their completions",
            "KID": "polynomial kernel of degree 3, 100 subsets of up to 1000, seed 2020",
            "precision, recall, density, coverage": f"k = {NEIGHBOURS}",
            "diversity": f"two completions of one hole, {min(protocol.pairs, len(names)) if completer.varies else 0} "
                         "pairs; LPIPS without learnt weights, on the network's maps",
            "PSNR, SSIM, L1": "the whole completed picture against the real one; L1 of 0..255"},
        "python": platform.python_version(), "scikit-learn": sklearn.__version__}


def _warnings(pictures, names: list[str], skipped: dict[str, str], protocol: Protocol, width: int) -> list[str]:
    found = []
    if skipped:
        found.append(f"{len(skipped)} of {len(pictures.names)} pictures could not be read and were skipped.")
    if protocol.count and len(names) < protocol.count:
        found.append(f"{protocol.count:,} pictures were asked for, {len(names):,} could be had.")
    if few := few_pairs(len(names), width):
        found.append(few)
    return found


def _counter(progress: Progress | None, total: int) -> Callable[..., None]:
    """A function that counts on, by 1 or as much as it is told."""
    done = 0

    def step(more: int = 1) -> None:
        nonlocal done
        done += more
        if progress:
            progress(done, total)

    return step


def read_features(out: str | Path, psi: float, holes: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Features real and fake [N,D] of a finished evaluation, for `comod_core.metrics` to compare, with others' too.

    Raises CoModError when OUT holds no evaluation, or none with that psi and bin.
    """
    out = Path(out)
    try:
        result = json.loads((out / "result.json").read_text(encoding="utf-8"))
        psis, edges = result["protocol"]["sampling"]["psi"], result["protocol"]["masks"]["holes"]
    except (OSError, ValueError, KeyError) as error:
        raise CoModError(f"{out}: no finished evaluation here ({error}). Run comod evaluate first.") from error
    bins = list(zip(edges[:-1], edges[1:], strict=True))
    if psi not in psis or tuple(holes) not in bins:
        raise CoModError(f"{out}: measured were psi {psis} and holes {bins}, not psi {psi:g} and {tuple(holes)}.")
    paths = [out / "features" / name for name in result["features"]]
    return column(paths, "real"), column(paths, "fake", psis.index(psi), bins.index(tuple(holes)))
