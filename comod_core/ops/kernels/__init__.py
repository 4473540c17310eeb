"""GPU kernels of the ops, written in Triton: compiled on first use by Triton itself, no CUDA toolkit needed.

Nothing here imports triton until a tensor on a GPU asks for it (`usable`).
"""
from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
from collections.abc import Iterator
from contextvars import ContextVar

import torch
from torch import Tensor

_log = logging.getLogger("comod")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
OLDEST = (7, 5)
# Values below which PyTorch's own operations are sooner done: Triton's launch from Python takes longer than theirs
# (benchmarks/kernels.md). Where Python does not launch, under torch.compile and in CUDA graphs, there is no such limit.
POINTWISE_LEAST, FIR_LEAST = 2 ** 22, 2 ** 19
_ready: dict[int, bool] = {}
_always: ContextVar[bool] = ContextVar("comod_kernels_always", default=False)


def usable(x: Tensor, least: int = 0) -> bool:
    """Whether the kernels take over for this tensor: on an NVIDIA GPU with Triton, in a floating dtype, worth a launch.

    least: values from which a launch is worth it, see `POINTWISE_LEAST`.
    The first tensor on a GPU decides for it, by a trial; the log says the outcome. COMOD_KERNELS=0 keeps plain PyTorch.
    While torch.compile or torch.export traces, no trial is made: call `prepare` or run once before.
    """
    if not x.is_cuda or x.dtype not in DTYPES:
        return False
    if not torch.compiler.is_compiling() and x.numel() < least and not _always.get():
        return False
    index = x.device.index
    if index not in _ready:
        return False if torch.compiler.is_compiling() else prepare(x.device)
    return _ready[index]


@contextlib.contextmanager
def always() -> Iterator[None]:
    """Within the block the kernels take small tensors too."""
    token = _always.set(True)
    try:
        yield
    finally:
        _always.reset(token)


def prepare(device: torch.device | str = "cuda") -> bool:
    """Try the kernels on this GPU, once. Returns whether `usable` will be true of its tensors."""
    index = torch.device(device).index
    index = torch.cuda.current_device() if index is None else index
    if index not in _ready:
        why = _hindrance(index)
        _ready[index] = why is None
        name = torch.cuda.get_device_name(index)
        if why is None:
            _log.info("ops: Triton kernels on %s", name)
        else:
            _log.info("ops: plain PyTorch on %s, without Triton kernels: %s", name, why)
    return _ready[index]


def _hindrance(index: int) -> str | None:
    """Why the kernels cannot be used on this GPU; None when they can."""
    if os.environ.get("COMOD_KERNELS") == "0":
        return "COMOD_KERNELS=0"
    if torch.version.hip:
        return "they are for NVIDIA GPUs"
    capability = torch.cuda.get_device_capability(index)
    if capability < OLDEST:
        return f"compute capability {capability[0]}.{capability[1]} is below {OLDEST[0]}.{OLDEST[1]}"
    try:
        import triton
    except Exception as problem:  # absent, or a build for another system
        return f"triton does not import ({problem})"
    try:
        from . import fir, pointwise  # noqa: F401
    except Exception as problem:
        return f"triton {triton.__version__} does not take them ({problem})"
    return _trial(index)


def _trial(index: int) -> str | None:
    """Run a kernel: Triton needs a C compiler and a driver that it knows, and says so only then."""
    from .pointwise import launch_pointwise

    try:
        with torch.inference_mode(), torch.cuda.device(index):
            x = torch.tensor([[-1.0, 2.0]], device=f"cuda:{index}")
            y = launch_pointwise(x, None, None, None, True, 0.5, 2.0, -1.0)
            return None if y.tolist() == [[-1.0, 4.0]] else f"the trial gave {y.tolist()}"
    except Exception as problem:
        first = (str(problem).splitlines() or [type(problem).__name__])[0]
        return f"the trial failed ({first})"


@functools.cache
def namespace() -> str:
    """Namespace of the registered ops: each name under which the package is loaded has its own."""
    package = __name__.rsplit(".ops.", 1)[0]
    return "comod_" + re.sub(r"\W", "_", package, flags=re.ASCII)
