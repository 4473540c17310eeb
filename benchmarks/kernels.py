"""The Triton kernels against plain PyTorch on this machine's NVIDIA GPU: single ops, whole decodes, sizes of tiles.

    python benchmarks/kernels.py [--out benchmarks] [--seconds 85] [--sweep]

Both ways run in one process, in turn, through the same functions of `comod_core.ops`; TF32 as PyTorch has it by itself.
Ops: median of Triton's do_bench, which empties the cache between runs. Networks have random weights: their time does
not depend on the values. Writes kernels.json and kernels.md into OUT; what no time was left for is named there.
"""
from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from comod_core.files import atomic_write  # noqa: E402
from comod_core.graphs import use_cuda_graphs  # noqa: E402
from comod_core.networks import (  # noqa: E402
    CoModConfig,
    CoModGenerator,
    StyleGAN2Config,
    StyleGAN2Generator,
    StyleMapConfig,
    StyleMapGAN,
)
from comod_core.ops import bias_act, kernels, setup_filter, upfirdn2d, upsample2d  # noqa: E402
from comod_core.precision import use_half  # noqa: E402

DTYPES = {"float32": torch.float32, "float16": torch.float16}
UP_PADDING = (1, 1, 1, 1)  # of the FIR after a 3x3 up-convolution


def switch(on: bool) -> None:
    kernels._ready[torch.cuda.current_device()] = on


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    x = torch.randn(shape, device="cuda").to(dtype)
    return x.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else x


def op_cases(dtype: torch.dtype) -> dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor], int]]:
    """Name -> (with the kernel, plain PyTorch, bytes that must move): layers of a CoModGAN of 512x512."""
    from comod_core.ops.kernels.fir import fir
    from comod_core.ops.kernels.pointwise import pointwise

    gain, taps, size = math.sqrt(2), setup_filter(device=torch.device("cuda")), dtype.itemsize
    cases = {}
    for c, side in ((64, 512), (512, 64)):
        x, s, z, b = draw(1, c, side, side, dtype=dtype), draw(1, c), draw(1, 1, side, side), draw(c)
        wide = draw(1, c, side + 1, side + 1, dtype=dtype)
        moved, label = 2 * x.numel() * size, f"{c} x {side}^2"

        def tail(y, s=s, z=z, b=b):
            return bias_act(torch.addcmul(z.to(y.dtype), y, s.to(y.dtype)[:, :, None, None]), b, "lrelu")

        cases |= {
            f"bias_act {label}": (lambda x=x, b=b: bias_act(x, b, "lrelu"),) * 2 + (moved,),
            f"modulate {label}": (lambda x=x, s=s: pointwise(x, s),
                                  lambda x=x, s=s: x * s.to(x.dtype)[:, :, None, None], moved),
            f"demodulate + noise + bias_act {label}": (
                lambda x=x, s=s, z=z, b=b: pointwise(x, s, z, b, True, gain=gain),
                lambda x=x, tail=tail: tail(x), moved),
            f"up-convolution's FIR + all of that {label}": (
                lambda x=wide, s=s, z=z, b=b: fir(x, taps, s, z, b, padding=UP_PADDING, strength=4, lrelu=True,
                                                  gain=gain),
                lambda x=wide, tail=tail: tail(upfirdn2d(x, taps, padding=UP_PADDING, gain=4.0)),
                (wide.numel() + x.numel()) * size),
            f"FIR before a down-convolution {label}": (
                lambda x=x: upfirdn2d(x, taps, padding=(2, 2, 2, 2)),) * 2 + ((wide.numel() + x.numel()) * size,)}
    rgb = draw(1, 3, 256, 256)
    cases["RGB up to 512"] = (lambda: upsample2d(rgb, taps),) * 2 + (5 * rgb.numel() * 4,)
    return cases


def bench(run: Callable[[], Tensor]) -> float:
    """Median milliseconds on the GPU, the cache emptied between runs."""
    from triton.testing import do_bench

    return do_bench(run, warmup=5, rep=30, return_mode="median")


@torch.inference_mode()
def measure_ops(left: Callable[[], float]) -> dict:
    big = torch.empty(2 ** 28, dtype=torch.uint8, device="cuda")
    copied = 2 * big.numel() / bench(lambda: big.clone()) / 1e6
    rows = {}
    for name, dtype in DTYPES.items():
        for case, (fast, plain, moved) in op_cases(dtype).items():
            if left() < 0:
                return {"copy (GB/s)": round(copied), "rows": rows}
            switch(False)
            before = bench(plain)
            switch(True)
            after = bench(fast)
            rows[f"{case}, {name}"] = {
                "PyTorch (us)": round(before * 1e3, 1), "kernel (us)": round(after * 1e3, 1),
                "ratio": round(before / after, 2), "GB/s": round(moved / after / 1e6),
                "share of a copy": round(moved / after / 1e6 / copied, 2)}
            print(case, name, rows[f"{case}, {name}"], flush=True)
    return {"copy (GB/s)": round(copied), "rows": rows}


def networks() -> dict[str, tuple[Callable, Callable[[torch.nn.Module, int], Callable[[], Tensor]]]]:
    """Name -> (make the network, what is timed of it for a batch)."""
    def comodgan(net, count):
        image, mask = torch.rand(1, 3, 512, 512, device="cuda") * 2 - 1, torch.ones(1, 1, 512, 512, device="cuda")
        encoding, w = net.encode(image, mask, dropout=False), net.map(draw(count, 512))
        return lambda: net.decode(encoding, w)

    def encoder(net, count):
        image = torch.rand(count, 3, 512, 512, device="cuda") * 2 - 1
        mask = torch.ones(count, 1, 512, 512, device="cuda")
        return lambda: net.encode(image, mask, dropout=False).skips[512]

    def stylemap(net, count):
        style = net.map(draw(count, net.z_dim))
        return lambda: net.decode(style)

    def stylegan2(net, count):
        w = net.map(draw(count, net.z_dim))
        return lambda: net.decode(w)

    return {"CoModGAN 512, decode": (lambda: CoModGenerator(CoModConfig()), comodgan),
            "CoModGAN 512, encode": (lambda: CoModGenerator(CoModConfig()), encoder),
            "StyleMapGAN 256, decode": (lambda: StyleMapGAN(StyleMapConfig()), stylemap),
            "StyleGAN2 256, decode": (lambda: StyleGAN2Generator(StyleGAN2Config()), stylegan2)}


WAYS = {"PyTorch float32": (False, False, False), "kernels float32": (True, False, False),
        "PyTorch mixed": (False, True, False), "kernels mixed": (True, True, False),
        "kernels float32, graph": (True, False, True), "kernels mixed, graph": (True, True, True)}


@torch.inference_mode()
def measure_networks(left: Callable[[], float]) -> dict:
    rows = {}
    for name, (make, prepare) in networks().items():
        with torch.device("cuda"):
            torch.manual_seed(0)
            net = make().eval().requires_grad_(False)
        for count in (1, 8):
            exact = None
            for way, (on, half, graph) in WAYS.items():
                if left() < 0 or (graph and "encode" in name):
                    continue
                switch(on)
                use_half(net, 4 if half else 0)
                torch.manual_seed(1)
                run = prepare(use_cuda_graphs(net), count) if graph else prepare(net, count)
                row = time_network(run)
                if graph:
                    del net.decode
                picture = row.pop("picture")
                exact = picture if exact is None else exact
                row["PSNR to the first (dB)"] = psnr(picture, exact)
                rows[f"{name}, {count}, {way}"] = row
                print(name, count, way, row, flush=True)
        del net
        torch.cuda.empty_cache()
    return rows


def time_network(run: Callable[[], Tensor], most: int = 20) -> dict:
    """Median milliseconds from call to finished picture, Python included, and the highest memory."""
    for _ in range(3):
        picture = run()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(most):
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return {"ms": round(statistics.median(times), 2), "memory (MB)": torch.cuda.max_memory_allocated() // 2 ** 20,
            "picture": picture.float()}


def psnr(found: Tensor, expected: Tensor) -> float | None:
    """dB, for the range of the expected picture; None where they are equal."""
    error = (found - expected).square().mean().item()
    span = (expected.max() - expected.min()).item()
    return round(10 * math.log10(span ** 2 / error), 1) if error else None


@torch.inference_mode()
def sweep(left: Callable[[], float]) -> dict:
    """Microseconds by size of tile, for the largest FIR and the largest pointwise pass."""
    from comod_core.ops.kernels import fir, pointwise

    taps, s, z, b = setup_filter(device=torch.device("cuda")), draw(1, 64), draw(1, 1, 512, 512), draw(64)
    rows: dict[str, float] = {}

    def try_fir(label: str, x: Tensor, **tile: int) -> None:
        if left() < 0:
            return
        kept = {key: getattr(fir, key) for key in tile}
        for key, value in tile.items():
            setattr(fir, key, value)
        rows[f"{label} {list(tile.values())}"] = round(1e3 * bench(lambda: fir.fir(
            x, taps, s, z, b, padding=UP_PADDING, strength=4, lrelu=True)), 1)
        print(label, tile, rows[f"{label} {list(tile.values())}"], flush=True)
        for key, value in kept.items():
            setattr(fir, key, value)

    for name, dtype in DTYPES.items():
        x = draw(1, 64, 513, 513, dtype=dtype)
        for c, h, w, warps in ((64, 4, 8, 8), (64, 4, 8, 4), (64, 2, 8, 4), (64, 8, 8, 8), (32, 4, 8, 4), (32, 8, 8, 8),
                               (32, 4, 16, 8), (16, 8, 8, 4), (16, 8, 16, 8), (64, 4, 4, 4), (64, 2, 16, 8)):
            try_fir(f"FIR channels-last {name}", x, CHANNELS=c, ROWS=h, COLUMNS=w, WARPS=warps)
        x = x.contiguous()
        for h, w in ((8, 128), (4, 128), (8, 64), (16, 64), (4, 64), (2, 256), (1, 512)):
            try_fir(f"FIR planes {name}", x, PLANE_ROWS=h, PLANE_COLUMNS=w)
    for name, dtype in DTYPES.items():
        x = draw(1, 64, 512, 512, dtype=dtype)
        for tile in (512, 1024, 2048, 4096):
            if left() > 0:
                kept, pointwise.TILE = pointwise.TILE, tile
                rows[f"pointwise {name} [{tile}]"] = round(1e3 * bench(
                    lambda x=x: pointwise.pointwise(x, s, z, b, True)), 1)
                pointwise.TILE = kept
    return rows


def table(rows: dict[str, dict], head: str) -> list[str]:
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    return [f"| {head} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|",
            *(f"| {name} | " + " | ".join(str(row.get(c, "")) for c in columns) + " |" for name, row in rows.items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seconds", type=float, default=85)
    parser.add_argument("--sweep", action="store_true", help="try sizes of tiles too")
    options = parser.parse_args()
    if not torch.cuda.is_available() or not kernels.prepare("cuda"):
        raise SystemExit("this needs an NVIDIA GPU with Triton")
    import triton

    start = time.perf_counter()

    def left() -> float:
        return options.seconds - (time.perf_counter() - start)

    machine = f"{torch.cuda.get_device_name()}, torch {torch.__version__}, triton {triton.__version__}"
    record: dict = {"machine": machine}
    sections = {"ops": measure_ops, "networks": measure_networks} | ({"tiles (us)": sweep} if options.sweep else {})
    for name, measure in sections.items():
        try:
            record[name] = measure(left)
        except Exception as problem:  # the other sections are worth having
            traceback.print_exc()
            record[name] = {"failed": repr(problem)}
    record["seconds"], record["complete"] = round(time.perf_counter() - start, 1), left() > 0
    lines = [machine + ".", ""]
    if "failed" not in record["ops"]:
        lines += [f"A copy moves {record['ops']['copy (GB/s)']} GB/s here, bytes read and written counted.", "",
                  *table(record["ops"]["rows"], "op"), ""]
    if "failed" not in record["networks"]:
        lines += table(record["networks"], "network, batch, way")
    for suffix, text in ((".json", json.dumps(record, indent=1)), (".md", "\n".join(lines))):
        with atomic_write(options.out / f"kernels{suffix}", "w") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
