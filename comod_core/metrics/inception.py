"""Inception v3 as FID was published with, through torch-fidelity, which downloads its weights."""
from __future__ import annotations

import torch
from torch import Tensor

from ..errors import CoModError
from .networks import FeatureNetwork, weights_digest

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
RELEASE = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{WEIGHTS}"


class Inception(FeatureNetwork):
    """The pool of 2048 values of the Inception v3 of 2015, pictures resized to 299x299 as TensorFlow 1 did.

    Raises CoModError when torch-fidelity is missing or its weights cannot be downloaded.
    """

    name, width, published = "Inception", 2048, True

    def __init__(self, device: torch.device | str = "cpu"):
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise CoModError("Inception features need torch-fidelity: pip install torch-fidelity. It downloads the "
                             f"network's weights once (91 MB, {RELEASE}). Without a network use --features lite0, "
                             "whose numbers are called FD-Lite0 and cannot be compared with FID.") from error
        except (RuntimeError, OSError) as error:        # a torchvision made for another torch raises RuntimeError
            raise CoModError(f"Inception features need a torchvision that fits torch {torch.__version__} ({error}): "
                             "see pytorch.org for the pair to install. --features lite0 needs none.") from error
        try:
            self.net = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
        except OSError as error:
            raise CoModError(f"The Inception weights could not be downloaded ({error}). Get {RELEASE} on another "
                             f"machine and save it as {torch.hub.get_dir()}/checkpoints/{WEIGHTS}") from error
        self.digest, self.device = weights_digest(self.net), device
        self.net.to(device)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.net(images)[0], []
