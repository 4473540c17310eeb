"""Networks as files for other programs: ONNX graphs and torch.export programs, checked before they are kept.

A CoModGAN and a StyleMapGAN become two graphs, encode and decode, so that one encoding serves many samples; a StyleGAN2
and a BigGAN one, generate. The number of samples is open. Noise is the stored one, and there is no dropout.
"""
from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from .errors import CoModError
from .files import atomic_write
from .networks import BigGANGenerator, CoModGenerator, Encoding, StyleGAN2Generator, StyleMapGAN
from .networks.layers import NoiseSource

LIMIT = 1e-3  # the largest difference from PyTorch that is let pass; of pictures in 0..255 one level
PACKAGES = "onnx onnxruntime onnxscript"


class Graph(nn.Module):
    """One graph to export: `run(*inputs)` of a network, its inputs by name with an example of two samples each."""

    def __init__(self, name: str, net: nn.Module, run: Callable, inputs: dict[str, Tensor], outputs: list[str]):
        super().__init__()
        self.name, self.net, self.run, self.inputs, self.outputs = name, net, run, inputs, outputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        found = self.run(*inputs)
        return found if isinstance(found, tuple) else (found,)

    def example(self, count: int, seed: int = 0) -> list[Tensor]:
        """Inputs of `count` samples, drawn in the manner of the examples."""
        generator = torch.Generator().manual_seed(seed)
        return [_drawn(name, example, count, generator) for name, example in self.inputs.items()]


def graphs_of(net: nn.Module, pixels: bool = False) -> list[Graph]:
    """The graphs of a network. pixels: pictures and masks go in and out as bytes, [N,R,R,3] and [N,R,R] (255 = hole).

    Raises CoModError for an architecture that has none.
    """
    make = {CoModGenerator: _comodgan, StyleMapGAN: _stylemapgan, StyleGAN2Generator: _generator,
            BigGANGenerator: _generator}.get(type(net))
    if make is None:
        raise CoModError(f"{type(net).__name__} cannot be exported; CoModGAN, StyleMapGAN, StyleGAN2 and BigGAN can.")
    return make(net, pixels)


def _comodgan(net: CoModGenerator, pixels: bool) -> list[Graph]:
    r, translates = net.resolution, net.pix2pix
    sizes = list(net.encoder.resolutions) + [4]
    kept = [] if translates else ["image", "mask"]

    def encode(image: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        image, mask = _from_pixels(image, pixels), _from_mask(mask, pixels)
        encoding = net.encode(image, mask, dropout=False)
        rest = [] if translates else [encoding.image, encoding.mask]
        return encoding.code, *rest, *(encoding.skips[size] for size in sizes)

    def decode(z: Tensor, psi: Tensor, *parts: Tensor) -> Tensor:
        label, parts = (parts[0], parts[1:]) if net.label_size else (None, parts)
        code, image, mask = parts[0], *((None, None) if translates else parts[1:3])
        skips = dict(zip(sizes, parts[1 + len(kept):], strict=True))
        w = net.w_avg + psi * (net.map(z, label) - net.w_avg)
        y = net.synthesis(Encoding(code, code, skips, image, mask), w, NoiseSource("const", 1, None))
        return _to_pixels(y if translates else y * mask + image, pixels)

    channels = net.config.encoder_channels if translates else net.image_channels
    if pixels and channels != 3:
        raise CoModError(f"pictures of {channels} channels cannot go in as bytes; export without that.")
    given = {"image": _picture(r, channels, pixels)}
    if not translates:
        given["mask"] = torch.zeros(2, r, r, dtype=torch.uint8) if pixels else torch.zeros(2, 1, r, r)
    first = Graph("encode", net, encode, given, ["code", *(f"kept_{name}" for name in kept),
                                                 *(f"skip_{size}" for size in sizes)])
    with torch.no_grad():
        made = dict(zip(first.outputs, first(*first.example(2)), strict=True))
    latent = {"z": torch.zeros(2, net.z_dim), "psi": torch.tensor(1.0)}
    if net.label_size:
        latent["label"] = torch.zeros(2, net.label_size)
    return [first, Graph("decode", net, decode, {**latent, **made}, ["picture"])]


def _stylemapgan(net: StyleMapGAN, pixels: bool) -> list[Graph]:
    config, r = net.config, net.resolution
    style = torch.zeros(2, config.style_channels, config.style_size, config.style_size)
    return [Graph("encode", net, lambda image: net.encode(_from_pixels(image, pixels)),
                  {"image": _picture(r, net.image_channels, pixels)}, ["style_map"]),
            Graph("decode", net, lambda style_map: _to_pixels(net.decode(style_map), pixels),
                  {"style_map": style}, ["picture"])]


def _generator(net: StyleGAN2Generator | BigGANGenerator, pixels: bool) -> list[Graph]:
    sizes = {"feature": net.feature_size, "label": net.label_size}
    conditions = {name: torch.zeros(2, size) for name, size in sizes.items() if size}

    def generate(z: Tensor, psi: Tensor, *given: Tensor) -> Tensor:
        named = dict(zip(conditions, given, strict=True))
        if isinstance(net, BigGANGenerator):
            return _to_pixels(net.generate(z * psi, **named), pixels)
        w = net.w_avg + psi * (net.map(z, **named) - net.w_avg)
        return _to_pixels(net.synthesis(w, NoiseSource("const", 1, None)), pixels)

    latent = {"z": torch.zeros(2, net.z_dim), "psi": torch.tensor(1.0)}
    return [Graph("generate", net, generate, {**latent, **conditions}, ["picture"])]


def export_onnx(net: nn.Module, stem: Path, pixels: bool = False, overwrite: bool = False) -> list[Path]:
    """Write STEM.<graph>.onnx, one file a graph, whose outputs in ONNX Runtime are PyTorch's to `LIMIT`.

    Raises CoModError when packages are missing, a file exists, or the outputs differ: then that file is not written.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as error:
        raise CoModError(f"an export to ONNX needs three packages: pip install {PACKAGES}") from error

    def write(graph: Graph, path: Path) -> Callable[[list[Tensor]], list[Tensor]]:
        with _quiet():
            torch.onnx.export(traced(graph), f=str(path), input_names=list(graph.inputs), output_names=graph.outputs,
                              dynamo=True, verbose=False, external_data=False)
        model = onnx.load(path)
        onnx.helper.set_model_props(model, facts_of(net, graph))
        onnx.save(model, path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [one.name for one in session.get_inputs()]

        def run(values: list[Tensor]) -> list[Tensor]:
            named = dict(zip(graph.inputs, (value.numpy() for value in values), strict=True))
            return [torch.from_numpy(array) for array in session.run(None, {name: named[name] for name in names})]

        return run

    return _write_all(net, stem, ".onnx", "ONNX Runtime", write, pixels, overwrite)


def export_torch(net: nn.Module, stem: Path, pixels: bool = False, overwrite: bool = False) -> list[Path]:
    """Write STEM.<graph>.pt2, one file a graph, for `torch.export.load`. Raises as `export_onnx`."""
    def write(graph: Graph, path: Path) -> Callable[[list[Tensor]], list[Tensor]]:
        with _quiet():
            torch.export.save(traced(graph), path)
            loaded = torch.export.load(path).module()
        return lambda values: list(loaded(*values))

    return _write_all(net, stem, ".pt2", "the exported program", write, pixels, overwrite)


def traced(graph: Graph) -> torch.export.ExportedProgram:
    """The graph as torch.export sees it, its number of samples open."""
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} if example.ndim else {} for example in graph.inputs.values())
    with torch.no_grad(), _quiet():
        return torch.export.export(graph, tuple(graph.example(2)), dynamic_shapes=(shapes,))


def facts_of(net: nn.Module, graph: Graph) -> dict[str, str]:
    """What a file says of itself: the model, its licence and origin, its configuration."""
    info = {} if getattr(net, "info", None) is None else dataclasses.asdict(net.info)
    return {"graph": graph.name, "config": json.dumps(dataclasses.asdict(net.config)),
            **{key: str(value) for key, value in info.items()}}


def _write_all(net: nn.Module, stem: Path, suffix: str, runner: str, write: Callable, pixels: bool,
               overwrite: bool) -> list[Path]:
    if next(net.parameters()).dtype != torch.float32 or next(net.parameters()).device.type != "cpu":
        raise CoModError("export a network in float32 on the CPU; the program that reads the file may choose others.")
    written, graphs = [], graphs_of(net, pixels)
    targets = [stem.with_name(f"{stem.name}.{graph.name}{suffix}") for graph in graphs]
    for target in targets:
        if target.exists() and not overwrite:
            raise CoModError(f"{target} exists. Give another folder, or replace it with --overwrite.")
    for graph, target in zip(graphs, targets, strict=True):
        with tempfile.TemporaryDirectory(dir=stem.parent, prefix=".export-") as folder:
            path = Path(folder) / target.name
            check(graph, write(graph, path), runner)
            with atomic_write(target) as file, open(path, "rb") as source:
                while block := source.read(1 << 24):
                    file.write(block)
        written.append(target)
    return written


def check(graph: Graph, run: Callable[[list[Tensor]], list[Tensor]], runner: str) -> None:
    """Run one sample and three, and compare. Raises CoModError where an output differs beyond `LIMIT`."""
    for count in (1, 3):
        values = graph.example(count, seed=count)
        with torch.no_grad():
            expected = graph(*values)
        for name, found, wanted in zip(graph.outputs, run(values), expected, strict=True):
            far = difference(found, wanted)
            if not far <= LIMIT:
                raise CoModError(f"{graph.name}: {runner} differs from PyTorch by {far:.2g} in {name}, with {count} "
                                 f"sample(s); at most {LIMIT:g} is let pass. The file was not written.")


def difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, as a share of the largest value where that is above one; of bytes beyond one level."""
    if found.shape != wanted.shape:
        return float("inf")
    apart = (found.double() - wanted.double()).abs().max().item()
    if wanted.dtype == torch.uint8:
        return 0.0 if apart <= 1 else apart / 255
    return apart / max(1.0, wanted.abs().max().item())


def _picture(r: int, channels: int, pixels: bool) -> Tensor:
    return torch.zeros(2, r, r, 3, dtype=torch.uint8) if pixels else torch.zeros(2, channels, r, r)


def _from_pixels(image: Tensor, pixels: bool) -> Tensor:
    return image.permute(0, 3, 1, 2).float() / 127.5 - 1 if pixels else image


def _from_mask(mask: Tensor | None, pixels: bool) -> Tensor | None:
    return (mask >= 128).float()[:, None] if pixels and mask is not None else mask


def _to_pixels(picture: Tensor, pixels: bool) -> Tensor:
    if not pixels:
        return picture
    return ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)


def _drawn(name: str, example: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """An input like the example: bytes, a mask of zeros and ones, psi, or numbers around zero."""
    if not example.ndim:
        return torch.tensor(0.7)
    shape = [count, *example.shape[1:]]
    if example.dtype == torch.uint8:
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    if name.endswith("mask"):
        return (torch.rand(shape, generator=generator) > 0.5).float()
    return torch.randn(shape, generator=generator)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks on packages that do not matter here."""
    logger, level = logging.getLogger("torch.onnx"), logging.getLogger("torch.onnx").level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
