"""CUDA graphs: a decode of a fixed size recorded once and replayed, so that no kernel waits for Python."""
from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .errors import CoModError
from .ops import kernels

MOST = 8  # recordings kept; each holds its own copies of inputs and output


def use_cuda_graphs(net: nn.Module) -> nn.Module:
    """Let `net.decode` (`net.generate` of a network without it) replay recordings, in place.

    One recording a combination of shapes and noise mode, the latest eight. noise_mode "random" and calls that gradients
    go through are not recorded. Keep the weights where they are: `net.to` of another device makes new recordings.
    Raises CoModError when the network is not on a CUDA device.
    """
    if next(net.parameters()).device.type != "cuda":
        raise CoModError("CUDA graphs need the network on a CUDA device.")
    name = "decode" if hasattr(net, "decode") else "generate"
    run = getattr(net, name)
    if not isinstance(run, Recorded):
        setattr(net, name, Recorded(net, run))
    return net


class Recorded:
    """A function of a network with CUDA graphs of its calls."""

    def __init__(self, net: nn.Module, run: Callable):
        self.net, self.run = net, run
        self.recordings: OrderedDict[Any, Recording] = OrderedDict()

    def __call__(self, *args, **kwargs):
        leaves: list[Tensor] = []
        shape = flatten((args, kwargs), leaves)
        weight = next(self.net.parameters())
        if not recordable(shape, leaves, weight):
            return self.run(*args, **kwargs)
        key = (shape, weight.data_ptr(), *((x.shape, x.dtype) for x in leaves))
        if key not in self.recordings:
            self.recordings[key] = Recording(self.run, args, kwargs)
            if len(self.recordings) > MOST:
                self.recordings.popitem(last=False)
        self.recordings.move_to_end(key)
        return self.recordings[key].replay(leaves)


class Recording:
    """One graph with the tensors that it reads and writes."""

    @torch.inference_mode(False)
    @torch.no_grad()
    def __init__(self, run: Callable, args: tuple, kwargs: dict):
        self.inputs: list[Tensor] = []
        args, kwargs = rebuild((args, kwargs), self.inputs)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries choose their ways and kernels are compiled before the recording
            with kernels.always():
                for _ in range(2):
                    run(*args, **kwargs)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph), kernels.always():
            self.output = run(*args, **kwargs)

    @torch.no_grad()
    def replay(self, leaves: list[Tensor]) -> Tensor:
        for own, given in zip(self.inputs, leaves, strict=True):
            own.copy_(given)
        self.graph.replay()
        return self.output.clone()


def recordable(shape: Any, leaves: list[Tensor], weight: Tensor) -> bool:
    """Whether a call is the same work every time: no noise drawn, no gradients, everything on the GPU."""
    differentiated = torch.is_grad_enabled() and any(x.requires_grad for x in (*leaves, weight))
    same_place = all(x.device == weight.device for x in leaves)
    return weight.is_cuda and same_place and not differentiated and "'random'" not in repr(shape)


def flatten(value: Any, leaves: list[Tensor]) -> Any:
    """Append the tensors in `value` to `leaves`; return what is left of it, hashable."""
    if isinstance(value, Tensor):
        leaves.append(value)
        return Tensor
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return tuple((key, flatten(part, leaves)) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(flatten(part, leaves) for part in value)
    return value


def tensors(value: Any) -> list[Tensor]:
    """The tensors in `value`, in the order of `flatten`."""
    found: list[Tensor] = []
    flatten(value, found)
    return found


def rebuild(value: Any, copies: list[Tensor], device: torch.device | None = None) -> Any:
    """`value` with its tensors copied, to a device if one is given; the copies are appended to `copies` in the order of
    `flatten`."""
    if isinstance(value, Tensor):
        copies.append(value.detach().to(device or value.device, copy=True))
        return copies[-1]
    if dataclasses.is_dataclass(value):
        parts = {field.name: rebuild(getattr(value, field.name), copies, device)
                 for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts)
    if isinstance(value, dict):
        return {key: rebuild(part, copies, device) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(rebuild(part, copies, device) for part in value)
    return value
