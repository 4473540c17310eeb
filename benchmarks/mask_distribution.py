"""Free-form masks held against the measured distribution of the paper's sampler: hole ratios and where holes fall.

    python benchmarks/mask_distribution.py [--masks 4000] [--reference tests/data/official_mask_distribution.json]

For each size and hole range of the reference: mean, standard deviation and quantiles of the hole ratio, coverage of the
centre (the middle half of both sides) and of the border (the first 8 rows), and milliseconds of CPU time a mask.
"sigma" is the difference over the standard error of both samples together; "KS p" is the two-sample Kolmogorov-Smirnov
probability, taken over the reference's 21 quantiles (an upper bound: the largest gap may lie between two of them).
Writes benchmarks/mask_distribution.json and benchmarks/mask_distribution.md.
"""
from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from comod_core.files import atomic_write  # noqa: E402
from comod_core.masks import free_form  # noqa: E402

REFERENCE = ROOT / "tests" / "data" / "official_mask_distribution.json"
COLUMNS = ("mean", "std", "centre", "border")


def sample(size: int, hole_range: tuple[float, float], count: int) -> dict[str, np.ndarray]:
    """Per mask, seeds 0..count-1: hole ratio, and coverage of the centre and of the border; float64 [count] each."""
    ratio, centre, border = np.empty((3, count))
    quarter = size // 4
    for seed in range(count):
        mask = free_form(size, seed, hole_range)[0, 0].numpy()
        ratio[seed], border[seed] = mask.mean(dtype=float), mask[:8].mean(dtype=float)
        centre[seed] = mask[quarter:-quarter, quarter:-quarter].mean(dtype=float)
    return {"ratio": ratio, "centre": centre, "border": border}


def compare(ours: dict[str, np.ndarray], reference: dict) -> dict:
    """Ours, the reference's and the difference in standard errors for each column; the curves' largest gap."""
    ratio, n, m = ours["ratio"], len(ours["ratio"]), reference["n"]
    spread = np.sqrt(1 / n + 1 / m)
    kurtosis = np.mean((ratio - ratio.mean()) ** 4) / ratio.var() ** 2
    errors = {"mean": ratio.std() * spread, "std": ratio.std() * np.sqrt((kurtosis - 1) / 4) * spread,
              "centre": ours["centre"].std() * spread, "border": ours["border"].std() * spread}
    values = {"mean": ratio.mean(), "std": ratio.std(),
              "centre": ours["centre"].mean(), "border": ours["border"].mean()}
    theirs = {"mean": reference["mean"], "std": reference["std"],
              "centre": reference["coverage_centre"], "border": reference["coverage_border"]}
    levels = np.linspace(0, 1, len(reference["quantiles"]))
    gap = np.abs(np.searchsorted(np.sort(ratio), reference["quantiles"]) / n - levels).max()
    result = {name: {"ours": values[name], "reference": theirs[name],
                     "sigma": (values[name] - theirs[name]) / errors[name]} for name in COLUMNS}
    return result | {"KS gap": gap, "KS p": kolmogorov(gap / spread), "quantiles": np.quantile(ratio, levels).tolist()}


def kolmogorov(x: float) -> float:
    """Probability that the scaled gap of two samples of one distribution exceeds x (Kolmogorov's limit)."""
    if x < 0.2:
        return 1.0
    k = np.arange(1, 101)
    return float(np.clip(2 * np.sum((-1.0) ** (k - 1) * np.exp(-2 * k**2 * x**2)), 0, 1))


def table(rows: dict[str, dict], machine: str) -> str:
    lines = ["# Free-form masks against the paper's sampler", "",
             "Ours / reference (difference in standard errors of both samples); see `mask_distribution.py`.",
             f"Measured on {machine}.", "",
             f"| size, hole range | masks, ours / reference | {' | '.join(COLUMNS)} | KS gap (p) | CPU ms a mask |",
             "|---" * 8 + "|"]
    for name, row in rows.items():
        cells = [f"{row[c]['ours']:.3f} / {row[c]['reference']:.3f} ({row[c]['sigma']:+.1f})" for c in COLUMNS]
        lines.append(f"| {name} | {row['masks']} / {row['reference masks']} | " + " | ".join(cells)
                     + f" | {row['KS gap']:.3f} ({row['KS p']:.2f}) | {row['ms']:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--masks", type=int, default=4000, help="masks a row")
    parser.add_argument("--reference", type=Path, default=REFERENCE)
    options = parser.parse_args()
    rows = {}
    for name, reference in json.loads(options.reference.read_text()).items():
        size, low, high = name.split("_")
        start = time.process_time()
        ours = sample(int(size), (float(low), float(high)), options.masks)
        ms = (time.process_time() - start) / options.masks * 1e3
        title = f"{size}, {float(low):g} to {float(high):g}"
        rows[title] = {"masks": options.masks, "reference masks": reference["n"], "ms": ms} | compare(ours, reference)
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    for suffix, text in (("json", json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n"),
                         ("md", table(rows, machine))):
        with atomic_write(ROOT / "benchmarks" / f"mask_distribution.{suffix}", "w") as file:
            file.write(text)
    print(table(rows, machine))


if __name__ == "__main__":
    main()
