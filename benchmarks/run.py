"""How fast the networks are: against the public ports' way, against the floor, and how the cost grows.

    python benchmarks/run.py --device cpu            # the CPU table, about 4 minutes on two cores
    python benchmarks/run.py --device cuda           # the GPU table, about 1 minute

Random weights: time does not depend on the values. Ratios to the baseline (benchmarks/baseline.py: the same weights,
the same numbers) come from one process in which the two alternate; medians. They are told twice: by the clock with all
threads, of the pairs during which other programs took the least of the processors (their share is in the table), and by
the processor's own time with one thread, which other programs change less. The floor is the count of operations by the
rate of the fastest plain convolution measured in the same run. Peak memory is that of a process of its own with weights
from a file. Writes benchmarks/ratios_<device>.json and .md (the README's table) and benchmarks/bench_<device>.json, .md
and .png, or into --out.
"""
from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import baseline  # noqa: E402
from tables import draw, write, write_ratios  # noqa: E402

from comod_core import speed  # noqa: E402
from comod_core.networks.fast import good_at_bfloat16  # noqa: E402
from comod_core.speed import Case  # noqa: E402

PORTS = {"comodgan": baseline.PortCoModGAN, "stylemapgan": baseline.PortStyleMapGAN, "biggan": baseline.PortBigGAN,
         "stylegan2": baseline.PortStyleGAN2}
SIZES = {"comodgan": 512, "stylemapgan": 256, "biggan": 256, "stylegan2": 256}
TUNED = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000",
         "MALLOC_TOP_PAD_": "268435456"}        # glibc keeps large blocks; users do not set this


def port_job(net, case: Case):
    """The baseline on the same inputs."""
    weight, port = next(net.parameters()), PORTS[case.network](net)
    given = [None if x is None else x.to(weight.device, weight.dtype) for x in speed.inputs(net, case)]
    if case.network == "comodgan":
        image, mask, z = given
        w = net.map(z)
        return lambda: port.decode(port.encode(image, mask), w)
    if case.network == "stylemapgan":
        return lambda: port.decode(port.encode(given[0]))
    if case.network == "stylegan2":
        return lambda: port.decode(net.map(given[0], None, given[1]))
    return lambda: port.generate(*given)


def busy() -> float:
    """Seconds that all processors together have been at work since the machine started, 0 where it does not say."""
    if not Path("/proc/stat").is_file():
        return 0.0
    user, nice, system, _, _, interrupts, soft, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def pairs(ours, port, device: str, runs: int, clock: str) -> tuple[float, float, float]:
    """Median seconds of both in turn, and the largest share of the processors that others took meanwhile.

    By the wall's clock the pairs in which it was smallest count, one more than which is made.
    """
    wall, found = clock == "wall", []
    for _ in range(runs + 1):
        before = busy(), time.process_time(), time.perf_counter()
        times = [speed.timed(work, device, 1, warm=0)[0] if wall else own_time(work) for work in (ours, port)]
        after = busy(), time.process_time(), time.perf_counter()
        work, own, took = (b - a for a, b in zip(before, after, strict=True))
        found.append((max(0.0, (work - own) / took / os.cpu_count()), *times))
    found = sorted(found)[:runs] if wall else found
    others, *times = zip(*found, strict=True)
    return statistics.median(times[0]), statistics.median(times[1]), max(others)


def own_time(work) -> float:
    """Seconds of this process's own."""
    start = time.process_time()
    work()
    return time.process_time() - start


def against_baseline(network: str, dtypes: list[str], device: str, runs: int, clock: str = "wall") -> list[dict]:
    """Seconds of the baseline in float32 and of ours in each number format, alternating in this process.

    clock: "wall", or "processor" for its own time with one thread.
    """
    case = Case(network, SIZES[network], device=device)
    net = speed.random_network(network, case.size, device)
    rows, threads = [], torch.get_num_threads()
    torch.set_num_threads(1 if clock == "processor" else threads)
    with torch.inference_mode():
        port = port_job(net, case)
        nets = {name: net if device == "cpu" or name == "float32" else speed.place(
            speed.random_network(network, case.size, device), dataclasses.replace(case, dtype=name)) for name in dtypes}
        jobs = {name: speed.job(nets[name], dataclasses.replace(case, dtype=name)) for name in dtypes}
        reference = port().float()
        for name, work in jobs.items():
            if device == "cpu" and hasattr(net, "inference_dtype"):
                net.inference_dtype = speed.DTYPES[name]
            error = (work().float() - reference)
            ours, theirs, others = pairs(work, port, device, runs, clock)
            span = float(reference.max() - reference.min())
            rows.append({"network": network, "size": case.size, "device": device, "dtype": name,
                         "malloc": "tuned" if os.environ.get("MALLOC_TRIM_THRESHOLD_") else "default",
                         "clock": clock, "threads": torch.get_num_threads(), "others' share": others,
                         "port, float32 (s)": theirs, "ours (s)": ours, "times as fast": theirs / ours,
                         "largest difference / std": float(error.abs().max() / reference.std()),
                         "PSNR (dB)": float(10 * torch.log10(span ** 2 / error.square().mean()))})
    torch.set_num_threads(threads)
    return rows


class Convolutions(TorchDispatchMode):
    """Within the block, `calls` counts the convolutions by shapes and settings."""

    def __init__(self):
        super().__init__()
        self.calls: collections.Counter = collections.Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution.default:
            x, weight, _, *settings = args
            self.calls[(tuple(x.shape), tuple(weight.shape), json.dumps(settings))] += 1
        return func(*args, **(kwargs or {}))


def convolutions_alone(network: str, runs: int) -> dict:
    """Seconds of all convolutions of one picture, each one alone by PyTorch: channels-last, float32, warm memory.

    A floor that a network of plain convolutions can come near to, other than the count by the fastest one's rate.
    """
    case = Case(network, SIZES[network])
    with torch.no_grad():
        work = port_job(speed.random_network(network, case.size, "cpu"), case)
        with Convolutions() as found:
            work()
        total = 0.0
        for (shape, kernel, settings), times in found.calls.items():
            x, weight = (torch.randn(size).to(memory_format=torch.channels_last) for size in (shape, kernel))
            given = json.loads(settings)
            total += times * min(speed.timed(lambda x=x, w=weight, g=given: torch.convolution(x, w, None, *g), "cpu",
                                             runs))
    rate = speed.convolution_rate("cpu", "float32")
    return {"network": network, "size": case.size, "convolutions": sum(found.calls.values()),
            "each alone, together (s)": total, "at the rate of the fastest (s)": speed.operations(case) / rate}


def with_tuned_malloc(arguments: list[str]) -> list[dict]:
    """The rows of CoModGAN against the port from a process of its own with glibc's allocator tuned."""
    command = [sys.executable, __file__, *arguments, "--ratios", "comodgan"]
    done = subprocess.run(command, env=os.environ | TUNED, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def grid(device: str, dtypes: list[str], quick: bool) -> list[Case]:
    """What goes into the table."""
    if quick:
        return [Case(size=64, device=device), Case(size=64, batch=2, device=device, hole=0.25)]
    cases = [Case("comodgan", size, 1, dtype, device) for size in (256, 512, 1024) for dtype in dtypes]
    if device == "cpu":
        cases += [Case(hole=hole) for hole in (0.05, 0.25, 0.5)]
        cases += [Case(batch=n, hole=hole, dtype=dtype) for hole in (0.25, 1.0) for dtype in dtypes
                  for n in ((1, 8) if dtype != "float32" else (8,)) if (n, hole) != (1, 1.0)]
    else:
        cases += [Case("comodgan", size, n, dtype, device) for size in (256, 512) for n in (4, 8, 16)
                  for dtype in dtypes]
        cases += [Case("comodgan", 1024, 8, dtype, device) for dtype in dtypes]
    cases += [Case(name, size, 1, dtype, device) for name, size in SIZES.items() if name != "comodgan"
              for dtype in dtypes]
    return sorted(cases, key=lambda case: (list(SIZES).index(case.network), case.size, case.dtype))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtypes", help="comma-separated; by itself those that the device is good at")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks")
    parser.add_argument("--quick", action="store_true", help="small sizes only, to see that it works")
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--ratios-only", action="store_true", help="ratios_<device> alone")
    parser.add_argument("--clock", choices=("wall", "processor"), help="this one alone")
    parser.add_argument("--ratios", choices=SIZES, help="print this network against the port, and write nothing")
    options = parser.parse_args()
    start = time.monotonic()
    usual = ["float32", "bfloat16"] if good_at_bfloat16() else ["float32"]
    if options.device != "cpu":
        usual = ["float32", "float16", "bfloat16"]
    dtypes = options.dtypes.split(",") if options.dtypes else usual
    clocks = ["wall", "processor"] if options.device == "cpu" and not options.quick else ["wall"]
    clocks = [options.clock] if options.clock else clocks
    if options.ratios:
        for clock in clocks:
            for row in against_baseline(options.ratios, dtypes, options.device, options.runs, clock):
                print(json.dumps(row), flush=True)
        return
    record = {"machine": speed.machine(options.device), "device": options.device, "runs": options.runs,
              "against the port": [], "rows": []}

    def save() -> None:
        record["took (s)"] = round(time.monotonic() - start)
        write(options.out / f"bench_{torch.device(options.device).type}", record)

    def save_ratios() -> None:
        ratios = {key: record[key] for key in ("machine", "runs", "against the port")}
        write_ratios(options.out / f"ratios_{torch.device(options.device).type}", ratios)

    for network in ["comodgan"] if options.quick else SIZES:
        for clock in reversed(clocks):
            record["against the port"] += against_baseline(network, dtypes, options.device, options.runs, clock)
            for row in record["against the port"][-len(dtypes):]:
                print(json.dumps(row), flush=True)
            save_ratios()
    if options.ratios_only:
        return
    if options.device == "cpu" and sys.platform == "linux" and not options.quick:
        record["against the port"] += with_tuned_malloc(["--dtypes", ",".join(dtypes), "--runs", str(options.runs)])
        print(json.dumps(record["against the port"][-len(dtypes) * len(clocks):]), flush=True)

    if options.device == "cpu":
        record["convolutions alone"] = [convolutions_alone(network, options.runs)
                                        for network in (["comodgan"] if options.quick else SIZES)]
        print(json.dumps(record["convolutions alone"]), flush=True)
        save()

    def memory(case: Case) -> bool:
        return not options.skip_memory and case.network == "comodgan" and case.hole == 1.0

    for row in speed.bench(grid(options.device, dtypes, options.quick), options.runs, memory):
        record["rows"].append(row)
        print(json.dumps(row), flush=True)
        save()
    save()
    try:
        draw(options.out / f"bench_{torch.device(options.device).type}.png", record)
    except ImportError:
        print("no picture: matplotlib is not installed")


if __name__ == "__main__":
    main()
