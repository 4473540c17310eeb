"""CoMod's own files: safetensors with the networks' configuration, licence and origin in the metadata.

The header is written here rather than by the library, because the library orders the metadata by a random hash: the
same networks must give the same bytes. Reading is the library's job.
"""
from __future__ import annotations

import dataclasses
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import CoModError
from ..files import atomic_write
from ..networks.registry import ARCHITECTURES, Architecture, architecture_of
from ..ops import setup_filter

FORMAT = "comod-1"
NETWORKS = ("generator", "discriminator")
_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}


def save_networks(path: str | os.PathLike, networks: Mapping[str, nn.Module | None],
                  metadata: Mapping[str, Any] | None = None) -> Path:
    """Write networks into one safetensors file, whole or not at all; equal networks and metadata give equal bytes.

    networks: {"generator": net, "discriminator": net or None}; keys in the file are "generator.…", "discriminator.…".
    metadata: text, or values that JSON can hold (licence, origin, credits, source_sha256, …). The architecture and the
    generator's configuration are added. Raises CoModError for unknown names, dtypes, or networks that do not belong
    together.
    """
    present = {name: net for name, net in networks.items() if net is not None}
    if not present or set(present) - set(NETWORKS):
        raise CoModError(f"save_networks: {sorted(present)} should be one or both of {sorted(NETWORKS)}.")
    architecture = _common_architecture(present)
    configs = {net.config for net in present.values()}
    if len(configs) > 1:
        raise CoModError("save_networks: the generator and the discriminator have different configurations.")
    facts = {"format": FORMAT, "architecture": architecture.name, **(metadata or {}),
             "config": dataclasses.asdict(configs.pop())}
    tensors = {f"{name}.{key}": tensor for name, net in present.items() for key, tensor in net.state_dict().items()}
    path = Path(path)
    with atomic_write(path) as file:
        _write(file, tensors, facts)
    return path


def _common_architecture(networks: Mapping[str, nn.Module]) -> Architecture:
    """The architecture of all these networks, each in its own role."""
    try:
        found = [architecture_of(net) for net in networks.values()]
    except LookupError as problem:
        raise CoModError(f"save_networks: {problem}.") from problem
    for name, net in networks.items():
        if not isinstance(net, found[0].networks[name]):
            raise CoModError(f"save_networks: a {type(net).__name__} is no {name} of {found[0].name}.")
    return found[0]


def _write(file, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    header: dict[str, Any] = {"__metadata__": {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in sorted(facts.items())}}
    position = 0
    for key in sorted(tensors):
        tensor = tensors[key]
        if tensor.dtype not in _DTYPES:
            raise CoModError(f"save_networks: '{key}' is {tensor.dtype}, which is not a floating-point number format.")
        stop = position + tensor.numel() * tensor.element_size()
        header[key] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [position, stop]}
        position = stop
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-(len(text) + 8) % 64)  # the numbers begin at a multiple of 64
    file.write(struct.pack("<Q", len(text)))
    file.write(text)
    for key in sorted(tensors):
        flat = tensors[key].detach().cpu().contiguous().reshape(-1)
        file.write(memoryview(flat.view(torch.uint8).numpy()))


def read_header(path: str | os.PathLike) -> dict[str, Any]:
    """The metadata of a CoMod file: architecture, config (a dict), licence, origin, credits, source_sha256, ….

    Adds "networks", the names of the networks in the file. Raises CoModError when it is not a CoMod file.
    """
    with _open(path) as file:
        return _header(path, file)


def is_safetensors(path: str | os.PathLike) -> bool:
    """Whether the file begins with a header length and a JSON object, as safetensors do."""
    path = Path(path)
    with open(path, "rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size - 8


def _open(path: str | os.PathLike):
    if not Path(path).is_file():
        raise CoModError(f"{path}: there is no such file. Check the path.")
    try:
        return safetensors.safe_open(path, framework="pt", device="cpu")
    except (safetensors.SafetensorError, OSError, ValueError) as problem:
        raise CoModError(f"{path}: not a usable safetensors file ({problem}). Copy or convert it again.") from problem


def _header(path: str | os.PathLike, file) -> dict[str, Any]:
    facts: dict[str, Any] = dict(file.metadata() or {})
    if _architecture(facts) is None or "config" not in facts:
        found = facts.get("architecture", facts.get("modelspec.architecture", "unknown"))
        raise CoModError(f"{path}: a safetensors file of architecture '{found}', not one that this version of CoMod "
                         f"wrote. Make one with `comod convert`.")
    try:
        facts["config"] = json.loads(facts["config"])
    except (ValueError, RecursionError) as problem:
        raise CoModError(f"{path}: its configuration is damaged ({problem}). Convert it again.") from problem
    facts["networks"] = sorted({key.split(".", 1)[0] for key in file.keys()} & set(NETWORKS))
    return facts


def _architecture(facts: Mapping[str, Any]) -> Architecture | None:
    return next((known for known in ARCHITECTURES if known.name == facts.get("architecture")), None)


def load_networks(path: str | os.PathLike, names: tuple[str, ...] = NETWORKS) -> tuple[dict, dict[str, Any]]:
    """The networks of a CoMod file and its metadata: ({"generator": net, …}, metadata), evaluation mode, CPU.

    The weights are memory-mapped. names: which networks to read where the file has them. Raises CoModError.
    """
    with _open(path) as file:
        facts = _header(path, file)
        architecture = _architecture(facts)
        config = make_config(facts["config"], str(path), architecture)
        networks = {}
        for name in facts["networks"]:
            if name in names:
                keys = [key for key in file.keys() if key.startswith(name + ".")]
                state = {key.removeprefix(name + "."): file.get_tensor(key) for key in keys}
                networks[name] = build(architecture.networks[name], config, state, f"{path} ({name})")
    return networks, facts


def make_config(values: Mapping[str, Any], place: str, architecture: Architecture) -> Any:
    """The architecture's configuration from a dict. Raises CoModError for unknown or impossible hyper-parameters."""
    known = {field.name for field in dataclasses.fields(architecture.config)}
    if not isinstance(values, dict) or set(values) - known:
        raise CoModError(f"{place}: unknown hyper-parameters in its configuration; a newer version of CoMod wrote it.")
    numbers = [number for value in values.values() for number in (value if isinstance(value, list) else [value])]
    if any(isinstance(number, int) and number > 1 << 20 for number in numbers) or len(numbers) > 100 or \
            not isinstance(values.get("mapping_layers", 8), int) or values.get("mapping_layers", 8) > 64:
        raise CoModError(f"{place}: hyper-parameters in its configuration are far too large.")
    try:
        return architecture.config(**values)
    except (TypeError, ValueError) as problem:
        raise CoModError(f"{place}: impossible hyper-parameters ({problem}).") from problem


class _Unset(TorchFunctionMode):
    """Random numbers that nobody will read are not drawn: on the meta device that imports half of torch."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return (torch.empty if func is torch.randn else func)(*args, **(kwargs or {}))


def build(kind: type[nn.Module], config: Any, state: Mapping[str, Tensor], place: str) -> nn.Module:
    """A network of `kind` that takes the tensors of `state` as they are, without drawing random weights first.

    Raises CoModError naming what is missing, superfluous or of another shape.
    """
    with torch.device("meta"), _Unset():
        net = kind(config)
    wanted = {key: list(tensor.shape) for key, tensor in net.state_dict().items()}
    found = {key: list(tensor.shape) for key, tensor in state.items()}
    problems = [f"{key}: expected {wanted.get(key, 'nothing')}, found {found.get(key, 'nothing')}"
                for key in sorted(wanted.keys() | found.keys()) if wanted.get(key) != found.get(key)]
    problems += [f"{key} is {tensor.dtype}" for key, tensor in state.items() if not tensor.is_floating_point()]
    if problems:
        more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise CoModError(f"{place}: its weights do not fit its configuration: {'; '.join(problems[:4])}{more}.")
    net.load_state_dict(state, assign=True)
    for module in net.modules():  # the FIR filters are not part of a file
        if getattr(module, "fir", None) is not None:
            module.fir = setup_filter()
    return net.eval().requires_grad_(False)


def open_fact(fact: str) -> Any:
    """A fact of a file, JSON within it opened at every depth: quoted again it would double with every run."""
    if isinstance(fact, dict):
        return {name: open_fact(value) for name, value in fact.items()}
    try:
        found = json.loads(fact) if isinstance(fact, str) and fact.lstrip().startswith("{") else fact
    except ValueError:
        return fact
    return open_fact(found) if isinstance(found, dict) else found
