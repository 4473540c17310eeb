"""IC-GAN's BigGAN folders: `G_ema_best0.pth` (a state dict with spectral norm) and `state_dict_best0.pth` beside it.

Spectral norm is folded into the weights once, with the numbers that the published code gets at every call: one power
iteration from the stored u.
"""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ..errors import CoModError
from ..networks import BigGANConfig, BigGANGenerator
from ..networks.biggan import GENERATOR_PLAN
from .machine import damage_named
from .pickles import is_torch, read_torch
from .store import build

LICENCE = "CC BY-NC 4.0 (non-commercial)"
ORIGIN = "https://github.com/facebookresearch/ic_gan"
CREDITS = "Arantxa Casanova, Marlène Careil, Jakob Verbeek, Michal Drozdzal, Adriana Romero-Soriano (NeurIPS 2021)"

_PREFIX = {"ema": "G_ema", "train": "G"}
_EXTRACTORS = {"selfsupervised": "swav", "classification": "supervised"}
_FIXED = {"G_param": ("SN",), "norm_style": ("bn",), "hier": (True,), "G_shared": (True,),
          "G_nl": ("relu", "inplace_relu"), "model_backbone": ("biggan",), "mybn": (False,), "cross_replica": (False,)}
_RULES = tuple((re.compile(pattern), target) for pattern, target in (
    (r"shared\.weight", "embed.weight"),
    (r"shared_feat\.(weight|bias)", r"feature.\1"),
    (r"linear\.(weight|bias)", r"linear.\1"),
    (r"blocks\.(\d+)\.0\.conv([12])\.(weight|bias)", r"blocks.\1.conv\2-.\3"),
    (r"blocks\.(\d+)\.0\.conv_sc\.(weight|bias)", r"blocks.\1.skip.\2"),
    (r"blocks\.(\d+)\.0\.bn([12])\.(gain|bias)\.weight", r"blocks.\1.norm\2-.\3.weight"),
    (r"blocks\.(\d+)\.0\.bn([12])\.stored_(mean|var)", r"blocks.\1.norm\2-.\3"),
    (r"blocks\.(\d+)\.1\.(theta|phi|g|o)\.weight", r"blocks.\1.attention.\2.weight"),
    (r"blocks\.(\d+)\.1\.gamma", r"blocks.\1.attention.gamma"),
    (r"output_layer\.0\.(gain|bias)", r"norm.\1"),
    (r"output_layer\.0\.stored_(mean|var)", r"norm.\1"),
    (r"output_layer\.2\.(weight|bias)", r"to_rgb.\1"),
))
"""Their name -> ours; a number followed by a minus is one less than theirs."""


def is_biggan(content: Any) -> bool:
    """Whether a torch file's content is the state dict of a BigGAN generator."""
    return isinstance(content, dict) and any(
        isinstance(key, str) and key.removeprefix("module.").startswith("blocks.0.0.bn1.") for key in content)


def best_of(folder: Path, which: str) -> Path:
    """The generator's file in a folder of IC-GAN's training: that whose state has the lowest FID.

    Raises CoModError when there is none.
    """
    prefix = _PREFIX[which]
    found = sorted(path for path in folder.glob(f"{prefix}*.pth")
                   if re.fullmatch(rf"{prefix}(_(best|copy)\d+)?\.pth", path.name))
    if not found:
        raise CoModError(f"{folder}: a folder without {prefix}_best0.pth. Give a model file, or the folder of an "
                         "IC-GAN BigGAN (G_ema_best0.pth with state_dict_best0.pth beside it).")
    return min(found, key=lambda path: best_fid(stated_beside(path)))


def stated_beside(path: Path) -> dict[str, Any]:
    """The content of the state_dict file that belongs to a generator's file; {} where there is none."""
    name = re.sub(r"G(_ema)?(?=(_(best|copy)\d+)?\.pth$)", "state_dict", path.name)
    other = path.with_name(name)
    if name == path.name or not other.is_file() or not is_torch(other):
        return {}
    content = read_torch(other)
    return content if isinstance(content, dict) else {}


def best_fid(stated: Mapping[str, Any]) -> float:
    """The FID that a training state names, infinity where it names none."""
    value = stated.get("best_FID")
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else math.inf


def features_of(stated: Mapping[str, Any]) -> str:
    """The extractor (`comod_core.instances.extractors`) whose features the network takes; "" where that is not said."""
    said = stated.get("config")
    kind = said.get("feature_extractor") if isinstance(said, dict) else None
    return _EXTRACTORS.get(kind, "") if isinstance(kind, str) else ""


def notes(path: Path, stated: Mapping[str, Any]) -> str:
    """What is worth telling about a generator's file."""
    fid = best_fid(stated)
    return f"From {path.name}" + (f", whose FID at that time was {fid:g}." if math.isfinite(fid) else ".")


def import_biggan(content: Mapping[str, Any], stated: Mapping[str, Any], place: str) -> BigGANGenerator:
    """The generator of a BigGAN state dict, spectral norm folded in: evaluation mode, CPU, float32.

    stated: the content of the state_dict file beside it, {} where there is none: its `config` says what shapes do not.
    Raises CoModError for tensors that no such network has, an incomplete set, or settings that are not supported.
    """
    with damage_named(place, "a BigGAN of IC-GAN"):
        said = stated.get("config")
        said = said if isinstance(said, dict) else {}
        for name, allowed in _FIXED.items():
            if said.get(name, allowed[0]) not in allowed:
                raise CoModError(f"{place}: {name} = {str(said[name])[:80]}, which this version does not support.")
        tensors = _tensors(content, _number(said, "SN_eps", 1e-12, place), place)
        config = infer_config(tensors, said, place)
        for layer, size in (("embed", config.label_size), ("feature", config.feature_size)):
            if not size:
                tensors = {key: value for key, value in tensors.items() if not key.startswith(layer + ".")}
        return build(BigGANGenerator, config, tensors, f"{place} (generator)")


def _number(said: Mapping[str, Any], name: str, default: float, place: str) -> float:
    value = said.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise CoModError(f"{place}: {name} = {str(value)[:80]}, which is no small number.")
    return float(value)


def _tensors(content: Mapping[str, Any], eps: float, place: str) -> dict[str, Tensor]:
    """The tensors under this package's names, weights divided by their spectral norm."""
    state = {str(key).removeprefix("module."): value for key, value in content.items()}
    tensors = {}
    for name, value in state.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise CoModError(f"{place}: {name[:80]!r} is not a tensor of numbers.")
        if re.search(r"\.(u0|sv0)$", name):
            continue
        value = value.float()
        if name.endswith(".weight") and (u := state.get(name.removesuffix("weight") + "u0")) is not None:
            value = value / _largest_singular_value(value.flatten(1), u, eps)
        tensors[_translate(name, place)] = value.t().contiguous() if name == "shared.weight" else value
    return tensors


def _largest_singular_value(weight: Tensor, u: Tensor, eps: float) -> Tensor:
    """One power iteration from u [1,out] on weight [out,in] (Miyato et al. 2018, Algorithm 1)."""
    weight, u = weight.double(), u.double()
    v = F.normalize(u @ weight, eps=eps)
    u = F.normalize(v @ weight.t(), eps=eps)
    return (v @ weight.t() @ u.t()).squeeze().float()


def _translate(name: str, place: str) -> str:
    for pattern, target in _RULES:
        if match := pattern.fullmatch(name):
            return re.sub(r"(\d+)-", lambda number: str(int(number[1]) - 1), match.expand(target))
    raise CoModError(f"{place}: {name[:80]!r} belongs to no BigGAN that this version can build.")


def infer_config(state: Mapping[str, Tensor], said: Mapping[str, Any] | None = None,
                 place: str = "checkpoint") -> BigGANConfig:
    """The configuration of a BigGAN whose generator has the tensors `state` (under this package's names).

    said: `config` of the file, used for what shapes do not show. Raises CoModError where no BigGAN fits.
    """
    said = said or {}
    try:
        count = sum(1 for key in state if re.fullmatch(r"blocks\.\d+\.conv0\.weight", key))
        resolution, chunk = 4 << count, state["linear.weight"].shape[1]
        unit, rest = divmod(state["blocks.0.conv0.weight"].shape[1], GENERATOR_PLAN[resolution][0][0])
        if rest or not unit:
            raise ValueError("its channels follow no known plan.")
        label, feature = _conditions(state, chunk, said)
        attention = [8 << int(match[1]) for key in state
                     if (match := re.fullmatch(r"blocks\.(\d+)\.attention\.gamma", key))]
        critic = said.get("D_ch", unit)
        return BigGANConfig(
            resolution=resolution, channels=unit, z_dim=chunk * (count + 1), **feature, **label,
            attention=tuple(sorted(attention)), bn_eps=_number(said, "BN_eps", 1e-5, place),
            critic_channels=critic if type(critic) is int and 0 < critic != unit else None,
            image_channels=state["to_rgb.weight"].shape[0])
    except LookupError as problem:
        raise CoModError(f"{place}: no complete BigGAN; {problem} is missing or has no such shape.") from problem
    except (ValueError, TypeError) as problem:
        raise CoModError(f"{place}: not a BigGAN that this version can build: {problem}") from problem


def _conditions(state: Mapping[str, Tensor], chunk: int, said: Mapping[str, Any]) -> tuple[dict, dict]:
    """Sizes of label and feature. Files of networks without classes hold an embedding of them, unused."""
    width = state["blocks.0.norm0.gain.weight"].shape[1] - chunk
    label = {"label_size": 0}
    if "embed.weight" in state:
        label = {"label_dim": state["embed.weight"].shape[0], "label_size": state["embed.weight"].shape[1]}
    feature = {"feature_size": 0}
    if "feature.weight" in state:
        feature = {"feature_dim": state["feature.weight"].shape[0], "feature_size": state["feature.weight"].shape[1]}
    options = [({"label_size": 0}, feature), (label, feature), (label, {"feature_size": 0})]
    options = [(a, b) for a, b in options if width == a.get("label_dim", 0) + b.get("feature_dim", 0)]
    if not options:
        raise ValueError(f"its condition of {width} values is neither its embedded class nor feature, nor both.")
    stated = [(a, b) for a, b in options if bool(a["label_size"]) == said.get("class_cond", bool(a["label_size"]))]
    return (stated or options)[0]
