"""Which network has a fast form, when it may be used, and how long it stays valid."""
from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from .memory import hand_back

_DTYPES = (torch.float32, torch.bfloat16)
_allowed: ContextVar[bool] = ContextVar("comod_fast", default=True)
_forms: weakref.WeakKeyDictionary[nn.Module, tuple[tuple, Any]] = weakref.WeakKeyDictionary()


def fast_form(net: nn.Module, build: Callable[[nn.Module, torch.dtype], Any], *inputs: Tensor) -> Any | None:
    """The fast form of a network, made by build(net, dtype) when there is none of its present weights.

    None where the network itself has to run: on a GPU, in training, where a weight or one of `inputs` wants its
    gradient, where hooks wait for a module's call, under autocast, while it is traced or compiled.

    dtype is that of the weights, or `net.inference_dtype` where the network has that attribute and it is not None.
    """
    if torch.compiler.is_compiling():
        return None
    weight = next(net.parameters())
    if not _allowed.get() or net.training or weight.device.type != "cpu" or _traced():
        return None
    modules = _modules(net)
    parameters = [tensor for module in modules for tensor in module._parameters.values() if tensor is not None]
    buffers = [tensor for module in modules for tensor in module._buffers.values() if tensor is not None]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*inputs, *parameters)):
        return None
    if any(module._forward_hooks or module._forward_pre_hooks for module in modules):
        return None
    dtype = getattr(net, "inference_dtype", None) or weight.dtype
    if dtype not in _DTYPES or weight.dtype not in _DTYPES:
        return None
    key = (dtype, *(_stamp(tensor) for tensor in (*parameters, *buffers)))
    held = _forms.get(net)
    if held is None or held[0] != key:
        _forms.pop(net, None)  # what it holds is freed before its successor is made
        with torch.inference_mode(False), torch.no_grad():  # what is made here serves in every mode
            held = _forms[net] = (key, build(net, dtype))
        hand_back(parameters)
    return held[1]


def _modules(net: nn.Module) -> list[nn.Module]:
    """As `net.modules()`, in a tenth of its time, which small networks would notice."""
    found = [net]
    for module in found:
        found += [child for child in module._modules.values() if child is not None]
    return found


@contextlib.contextmanager
def plain_form() -> Iterator[None]:
    """Within the block networks run as they are."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def _stamp(tensor: Tensor) -> tuple[int, int]:
    """Changes when the values may have. (Tensors made in inference mode do not count their changes.)"""
    return tensor.data_ptr(), -1 if tensor.is_inference() else tensor._version


def _traced() -> bool:
    return (torch.jit.is_tracing() or torch.is_autocast_enabled("cpu")
            or torch._C._len_torch_dispatch_stack() > 0 or torch._C._functorch.peek_interpreter_stack() is not None)
