"""Everything a node asks of its surroundings, written twice: for ComfyUI and for a bare Python.

`host` is the one that fits. Both offer the same methods; a model that `wrap` returned is what travels on the sockets,
and `acquire` turns it into a network that is ready on its device.
"""
from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import torch

from ..comod_core.loading import models_folder
from ._api import INSIDE_COMFYUI

Progress = Callable[[int, int, "torch.Tensor | None"], None]

MODEL_FOLDER = "comod"
MODEL_SUFFIXES = (".safetensors", ".pkl", ".pth", ".pt")
PREVIEW_SIDE = 512
PREVIEW_SECONDS = 0.2
# Activations of a forward pass, in bytes a pixel of the model's input, measured generously.
BYTES_PER_PIXEL = 4 * 1024


class Interrupted(Exception):
    """The user stopped the work. Raised by a progress callback in a bare Python."""


@dataclass(frozen=True)
class BareModel:
    """A network on a socket outside ComfyUI: the two attributes of ComfyUI's ModelPatcher that nodes use."""

    model: torch.nn.Module
    load_device: torch.device


class BareHost:
    """A Python without ComfyUI: models from one folder, one device, progress to whoever listens."""

    def __init__(self) -> None:
        self._listener: ContextVar[Progress | None] = ContextVar("comod_progress", default=None)

    def model_folders(self) -> list[Path]:
        """Where model files are looked for: $COMOD_MODELS, or models/comod beside the pack's own folders."""
        return [models_folder()]

    def model_files(self) -> list[str]:
        """Names of the model files, relative to their folder, sorted."""
        found = {path.relative_to(folder).as_posix() for folder in self.model_folders() if folder.is_dir()
                 for path in folder.rglob("*") if path.suffix.lower() in MODEL_SUFFIXES and path.is_file()}
        return sorted(found)

    def model_path(self, name: str) -> Path | None:
        """Full path of a listed model file, or None."""
        if name not in self.model_files():
            return None
        return next(folder / name for folder in self.model_folders() if (folder / name).is_file())

    def load_device(self) -> torch.device:
        """Where networks run: $COMOD_DEVICE, else CUDA, Apple's GPU or the CPU."""
        if wanted := os.environ.get("COMOD_DEVICE"):
            return torch.device(wanted)
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

    def intermediate_device(self) -> torch.device:
        """Where images and latents travel between nodes."""
        return torch.device("cpu")

    def wrap(self, network: torch.nn.Module) -> BareModel:
        """Put a network on a socket."""
        return BareModel(network, self.load_device())

    def acquire(self, model: BareModel) -> torch.nn.Module:
        """The network of a socket, on its device."""
        return model.model.to(model.load_device)

    def preview(self, image: torch.Tensor, node: type) -> None:
        """Nothing: whoever runs the node shows its outputs."""

    @contextlib.contextmanager
    def listening(self, callback: Progress) -> Iterator[None]:
        """Within the block, nodes report (steps done, total, image [N,C,H,W] in [-1,1] or None) to `callback`.

        An exception that the callback raises, such as `Interrupted`, stops the node.
        """
        token = self._listener.set(callback)
        try:
            yield
        finally:
            self._listener.reset(token)

    def progress(self) -> Progress:
        """A callback for the core; call it after each step."""
        listener = self._listener.get()
        return listener if listener is not None else lambda done, total, image: None


class ComfyHost:
    """ComfyUI: its model folders, its memory management, its progress bar and its interruption."""

    def __init__(self) -> None:
        import folder_paths

        folder_paths.add_model_folder_path(MODEL_FOLDER, os.path.join(folder_paths.models_dir, MODEL_FOLDER))
        paths, suffixes = folder_paths.folder_names_and_paths[MODEL_FOLDER]
        folder_paths.folder_names_and_paths[MODEL_FOLDER] = (paths, set(suffixes) | set(MODEL_SUFFIXES))

    def model_folders(self) -> list[Path]:
        """The folders of models/comod, those of extra_model_paths.yaml included."""
        import folder_paths

        return [Path(folder) for folder in folder_paths.get_folder_paths(MODEL_FOLDER)]

    def model_files(self) -> list[str]:
        """Names of the model files, relative to their folder; ComfyUI caches the list by folder time."""
        import folder_paths

        return folder_paths.get_filename_list(MODEL_FOLDER)

    def model_path(self, name: str) -> Path | None:
        """Full path of a listed model file, or None."""
        import folder_paths

        path = folder_paths.get_full_path(MODEL_FOLDER, name)
        return Path(path) if path else None

    def load_device(self) -> torch.device:
        """Where networks run."""
        import comfy.model_management

        return comfy.model_management.get_torch_device()

    def intermediate_device(self) -> torch.device:
        """Where images and latents travel between nodes."""
        import comfy.model_management

        return comfy.model_management.intermediate_device()

    def wrap(self, network: torch.nn.Module):
        """Put a network on a socket, under ComfyUI's memory management."""
        import comfy.model_management
        from comfy.model_patcher import ModelPatcher

        return ModelPatcher(network, load_device=self.load_device(),
                            offload_device=comfy.model_management.unet_offload_device())

    def acquire(self, model) -> torch.nn.Module:
        """The network of a socket, wholly on its device: parts of it left behind would meet tensors of the other."""
        import comfy.model_management

        needed = BYTES_PER_PIXEL * model.model.resolution ** 2
        with torch.inference_mode(False):
            comfy.model_management.load_models_gpu([model], memory_required=needed, force_full_load=True)
        return model.model

    def preview(self, image: torch.Tensor, node: type):
        """An IMAGE [B,H,W,C] to show inside the node, for NodeOutput's `ui`."""
        from comfy_api.latest import ui

        return ui.PreviewImage(image, cls=node)

    def progress(self) -> Progress:
        """A callback for the core: moves the node's progress bar, shows previews, stops when the user interrupts."""
        import comfy.model_management
        import comfy.utils

        bar, shown = comfy.utils.ProgressBar(1), [0.0]

        def report(done: int, total: int, image: torch.Tensor | None) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            preview, now = None, time.monotonic()
            if image is not None and (done == total or now - shown[0] >= PREVIEW_SECONDS):
                preview, shown[0] = ("JPEG", _to_pil(image), PREVIEW_SIDE), now
            bar.update_absolute(done, total, preview)

        return report


def _to_pil(image: torch.Tensor):
    """The first of [N,C,H,W] in [-1,1] as an RGB picture of 8 bits."""
    from PIL import Image

    first = image[0].detach().float().cpu()
    colour = first[:3] if first.shape[0] >= 3 else first[:1].expand(3, -1, -1)
    return Image.fromarray(((colour + 1) * 127.5).round().clamp(0, 255).byte().movedim(0, -1).numpy(), "RGB")


host = ComfyHost() if INSIDE_COMFYUI else BareHost()
