"""A CLIP (Radford et al. 2021), which tells how well a text fits a picture, by open_clip where it is installed.

Weights are never downloaded here: they come from a file, and a message says where to get one.
"""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import CoModError
from ..files import sha256_of

FOLDER = "clip"
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
WHERE = ("Fetch one with a browser, for example https://huggingface.co/laion/CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/"
         "main/open_clip_model.safetensors (MIT licence), and save it as ViT-B-32.safetensors: the name tells the "
         "architecture")


class Clip:
    """Texts and pictures as directions in one space, where they are near when they fit.

    model: with `encode_text(tokens)` and `encode_image(pictures [N,3,size,size], normalised)`, as open_clip's.
    tokenizer: texts -> tokens [N,T]. mean, std: of the model's pictures, in [0,1].
    """

    def __init__(self, model: torch.nn.Module, tokenizer, size: int, mean: Sequence[float], std: Sequence[float],
                 name: str = "clip", digest: str = ""):
        self.model, self.tokenizer, self.size = model.eval().requires_grad_(False), tokenizer, size
        self.name, self.digest = name, digest
        self.place = next(model.parameters())
        self.mean, self.std = (torch.tensor(values, device=self.place.device)[:, None, None] for values in (mean, std))

    @torch.no_grad()
    def text(self, text: str) -> Tensor:
        """The direction of a text, [1,D] float32 of unit length. Raises CoModError for an empty one."""
        if not isinstance(text, str) or not text.strip():
            raise CoModError("the text is empty: say what the picture should show.")
        tokens = self.tokenizer([text.strip()]).to(self.place.device)
        return F.normalize(self.model.encode_text(tokens).float(), dim=-1)

    def images(self, images: Tensor) -> Tensor:
        """images [N,3,S,S] in [-1,1] -> directions [N,D] float32 of unit length. Gradients pass through."""
        if images.shape[-1] != self.size:
            images = F.interpolate(images, (self.size, self.size), mode="bicubic", antialias=True, align_corners=False)
        x = (images.clamp(-1, 1) + 1) / 2
        x = (x.to(self.place.device, torch.float32) - self.mean) / self.std
        return F.normalize(self.model.encode_image(x.to(self.place.dtype)).float(), dim=-1)


def load_clip(path: str | os.PathLike, architecture: str | None = None, device: torch.device | str = "cpu") -> Clip:
    """The CLIP of a file of weights. architecture: open_clip's name for it, None when the file's name begins with it.

    Nothing in the file is run. Raises CoModError when open_clip is missing, or the file is absent or does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise CoModError(f"{path}: there is no such file of a CLIP's weights. {WHERE}.")
    open_clip = _open_clip()
    name = architecture or architecture_of(path.name, open_clip.list_models())
    if name not in open_clip.list_models():
        raise CoModError(f"{name}: open_clip knows no such architecture. Those it knows begin with "
                         f"{', '.join(open_clip.list_models()[:4])}, and are listed by open_clip.list_models().")
    try:
        with torch.inference_mode(False):
            model = open_clip.create_model(name, pretrained=str(path), device=device, weights_only=True)
            tokenizer = open_clip.get_tokenizer(name)
    except Exception as problem:  # open_clip raises what torch, safetensors, JSON and the network raise
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise CoModError(f"{path}: not the weights of a {name} ({reason}). {WHERE}.") from problem
    visual = model.visual
    size = visual.image_size[0] if isinstance(visual.image_size, (tuple, list)) else visual.image_size
    return Clip(model, tokenizer, int(size), visual.image_mean, visual.image_std, name, sha256_of(path))


def architecture_of(file: str, known: Sequence[str]) -> str:
    """The architecture that a file's name begins with, the longest of those known. Raises CoModError for none."""
    stem = Path(file).stem.lower()
    found = [name for name in known if stem == name.lower() or stem.startswith(tuple(f"{name.lower()}{end}"
                                                                                    for end in "-_."))]
    if not found:
        raise CoModError(f"{file}: the name does not tell which CLIP it is. Begin it with the architecture's, as in "
                         "ViT-B-32.safetensors, or give the architecture.")
    return max(found, key=len)


def _open_clip():
    try:
        import open_clip
    except (ImportError, RuntimeError, OSError) as problem:  # a torchvision made for another torch raises RuntimeError
        raise CoModError(f"guidance by a text needs open_clip and a torchvision that fits torch {torch.__version__} "
                         f"({problem}): pip install open_clip_torch, and see pytorch.org for the pair of torch and "
                         "torchvision.") from problem
    return open_clip
