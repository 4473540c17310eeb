"""From process start to the first picture on the CPU: importing, loading a 512x512 network, preparing it, completing.

    python benchmarks/startup.py        # about 15 seconds

The file has random weights and is in the system's cache, as after its first use. Writes benchmarks/startup.json, or
into --out.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PROGRAM = """
import json, sys, time
start = time.perf_counter()
import torch
torch_done = time.perf_counter()
import comod_core.completion, comod_core.loading
imported = time.perf_counter()
net = comod_core.loading.load_model(sys.argv[1])
loaded = time.perf_counter()
image, mask = torch.zeros(1, 3, 512, 512), torch.zeros(1, 1, 512, 512)
mask[..., 128:384, 128:384] = 1
times = []
for seed in range(3):
    begun = time.perf_counter()
    list(comod_core.completion.complete(net, image, mask, seed, size_strategy="original"))
    times.append(time.perf_counter() - begun)
import comod_core.speed
print(json.dumps({"torch's own import (s)": torch_done - start, "import beyond that (s)": imported - torch_done,
                  "loading 320 MB (s)": loaded - imported, "first picture (s)": times[0], "next picture (s)": times[2],
                  "peak memory (GB)": comod_core.speed.own_peak()}))
"""


def main() -> None:
    from comod_core import speed
    from comod_core.files import atomic_write

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = speed.write_network(speed.Case(), Path(folder))
        for _ in range(3):
            done = subprocess.run([sys.executable, "-c", PROGRAM, str(file)], check=True, capture_output=True,
                                  text=True, cwd=ROOT)
            rows.append(json.loads(done.stdout))
            print(done.stdout, end="", flush=True)
    best = {key: min(row[key] for row in rows) for key in rows[0]}
    with atomic_write(options.out / "startup.json", "w") as file:
        file.write(json.dumps({"machine": speed.machine("cpu"), "fastest of 3": best, "runs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
