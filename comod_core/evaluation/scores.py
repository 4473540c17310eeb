"""From measured chunks to the rows of a result: every metric, a psi and a hole bin at a time."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..metrics import discriminative_scores, frechet_distance, kernel_distance, nearest_neighbour_scores
from ..metrics.networks import FeatureNetwork
from .protocol import Protocol
from .shards import column

NEIGHBOURS = 5
PER_PICTURE = ("l1_hole", "l1", "psnr", "ssim")
DIVERSITY = ("diversity", "pixel_diversity")      # and "lpips", where there is one


def rows(paths: Sequence[Path], features: FeatureNetwork, protocol: Protocol) -> list[dict]:
    """One row a psi and bin, after them one a psi over mixed holes: picture i with its hole of bin i modulo B.

    A row: psi, holes [low, high], mixed, hole_ratio (mean), count, and `scores` (name to number).
    """
    real, ratios = column(paths, "real"), [column(paths, "ratio", b) for b in range(len(protocol.bins))]
    found, mixed, second = [], [], DIVERSITY + (("lpips",) if features.lpips else ())
    for p, psi in enumerate(protocol.psis):
        blend = {}
        for b, bin in enumerate(protocol.bins):
            columns = {key: column(paths, key, p, b) for key in ("fake", *PER_PICTURE, *second)}
            found.append(_row(psi, bin, False, ratios[b], scores(features, real, columns)))
            for key, values in (("ratio", ratios[b]), *columns.items()):
                mine = np.arange(len(values)) % len(protocol.bins) == b
                blend[key] = np.where(mine[:, None] if values.ndim == 2 else mine, values, blend.get(key, values))
        whole = (protocol.holes[0], protocol.holes[-1])
        mixed.append(_row(psi, whole, True, blend["ratio"], scores(features, real, blend)))
    return found + (mixed if len(protocol.bins) > 1 else [])


def scores(features: FeatureNetwork, real: np.ndarray, columns: dict[str, np.ndarray]) -> dict[str, float]:
    """Every metric of one psi and bin by its published name, the network's name in it; no diversity without pairs."""
    fake, title = columns["fake"], features.title
    pids, uids = discriminative_scores(real, fake)
    mean, deviation = kernel_distance(real, fake)
    found = {title("FD"): frechet_distance(real, fake), title("KID"): mean, f"{title('KID')} deviation": deviation,
             title("P-IDS"): pids, title("U-IDS"): uids}
    if min(len(real), len(fake)) > NEIGHBOURS:
        found |= {title(key): value for key, value in nearest_neighbour_scores(real, fake, NEIGHBOURS).items()}
    if len(columns["diversity"]):
        found |= {title("diversity"): columns["diversity"].mean(),
                  f"{title('diversity')} deviation": columns["diversity"].std(),
                  "pixel diversity in the hole": columns["pixel_diversity"].mean()}
        if features.lpips:
            found |= {"LPIPS diversity": columns["lpips"].mean(), "LPIPS diversity deviation": columns["lpips"].std()}
    found |= {"L1 in the hole": columns["l1_hole"].mean(), "L1": columns["l1"].mean(), "PSNR": columns["psnr"].mean(),
              "SSIM": columns["ssim"].mean()}
    return {key: float(value) for key, value in found.items()}


def examples(paths: Sequence[Path], names: Sequence[str], protocol: Protocol) -> list[dict]:
    """The best, the median and the worst picture of each bin by L1 in the hole, at the first psi."""
    found = []
    for b, bin in enumerate(protocol.bins):
        error = column(paths, "l1_hole", 0, b)
        order = np.argsort(error, kind="stable")
        for which, at in (("best", order[0]), ("median", order[(len(order) - 1) // 2]), ("worst", order[-1])):
            found.append({"which": which, "holes": list(bin), "picture": names[at], "at": int(at),
                          "L1 in the hole": float(error[at])})
    return found


def _row(psi: float, holes: tuple[float, float], mixed: bool, ratio: np.ndarray, found: dict[str, float]) -> dict:
    return {"psi": psi, "holes": list(holes), "mixed": mixed, "hole_ratio": float(ratio.mean()), "count": len(ratio),
            "scores": found}
