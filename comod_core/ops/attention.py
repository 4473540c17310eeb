"""Attention without a scale, by the most economical kernel that is there."""
from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def attention_reference(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The maths, step by step. Shapes as in `attention`."""
    # 1. how much every query likes every key
    likeness = q @ k.transpose(1, 2)
    # 2. as shares that sum to one
    shares = likeness.softmax(dim=-1)
    # 3. the mean of the values, by these shares
    return shares @ v


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T) v: q [N,M,C], k [N,K,C], v [N,K,D] -> [N,M,D], without the division by sqrt(C).

    By xformers where it is installed and takes these tensors, else by torch's scaled_dot_product_attention, which never
    forms the [M,K] matrix either where the device has such a kernel.
    """
    q, k, v = (x[:, :, None] for x in (q, k, v))  # one head
    efficient = _xformers() if q.is_cuda else None
    if efficient is not None:
        try:
            return efficient(q, k, v, scale=1.0)[:, :, 0]
        except (NotImplementedError, ValueError, RuntimeError) as problem:
            if isinstance(problem, torch.cuda.OutOfMemoryError):
                raise
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, scale=1.0)[:, 0]


@functools.cache
def _xformers() -> Callable[..., Tensor] | None:
    try:
        from xformers.ops import memory_efficient_attention
    except Exception:  # a build for another torch fails in ways of its own
        return None
    return memory_efficient_attention
