"""What the processor is good at."""
from __future__ import annotations

import functools

import torch


@functools.cache
def has_amx() -> bool:
    """Whether this processor multiplies matrices of bfloat16 in tiles (Intel AMX)."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


@functools.cache
def good_at_bfloat16() -> bool:
    """Whether this processor computes faster in bfloat16 than in float32, with AMX or AVX512-BF16, and not slower."""
    return has_amx() or bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())
