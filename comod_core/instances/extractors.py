"""The feature of a photo: the trunk of a ResNet-50 (torchvision), as IC-GAN's networks want it, or Lite0's.

Weights are never downloaded here: they come from a file, or from torch hub's cache where other programs may have put
them, and a message says where to get them.
"""
from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.pickles import is_torch, read_torch
from ..checks import check_image
from ..errors import CoModError
from ..files import sha256_of
from ..metrics.networks import FeatureNetwork
from .generation import as_bytes, unit

SIDE = 224
CELLS, COLOURS = 8, 0.2     # of Lite0Colours
BUILT_IN = ("lite0-colours", "lite0")
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, in [0,1]


@dataclass(frozen=True)
class Weights:
    """A published ResNet-50. url: where its file is to be had; the file's name is also that in torch hub's cache."""

    name: str
    url: str
    description: str

    @property
    def place(self) -> Path:
        """Where torch hub keeps the file."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.url.rsplit("/", 1)[1]


WEIGHTS = (
    Weights("swav", "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar",
            "self-supervised (Caron et al. 2020; CC BY-NC 4.0): IC-GAN's networks without classes"),
    Weights("supervised", "https://download.pytorch.org/models/resnet50-0676ba61.pth",
            "trained on ImageNet's classes (torchvision): IC-GAN's networks with classes"),
)


class ResNet50(FeatureNetwork):
    """The 2048 values before the last layer of a ResNet-50 (He et al. 2016).

    Pictures are cropped to the square in their middle, resized to 224x224 and normalised as ImageNet's. path: a state
    dict of torchvision's names or of SwAV's, read without running anything in it. Raises CoModError when torchvision
    is missing, or the file is absent, damaged, or of another network.
    """

    width = 2048

    def __init__(self, path: str | os.PathLike, name: str | None = None, device: torch.device | str = "cpu"):
        path = Path(path)
        if not path.is_file():
            raise CoModError(f"{path}: there is no such file. Check the path.")
        self.name, self.digest, self.device = name or path.name.split(".")[0], _checked_digest(path), device
        self.net = _trunk()
        _load(self.net, path)
        self.net.eval().requires_grad_(False).to(device)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.net(prepare(images)), []


class Lite0Colours(FeatureNetwork):
    """Lite0's feature and the picture's colours: 1280 values of length 1, then the mean colours of CELLS x CELLS cells.

    Lite0 tells what is to be seen and hardly its colours. These are RGB in [-0.5,0.5] times COLOURS, which gives both
    the same variance over the avatars. Raises CoModError when Lite0's packages are missing.
    """

    name, width = "Lite0-colours", 1280 + 3 * CELLS ** 2

    def __init__(self, device: torch.device | str = "cpu"):
        from ..metrics.lite0 import Lite0

        self.lite0, self.device = Lite0(device), device
        self.digest = hashlib.sha256(f"{self.lite0.digest} colours {CELLS} {COLOURS}".encode()).hexdigest()

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        seen, maps = self.lite0.forward(images)
        colours = F.adaptive_avg_pool2d(images.float() / 255, CELLS) - 0.5
        return torch.cat([F.normalize(seen, dim=1), COLOURS * colours.permute(0, 2, 3, 1).flatten(1)], dim=1), maps


def load_extractor(spec: str | os.PathLike, device: torch.device | str = "cpu") -> FeatureNetwork:
    """The extractor "lite0-colours" or "lite0", "swav" or "supervised" (from torch hub's cache), or a file's ResNet-50.

    Raises CoModError that says where to get what is missing.
    """
    if str(spec).lower() == "lite0":
        from ..metrics.lite0 import Lite0

        return Lite0(device)
    if str(spec).lower() == "lite0-colours":
        return Lite0Colours(device)
    known = next((weights for weights in WEIGHTS if weights.name == str(spec).lower()), None)
    if known is None:
        if not Path(spec).is_file():
            names = ", ".join([*BUILT_IN, *(weights.name for weights in WEIGHTS)])
            raise CoModError(f"{spec}: neither a file nor an extractor's name ({names}).")
        return ResNet50(spec, device=device)
    if not known.place.is_file():
        raise CoModError(f"The weights of the {known.name} ResNet-50 are not on this machine, and CoMod does not "
                         f"download them. Fetch {known.url} ({known.description}) with a browser and save it as "
                         f"{known.place}, or give the path of the file instead of '{known.name}'.")
    return ResNet50(known.place, known.name, device)


def encode(extractor: FeatureNetwork, image: Tensor) -> Tensor:
    """image [N,C,H,W] in [-1,1], C 1, 3 or 4 -> features of unit length, [N,width] float32 on the CPU.

    Each picture is encoded alone, so that the batch changes no bit. Raises CoModError for other pictures.
    """
    check_image(image)
    return unit(torch.cat([torch.from_numpy(extractor(as_bytes(one))) for one in image.split(1)]))


def prepare(images: Tensor) -> Tensor:
    """images uint8 [N,3,H,W] -> float32 [N,3,224,224]: the square in the middle, resized, normalised."""
    side = min(images.shape[-2:])
    top, left = ((length - side) // 2 for length in images.shape[-2:])
    x = images[..., top:top + side, left:left + side].float()
    if side != SIDE:
        x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    mean, std = (torch.tensor(values, device=x.device)[:, None, None] for values in (_MEAN, _STD))
    return (x / 255 - mean) / std


def _trunk() -> nn.Module:
    try:
        from torchvision.models import resnet50
    except (ImportError, RuntimeError, OSError) as problem:  # one made for another torch raises RuntimeError
        raise CoModError(f"ResNet-50 features need a torchvision that fits torch {torch.__version__} ({problem}): see "
                         "pytorch.org for the pair to install. The extractor lite0 needs none.") from problem
    with torch.device("meta"):
        net = resnet50(weights=None)
    net.fc = nn.Identity()
    return net


def _checked_digest(path: Path) -> str:
    """SHA-256 of the file. Raises CoModError when its name states another, as in resnet50-0676ba61.pth."""
    digest = sha256_of(path)
    stated = re.search(r"-([0-9a-f]{8,64})\.pth$", path.name)
    if stated and not digest.startswith(stated[1]):
        raise CoModError(f"{path}: its SHA-256 begins with {digest[:len(stated[1])]}, not with {stated[1]} as its name "
                         "says: damaged or cut short. Fetch it again.")
    return digest


def _load(net: nn.Module, path: Path) -> None:
    if not is_torch(path):
        raise CoModError(f"{path}: not a torch checkpoint. Give a ResNet-50's .pth, or SwAV's .pth.tar.")
    content = read_torch(path)
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    state = state if isinstance(state, dict) else {}
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    wanted = net.state_dict()
    found = {key: value for key, value in state.items() if key in wanted}
    for key in wanted.keys() - found.keys():  # old files have no counters of batches
        if key.endswith("num_batches_tracked"):
            found[key] = torch.zeros([], dtype=torch.int64)
    for key, expected in wanted.items():
        value = found.get(key)
        if not isinstance(value, Tensor) or value.shape != expected.shape or \
                value.is_floating_point() != expected.is_floating_point():
            shape = list(value.shape) if isinstance(value, Tensor) else "nothing"
            raise CoModError(f"{path}: no ResNet-50's weights: {key} should be {list(expected.shape)}, is {shape}.")
    net.load_state_dict({key: value.to(wanted[key].dtype) for key, value in found.items()}, assign=True)
