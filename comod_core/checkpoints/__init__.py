"""Foreign checkpoints in, CoMod's safetensors out."""
from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import CoModError
from ..files import sha256_of
from . import biggan, persistence, port, stylemap, tensorflow
from .machine import Record
from .pickles import is_torch, read_pickle, read_torch
from .store import is_safetensors, load_networks, save_networks

__all__ = ["Imported", "convert", "import_checkpoint"]

WHICH = ("ema", "train")
_log = logging.getLogger("comod")


@dataclass
class Imported:
    """The networks of a file. metadata: licence, origin, credits, source_name, source_sha256, which; perhaps notes."""

    generator: nn.Module
    discriminator: nn.Module | None
    metadata: dict[str, Any] = field(default_factory=dict)


def import_checkpoint(path: str | os.PathLike, which: str = "ema") -> Imported:
    """The networks of a checkpoint, whatever its format: evaluation mode, CPU, float32. Nothing in the file is run.

    Reads CoModGAN's TensorFlow pickles (generator, discriminator) and its PyTorch port's .pth (generator),
    StyleMapGAN's .pt (generator with encoder, discriminator), pickles of StyleGAN2-ADA and IC-GAN (generator,
    discriminator), IC-GAN's BigGAN .pth or the folder that holds it (generator, the best by its FID), and CoMod's own
    .safetensors. The format is told by the content, never by the name. which: "ema" for the averaged generator, "train"
    for the one that was being trained. Raises CoModError when the file is absent, damaged, hostile, or of another
    architecture; the text names what it was recognised as.
    """
    path = Path(path)
    if which not in WHICH:
        raise CoModError(f"which = '{which}' is not one of {', '.join(WHICH)}.")
    file = biggan.best_of(path, which) if path.is_dir() else path
    if not file.is_file():
        raise CoModError(f"{path}: there is no such file. Check the path.")
    if is_safetensors(file):
        return _own(file, which)
    generator, discriminator, facts = _foreign(file, which)
    facts.update(source_name=path.name, source_sha256=sha256_of(file), which=which)
    return Imported(generator, discriminator, facts)


def _foreign(path: Path, which: str) -> tuple[nn.Module, nn.Module | None, dict[str, Any]]:
    """Generator, discriminator and facts of a file of somebody else's."""
    place, content = str(path), read_torch(path) if is_torch(path) else read_pickle(path)
    if tensorflow.is_network_pickle(content):
        facts = {"licence": tensorflow.LICENCE, "origin": tensorflow.ORIGIN, "credits": tensorflow.CREDITS}
        return *tensorflow.import_tensorflow(content, which, place), facts
    if port.is_port(content):
        _require_ema(path, which)
        facts = {"licence": tensorflow.LICENCE, "origin": f"{tensorflow.ORIGIN}, converted by {port.ORIGIN}",
                 "credits": tensorflow.CREDITS, "notes": port.NOTES}
        return port.import_port(content, place), None, facts
    if stylemap.is_stylemap(content):
        facts = {"licence": stylemap.LICENCE, "origin": stylemap.ORIGIN, "credits": stylemap.CREDITS,
                 "notes": stylemap.NOTES, "layout": "aligned"}
        return *stylemap.import_stylemap(content, which, place), facts
    if persistence.is_stylegan2(content):
        return persistence.import_stylegan2(content, which, place)
    if biggan.is_biggan(content):
        if "G_ema" in path.name:
            _require_ema(path, which)
        stated = biggan.stated_beside(path)
        facts = {"licence": biggan.LICENCE, "origin": biggan.ORIGIN, "credits": biggan.CREDITS,
                 "notes": biggan.notes(path, stated), "features": biggan.features_of(stated)}
        return biggan.import_biggan(content, stated, place), None, facts
    raise CoModError(f"{path}: recognised as {recognise(content)}, not supported by this version of CoMod. It reads "
                     "CoModGAN (the official pickles, the PyTorch port's .pth), StyleMapGAN's .pt, pickles of "
                     "StyleGAN2-ADA and IC-GAN, IC-GAN's BigGAN .pth, and its own .safetensors.")


def convert(src: str | os.PathLike, dst: str | os.PathLike | None = None, which: str = "ema",
            progress: Callable[[str], None] | None = None) -> Path:
    """Write a foreign checkpoint as safetensors: generator AND discriminator, configuration, licence, origin.

    dst: by default the source's name with .safetensors, beside it; an existing file is replaced once the new one is
    whole. which: as in `import_checkpoint`. progress: told what is being done. Returns the path of the new file.
    Raises CoModError as `import_checkpoint` does, or when dst is src or does not end in .safetensors.
    """
    src = Path(src)
    dst = Path(dst) if dst is not None else src.with_suffix(".safetensors")
    if dst.suffix != ".safetensors":
        raise CoModError(f"{dst}: the name of a converted model ends in .safetensors.")
    if dst.exists() and src.exists() and dst.samefile(src):
        raise CoModError(f"{src}: is a .safetensors file already; give another destination.")
    tell = progress or _log.info
    start = time.monotonic()
    tell(f"reading {src}")
    found = import_checkpoint(src, which)
    save_networks(dst, {"generator": found.generator, "discriminator": found.discriminator}, found.metadata)
    tell(f"wrote {dst} ({dst.stat().st_size / 1e6:.1f} MB) in {time.monotonic() - start:.1f} s")
    return dst


def recognise(content: Any) -> str:
    """In words, what a checkpoint's content is, by its keys."""
    if isinstance(content, Record):
        return f"a single {content.module}.{content.name} object"
    if not isinstance(content, dict):
        return f"a {type(content).__name__} that is no known checkpoint"
    keys = {key for key in content if isinstance(key, str)}
    if {"g_ema", "e_ema"} <= keys:
        return "a checkpoint of a generator and an encoder, no StyleMapGAN"
    if any(isinstance(content.get(key), Record) for key in ("G_ema", "G")):
        return "a torch_utils.persistence pickle whose generator is no StyleGAN2 (StyleGAN3 perhaps)"
    if any(key.startswith("blocks.0.0.") for key in keys):
        return "a BigGAN state dict, not of a generator"
    if {"config", "best_FID"} <= keys:
        return "the configuration of an IC-GAN BigGAN (its generator is the G_ema file beside it)"
    if "g_ema" in keys or any(key.startswith("g_ema.") for key in keys):
        return "a StyleGAN2 checkpoint of a PyTorch port"
    some = ", ".join(repr(key[:40]) for key in sorted(keys)[:5])
    return f"a dict with the keys {some or 'none'}, which is no known checkpoint"


def _own(path: Path, which: str) -> Imported:
    networks, facts = load_networks(path)
    if "generator" not in networks:
        raise CoModError(f"{path}: there is no generator in it.")
    if which != facts.get("which", "ema"):
        raise CoModError(f"{path}: holds the '{facts.get('which', 'ema')}' generator, not '{which}'.")
    facts = {key: value for key, value in facts.items() if key not in ("networks", "config", "architecture", "format")}
    return Imported(networks["generator"], networks.get("discriminator"), facts)


def _require_ema(path: Path, which: str) -> None:
    if which != "ema":
        raise CoModError(f"{path}: this format holds the averaged generator only; leave --which at ema.")
