"""Load a network by its name or its file."""
from __future__ import annotations

import difflib
import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .checkpoints import import_checkpoint
from .checkpoints.download import download
from .checkpoints.store import is_safetensors, load_networks
from .errors import CoModError
from .files import sha256_of
from .graphs import use_cuda_graphs
from .models.table import MODELS, ModelEntry
from .networks.fast import good_at_bfloat16
from .networks.registry import architecture_of
from .precision import use_half

_log = logging.getLogger("comod")
_LARGE = 256  # pixels a side from which convolutions take most of the time


class _Late:
    """A field that is worked out when it is first asked for, where it was given as a function."""

    def __set_name__(self, owner, name: str):
        self.name = name

    def __get__(self, instance, owner=None):
        if instance is None:
            raise AttributeError(self.name)
        value = instance.__dict__[self.name]
        if callable(value):
            value = instance.__dict__[self.name] = value()
        return value

    def __set__(self, instance, value):
        instance.__dict__[self.name] = value


@dataclass(frozen=True)
class ModelInfo:
    """Facts about a loaded network: channels of its pictures, resolution in pixels, sha256 of the file it came from.

    layout: "aligned" where all its pictures are framed alike (faces in the middle), so that a photo is best fitted
    whole; "free" where any crop will do. features: the extractor of the instance features that it takes
    (`comod_core.instances.extractors`), "" where the file does not say or it takes none. condition: what a network that
    translates takes, "edges" or "labels", "" as before; classes: those of its label maps, "name #rrggbb" each.
    """

    name: str
    architecture: str
    resolution: int
    channels: int
    licence: str
    origin: str
    sha256: str = _Late()  # of a large file it takes a second
    layout: str = "free"
    features: str = ""
    condition: str = ""
    classes: tuple[str, ...] = ()


def load_model(path_or_name: str | os.PathLike, device: str | torch.device | None = None,
               dtype: torch.dtype | str | None = None) -> nn.Module:
    """The generator of a file, or of a model in the table (`comod_core.models.table`), ready for use.

    path_or_name: a .safetensors of CoMod; a file, or folder of IC-GAN's BigGAN, that `import_checkpoint` reads and that
    is imported on the fly; or a name such as "avatars-64". device: default CPU. dtype: default as stored (float32), but
    a large network on a CPU that is faster in bfloat16 (AMX, AVX512-BF16) computes in that: `.inference_dtype`. Names
    do too, and "mixed" on a GPU: the highest resolutions in float16 (`comod_core.precision`). COMOD_CUDA_GRAPHS=1: on a
    CUDA device decodes are recorded and replayed (`comod_core.graphs`).
    The class of the network is that of its architecture (`comod_core.networks.registry`). It is in evaluation mode,
    needs no gradients, and has `.info` (ModelInfo). A safetensors file is memory-mapped.
    Raises CoModError for unknown names (with near matches), absent or damaged files, other architectures.
    """
    path, entry = find_model(path_or_name)
    mixed = dtype == "mixed"
    if isinstance(dtype, str):
        dtype = torch.float32 if mixed else getattr(torch, dtype)
    with torch.inference_mode(False):  # weights made in inference mode could never be differentiated through
        net, facts = _read(path)
        net = net.to(device=device, dtype=dtype)
    _suit_gpu(net, mixed)
    if dtype is None and torch.device(device or "cpu").type == "cpu" and _better_in_bfloat16(net):
        net.inference_dtype = torch.bfloat16
    net.info = ModelInfo(
        entry.name if entry else str(facts.get("name", path.stem)), architecture_of(net).name,
        net.resolution, net.image_channels,
        str(facts.get("licence", entry.licence if entry else "unknown")),
        str(facts.get("origin", entry.origin if entry else "unknown")), _digest(path, facts),
        str(facts.get("layout", entry.layout if entry else "free")), str(facts.get("features", "")),
        str(facts.get("condition", "")), tuple(str(facts.get("classes", "")).splitlines()))
    return net


def _suit_gpu(net: nn.Module, mixed: bool) -> None:
    place = next(net.parameters()).device.type
    if mixed and place == "cpu":
        raise CoModError("mixed precision is for GPUs; on a CPU give float32 or bfloat16, or nothing.")
    if mixed:
        use_half(net)
    if place == "cuda" and os.environ.get("COMOD_CUDA_GRAPHS") == "1":
        use_cuda_graphs(net)


def _better_in_bfloat16(net: nn.Module) -> bool:
    return hasattr(net, "inference_dtype") and net.resolution >= _LARGE and good_at_bfloat16()


def _read(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The generator of a file and the file's metadata."""
    if path.is_file() and is_safetensors(path):
        networks, facts = load_networks(path, ("generator",))
        if not networks:
            raise CoModError(f"{path}: there is no generator in it.")
        return networks["generator"], facts
    found = import_checkpoint(path)
    _log.info("%s was imported on the fly; `comod convert %s` makes a file that loads faster.", path.name, path)
    return found.generator, found.metadata


def find_model(path_or_name: str | os.PathLike) -> tuple[Path, ModelEntry | None]:
    """The file or folder of a path, or the file of a table name; and the name's entry in the table.

    A file that is not here is downloaded where the table says where from.
    Raises CoModError when there is neither such a file nor such a name, or when the file has to be fetched by hand.
    """
    path = Path(path_or_name)
    if path.is_file():
        return path, None
    name = str(path_or_name)
    entry = next((entry for entry in MODELS if entry.name == name), None)
    if entry is not None:
        return _entry_file(entry), entry
    if name and path.is_dir():
        return path, None
    if path.suffix or path.parent != Path("."):
        raise CoModError(f"{path}: there is no such file. Check the path, or use one of the names {_names()}.")
    near = difflib.get_close_matches(name, [entry.name for entry in MODELS], n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise CoModError(f"There is no file and no model called '{name}'.{hint} Known names: {_names()}.")


def models_folder() -> Path:
    """Where downloaded models are: $COMOD_MODELS, or models/comod beside the package."""
    folder = os.environ.get("COMOD_MODELS")
    return Path(folder) if folder else Path(__file__).resolve().parent.parent / "models" / "comod"


def _names() -> str:
    return ", ".join(entry.name for entry in MODELS)


def installed_file(entry: ModelEntry) -> Path | None:
    """Where a model of the table lies on this machine, a converted file first; None when it is not here."""
    if entry.built_in:
        places = [Path(__file__).resolve().parent / "models" / entry.file]
    else:
        wanted = models_folder() / entry.file
        places = [wanted.with_suffix(".safetensors"), wanted]
    return next((path for path in places if path.is_file()), None)


def _entry_file(entry: ModelEntry) -> Path:
    found = installed_file(entry)
    if found:
        return found
    wanted = models_folder() / entry.file
    if entry.built_in:
        raise CoModError(f"the built-in model {entry.name} ({entry.file}) is missing; install the package again.")
    if entry.url is None:
        raise CoModError(f"{entry.name}: {entry.file} is not here and cannot be fetched automatically. Get it from the "
                         f"official project ({entry.origin}; licence: {entry.licence}) and save it as {wanted}.")
    _log.info("Downloading %s (licence: %s) from %s", entry.file, entry.licence, entry.url)
    return download(entry.url, wanted, entry.sha256, entry.size)


def _digest(path: Path, facts: dict) -> str | Callable[[], str]:
    """SHA-256 of the file, or what finds it; for a foreign file the importer has it already."""
    if path.name == facts.get("source_name"):
        return facts["source_sha256"]
    stat = path.stat()
    return functools.partial(_sha256, path.resolve(), stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, changed: int, size: int) -> str:
    """As `sha256_of`, remembered while the file stays the same: networks are often loaded again."""
    return sha256_of(path)
