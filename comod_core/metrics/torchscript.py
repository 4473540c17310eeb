"""A user's own feature network: a TorchScript file."""
from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from ..errors import CoModError
from ..files import sha256_of
from .networks import FeatureNetwork


class TorchScript(FeatureNetwork):
    """A TorchScript file that takes uint8 pictures [N,3,H,W] and gives float features [N,D].

    Where its `forward` has an argument `return_features`, as the Inception file of StyleGAN's authors has, it is set.
    A TorchScript file is a program: use only those that you trust. Raises CoModError when it does anything else.
    """

    def __init__(self, path: str | Path, device: torch.device | str = "cpu"):
        path = Path(path)
        self.name, self.device = path.stem, device
        try:
            self.module = torch.jit.load(str(path), map_location=device).eval()
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise CoModError(f"{path}: not a TorchScript file ({reason}). Save one with torch.jit.save.") from error
        self.digest = sha256_of(path)
        arguments = {argument.name for argument in self.module.forward.schema.arguments}
        self.options = {"return_features": True} if "return_features" in arguments else {}
        try:
            found = self(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
        except RuntimeError as error:
            raise CoModError(f"{path}: cannot take uint8 pictures [N,3,H,W] "
                             f"({str(error).strip().splitlines()[-1]}).") from error
        self.width = found.shape[1]

    def __getstate__(self) -> dict:
        """For other processes: the program goes along as the bytes of its file."""
        stream = io.BytesIO()
        torch.jit.save(self.module, stream)
        return vars(self) | {"module": stream.getvalue()}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self.module = torch.jit.load(io.BytesIO(state["module"]), map_location=self.device).eval()

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        found = self.module(images, **self.options)
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
            what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise CoModError(f"the TorchScript network {self.name} gave {what} for {len(images)} pictures; expected "
                             "one row of features each, [N,D].")
        return found, []
