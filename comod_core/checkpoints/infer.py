"""Hyper-parameters from the shapes of a network's own tensors, for files that do not state them."""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import CoModError
from ..networks import CoModConfig

_ONLY_STATED = ("mapping_lr_mul", "dropout_rate", "mbstd_group")
_BLOCK = re.compile(r"encoder\.b(\d+)\.conv0\.weight")


def infer_config(state: Mapping[str, Tensor], scores: Mapping[str, Tensor] | None = None,
                 stated: Mapping[str, Any] | None = None, place: str = "checkpoint") -> CoModConfig:
    """The configuration of a CoModGAN whose generator has the tensors `state` and whose discriminator `scores`.

    stated: what the file says and shapes cannot (mapping_lr_mul, dropout_rate, mbstd_group), and the fmap settings,
    which are used where they give the channels that the tensors have. Raises CoModError where no CoModGAN fits.
    """
    try:
        values = {**_from_generator(state, scores), **_from_discriminator(scores)}
        values.update(_feature_maps(_channels(state, scores), dict(stated or {})))
        values.update({name: stated[name] for name in _ONLY_STATED if name in (stated or {})})
        return CoModConfig(**values)
    except LookupError as problem:
        raise CoModError(f"{place}: not a complete CoModGAN; {problem} is missing or has no such shape.") from problem
    except (ValueError, TypeError, ArithmeticError) as problem:
        raise CoModError(f"{place}: not a CoModGAN that this version can build: {problem}") from problem


def _from_generator(state: Mapping[str, Tensor], scores: Mapping[str, Tensor] | None) -> dict[str, Any]:
    channels = state["synthesis.b4.to_rgb.weight"].shape[0]
    encoder_channels = state["encoder.from_rgb.weight"].shape[1]
    layers = sum(1 for key in state if re.fullmatch(r"mapping\.dense\d+\.weight", key))
    first, last = state["mapping.dense0.weight"], state[f"mapping.dense{layers - 1}.weight"]
    label_size = len(state["mapping.label_weight"]) if "mapping.label_weight" in state else 0
    w_dim = last.shape[0]
    style, code = state["synthesis.b4.conv.mod.weight"].shape[1], state["encoder.b4.dense.weight"].shape[0]
    if style not in (w_dim, code, w_dim + code):
        raise ValueError(f"its styles of {style} values are neither w ({w_dim}), the global code ({code}) nor both.")
    pix2pix = encoder_channels != channels + 1  # a completion network reads the mask beside the picture
    if scores and "from_rgb.weight" in scores:  # a condition of as many channels as that lies beside the picture here
        pix2pix = pix2pix or scores["from_rgb.weight"].shape[1] == channels + encoder_channels
    return {"resolution": max(int(match[1]) for key in state if (match := _BLOCK.fullmatch(key))),
            "image_channels": channels, "label_size": label_size, "pix2pix": pix2pix,
            "condition_channels": encoder_channels if pix2pix and encoder_channels != channels else None,
            "z_dim": first.shape[1] // (2 if label_size else 1), "w_dim": w_dim, "mapping_layers": layers,
            "mapping_fmaps": first.shape[0], "style_mod": style != code, "cond_mod": style != w_dim}


def _from_discriminator(scores: Mapping[str, Tensor] | None) -> dict[str, Any]:
    if not scores:
        return {}
    features = scores["b4.conv.weight"].shape[1] - scores["b4.conv.weight"].shape[0]
    if features < 1:
        raise ValueError("its discriminator has no minibatch standard deviation, which is not supported.")
    return {"mbstd_features": features}


def _channels(state: Mapping[str, Tensor], scores: Mapping[str, Tensor] | None) -> dict[int, int]:
    """nf(k) for every k that the tensors tell."""
    found = {int(math.log2(int(match[1]))) - 1: tensor.shape[0]
             for key, tensor in state.items() if (match := _BLOCK.fullmatch(key))}
    found[1] = state["encoder.b4.conv.weight"].shape[0]
    if scores:
        found[0] = scores["b4.dense.weight"].shape[0]
    return found


def _feature_maps(channels: Mapping[int, int], stated: dict[str, Any]) -> dict[str, Any]:
    """fmap settings that give these channels: those that the file states, or else the simplest that fit."""
    def fits(candidate: dict[str, Any]) -> bool:
        config = CoModConfig(**candidate)
        return all(config.channels(k) == count for k, count in channels.items())

    low, high = min(channels.values()), max(channels.values())
    names = ("fmap_base", "fmap_decay", "fmap_min", "fmap_max")
    candidates = [{name: stated[name] for name in names if name in stated}]
    for floor in (1, low):
        base = max((count << k for k, count in channels.items() if count > floor), default=low)
        candidates.append({"fmap_base": base, "fmap_min": floor, "fmap_max": high})
    for candidate in candidates:
        if fits(candidate):
            return candidate
    raise ValueError(f"its channels {dict(sorted(channels.items()))} follow no known plan (fmap_base / 2^k).")
