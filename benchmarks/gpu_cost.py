"""Kernels launched and bytes moved by an encode or a decode on a GPU, with the Triton kernels and without: counted.

    python benchmarks/gpu_cost.py

The networks run on "meta" tensors, which have shapes but no values, and every operation that PyTorch would launch is
written down; views and allocations cost nothing. Bytes are those of all operands, each once an operation: what must
move when no cache helps. A library's own workspace and extra passes are not in it. Writes benchmarks/gpu_cost.json.
"""
from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.kernel_launches import recorded, spread  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.networks import (  # noqa: E402
    CoModConfig,
    CoModGenerator,
    StyleGAN2Config,
    StyleGAN2Generator,
    StyleMapConfig,
    StyleMapGAN,
)
from comod_core.precision import use_half  # noqa: E402

FREE = ("aten::empty", "aten::new_empty", "aten::detach", "aten::alias", "aten::lift")


class Counter(TorchDispatchMode):
    """Counts PyTorch's own operations that would launch a kernel, and their bytes."""

    def __init__(self):
        super().__init__()
        self.launches = self.bytes = self.convolutions = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        schema = operation._schema
        a_view = any(part.alias_info and not part.alias_info.is_write for part in schema.returns)
        if not a_view and not schema.name.startswith(FREE):
            tensors = {id(x): x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)}
            self.launches += 1
            self.bytes += sum(spread(x) for x in tensors.values())
            self.convolutions += "convolution" in schema.name
        return result


def jobs() -> dict[str, tuple[torch.nn.Module, Callable]]:
    """Name -> the network on meta tensors and what runs, for a batch of one."""
    with torch.device("meta"):
        comod, style, gan = CoModGenerator(CoModConfig()), StyleMapGAN(StyleMapConfig()), StyleGAN2Generator(
            StyleGAN2Config())
        image, mask, w = torch.empty(1, 3, 512, 512), torch.empty(1, 1, 512, 512), torch.empty(1, 16, 512)
        style_map, latent = torch.empty(1, 64, 8, 8), torch.empty(1, 14, 512)
    return {"CoModGAN 512, encode": (comod, lambda: comod.encode(image, mask, dropout=False)),
            "CoModGAN 512, decode": (comod, lambda encoding: comod.decode(encoding, w)),
            "StyleMapGAN 256, decode": (style, lambda: style.decode(style_map)),
            "StyleGAN2 256, decode": (gan, lambda: gan.decode(latent))}


@torch.no_grad()
def count(net: torch.nn.Module, run: Callable, kernels: bool) -> dict[str, float]:
    encoding = net.encode(torch.empty(1, 3, 512, 512, device="meta"), torch.empty(1, 1, 512, 512, device="meta"),
                          dropout=False) if run.__code__.co_argcount else None
    given = [] if encoding is None else [encoding]
    run(*given)  # what is kept from one run to the next is made here
    with (recorded() if kernels else contextlib.nullcontext([])) as launched, Counter() as counter:
        run(*given)
    return {"launches": counter.launches + len(launched), "of them Triton": len(launched),
            "convolutions": counter.convolutions,
            "MB": round((counter.bytes + sum(one.bytes for one in launched)) / 1e6)}


def main() -> None:
    rows = {}
    for name, (net, run) in jobs().items():
        net.eval().requires_grad_(False)
        for half in (False, True):
            use_half(net, 4 if half else 0)
            for kernels in (False, True):
                way = f"{name}, {'mixed' if half else 'float32'}, {'kernels' if kernels else 'PyTorch'}"
                rows[way] = count(net, run, kernels)
    with atomic_write(Path(__file__).with_suffix(".json"), "w") as file:
        file.write(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
