"""Seconds from picture and mask to completed picture on this machine's CPU.

    python benchmarks/latency.py [--runs 5]

Random weights: the time of these networks does not depend on the values. A picture twice the model's size with a box
hole of a quarter of its area goes through `complete`, as in every door; the first run is left out, the median of the
others is written, with the highest memory of the process in which each size ran alone. Writes benchmarks/latency.json
and benchmarks/latency.md.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from comod_core import load_model, masks  # noqa: E402
from comod_core.completion import complete  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.networks import CoModConfig, CoModGenerator  # noqa: E402

NETWORKS = {"avatars-64 (built in)": load_model("avatars-64").config, "256, as published": CoModConfig(resolution=256),
            "512, as published": CoModConfig(resolution=512), "1024, as published": CoModConfig(resolution=1024)}


def measure(name: str, runs: int) -> dict:
    """Median seconds for one seed, and for eight seeds of one hole."""
    net = CoModGenerator(NETWORKS[name]).eval().requires_grad_(False)
    side = 2 * net.resolution
    image, mask = torch.rand(1, 3, side, side) * 2 - 1, masks.box(side, side // 4, side // 4, side // 2, side // 2)

    def seconds(seeds: range, count: int) -> float:
        times = []
        for _ in range(count + 1):
            start = time.perf_counter()
            list(complete(net, image, mask, seeds))
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:])

    one, eight = seconds(range(1), runs), seconds(range(8), max(1, runs // 3))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** 20
    return {"parameters (M)": round(sum(p.numel() for p in net.parameters()) / 1e6, 1), "one seed (s)": round(one, 3),
            "eight seeds (s)": round(eight, 3), "eight / (8 x one)": round(eight / (8 * one), 2),
            "peak memory (GiB)": round(peak, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--one", choices=NETWORKS, help="measure one size in this process and print it")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.runs)))
        return
    rows = {}
    for name in NETWORKS:
        command = [sys.executable, __file__, "--one", name, "--runs", str(options.runs)]
        rows[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(name, rows[name], flush=True)
    machine = (f"{os.cpu_count()} cores, {platform.machine()} {platform.system()}, torch {torch.__version__}, "
               f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, float32")
    columns = list(next(iter(rows.values())))
    lines = [f"Median of {options.runs} runs; {machine}.", "", "| network | " + " | ".join(columns) + " |",
             "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(str(row[c]) for c in columns) + " |" for name, row in rows.items()]
    record = json.dumps({"machine": machine, "rows": rows}, indent=1)
    for suffix, text in ((".json", record), (".md", "\n".join(lines))):
        with atomic_write(Path(__file__).with_suffix(suffix), "w") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
