"""Records of benchmarks/run.py as JSON, as a table and as a picture."""
from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from comod_core.files import atomic_write  # noqa: E402
from comod_core.speed import table  # noqa: E402


def write(path: Path, record: dict) -> None:
    """path.json and path.md of a record."""
    title = f"{record['machine']}; median of {record['runs']} runs; random weights."
    parts = [title, "", "Against the public ports' way of doing it (benchmarks/baseline.py), one picture:", "",
             table(record["against the port"]), "", "Encoding once and decoding each sample (CoModGAN), encoding and "
             "decoding (StyleMapGAN), generating (BigGAN, StyleGAN2):", "", table(record["rows"])]
    if record.get("convolutions alone"):
        parts += ["", "The convolutions of one picture, float32, each alone by PyTorch on warm memory, and the floor:",
                  "", table(record["convolutions alone"])]
    for suffix, text in ((".json", json.dumps(record, indent=1)), (".md", "\n".join(parts))):
        with atomic_write(path.with_suffix(suffix), "w") as file:
            file.write(text + "\n")


def write_ratios(path: Path, record: dict) -> None:
    """path.json and path.md: the ratios alone."""
    text = (f"{record['machine']}; {record['runs']} runs; random weights. One picture in the public ports' way "
            f"(benchmarks/baseline.py) and in ours, in turn.\n\n{table(record['against the port'])}")
    for suffix, content in ((".json", json.dumps(record, indent=1)), (".md", text)):
        with atomic_write(path.with_suffix(suffix), "w") as file:
            file.write(content + "\n")


def draw(path: Path, record: dict) -> None:
    """How the cost grows with the picture's size, the number of variations and the hole."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in record["rows"] if row["network"] == "comodgan"]
    panels = (("size", "picture, pixels a side", {"batch": 1, "hole": 1.0}),
              ("batch", "variations of one hole, 512", {"size": 512}),
              ("hole", "hole, share of the area, 512", {"size": 512, "batch": 1}))
    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.4), constrained_layout=True)
    for panel, (key, label, fixed) in zip(axes, panels, strict=True):
        chosen = [row for row in rows if all(row[name] == value for name, value in fixed.items())]
        for kind in sorted({(row["dtype"], row["hole"] if key == "batch" else 0) for row in chosen}):
            line = sorted((row[key], row["seconds"]) for row in chosen
                          if (row["dtype"], row["hole"] if key == "batch" else 0) == kind)
            name = kind[0] + (f", hole {kind[1]:g}" if kind[1] else "")
            panel.plot(*zip(*line, strict=True), "o-", label=name)
        panel.set(xlabel=label, ylabel="seconds", ylim=(0, None))
        if panel.lines:
            panel.legend(fontsize=7)
    figure.suptitle(record["machine"], fontsize=9)
    figure.savefig(path, dpi=110)
