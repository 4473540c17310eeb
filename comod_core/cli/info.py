"""`comod info`: what a model file says about itself."""
from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .models import megabytes
from .report import out, paragraphs, printable

# What comes first; the rest follows by name.
FIRST = ("file", "size", "name", "installed", "architecture", "resolution", "licence", "origin", "credits", "notes",
         "config", "generator", "discriminator")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("info", no_args_is_help=True, help=paragraphs(info))(info)


def info(
    model: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A model file of any kind that CoMod reads, or a "
                                         "name from comod models.")],
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor: name, shape, number format.")] = False,
) -> None:
    """Show a model's architecture, configuration, licence, origin and tensors. Nothing in the file is run."""
    from ..loading import installed_file
    from ..models.table import MODELS

    entry = next((entry for entry in MODELS if entry.name == model and not Path(model).is_file()), None)
    path = installed_file(entry) if entry else Path(model)
    console = out()
    if path is None:
        facts = {"name": entry.name, "installed": "no", "file": entry.file, "resolution": entry.resolution,
                 "size": megabytes(entry.size), "licence": entry.licence, "origin": entry.origin}
        _print(console, facts)
        return
    facts, shapes = _read(path)
    facts = {"file": str(path), "size": megabytes(path.stat().st_size) if path.is_file() else "", **facts}
    for name in sorted({key.split(".", 1)[0] for key in shapes}):
        own = [shape for key, (shape, _) in shapes.items() if key.split(".", 1)[0] == name]
        facts[name] = f"{len(own)} tensors, {sum(math.prod(shape) for shape in own):,} numbers"
    _print(console, facts)
    if tensors:
        for key, (shape, dtype) in sorted(shapes.items()):
            console.print(f"{key}  {list(shape)}  {dtype}", markup=False)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, tuple[tuple[int, ...], str]]]:
    """Metadata of a model file, and (shape, number format) of each of its tensors."""
    from ..checkpoints import import_checkpoint
    from ..checkpoints.store import is_safetensors, read_header
    from ..networks.registry import architecture_of

    if path.is_file() and is_safetensors(path):
        from safetensors import safe_open

        facts = read_header(path)
        with safe_open(path, framework="pt") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}
            return facts, {key: (tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
    found = import_checkpoint(path)
    networks = {"generator": found.generator, "discriminator": found.discriminator}
    shapes = {f"{name}.{key}": (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
              for name, net in networks.items() if net is not None for key, tensor in net.state_dict().items()}
    name, config = architecture_of(found.generator).name, dataclasses.asdict(found.generator.config)
    return {"architecture": name, **found.metadata, "config": config}, shapes


def _print(console, facts: Mapping[str, Any]) -> None:
    order = {title: i for i, title in enumerate(FIRST)}
    width = max(map(len, facts)) + 2
    for title in sorted(facts, key=lambda title: (order.get(title, len(order)), title)):
        if text := _as_line(facts[title]):
            console.print(f"{title + ':':<{width}}{printable(text)}", markup=False)


def _as_line(fact: Any) -> str:
    """A fact on one line; text that holds JSON, as files' metadata does, is written like the rest."""
    if isinstance(fact, str) and fact[:1] in ("{", "["):
        with contextlib.suppress(ValueError):
            fact = json.loads(fact)
    if isinstance(fact, Mapping):
        return ", ".join(f"{key} ({_as_line(part)})" if isinstance(part, Mapping) else f"{key} {json.dumps(part)}"
                         for key, part in fact.items())
    if isinstance(fact, (list, tuple)):
        return ", ".join(map(str, fact))
    return "" if fact is None else " ".join(str(fact).split())
