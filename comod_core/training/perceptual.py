"""Perceptual distance on a frozen feature network (Johnson et al. 2016; channels normalised, Zhang et al. 2018)."""
from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..metrics.lite0 import Lite0

log = logging.getLogger("comod")
VGG = "vgg16-397923af.pth"      # torchvision's weights, as torch.hub keeps them
TAPS = (0, 2, 4, 7)      # blocks of EfficientNet-Lite0 at strides 2, 4, 8 and 16
STRIDES = (2, 4, 8, 16)


class PerceptualDistance(nn.Module):
    """How different two batches look to EfficientNet-Lite0, one number a pair.

    The features of each tap are normalised to unit length along the channels; the squared differences are summed over
    channels, averaged over the places that the hole touches and then over the taps. Raises CoModError when the packages
    of `Lite0` are missing.
    """

    def __init__(self):
        super().__init__()
        net = Lite0().net.eval()
        self.stem = nn.Sequential(net._conv_stem, net._bn0, net._swish)
        self.blocks = net._blocks[:TAPS[-1] + 1]
        fold_norms(self)
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def maps(self, images: Tensor) -> list[Tensor]:
        """images [N,3,H,W] in [-1,1] -> what the network sees, one map a tap."""
        found = []
        with torch.autocast(images.device.type, enabled=images.device.type != "cpu" and torch.is_autocast_enabled()):
            x = self.stem(images.float() * (127.5 / 128))
            for index, block in enumerate(self.blocks):
                x = block(x)
                if index in TAPS:
                    found.append(x)
        return found

    def features(self, images: Tensor) -> list[Tensor]:
        """images [N,3,H,W] in [-1,1] -> unit-length features, one a tap."""
        return [x * (x.square().sum(dim=1, keepdim=True) + 1e-8).rsqrt() for x in self.maps(images)]

    def forward(self, fake: Tensor, real: Tensor, mask: Tensor) -> Tensor:
        """fake, real [N,3,H,W] in [-1,1], mask [N,1,H,W], 1 = hole -> [N]; gradients flow to `fake`."""
        with torch.no_grad():
            wanted = self.features(real)
        return self.between(self.features(fake), wanted, mask)

    @staticmethod
    def between(first: Sequence[Tensor], second: Sequence[Tensor], mask: Tensor) -> Tensor:
        """The distance of two batches by their `features`, at the places that the hole touches -> [N]."""
        total = 0.0
        for a, b, stride in zip(first, second, STRIDES, strict=True):
            touched = F.max_pool2d(mask, stride)
            total = total + ((a - b).square() * touched).sum(dim=(1, 2, 3)) / touched.sum(dim=(1, 2, 3)).clamp_min(1)
        return total / len(TAPS)


def fold_norms(net: nn.Module) -> None:
    """Batch normalisations of a frozen network into the convolutions before them, in place: a third of its passes.

    A convolution and the normalisation after it must be neighbours among a module's children, as Lite0's are.
    """
    for module in net.modules():
        for (_, conv), (after, norm) in itertools.pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                scale = norm.weight / (norm.running_var + norm.eps).sqrt()
                shift = norm.bias - norm.running_mean * scale
                with torch.no_grad():
                    conv.weight *= scale.view(-1, 1, 1, 1)
                    conv.bias = nn.Parameter(shift if conv.bias is None else shift + conv.bias * scale)
                setattr(module, after, nn.Identity())


class VggDistance(nn.Module):
    """LPIPS-VGG of the package lpips (Zhang et al. 2018), with the interface of `PerceptualDistance`."""

    def __init__(self):
        super().__init__()
        import lpips
        self.net = lpips.LPIPS(net="vgg", spatial=True, verbose=False).eval().requires_grad_(False)

    def forward(self, fake: Tensor, real: Tensor, mask: Tensor) -> Tensor:
        """fake, real [N,3,H,W] in [-1,1], mask [N,1,H,W], 1 = counts -> [N]; gradients flow to `fake`."""
        seen = self.net(fake, real) * mask
        return seen.sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3)).clamp_min(1)


def perceptual_network() -> nn.Module:
    """LPIPS-VGG where the package and VGG's weights are on this machine; else Lite0 in its place, and the log says so.

    Nothing is downloaded. Raises CoModError when the packages of `Lite0` are missing too.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / VGG
    try:
        if path.is_file():
            return VggDistance()
        why = f"{path} is missing"
    except ImportError:
        why = "the package lpips is missing"
    log.info("The perceptual loss stands in for LPIPS-VGG with EfficientNet-Lite0: %s.", why)
    return PerceptualDistance()
