"""Pictures a second in training: the 64x64 completion recipe against the floor of its operations.

    python benchmarks/training.py --device cpu      # about 1 minute on two cores
    python benchmarks/training.py --device cuda     # about half a minute
    OMP_NUM_THREADS=1 torchrun --nproc_per_node 2 benchmarks/training.py --device cpu

Random pictures: time does not depend on them. The operations of a step with R1 and of one without are counted as they
are done; the floor is that count by the rate of the fastest plain convolution measured in the same run. Several
processes share a batch, as in `torchrun -m comod_core train`. Writes benchmarks/training_<device>.json and
.md, or into --out; rows of other numbers of processes stay in them.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from comod_core import speed  # noqa: E402
from comod_core.errors import CoModError  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.networks.fast import good_at_bfloat16  # noqa: E402
from comod_core.operations import Operations  # noqa: E402
from comod_core.training.recipes import Completion  # noqa: E402
from comod_core.training.trainer import Trainer  # noqa: E402

FORMATS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


class OneProcess:
    """`Place` for a measurement where accelerate is not installed: one process, autocast, no loss scale."""

    rank, world, main = 0, 1, True

    def __init__(self, precision: str, device: str):
        self.device = torch.device(device)
        dtype = speed.DTYPES[FORMATS[precision]]
        self.autocast = lambda: torch.autocast(self.device.type, dtype, enabled=precision != "fp32")
        self.accelerator = type("None", (), {"scaler": None})

    def prepare(self, optimizer):
        return optimizer

    def backward(self, loss):
        loss.backward()

    def parts(self, batch, accumulate):
        return [range(part, batch, accumulate) for part in range(accumulate)]

    def mean(self, value):
        return value

    def average_gradients(self, parameters):
        pass


def place_of(precision: str, device: str):
    """Where a run takes place, by accelerate where it is installed."""
    try:
        from accelerate.state import AcceleratorState

        from comod_core.training.place import Place

        # it takes one number format a process; the connections between several processes stay
        AcceleratorState._reset_state(reset_partial_state=int(os.environ.get("WORLD_SIZE", 1)) == 1)
        return Place(precision, cpu=device == "cpu")
    except (CoModError, ImportError):
        return OneProcess(precision, device)


def recipe(precision: str, batch: int | None) -> tuple[Completion, str]:
    """The recipe with its preset for 64x64, and what was left out of it."""
    config = dataclasses.replace(Completion.preset(64, 20000), precision=precision)
    if batch:
        config = dataclasses.replace(config, batch=batch)
    try:
        return Completion(config), "nothing"
    except CoModError:
        return Completion(dataclasses.replace(config, perceptual_weight=0.0, diversity_weight=0.0)), \
            "the perceptual losses (their network is not installed)"


def measure(precision: str, device: str, batch: int | None, steps: int) -> dict:
    """One step in four with R1; the mean is weighted as the recipe has it (one in 16)."""
    job, left_out = recipe(precision, batch)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, [512, 64, 64, 3], dtype=np.uint8)
    place = place_of(precision, device)
    trainer = Trainer(job, images, place)
    interval = trainer.config.r1_interval
    while trainer.images_seen < trainer.config.l1_only_kimg * 1000:
        trainer.step += 1  # the whole step is measured, with the discriminator
    first = -(-trainer.step // interval) * interval  # a step with R1
    trainer.run_step()
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(steps):
        lazy = number % 4 == 0
        trainer.step = first + (not lazy)
        times[lazy] += speed.timed(trainer.run_step, device, 1, warm=0)
    counts = {}
    for lazy in (True, False):
        trainer.step = first + (not lazy)
        with Operations() as counter:
            trainer.run_step()
        counts[lazy] = counter.total
    step, count = (float(np.median(x[True]) + (interval - 1) * np.median(x[False])) / interval
                   for x in (times, counts))
    rate = speed.convolution_rate(device, FORMATS[precision]) * place.world     # all of them measure at the same time
    count, n = count * place.world, trainer.config.batch
    return {"recipe": "completion, 64x64", "left out": left_out, "device": device, "processes": place.world,
            "threads each": torch.get_num_threads(), "precision": precision, "batch": n, "steps": steps,
            "images a second": n / step, "seconds a step": step,
            "GFLOP an image": count / n / 1e9, "GFLOP/s": count / step / 1e9, "convolutions' GFLOP/s": rate / 1e9,
            "images a second at the floor": n * rate / count, "share of the floor": count / step / rate}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precisions", help="comma-separated; by itself those that the device is good at")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks")
    options = parser.parse_args()
    usual = ["fp32", "bf16"] if options.device != "cpu" or good_at_bfloat16() else ["fp32"]
    rows, main = [], os.environ.get("RANK", "0") == "0"
    for precision in options.precisions.split(",") if options.precisions else usual:
        rows.append(measure(precision, options.device, options.batch, options.steps))
        if main:
            print(json.dumps(rows[-1]), flush=True)
    if not main:
        return
    path = options.out / f"training_{torch.device(options.device).type}"
    record = {"machine": re.sub(r", \d+ threads", "", speed.machine(options.device)), "rows": rows}
    before = json.loads(path.with_suffix(".json").read_text("utf-8")) if path.with_suffix(".json").exists() else {}
    if before.get("machine") == record["machine"]:
        record["rows"] = [row for row in before["rows"] if row["processes"] != rows[0]["processes"]] + rows
    text = f"{record['machine']}; random pictures.\n\n{speed.table(record['rows'])}"
    for suffix, content in ((".json", json.dumps(record, indent=1)), (".md", text)):
        with atomic_write(path.with_suffix(suffix), "w") as file:
            file.write(content + "\n")


if __name__ == "__main__":
    main()
