"""Time and memory of storing, indexing and searching many instances.

    python benchmarks/instances.py [--rows 1000000] [--width 2048] [--dtype float16] [--folder /tmp]

Random features in groups of 50 around random directions, so that there are true neighbours. Each step runs in a process
of its own, whose highest memory is written: `own` without the pages of the file that the system keeps as cache, and
`with cache`; and its time, by the clock and on the processor, which other work on the machine lengthens less.
A million rows of 2048 values need 4 GiB on disk in float16, 8 in float32, and 2 more for the inverted file. Writes
benchmarks/instances.json and benchmarks/instances.md.
"""
from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from comod_core.files import atomic_write  # noqa: E402
from comod_core.instances.neighbours import NeighbourIndex, exact  # noqa: E402
from comod_core.instances.stored import ROWS, open_instances, write_instances  # noqa: E402

GROUP, QUERIES, K = 50, 32, 10


def features(rows: int, width: int) -> Iterator[np.ndarray]:
    """Blocks of `rows` features in all: groups of GROUP around random directions."""
    random = np.random.default_rng(0)
    for start in range(0, rows, ROWS):
        count = min(ROWS, rows - start)
        centres = random.normal(size=(-(-count // GROUP), width)).astype(np.float32)
        yield np.repeat(centres, GROUP, axis=0)[:count] + random.normal(size=(count, width)).astype(np.float32) / 2


def queries(path: Path) -> torch.Tensor:
    instances = open_instances(path)
    chosen = np.linspace(0, len(instances) - 1, QUERIES).astype(int)
    return torch.from_numpy(np.array(instances.features[chosen], np.float32))


def store(path: Path, rows: int, width: int, dtype: str) -> None:
    write_instances(path, features(rows, width), width, [f"{i}.jpg" for i in range(rows)], dtype=dtype)


def search_exactly(path: Path, *_) -> None:
    np.save(path.with_suffix(".npy"), exact(open_instances(path), queries(path), K)[1])


def build(path: Path, *_) -> None:
    NeighbourIndex.build(open_instances(path)).save(path.with_suffix(".faiss"))


def search(path: Path, *_) -> dict[str, float]:
    index, asked = NeighbourIndex.load(path.with_suffix(".faiss")), queries(path)
    truth, found = np.load(path.with_suffix(".npy")), {}
    for probes in (1, 16, 64):
        start = time.perf_counter()
        at = index.search(asked, K, probes)[1]
        found[f"ms a query, {probes} cells"] = round((time.perf_counter() - start) * 1000 / QUERIES, 2)
        shares = [len(set(a) & set(b)) / K for a, b in zip(at, truth, strict=True)]
        found[f"recall, {probes} cells"] = round(float(np.mean(shares)), 3)
    return found


STEPS = {"write": store, f"exact search, {QUERIES} queries": search_exactly, "build the inverted file": build,
         "load it and search": search}


def _step(name: str, path: Path, rows: int, width: int, dtype: str, answer) -> None:
    """Run a step in this process; answer with seconds, peaks of memory in GiB, and what the step says."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            peak[0] = max(peak[0], int(lines["RssAnon"].split()[0]))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, busy = time.perf_counter(), time.process_time()
    said = STEPS[name](path, rows, width, dtype) or {}
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    done.set()
    watcher.join()
    total = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer.put({"seconds": round(seconds, 2), "processor seconds": round(busy, 2),
                "own (GiB)": round(peak[0] / 2 ** 20, 2), "with cache (GiB)": round(total / 2 ** 20, 2), **said})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--dtype", choices=["float32", "float16"], default="float16", help="of the stored features")
    parser.add_argument("--folder", type=Path, default=None, help="where the files go; by itself the system's own")
    parser.add_argument("--note", default="", help="a sentence for the table, such as what else the machine was doing")
    options = parser.parse_args()
    context, results = multiprocessing.get_context("spawn"), {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "instances.safetensors"
        for name in STEPS:
            answer = context.Queue()
            process = context.Process(target=_step, args=(name, path, options.rows, options.width,
                                                           options.dtype, answer))
            process.start()
            results[name] = answer.get()
            process.join()
            print(name, results[name], flush=True)
        sizes = {file.suffix: round(file.stat().st_size / 2 ** 30, 3) for file in Path(folder).iterdir()}
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    threads = int(os.environ.get("OMP_NUM_THREADS", 0)) or len(os.sched_getaffinity(0))
    write({"rows": options.rows, "width": options.width, "dtype": options.dtype, "threads": threads,
           "files (GiB)": sizes, "steps": results, "machine": machine, "note": options.note})


def write(results: dict) -> None:
    """benchmarks/instances.json and .md."""
    sizes = ", ".join(f"{suffix} {size}" for suffix, size in results["files (GiB)"].items())
    lines = ["# Storing, indexing and searching instances", "",
             f"{results['rows']:,} features of {results['width']} values in {results['dtype']}, {results['threads']} "
             "thread(s).",
             f"Files in GiB: {sizes}.",
             f"Measured on {results['machine']}. {results['note']} See `instances.py`.".replace("  ", " "), "",
             "| step | seconds | processor seconds | own memory (GiB) | with cache (GiB) | |",
             "|---|---|---|---|---|---|"]
    for name, found in results["steps"].items():
        rest = "; ".join(f"{key} {value}" for key, value in list(found.items())[4:])
        lines.append(f"| {name} | {found['seconds']} | {found['processor seconds']} | {found['own (GiB)']} | "
                     f"{found['with cache (GiB)']} | {rest} |")
    with atomic_write(ROOT / "benchmarks" / "instances.json", "w") as file:
        json.dump(results, file, indent=2)
        file.write("\n")
    with atomic_write(ROOT / "benchmarks" / "instances.md", "w") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
