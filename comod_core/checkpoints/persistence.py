"""Pickles of StyleGAN2-ADA (`torch_utils.persistence`), IC-GAN's included: a dict whose G_ema is a nested module.

Such a pickle carries the source text of its classes, which the published code runs. Here only the modules' parameters,
buffers and a few numbers are read; the text is not looked at.
"""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import CoModError
from ..networks import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator
from . import biggan
from .machine import Record, damage_named
from .port import check_fir
from .store import build

LICENCE = "unknown: that of whoever trained it (NVIDIA's own networks: NVIDIA Source Code License, non-commercial)"
ORIGIN = "https://github.com/NVlabs/stylegan2-ada-pytorch"

_KEYS = {"ema": "G_ema", "train": "G"}
_MOST_MODULES = 1000  # a 1024x1024 generator has about 60
_EMBEDDINGS = {r"mapping\.embed\.(weight|bias)": r"mapping.label.\1",
               r"mapping\.embed_feats\.(weight|bias)": r"mapping.feature.\1",
               r"mapping\.fc(\d+)\.(weight|bias)": r"mapping.dense.\1.\2"}

Rules = Mapping[str, str]
"""Their name as a pattern -> ours."""
_GENERATOR: Rules = {
    **_EMBEDDINGS,
    r"mapping\.w_avg": "w_avg",
    r"synthesis\.b4\.const": "synthesis.const",
    r"synthesis\.b4\.conv1\.affine\.(weight|bias)": r"synthesis.b4.conv.mod.\1",
    r"synthesis\.b4\.conv1\.(weight|bias|noise_strength|noise_const)": r"synthesis.b4.conv.\1",
    r"synthesis\.b(\d+)\.torgb\.affine\.(weight|bias)": r"synthesis.b\1.to_rgb.mod.\2",
    r"synthesis\.b(\d+)\.torgb\.(weight|bias)": r"synthesis.b\1.to_rgb.\2",
    r"synthesis\.b(\d+)\.conv([01])\.affine\.(weight|bias)": r"synthesis.b\1.conv\2.mod.\3",
    r"synthesis\.b(\d+)\.conv([01])\.(weight|bias|noise_strength|noise_const)": r"synthesis.b\1.conv\2.\3",
}
_DISCRIMINATOR: Rules = {
    **_EMBEDDINGS,
    r"b4\.conv\.(weight|bias)": r"conv.\1",
    r"b4\.fc\.(weight|bias)": r"dense.\1",
    r"b4\.out\.(weight|bias)": r"output.\1",
    r"b(\d+)\.fromrgb\.(weight|bias)": r"from_rgb.\2",
    r"b(\d+)\.(conv0|conv1|skip)\.(weight|bias)": r"blocks.\1.\2.\3",
}


def is_stylegan2(content: Any) -> bool:
    """Whether a pickle's content is a dict with a StyleGAN2 generator of `torch_utils.persistence`."""
    nets = [content.get(key) for key in _KEYS.values()] if isinstance(content, dict) else []
    return any(isinstance(net, Record) and "b4" in _parts(_parts(net, "_modules").get("synthesis"), "_modules")
               for net in nets)


def import_stylegan2(content: Mapping[str, Any], which: str,
                     place: str) -> tuple[StyleGAN2Generator, StyleGAN2Discriminator | None, dict[str, Any]]:
    """The networks of a StyleGAN2-ADA pickle and what is known of them: evaluation mode, CPU, float32.

    content: what `read_pickle` gave. which: "ema" for the averaged generator, "train" for the one that was being
    trained. The discriminator is None where the file has none, or one that cannot be built here (the facts say so).
    Raises CoModError for another architecture, or settings that are not supported.
    """
    with damage_named(place, "a StyleGAN2-ADA pickle"):
        return _import(content, which, place)


def _import(content: Mapping[str, Any], which: str, place: str):
    record = content.get(_KEYS[which])
    if not isinstance(record, Record):
        raise CoModError(f"{place}: there is no {_KEYS[which]} in it.")
    modules = dict(_modules(record, place))
    tensors, stated = _generator_tensors(_tensors(modules, _GENERATOR, place)), _stated(modules, place)
    config, critic, facts = infer_config(tensors, None, stated, place), None, {}
    if isinstance(content.get("D"), Record):
        try:
            critic = _discriminator(content["D"], tensors, stated, f"the discriminator of {Path(place).name}")
            config = critic.config
        except CoModError as problem:  # pictures do not need it
            facts["notes"] = f"Left out: {problem}"
    net = build(StyleGAN2Generator, config, tensors, f"{place} (generator)")
    if config.feature_size:
        return net, critic, {"licence": biggan.LICENCE, "origin": biggan.ORIGIN, "credits": biggan.CREDITS, **facts}
    return net, critic, {"licence": LICENCE, "origin": ORIGIN, **facts}


def _discriminator(record: Record, generator: Mapping[str, Tensor], stated: Mapping[str, Any],
                   place: str) -> StyleGAN2Discriminator:
    modules = dict(_modules(record, place))
    kinds = _values(modules, "architecture", r"b\d+", place)
    if others := sorted(map(str, kinds - {"resnet"})):
        raise CoModError(f"{place}: architecture = {', '.join(others)[:80]}, which is not supported.")
    scores = _tensors(modules, _DISCRIMINATOR, place)
    groups = {value for value in _values(modules, "group_size", r"b4\.mbstd", place) if isinstance(value, int)}
    config = infer_config(generator, scores, {**stated, **({"mbstd_group": max(groups)} if groups else {})}, place)
    return build(StyleGAN2Discriminator, config, _numbered(scores, config), place)


def _parts(record: Any, key: str) -> dict[str, Any]:
    """One of a module's tables (_modules, _parameters, _buffers), {} where there is none."""
    found = record.get(key) if isinstance(record, Record) else None
    return found if isinstance(found, dict) else {}


def _modules(record: Record, place: str) -> Iterator[tuple[str, Record]]:
    """Path and record of a network and of every module within it, in order."""
    waiting, count = [("", record)], 0
    while waiting:
        path, module = waiting.pop()
        count += 1
        if count > _MOST_MODULES or path.count(".") > 8:
            raise CoModError(f"{place}: more modules than any StyleGAN2 has.")
        yield path, module
        for name, part in _parts(module, "_modules").items():
            if isinstance(part, Record):
                waiting.append((f"{path}.{name}".lstrip("."), part))


def _tensors(modules: Mapping[str, Record], rules: Rules, place: str) -> dict[str, Tensor]:
    """Parameters and buffers under this package's names."""
    tensors = {}
    for path, module in modules.items():
        for name, value in (*_parts(module, "_parameters").items(), *_parts(module, "_buffers").items()):
            full = f"{path}.{name}".lstrip(".")
            if value is None:
                continue
            if not isinstance(value, Tensor) or not value.is_floating_point():
                raise CoModError(f"{place}: {full[:80]!r} is not a tensor of numbers.")
            if name == "resample_filter":
                check_fir(value, full, place)
            else:
                tensors[_translate(full, rules, place)] = value.float()
    return tensors


def _translate(name: str, rules: Rules, place: str) -> str:
    for pattern, target in rules.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(target)
    raise CoModError(f"{place}: {name[:80]!r} belongs to no StyleGAN2 that this version can build.")


def _generator_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values as this package keeps them: modulation biases without their one, maps with four axes."""
    for key, value in list(tensors.items()):
        if key.endswith(".mod.bias"):
            tensors[key] = value - 1
        elif key.endswith(".noise_const"):
            tensors[key] = value[None, None]
        elif key == "synthesis.const":
            tensors[key] = value[None]
    return tensors


def _numbered(tensors: Mapping[str, Tensor], config: StyleGAN2Config) -> dict[str, Tensor]:
    """Blocks under their number, the largest resolution first, instead of their resolution."""
    order = {str(config.resolution >> i): i for i in range(len(config.channels) - 1)}
    return {re.sub(r"^blocks\.(\d+)", lambda match: f"blocks.{order.get(match[1], match[1] + '?')}", key): value
            for key, value in tensors.items()}


def _stated(modules: Mapping[str, Record], place: str) -> dict[str, Any]:
    """What the generator's modules say about the hyper-parameters that shapes do not show."""
    for name, path, allowed in (("architecture", r"synthesis\.b\d+", "skip"), ("activation", r".*\.conv[01]", "lrelu"),
                                ("activation", r"mapping\.fc\d+", "lrelu"), ("use_noise", r".*\.conv[01]", True)):
        if other := _values(modules, name, path, place) - {allowed}:
            raise CoModError(f"{place}: {name} = {str(other.pop())[:80]}, which this version does not support.")
    clamps = _values(modules, "conv_clamp", r"synthesis\.b\d+\.\w+", place)
    rates = _values(modules, "bias_gain", r"mapping\.fc\d+", place)
    if max(len(clamps), len(rates)) > 1:
        raise CoModError(f"{place}: layers of different clamps or learning-rate multipliers, which is not supported.")
    return {"clamp": next(iter(clamps), None), "mapping_lr_mul": next(iter(rates), 0.01)}


def _values(modules: Mapping[str, Record], name: str, path: str, place: str) -> set:
    """What the modules under a path have as their attribute `name`."""
    found = [module.state[name] for key, module in modules.items() if name in module.state and re.fullmatch(path, key)]
    if not all(value is None or isinstance(value, (int, float, str)) for value in found):
        raise CoModError(f"{place}: {name} is of an unknown kind.")
    return set(found)


def infer_config(state: Mapping[str, Tensor], scores: Mapping[str, Tensor] | None = None,
                 stated: Mapping[str, Any] | None = None, place: str = "checkpoint") -> StyleGAN2Config:
    """The configuration of a StyleGAN2 whose generator has the tensors `state` and whose discriminator `scores`.

    stated: clamp, mapping_lr_mul, mbstd_group. Raises CoModError where no StyleGAN2 fits.
    """
    try:
        sizes = sorted(int(match[1]) for key in state
                       if (match := re.fullmatch(r"synthesis\.b(\d+)\.to_rgb\.weight", key)))
        channels = tuple(state[f"synthesis.b{size}.to_rgb.weight"].shape[1] for size in sizes)
        layers = _count(state, r"mapping\.dense\.\d+\.weight")
        w_dim = state[f"mapping.dense.{layers - 1}.weight"].shape[0]
        label, feature = _width(state, "label"), _width(state, "feature")
        embedded = w_dim * (bool(label) + bool(feature))
        return StyleGAN2Config(
            resolution=sizes[-1], channels=channels, z_dim=state["mapping.dense.0.weight"].shape[1] - embedded,
            w_dim=w_dim, label_size=label, feature_size=feature, mapping_layers=layers,
            image_channels=state["synthesis.b4.to_rgb.weight"].shape[0], **(stated or {}),
            **_from_discriminator(scores, sizes, channels))
    except LookupError as problem:
        raise CoModError(f"{place}: no complete StyleGAN2; {problem} is missing or has no such shape.") from problem
    except (ValueError, TypeError) as problem:
        raise CoModError(f"{place}: not a StyleGAN2 that this version can build: {problem}") from problem


def _from_discriminator(scores: Mapping[str, Tensor] | None, sizes: list[int],
                        channels: tuple[int, ...]) -> dict[str, Any]:
    if not scores:
        return {}
    first = scores["dense.weight"].shape[0]
    own = (first, *(scores[f"blocks.{size}.conv0.weight"].shape[0] for size in sizes[1:]))
    embed = scores["output.weight"].shape[0] if "mapping.dense.0.weight" in scores else None
    return {"critic_channels": None if own == channels else own, "critic_embed": None if embed == first else embed,
            "critic_mapping_layers": _count(scores, r"mapping\.dense\.\d+\.weight") if embed else 8,
            "mbstd_features": scores["conv.weight"].shape[1] - scores["conv.weight"].shape[0]}


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return sum(1 for key in state if re.fullmatch(pattern, key))


def _width(state: Mapping[str, Tensor], name: str) -> int:
    key = f"mapping.{name}.weight"
    return state[key].shape[1] if key in state else 0
