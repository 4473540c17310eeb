"""Half precision where it pays and is safe: the highest resolutions in float16, clamped, the rest in float32.

As StyleGAN2-ADA (Karras et al., NeurIPS 2020) and its release do it: four resolutions, layer
outputs limited to 256, styles normalised before the product (in `modulated_conv2d`), RGB summed in float32.
"""
from __future__ import annotations

import re

import torch
from torch import nn

from .errors import CoModError
from .networks import CoModGenerator, StyleGAN2Generator, StyleMapGAN

BLOCKS, CLAMP = 4, 256.0


def use_half(net: nn.Module, blocks: int = BLOCKS, clamp: float = CLAMP,
             dtype: torch.dtype = torch.float16) -> nn.Module:
    """Let `net` compute its `blocks` highest resolutions in `dtype`, in place; weights stay as they are.

    blocks 0: all in the weights' dtype again. A smaller clamp of the network's own stays. Raises CoModError for an
    architecture that has no such layers.
    """
    if not isinstance(net, (CoModGenerator, StyleGAN2Generator, StyleMapGAN)):
        raise CoModError(f"{type(net).__name__} has no layers that mix precisions; give float32, float16 or bfloat16.")
    floor = net.resolution >> max(blocks - 1, 0) if blocks else net.resolution + 1
    for name, layer in net.named_modules():
        if hasattr(layer, "compute"):
            half = resolution_of(net, name) >= floor
            layer.compute = None if not blocks else dtype if half else torch.float32
            layer.clamp = clamp if half else None
    return net


def resolution_of(net: nn.Module, name: str) -> int:
    """The resolution that the layer of this name reads (encoders) or makes (generators)."""
    found = re.search(r"(?:^|\.)b(\d+)\.", name)
    if found:
        return int(found[1])
    if isinstance(net, StyleMapGAN):
        return _resolution_of_map_layer(net, name)
    return net.resolution if "from_rgb" in name else 4


def _resolution_of_map_layer(net: StyleMapGAN, name: str) -> int:
    levels, size = net.config.levels, net.config.style_size
    found = re.search(r"(encoder|decoder)\.(blocks|resizer)\.(\d+)", name)
    if not found:
        return net.resolution if "rgb" in name else size
    side, part, index = found[1], found[2], int(found[3])
    if side == "encoder":
        return levels[::-1][index]
    return levels[index] if part == "blocks" else size if index < 2 else levels[index // 2 - 1]
