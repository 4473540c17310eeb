"""StyleMapGAN's released training checkpoints (.pt): state dicts of generator and encoder, both also averaged.

Weights of modulated convolutions have a leading axis of one, otherwise values stay. The mean style map, the centre of
truncation, is not in the file: the published code draws it anew whenever it samples, here it is estimated once.
"""
from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import CoModError
from ..networks import StyleMapConfig, StyleMapDiscriminator, StyleMapGAN
from ..stylemaps import AVERAGE_SAMPLES, AVERAGE_SEED, average
from .machine import Record, damage_named
from .port import check_fir
from .store import build

LICENCE = "CC BY-NC 4.0 (non-commercial)"
ORIGIN = "https://github.com/naver-ai/StyleMapGAN"
CREDITS = "Hyunsu Kim, Yunjey Choi, Junho Kim, Sungjoo Yoo, Youngjung Uh (CVPR 2021)"
NOTES = (f"The source holds no w_avg: it is the mean style map of {AVERAGE_SAMPLES} latents of seed {AVERAGE_SEED}, as "
         "many as the published code draws.")

_KEYS = {"ema": ("g_ema", "e_ema"), "train": ("generator", "encoder")}
_PLACES = {r"decoder\.conv1": "decoder.conv", r"decoder\.to_rgb": "decoder.to_rgb",
           r"decoder\.convs\.(\d+)\.conv([12])": r"decoder.blocks.\1.conv\2-"}
_LEAVES = {r"conv\.weight": "conv.weight", r"activate\.bias": "conv.bias",
           r"conv\.gamma\.weight": "gamma.weight", r"conv\.gamma\.bias": "gamma.bias",
           r"conv\.beta\.weight": "beta.weight", r"conv\.beta\.bias": "beta.bias"}

Rules = Mapping[str, str]
"""Their name as a pattern -> ours; a number followed by a minus is one less than theirs."""
_GENERATOR: Rules = {
    r"mapping_z\.(\d+)\.(weight|bias)": r"mapping.\1-.\2",
    r"decoder\.input\.input": "decoder.const",
    r"decoder\.convs_latent\.(\d+)\.\d\.(weight|bias)": r"decoder.resizer.\1.\2",
    r"decoder\.convs\.(\d+)\.skip\.0\.weight": r"decoder.blocks.\1.skip.weight",
    **{rf"{place}\.{leaf}": f"{_PLACES[place]}.{_LEAVES[leaf]}" for place, leaf in itertools.product(_PLACES, _LEAVES)},
}
_ENCODER: Rules = {
    r"from_rgb\.\d\.(weight|bias)": r"from_rgb.\1",
    r"convs\.(\d+)\.conv([12])\.\d\.(weight|bias)": r"blocks.\1.conv\2-.\3",
    r"convs\.(\d+)\.skip\.1\.weight": r"blocks.\1.skip.weight",
    r"final_conv\.\d\.(weight|bias)": r"final.\1",
}
_DISCRIMINATOR: Rules = {
    r"convs\.0\.\d\.(weight|bias)": r"from_rgb.\1",
    r"convs\.(\d+)\.conv([12])\.\d\.(weight|bias)": r"blocks.\1-.conv\2-.\3",
    r"convs\.(\d+)\.skip\.1\.weight": r"blocks.\1-.skip.weight",
    r"final_conv\.\d\.(weight|bias)": r"conv.\1",
    r"final_linear\.0\.(weight|bias)": r"dense.\1",
    r"final_linear\.1\.(weight|bias)": r"output.\1",
}


def is_stylemap(content: Any) -> bool:
    """Whether a torch file's content is a StyleMapGAN checkpoint: a generator that resizes a style map."""
    states = [content.get(name) for name in ("g_ema", "generator")] if isinstance(content, dict) else []
    return any(isinstance(key, str) and ".convs_latent." in f".{key}"
               for state in states if isinstance(state, dict) for key in state)


def import_stylemap(content: Mapping[str, Any], which: str,
                    place: str) -> tuple[StyleMapGAN, StyleMapDiscriminator | None]:
    """The networks of a StyleMapGAN checkpoint: evaluation mode, CPU, float32; discriminator None where it has none.

    content: what `read_torch` gave. which: "ema" for the averaged generator and encoder, "train" for those that were
    being trained. place: how error messages call the file. Hyper-parameters come from the shapes, and from the file's
    train_args where shapes are silent. Raises CoModError for other networks, missing ones, or unknown settings.
    """
    with damage_named(place, "a StyleMapGAN checkpoint"):
        return _import(content, which, place)


def _import(content: Mapping[str, Any], which: str, place: str) -> tuple[StyleMapGAN, StyleMapDiscriminator | None]:
    generator, encoder = (_tensors(content, key, rules, place)
                          for key, rules in zip(_KEYS[which], (_GENERATOR, _ENCODER), strict=True))
    scores = _tensors(content, "discriminator", _DISCRIMINATOR, place) if "discriminator" in content else None
    config = infer_config(generator, encoder, scores, _stated(content, place), place)
    state = {**generator, **{f"encoder.{name}": value for name, value in encoder.items()}}
    state["w_avg"] = torch.zeros(config.style_channels * config.style_size ** 2)
    net = build(StyleMapGAN, config, state, f"{place} ({_KEYS[which][0]} and {_KEYS[which][1]})")
    net.w_avg.copy_(average(net))
    critic = build(StyleMapDiscriminator, config, scores, f"{place} (discriminator)") if scores else None
    return net, critic


def _tensors(content: Mapping[str, Any], key: str, rules: Rules, place: str) -> dict[str, Tensor]:
    """The tensors of one of the file's networks under this package's names."""
    state = content.get(key)
    if not isinstance(state, dict) or not state:
        raise CoModError(f"{place}: a StyleMapGAN checkpoint without '{key}'; it is incomplete, or made for another "
                         "use. --which ema needs g_ema and e_ema, --which train generator and encoder.")
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        name = str(name).removeprefix("module.")
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise CoModError(f"{place}: {key}: {name[:80]!r} is not a tensor of numbers.")
        if name.endswith(".kernel"):
            check_fir(value, name, place)
        else:
            tensors[_translate(name, rules, f"{place}: {key}")] = (value[0] if value.ndim == 5 else value).float()
    return tensors


def _translate(name: str, rules: Rules, place: str) -> str:
    for pattern, target in rules.items():
        if match := re.fullmatch(pattern, name):
            return re.sub(r"(\d+)-", lambda number: str(int(number[1]) - 1), match.expand(target))
    raise CoModError(f"{place}: {name[:80]!r} belongs to no StyleMapGAN that this version can build.")


def _stated(content: Mapping[str, Any], place: str) -> dict[str, Any]:
    """What train_args says about the hyper-parameters that shapes do not show."""
    record = content.get("train_args")
    said = record.state if isinstance(record, Record) else record
    said = said if isinstance(said, dict) else {}
    mode, rate = said.get("normalize_mode", "LayerNorm"), said.get("lr_mul", 0.01)
    if mode != "LayerNorm":
        raise CoModError(f"{place}: normalize_mode = {str(mode)[:80]}, which this version does not support.")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < math.inf:
        raise CoModError(f"{place}: lr_mul = {str(rate)[:80]}, which is no learning-rate multiplier.")
    return {"mapping_lr_mul": rate, "small": said.get("small_generator") is True}


def infer_config(generator: Mapping[str, Tensor], encoder: Mapping[str, Tensor],
                 scores: Mapping[str, Tensor] | None = None, stated: Mapping[str, Any] | None = None,
                 place: str = "checkpoint") -> StyleMapConfig:
    """The configuration of a StyleMapGAN whose networks have these tensors (under this package's names).

    stated: mapping_lr_mul, and `small` for the case that both kinds of resizer have the very same shapes. Without a
    discriminator, channels below the style map's size are unknown and not needed: those at its size stand in.
    Raises CoModError where no StyleMapGAN fits.
    """
    try:
        const, stated = generator["decoder.const"], dict(stated or {})
        ups = [generator[f"decoder.blocks.{i}.skip.weight"].shape[0]
               for i in range(_count(generator, r"decoder\.blocks\.(\d+)\.skip\.weight"))]
        style_size, style_channels = const.shape[-1], encoder["final.weight"].shape[0]
        channels = [*_below(style_size, const.shape[1], len(ups), scores), const.shape[1], *ups]
        widths = [generator[f"decoder.resizer.{i}.weight"].shape[0] for i in range(2 * len(ups) + 2)]
        full = widths == [count for count in [const.shape[1], *ups] for _ in range(2)]
        kept = set(widths) == {style_channels}
        return StyleMapConfig(
            resolution=style_size << len(ups), style_size=style_size, style_channels=style_channels,
            mapping_layers=_count(generator, r"mapping\.(\d+)\.weight"),
            mapping_lr_mul=stated.get("mapping_lr_mul", 0.01), channels=tuple(channels),
            small=bool(stated.get("small")) if full and kept else kept,
            image_channels=encoder["from_rgb.weight"].shape[1])
    except LookupError as problem:
        raise CoModError(f"{place}: no complete StyleMapGAN; {problem} is missing or has no such shape.") from problem
    except (ValueError, TypeError) as problem:
        raise CoModError(f"{place}: not a StyleMapGAN that this version can build: {problem}") from problem


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return sum(1 for key in state if re.fullmatch(pattern, key))


def _below(style_size: int, width: int, ups: int, scores: Mapping[str, Tensor] | None) -> list[int]:
    """Channels of the features at 4, 8, ... below the style map's size; only a discriminator has any."""
    stages = max(style_size.bit_length() - 3, 0)
    if not scores:
        return [width] * stages
    return [scores[f"blocks.{ups + i}.skip.weight"].shape[0] for i in reversed(range(stages))]
