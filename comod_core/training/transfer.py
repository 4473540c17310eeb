"""What a new run takes of the networks of a file: layers that are alike, and narrower ones in wider ones."""
from __future__ import annotations

import dataclasses
import re

import torch
from torch import Tensor, nn

from ..networks.biggan import settle_spectral_norm
from ..networks.comodgan import CoModConfig
from ..networks.layers import Conv2d, Dense, ModulatedConv2d
from ..networks.stylegan2 import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator
from ..networks.stylemapgan import StyleMapDiscriminator, StyleMapGAN

# settings of a network that change how many channels its layers have, and not what a channel means
WIDTHS = {"fmap_base", "fmap_decay", "fmap_min", "fmap_max", "channels", "critic_channels"}
EQUALISED = (Conv2d, Dense, ModulatedConv2d)
# no layer of these normalises over its channels, and none joins several inputs but at the end of a discriminator
WIDENED = (CoModConfig, StyleGAN2Config)
# where blocks are counted from the highest resolution down, so that the same block has another number at another size
# (BigGAN's discriminator counts its channels that way, too: there a number says more than a resolution)
FROM_THE_TOP = {StyleMapGAN: "encoder.blocks", StyleMapDiscriminator: "blocks", StyleGAN2Discriminator: "blocks"}


@torch.no_grad()
def take(net: nn.Module, other: nn.Module) -> list[str]:
    """Copy into net what other has under the same names; return the names that stay new.

    In co-modulated and StyleGAN2 networks a wider layer takes a narrower one as its first channels, and these do not
    read the new ones at first: a wider generator makes the pictures of the narrow one and learns from there (function-
    preserving as in Chen et al., "Net2Net", 2016, but with fresh channels that start unread). So does a discriminator
    whose last block, where a statistic of the batch is joined on, keeps its width. A StyleGAN2 of a higher resolution
    makes the pictures of the lower one, enlarged.
    """
    own, theirs = net.state_dict(), _named_as_in(net, other)
    scales, wider = _scales(net, other), _differ_in_width(net, other)
    fitting = {}
    for name, value in own.items():
        found = theirs.get(plain(name))
        if found is None:
            continue
        if found.shape == value.shape:
            fitting[name] = found
        elif wider and found.ndim == value.ndim and all(a <= b for a, b in zip(found.shape, value.shape, strict=True)):
            fitting[name] = _within(value, found, scales.get(name, 1.0))
    net.load_state_dict(fitting, strict=False)
    settle_spectral_norm(net)
    fresh = [plain(name) for name in own if name not in fitting and ".parametrizations." not in plain(name)]
    if isinstance(net, StyleGAN2Generator) and isinstance(other, StyleGAN2Generator):
        for name in fresh:
            if name.endswith("to_rgb.weight") and int(re.search(r"b(\d+)", name)[1]) > other.resolution:
                own[name].zero_()
    return fresh


def _named_as_in(net: nn.Module, other: nn.Module) -> dict[str, Tensor]:
    """The state of other, each block under the name that the block of its resolution has in net."""
    state, blocks = other.state_dict(), FROM_THE_TOP.get(type(net))
    if blocks is None or type(other) is not type(net):
        return state
    doublings = net.config.resolution.bit_length() - other.config.resolution.bit_length()
    numbered = re.compile(rf"^{re.escape(blocks)}\.(\d+)\.")
    return {numbered.sub(lambda found: f"{blocks}.{int(found[1]) + doublings}.", name): value
            for name, value in state.items()}


def plain(name: str) -> str:
    """The name that a parameter under spectral norm has without it."""
    return name.replace(".parametrizations.weight.original", ".weight")


def _scales(net: nn.Module, other: nn.Module) -> dict[str, float]:
    """By what each weight of other is to be multiplied so that it acts the same with the run-time scale of net."""
    layers = {name: layer for name, layer in other.named_modules() if isinstance(layer, EQUALISED)}
    return {f"{name}.weight": layers[name].scale / layer.scale for name, layer in net.named_modules()
            if isinstance(layer, EQUALISED) and name in layers}


def _differ_in_width(net: nn.Module, other: nn.Module) -> bool:
    """Whether the two are one architecture, of other widths alone."""
    a, b = (getattr(x, "config", None) for x in (net, other))
    return type(a) is type(b) and isinstance(a, WIDENED) and all(
        getattr(a, field.name) == getattr(b, field.name) for field in dataclasses.fields(a) if field.name not in WIDTHS)


def _within(value: Tensor, found: Tensor, scale: float) -> Tensor:
    """`found` in the first rows and columns of `value`; its rows are zero in the columns that it has not."""
    value = value.clone()
    if value.ndim > 1:
        value[:found.shape[0], found.shape[1]:] = 0
    value[tuple(slice(size) for size in found.shape)] = found * scale
    return value
