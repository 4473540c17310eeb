"""Attention: against the maths, and which kernel runs."""
from __future__ import annotations

import sys
import types

import pytest
import torch

from comod_core.ops import attention as op
from comod_core.ops.attention import attention_reference

attention_module = sys.modules["comod_core.ops.attention"]


@pytest.fixture(autouse=True)
def fresh():
    attention_module._xformers.cache_clear()
    yield
    attention_module._xformers.cache_clear()


@pytest.mark.parametrize("shape", [(1, 4, 1, 3, 5), (2, 64, 16, 4, 16), (3, 9, 5, 8, 8)])
def test_it_is_the_reference(shape):
    torch.manual_seed(0)
    n, m, keys, c, d = shape
    q, k, v = (torch.randn(size).requires_grad_() for size in ((n, m, c), (n, keys, c), (n, keys, d)))
    expected, found = attention_reference(q, k, v), op(q, k, v)
    assert found.shape == (n, m, d)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for one, other in zip(torch.autograd.grad(found.square().sum(), (q, k, v)),
                          torch.autograd.grad(expected.square().sum(), (q, k, v)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


class OnCuda(torch.Tensor):
    """A tensor that says that it is on a GPU."""
    is_cuda = True


def install(monkeypatch, function):
    package, ops = types.ModuleType("xformers"), types.ModuleType("xformers.ops")
    ops.memory_efficient_attention = function
    monkeypatch.setitem(sys.modules, "xformers", package)
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)


def tensors():
    torch.manual_seed(0)
    return [torch.randn(2, 6, 4).as_subclass(OnCuda) for _ in range(3)]


def test_xformers_runs_where_it_is_installed_and_takes_the_tensors(monkeypatch):
    calls = []

    def efficient(q, k, v, scale):
        calls.append((q.shape, scale))
        return attention_reference(q[:, :, 0], k[:, :, 0], v[:, :, 0])[:, :, None]

    install(monkeypatch, efficient)
    torch.testing.assert_close(op(*tensors()).as_subclass(torch.Tensor),
                               attention_reference(*(x.as_subclass(torch.Tensor) for x in tensors())))
    assert calls == [((2, 6, 1, 4), 1.0)]
    op(*(x.as_subclass(torch.Tensor) for x in tensors()))
    assert len(calls) == 1  # not for tensors on the CPU


@pytest.mark.parametrize("problem", [NotImplementedError, ValueError, None])
def test_torch_runs_otherwise(problem, monkeypatch):
    def refusing(*args, **options):
        raise problem("no operator for these")

    if problem:
        install(monkeypatch, refusing)
    else:
        monkeypatch.setitem(sys.modules, "xformers", None)
    torch.testing.assert_close(op(*tensors()).as_subclass(torch.Tensor),
                               attention_reference(*(x.as_subclass(torch.Tensor) for x in tensors())))
