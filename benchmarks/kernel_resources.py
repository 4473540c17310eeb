"""Compile every Triton kernel ahead of time for five generations of NVIDIA GPUs; no GPU is needed.

    python benchmarks/kernel_resources.py [--only NAME] [--arch 80]

Each case is what the ops launch for one layer of a CoModGAN of 512x512. Writes benchmarks/kernel_resources.json:
registers a thread, bytes spilled, bytes of shared memory, as NVIDIA's assembler reports them.
"""
from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import triton  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from benchmarks.kernel_launches import Launch, recorded  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.ops.kernels import fir, pointwise, programs  # noqa: E402

ARCHITECTURES = (75, 80, 86, 89, 90)
HALF, FULL = torch.float16, torch.float32
UP = {"padding": (1, 1, 1, 1), "strength": 4.0, "lrelu": True}


def draw(*shape: int, dtype: torch.dtype = FULL, last: bool = True) -> torch.Tensor:
    x = torch.empty(shape, dtype=dtype, device="meta")
    return x.contiguous(memory_format=torch.channels_last) if last and len(shape) == 4 else x


def _tail(side: int = 512) -> tuple:
    return draw(1, 64), draw(1, 1, side, side), draw(64)


CASES: dict[str, Callable[[], object]] = {
    "bias_act, float32": lambda: pointwise.pointwise(draw(1, 64, 512, 512), bias=draw(64), lrelu=True),
    "bias_act of a matrix, float32": lambda: pointwise.pointwise(draw(8, 512), bias=draw(512), lrelu=True),
    "modulate, float16": lambda: pointwise.pointwise(draw(1, 64, 512, 512, dtype=HALF), draw(1, 64)),
    "demodulate, noise, bias, act, float32": lambda: pointwise.pointwise(draw(1, 64, 512, 512), *_tail(), True),
    "demodulate, noise, bias, act, clamp, float16":
        lambda: pointwise.pointwise(draw(1, 64, 512, 512, dtype=HALF), *_tail(), True, clamp=256.0),
    "gradient of act, float32":
        lambda: pointwise.launch_slope(draw(1, 64, 512, 512), draw(1, 64, 512, 512), True, 0.2, 1.4, -1.0),
    "up FIR with all, float32": lambda: fir.fir(draw(1, 64, 513, 513), draw(4, 4), *_tail(), **UP),
    "up FIR with all, clamp, float16":
        lambda: fir.fir(draw(1, 64, 513, 513, dtype=HALF), draw(4, 4), *_tail(), clamp=256.0, **UP),
    "up FIR with all, planes, float32":
        lambda: fir.fir(draw(1, 64, 513, 513, last=False), draw(4, 4), *_tail(), **UP),
    "RGB upsampled, float32": lambda: fir.fir(draw(1, 3, 256, 256), draw(4, 4), up=2, padding=(2, 1, 2, 1), strength=4),
    "FIR that halves, float16":
        lambda: fir.fir(draw(1, 64, 512, 512, dtype=HALF), draw(4, 4), down=2, padding=(1, 1, 1, 1)),
}


def launch_of(case: str) -> Launch:
    with recorded() as found:
        CASES[case]()
    return found[0]


def source_of(launch: Launch) -> ASTSource:
    """The program specialised as Triton does it for these arguments: ones are constants, multiples of 16 are known."""
    program = getattr(programs, launch.program)
    signature, constants, known = {}, {}, {}
    for place, (name, value) in enumerate(zip(program.arg_names, launch.arguments, strict=False)):
        if isinstance(value, torch.Tensor):
            signature[name] = {HALF: "*fp16", FULL: "*fp32"}[value.dtype]
            known[(place,)] = [["tt.divisibility", 16]]
        elif isinstance(value, float):
            signature[name] = "fp32"
        elif value == 1:
            signature[name], constants[(place,)] = "constexpr", 1
        else:
            signature[name] = "i32"
            known |= {(place,): [["tt.divisibility", 16]]} if value % 16 == 0 else {}
    for name, value in launch.settings.items():
        if name != "num_warps":
            signature[name], constants[(program.arg_names.index(name),)] = "constexpr", value
    return ASTSource(program, signature, constants, known)


def resources(case: str, architecture: int) -> dict[str, int]:
    """Registers a thread, bytes spilled (stored and loaded), bytes of shared memory, threads."""
    launch = launch_of(case)
    warps = launch.settings["num_warps"]
    compiled = triton.compile(source_of(launch), target=GPUTarget("cuda", architecture, 32),
                              options={"num_warps": warps})
    report = assemble(compiled.asm["ptx"])
    spilled = sum(int(size) for size in re.findall(r"(\d+) bytes spill", report))
    return {"registers": int(re.search(r"Used (\d+) registers", report)[1]), "spilled": spilled,
            "shared": compiled.metadata.shared, "threads": 32 * warps}


def assemble(ptx: str) -> str:
    """What ptxas, which comes with triton, says of a program."""
    ptxas = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
    target = re.search(r"\.target (\w+)", ptx)[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.ptx"
        path.write_text(ptx)
        done = subprocess.run([str(ptxas), "-v", f"-arch={target}", str(path), "-o", str(path.with_suffix(".o"))],
                              capture_output=True, text=True, check=True)
    return done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CASES, help="print one case instead")
    parser.add_argument("--arch", type=int, choices=ARCHITECTURES)
    options = parser.parse_args()
    architectures = [options.arch] if options.arch else ARCHITECTURES
    if options.only:
        print(json.dumps({f"sm_{one}": resources(options.only, one) for one in architectures}))
        return
    rows = {case: {f"sm_{one}": resources(case, one) for one in architectures} for case in CASES}
    with atomic_write(Path(__file__).with_suffix(".json"), "w") as file:
        file.write(json.dumps({"triton": triton.__version__, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
