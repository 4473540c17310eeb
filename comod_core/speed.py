"""How fast the networks run on this machine: seconds, operations, share of the convolutions' peak, memory."""
from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoints.store import load_networks, save_networks
from .errors import CoModError
from .networks import BigGANConfig, CoModConfig, StyleGAN2Config, StyleMapConfig
from .networks.fast import has_amx
from .networks.registry import ARCHITECTURES

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
# Channels, size: the 3x3 convolutions among which the rate of convolutions is looked for.
_RATE_SHAPES = ((512, 64), (256, 128), (128, 256), (64, 512))
_RATE_BATCH = {"cpu": 1, "cuda": 8}


@dataclasses.dataclass(frozen=True)
class Case:
    """One measurement: `batch` completions of one hole, or `batch` pictures where nothing is completed.

    hole: the share of the picture's area that is hidden, in a box in its middle.
    """

    network: str = "comodgan"
    size: int = 512
    batch: int = 1
    dtype: str = "float32"
    device: str = "cpu"
    hole: float = 1.0

    def __post_init__(self):
        if self.network not in {one.name for one in ARCHITECTURES} or self.dtype not in DTYPES:
            raise CoModError(f"speed: no network '{self.network}' or number format '{self.dtype}'.")
        if self.batch < 1 or not 0 < self.hole <= 1:
            raise CoModError("speed: batch is at least 1, and hole is a share of the area above 0 and up to 1.")


def configuration(network: str, size: int):
    """Hyper-parameters as published, at this size. Raises CoModError for a size that the architecture does not have."""
    n = int(math.log2(size))
    base = 2 ** (14 if network == "stylegan2" else 15)
    channels = tuple(min(512, base // 2 ** i) for i in range(2, n + 1))
    if network == "comodgan":
        return CoModConfig(resolution=size)
    if network == "stylegan2":
        return StyleGAN2Config(resolution=size, channels=channels, feature_size=2048)
    if network == "stylemapgan":
        return StyleMapConfig(resolution=size, channels=channels)
    return BigGANConfig(resolution=size, z_dim=17 * (n - 1))


def random_network(network: str, size: int, device: str = "cpu") -> nn.Module:
    """The generator with random weights: time does not depend on the values. Noise is on."""
    torch.manual_seed(0)
    kind = next(one for one in ARCHITECTURES if one.name == network)
    with torch.device(device):
        net = kind.networks["generator"](configuration(network, size)).to(device).eval().requires_grad_(False)
    for name, parameter in net.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.1)
    return net


def inputs(net: nn.Module, case: Case) -> tuple[Tensor, ...]:
    """What `job` takes, on the CPU: for completion image, mask and w; else latents and conditions or style maps."""
    torch.manual_seed(1)
    n, r = case.batch, case.size
    if case.network == "comodgan":
        side = max(1, round(r * math.sqrt(case.hole)))
        mask, low = torch.zeros(1, 1, r, r), (r - side) // 2
        mask[..., low:low + side, low:low + side] = 1
        return torch.rand(1, 3, r, r) * 2 - 1, mask, torch.randn(n, net.z_dim)
    if case.network == "stylemapgan":
        return torch.rand(n, 3, r, r) * 2 - 1,
    feature = F.normalize(torch.randn(n, net.feature_size)) if net.feature_size else None
    return torch.randn(n, net.z_dim), feature


def place(net: nn.Module, case: Case) -> nn.Module:
    """The network on its device, in the case's number format."""
    if case.device == "cpu" and hasattr(net, "inference_dtype"):
        net.inference_dtype = DTYPES[case.dtype]
        return net
    return net.to(case.device, DTYPES[case.dtype])


def job(net: nn.Module, case: Case) -> Callable[[], Tensor]:
    """The work to be measured: encode once and decode every sample; or encode and decode; or generate."""
    weight = next(net.parameters())
    given = [None if x is None else x.to(weight.device, weight.dtype) for x in inputs(net, case)]
    if case.network == "comodgan":
        image, mask, z = given
        w = net.map(z)
        return lambda: net.decode(net.encode(image, mask, dropout=False), w)
    if case.network == "stylemapgan":
        return lambda: net.decode(net.encode(given[0]))
    return lambda: net.generate(*given)


def operations(case: Case) -> float:
    """Operations (2 a multiply-add) of the case as the published networks do it, with the whole picture decoded."""
    once, each = _operations(case.network, case.size)
    return once + each * case.batch


@functools.cache
def _operations(network: str, size: int) -> tuple[int, int]:
    """Operations that are done once an image, and once a sample."""
    from .operations import Operations

    with torch.device("meta"):
        kind = next(one for one in ARCHITECTURES if one.name == network)
        net = kind.networks["generator"](configuration(network, size)).eval().requires_grad_(False)
    given = [None if x is None else x.to("meta") for x in inputs(net, Case(network, size))]
    counts = []
    for part in _parts(net, network, given):
        with Operations() as counter, torch.no_grad():
            part()
        counts.append(counter.total)
    return (counts[0], counts[1]) if network == "comodgan" else (0, counts[0])


def _parts(net, network: str, given: list) -> Iterator[Callable]:
    """What is done once an image, then what is done once a sample."""
    if network == "comodgan":
        image, mask, z = given
        encoding = net.encode(image, mask, dropout=False)
        yield lambda: net.encode(image, mask, dropout=False)
        yield lambda: net.decode(encoding, net.map(z))
    elif network == "stylemapgan":
        yield lambda: net.decode(net.encode(given[0]))
    else:
        yield lambda: net.generate(*given)


def convolution_rate(device: str, dtype: str, seconds: float = 0.3) -> float:
    """Operations a second of the fastest of a few channels-last 3x3 convolutions, the peak that shares refer to."""
    best, kind = 0.0, torch.device(device).type
    for channels, size in _RATE_SHAPES:
        n = _RATE_BATCH.get(kind, 1)
        x = torch.randn(n, channels, size, size, device=device, dtype=DTYPES[dtype])
        x = x.to(memory_format=torch.channels_last)
        weight = torch.randn(channels, channels, 3, 3, device=device, dtype=DTYPES[dtype])
        weight = weight.to(memory_format=torch.channels_last)
        with torch.inference_mode():
            took = min(timed(lambda x=x, w=weight: F.conv2d(x, w, padding=1), device, budget=seconds))
        best = max(best, n * 18 * channels ** 2 * size ** 2 / took)
    return best


def timed(work: Callable, device: str, runs: int = 0, budget: float = 0.0, warm: int | None = None) -> list[float]:
    """Seconds of each of `runs` calls, or of as many as fit into `budget` seconds (at least two), after `warm` more."""
    gpu = torch.device(device).type == "cuda"
    synchronise = torch.cuda.synchronize if gpu else lambda: None
    warm = (3 if gpu else 1) if warm is None else warm
    times, end = [], math.inf
    for i in range(10 ** 6):
        if i == warm:
            end = time.perf_counter() + budget
        synchronise()
        start = time.perf_counter()
        work()
        synchronise()
        if i >= warm:
            times.append(time.perf_counter() - start)
        if runs and len(times) >= runs or not runs and len(times) >= 2 and time.perf_counter() > end:
            return times
    return times


@functools.lru_cache(maxsize=1)
def _kept_network(network: str, size: int, device: str) -> nn.Module:
    return random_network(network, size, device)


def measure(case: Case, runs: int = 3, rate: float | None = None) -> dict:
    """One case in this process: seconds (median), GFLOP, GFLOP/s, share of the convolutions' peak, GPU memory."""
    make = _kept_network if case.device == "cpu" else random_network
    net = place(make(case.network, case.size, case.device), case)
    with torch.inference_mode():
        work = job(net, case)
        if case.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        seconds = statistics.median(timed(work, case.device, runs))
    count = operations(case)
    row = dataclasses.asdict(case) | {"seconds": seconds, "GFLOP": count / 1e9, "GFLOP/s": count / seconds / 1e9}
    if rate:
        row |= {"share of the peak": count / seconds / rate, "floor (s)": count / rate}
    if case.device != "cpu":
        row["peak memory (GB)"] = torch.cuda.max_memory_allocated() / 1e9
    return row


def peak_memory(case: Case, file: Path) -> float:
    """GB of memory that a process of its own needs for the case on the CPU, at most, with weights from a file."""
    command = [sys.executable, "-m", __name__, json.dumps(dataclasses.asdict(case)), str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True,
                          cwd=Path(__file__).resolve().parents[__name__.count(".")])
    return json.loads(done.stdout)["GB"]


def write_network(case: Case, folder: Path) -> Path:
    """A safetensors file of the case's network, with random weights; one that is there already is kept."""
    path = folder / f"{case.network}-{case.size}.safetensors"
    return path if path.exists() else save_networks(path, {"generator": random_network(case.network, case.size)})


def _peak_of(case: Case, file: Path) -> float:
    net = place(load_networks(file, ("generator",))[0]["generator"], case)
    with torch.inference_mode():
        job(net, case)()
    return own_peak()


def own_peak() -> float:
    """GB of memory that this process had at most. (On Linux getrusage would count what its parent had, too.)"""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def bench(cases: list[Case], runs: int = 3, memory: Callable[[Case], bool] = lambda case: True) -> Iterator[dict]:
    """The rows of these cases, each as soon as it is measured. memory(case): whether its peak is measured on the CPU,
    which takes a process of its own.
    """
    rates: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            kind = case.device, case.dtype
            if kind not in rates:
                rates[kind] = convolution_rate(*kind)
            row = measure(case, runs, rates[kind])
            if case.device == "cpu" and memory(case):
                row["peak memory (GB)"] = peak_memory(case, write_network(case, Path(folder)))
            yield row


def machine(device: str) -> str:
    """The machine in words."""
    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    fast = " with AMX" if has_amx() else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (f"{cores} cores of {name}{fast}, {torch.get_num_threads()} threads, "
            f"torch {torch.__version__}")


def table(rows: list[dict]) -> str:
    """Rows as a Markdown table, numbers with three digits."""
    if not rows:
        return ""
    columns = list(dict.fromkeys(key for row in rows for key in row))

    def cell(value) -> str:
        return f"{value:.3g}" if isinstance(value, float) and value < 1000 else \
            f"{value:.0f}" if isinstance(value, float) else str(value)

    lines = [columns, ["---"] * len(columns), *([cell(row.get(key, "")) for key in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    print(json.dumps({"GB": _peak_of(Case(**json.loads(sys.argv[1])), Path(sys.argv[2]))}))
