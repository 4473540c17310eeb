"""Official CoModGAN pickles: a tuple (G, D, Gs) of `dnnlib.tflib.network.Network` objects, read without TensorFlow.

Names and layouts as in the released networks: dense weights are [in, out], convolutions [height, width, in, out], and
the kernel of an up-convolution is stored for a correlation, so that it is turned by 180 degrees for a transposed one.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import CoModError
from ..networks import CoModDiscriminator, CoModGenerator
from .infer import infer_config
from .machine import Record, damage_named
from .store import build

LICENCE = "NVIDIA Source Code License-NC (non-commercial; the networks derive from StyleGAN2)"
ORIGIN = "https://github.com/zsyzzsoft/co-mod-gan"
CREDITS = "Shengyu Zhao, Jonathan Cui, Yilun Sheng, Yue Dong, Xiao Liang, Eric I Chang, Yan Xu (ICLR 2021)"

_LEAVES = {"weight": "weight", "bias": "bias", "mod_weight": "mod.weight", "mod_bias": "mod.bias",
           "noise_strength": "noise_strength"}
_LAYERS = {"FromRGB": "from_rgb", "Conv": "conv", "Conv0": "conv0", "Conv0_up": "conv0", "Conv1": "conv1",
           "Conv1_down": "conv1", "Skip": "skip", "ToRGB": "to_rgb", "Dense": "dense", "Dense0": "dense"}
_BLOCK = re.compile(r"(?:([EG])_)?(\d+)x\2/(\w+)/(\w+)")
_FIXED = {"architecture": ("skip", "resnet"), "nonlinearity": ("lrelu",), "mapping_nonlinearity": ("lrelu",),
          "normalize_latents": (True,), "resample_kernel": ([1, 3, 3, 1],)}


def is_network_pickle(content: Any) -> bool:
    """Whether a pickle's content is the tuple (G, D, Gs) of TensorFlow networks."""
    return isinstance(content, (tuple, list)) and len(content) == 3 and all(
        isinstance(part, Record) and part.name == "Network" for part in content)


def import_tensorflow(content: Any, which: str, place: str) -> tuple[CoModGenerator, CoModDiscriminator]:
    """The networks of an official pickle: (generator, discriminator), evaluation mode, CPU, float32.

    content: what `read_pickle` gave. which: "ema" for the averaged generator Gs, "train" for G. place: how error
    messages call the file. Raises CoModError for another architecture, or settings that no released network has.
    """
    with damage_named(place, "a CoModGAN pickle"):
        return _import(content, which, place)


def _import(content: Any, which: str, place: str) -> tuple[CoModGenerator, CoModDiscriminator]:
    trained, critic, averaged = content
    record = averaged if which == "ema" else trained
    parts = record.get("components")
    synthesis = parts.get("synthesis") if isinstance(parts, dict) else None
    function = synthesis.get("build_func_name") if isinstance(synthesis, Record) else record.get("build_func_name")
    if str(function) != "G_synthesis_co_mod_gan":
        raise CoModError(f"{place}: recognised as a TensorFlow network pickle, of {str(function)[:80]!r} (StyleGAN2 "
                         f"or another), not supported by this version; CoMod reads CoModGAN's.")
    generator, scores = _generator_tensors(record, place), _discriminator_tensors(critic, place)
    config = infer_config(generator, scores, _stated(record, critic, place), place)
    return (build(CoModGenerator, config, generator, f"{place} (generator)"),
            build(CoModDiscriminator, config, scores, f"{place} (discriminator)"))


def _stated(record: Record, critic: Record, place: str) -> dict[str, Any]:
    """What the file says about the hyper-parameters that shapes do not show."""
    said = {**_settings(critic), **_settings(record)}
    for name, allowed in _FIXED.items():
        value = said.get(name, allowed[0])
        value = list(value) if isinstance(value, (tuple, np.ndarray)) else value
        if value not in allowed:
            raise CoModError(f"{place}: {name} = {str(value)[:80]}, which this version does not support.")
    names = {"fmap_base": "fmap_base", "fmap_decay": "fmap_decay", "fmap_min": "fmap_min", "fmap_max": "fmap_max",
             "mapping_lrmul": "mapping_lr_mul", "mbstd_group_size": "mbstd_group"}
    stated = {ours: said[theirs] for theirs, ours in names.items() if theirs in said}
    if "dropout_rate" in said:
        stated["dropout_rate"] = 1 - said["dropout_rate"]  # in TensorFlow 1 that argument is the probability to KEEP
    if not all(isinstance(value, (int, float)) for value in stated.values()):
        raise CoModError(f"{place}: a hyper-parameter that should be a number is none.")
    return stated


def _settings(record: Record) -> dict[str, Any]:
    settings = record.get("static_kwargs")
    return settings if isinstance(settings, dict) else {}


def _variables(record: Record | None, place: str) -> Iterator[tuple[str, Tensor]]:
    """Names and values of a network's own variables."""
    pairs = record.get("variables") if isinstance(record, Record) else None
    if not isinstance(pairs, list):
        raise CoModError(f"{place}: a network without variables; the file is incomplete.")
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise CoModError(f"{place}: a variable of an unknown form.")
        name, value = pair
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise CoModError(f"{place}: variable {name[:80]!r} is not made of numbers.")
        yield name, torch.from_numpy(np.array(array, np.float32))


def _generator_tensors(record: Record, place: str) -> dict[str, Tensor]:
    """The generator's tensors under this package's names."""
    parts = record.get("components")
    tensors = {}
    for name, value in _variables(parts.get("mapping"), place):
        if name == "LabelConcat/weight":
            tensors["mapping.label_weight"] = value
        elif match := re.fullmatch(r"Dense(\d+)/(weight|bias)", name):
            tensors[f"mapping.dense{match[1]}.{match[2]}"] = _layout(value, False)
        else:
            raise _unknown(name, place)
    for name, value in _variables(parts.get("synthesis"), place):
        if match := re.fullmatch(r"noise(\d+)", name):
            tensors[f"synthesis.{noise_layer(int(match[1]))}.noise_const"] = value
        elif name != "lod":
            tensors[_translate(name, place)] = _layout(value, "/Conv0_up/weight" in name)
    tensors.update(("w_avg", value) for name, value in _variables(record, place) if name == "dlatent_avg")
    for key in [key for key in tensors if key.endswith("noise_const")]:  # absent where noise was switched off
        tensors.setdefault(key.replace("noise_const", "noise_strength"), torch.zeros([]))
    return tensors


def _discriminator_tensors(record: Record, place: str) -> dict[str, Tensor]:
    """The discriminator's tensors under this package's names."""
    tensors = {}
    for name, value in _variables(record, place):
        if name != "lod":
            key = name.replace("Output/", "output.") if name.startswith("Output/") else _translate(name, place)
            tensors[key] = _layout(value, False)
    return tensors


def noise_layer(index: int) -> str:
    """Where the synthesis network uses noise map `index`: b4.conv, b8.conv0, b8.conv1, b16.conv0, …"""
    return f"b{2 ** ((index + 5) // 2)}.conv{'' if index == 0 else (index + 1) % 2}"


def _translate(name: str, place: str) -> str:
    """E_64x64/Conv1_down/bias -> encoder.b64.conv1.bias; names without E_ or G_ are the discriminator's."""
    match = _BLOCK.fullmatch(name)
    if not match or match[3] not in _LAYERS or match[4] not in _LEAVES:
        raise _unknown(name, place)
    network = {"E": "encoder.", "G": "synthesis.", None: ""}[match[1]]
    layer = _LAYERS[match[3]]
    block = "" if layer == "from_rgb" else f"b{match[2]}."
    return f"{network}{block}{layer}.{_LEAVES[match[4]]}"


def _layout(value: Tensor, turned: bool) -> Tensor:
    """[in, out] -> [out, in]; [height, width, in, out] -> [out, in, height, width], turned by 180 degrees if asked."""
    if value.ndim == 4:
        value = value.permute(3, 2, 0, 1)
        return (value.flip(2, 3) if turned else value).contiguous()
    return value.t().contiguous() if value.ndim == 2 else value


def _unknown(name: str, place: str) -> CoModError:
    return CoModError(f"{place}: variable {name[:80]!r} belongs to no CoModGAN.")
