"""What the processor is good at."""
from __future__ import annotations

import functools

import torch


@functools.cache
def has_amx() -> bool:
    """Whether this processor multiplies matrices of bfloat16 in tiles (Intel AMX)."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


def good_at_bfloat16() -> bool:
    """Whether this processor computes faster in bfloat16 than in float32.

    With AMX. AVX512-BF16 alone does not do it: there float32 by Winograd's way takes half of bfloat16's time
    (benchmarks/NOTES.md).
    """
    return has_amx()
