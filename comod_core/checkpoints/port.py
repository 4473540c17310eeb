"""The PyTorch port's `*_net_G_ema.pth`: a state dict that was converted from the official pickles.

The modulation biases have the +1 folded in and the up-convolution kernels are turned already. The noise maps and
w_avg did not come along: the maps are drawn from a fixed seed, w_avg is the mean over many mapped z of a fixed seed.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import CoModError
from ..networks import CoModGenerator
from .infer import infer_config
from .machine import damage_named
from .store import build
from .tensorflow import noise_layer

ORIGIN = "https://github.com/zengxianyu/co-mod-gan-pytorch"
W_AVG_SAMPLES = 10_000
NOISE_SEED, W_AVG_SEED = 0, 1
NOTES = (f"The source holds no w_avg and no noise maps: w_avg is the mean over {W_AVG_SAMPLES} latents of seed "
         f"{W_AVG_SEED}, the noise maps are drawn from seed {NOISE_SEED}.")

_MOST_NOISE_MAPS = 21  # of a 4096x4096 network
_FIR = torch.tensor([1.0, 3.0, 3.0, 1.0])
_RULES = tuple((re.compile(pattern), target) for pattern, target in (
    (r"G_mapping\.G_mapping\.Dense(\d+)\.(weight|bias)", r"mapping.dense\1.\2"),
    (r"G_synthesis\.E\.(\d+)x\1_0\.FromRGB\.0\.weight", "encoder.from_rgb.weight"),
    (r"G_synthesis\.E\.(\d+)x\1_0\.FromRGB\.1\.bias", "encoder.from_rgb.bias"),
    (r"G_synthesis\.E\.(\d+)x\1\.Conv0?\.0\.weight", r"encoder.b\1.conv0.weight"),
    (r"G_synthesis\.E\.(\d+)x\1\.Conv0?\.1\.bias", r"encoder.b\1.conv0.bias"),
    (r"G_synthesis\.E\.(\d+)x\1\.Conv1_down\.1\.weight", r"encoder.b\1.conv1.weight"),
    (r"G_synthesis\.E\.(\d+)x\1\.Conv1_down\.2\.bias", r"encoder.b\1.conv1.bias"),
    (r"G_synthesis\.E\.4x4\.Dense0\.(weight|bias)", r"encoder.b4.dense.\1"),
    (r"G_synthesis\.G_4x4\.Dense\.(weight|bias)", r"synthesis.b4.dense.\1"),
    (r"G_synthesis\.G_(\d+)x\1\.(\w+)\.conv\.weight", r"synthesis.b\1.\2.weight"),
    (r"G_synthesis\.G_(\d+)x\1\.(\w+)\.conv\.modulation\.(weight|bias)", r"synthesis.b\1.\2.mod.\3"),
    (r"G_synthesis\.G_(\d+)x\1\.(\w+)\.noise\.weight", r"synthesis.b\1.\2.noise_strength"),
    (r"G_synthesis\.G_(\d+)x\1\.(\w+)\.activate\.bias", r"synthesis.b\1.\2.bias"),
    (r"G_synthesis\.G_(\d+)x\1\.ToRGB\.bias", r"synthesis.b\1.ToRGB.bias"),
))
_LAYERS = {".Conv0_up.": ".conv0.", ".Conv1.": ".conv1.", ".Conv.": ".conv.", ".ToRGB.": ".to_rgb."}


def is_port(content: Any) -> bool:
    """Whether a torch file's content is the port's state dict."""
    return isinstance(content, dict) and any(
        isinstance(key, str) and key.removeprefix("module.").startswith("G_synthesis.E.") for key in content)


def import_port(content: Mapping[str, Any], place: str) -> CoModGenerator:
    """The generator of the port's state dict, evaluation mode, CPU, float32.

    Hyper-parameters come from the shapes. Raises CoModError for tensors that no such network has, or an incomplete set.
    """
    with damage_named(place, "a file of the PyTorch port"):
        return _import(content, place)


def _import(content: Mapping[str, Any], place: str) -> CoModGenerator:
    tensors: dict[str, Tensor] = {}
    for key, value in content.items():
        name = str(key).removeprefix("module.")
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise CoModError(f"{place}: {name[:80]!r} is not a tensor of numbers.")
        if name.endswith(".kernel"):
            check_fir(value, name, place)
        else:
            ours = _translate(name, place)
            tensors[ours] = _convert(ours, value.float())
    _draw_noise_maps(tensors)
    layers = sum(1 for key in tensors if re.fullmatch(r"mapping\.dense\d+\.bias", key))
    if not layers:
        raise CoModError(f"{place}: there is no mapping network in it; the file is incomplete.")
    tensors["w_avg"] = torch.zeros_like(tensors[f"mapping.dense{layers - 1}.bias"])
    config = infer_config(tensors, place=place)
    net = build(CoModGenerator, config, tensors, f"{place} (generator)")
    net.w_avg.copy_(average_latent(net))
    return net


def _translate(name: str, place: str) -> str:
    for pattern, target in _RULES:
        if match := pattern.fullmatch(name):
            ours = match.expand(target).replace("encoder.b4.conv0", "encoder.b4.conv")
            for theirs, layer in _LAYERS.items():
                ours = ours.replace(theirs, layer)
            return ours
    raise CoModError(f"{place}: {name[:80]!r} belongs to no CoModGAN of the PyTorch port.")


def _convert(ours: str, value: Tensor) -> Tensor:
    """The port's layout to this package's; values stay, but for the folded +1."""
    if ours.endswith(".mod.bias"):
        return value - 1
    if ours.endswith(".noise_strength"):
        return value.reshape([])
    if ours.startswith("synthesis.") and ours.endswith(".weight") and value.ndim == 5:
        return value.squeeze(0)
    return value.reshape(-1) if ours.endswith(".to_rgb.bias") else value


def check_fir(kernel: Tensor, name: str, place: str) -> None:
    """The filters are fixed in CoModGAN; another one would give other pictures without a word."""
    expected = torch.outer(_FIR, _FIR) / _FIR.sum() ** 2
    if kernel.shape != expected.shape or not torch.allclose(kernel.float() / kernel.sum(), expected, atol=1e-5):
        raise CoModError(f"{place}: filter {name[:80]!r} is not [1,3,3,1], which this version does not support.")


def _draw_noise_maps(tensors: dict[str, Tensor]) -> None:
    generator = torch.Generator().manual_seed(NOISE_SEED)
    for index in range(min(sum(key.endswith(".noise_strength") for key in tensors), _MOST_NOISE_MAPS)):
        size = 2 ** ((index + 5) // 2)
        tensors[f"synthesis.{noise_layer(index)}.noise_const"] = torch.randn(1, 1, size, size, generator=generator)


@torch.no_grad()
def average_latent(net: CoModGenerator, count: int = W_AVG_SAMPLES, seed: int = W_AVG_SEED) -> Tensor:
    """The mean of w over `count` latents z drawn from one seed, [w_dim]; an estimate of the training's own average."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(net.w_dim, dtype=torch.float64)
    for start in range(0, count, 1000):
        z = torch.randn(min(1000, count - start), net.z_dim, generator=generator)
        total += net.map(z)[:, 0].double().sum(dim=0)
    return (total / count).float()
