"""Node that loads a network."""
from __future__ import annotations

from pathlib import Path

import torch

from ..comod_core.errors import CoModError
from ..comod_core.loading import ModelInfo, load_model
from ..comod_core.models.table import MODELS
from ._api import io
from .host import host
from .sockets import Model

PRECISIONS = {"auto": None, "fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
OTHER_FOLDERS = ("instances", "clip", "detectors")      # of models/comod: features of pictures, networks not of ours


def built_in_models() -> list[str]:
    """Names of the models that ship with the pack."""
    return [entry.name for entry in MODELS if entry.built_in]

def model_names() -> list[str]:
    """What the loader offers: built-in names, then the files in models/comod that are no features and no CLIP."""
    names = built_in_models()
    found = [name for name in host.model_files() if Path(name).parts[0] not in OTHER_FOLDERS]
    return names + [name for name in found if name not in names]


class LoadModel(io.ComfyNode):
    """Built-in name or file in models/comod -> network on a socket."""

    @classmethod
    def define_schema(cls):
        names = model_names()
        return io.Schema(
            node_id="CoModLoadModel",
            display_name="CoMod Load Model",
            category="CoMod",
            description="Loads a network: a built-in one, or a file in models/comod (safetensors of the pack, an "
                        "official TensorFlow pickle, a .pth of the PyTorch port, a .pt of StyleMapGAN, or a .pkl or "
                        ".pth of StyleGAN2-ADA or IC-GAN).",
            inputs=[
                io.Combo.Input("model_name", options=names, default=names[0] if names else None,
                               tooltip="A built-in model, or a file in ComfyUI/models/comod. Press R to refresh the "
                                       "list after you put a file there."),
                io.Combo.Input("precision", options=list(PRECISIONS), default="auto",
                               tooltip="Number format. auto is fp32, but bf16 for large models on a CPU that is made "
                                       "for it (AMX). fp32 is exact; fp16 and bf16 halve the memory on a GPU and "
                                       "change the pictures slightly."),
            ],
            outputs=[
                Model.Output("network", display_name="model",
                             tooltip="A completion network (CoModGAN) is for CoMod Encode, Sample Latents, Co-Modulate "
                                     "and Complete, a StyleMapGAN for the style-map nodes, a BigGAN or StyleGAN2 for "
                                     "the instance nodes, and one that translates for Edge or Label Condition and "
                                     "Translate."),
                io.String.Output("model_card", display_name="model card",
                                 tooltip="Name, resolution, licence and origin of the model, as text."),
            ],
        )

    @classmethod
    def validate_inputs(cls, model_name):
        if model_name is None or model_name in model_names():
            return True
        return (f"CoMod: there is no model '{model_name}'. Put the file into {host.model_folders()[0]} and press R, "
                f"or choose one of: {', '.join(model_names())}.")

    @classmethod
    def fingerprint_inputs(cls, model_name, precision):
        path = host.model_path(model_name) if model_name else None
        stamp = (path.stat().st_mtime_ns, path.stat().st_size) if path else None
        return str((model_name, precision, stamp))

    @classmethod
    def execute(cls, model_name, precision="auto"):
        network = load_network(model_name, PRECISIONS[precision])
        return io.NodeOutput(host.wrap(network), model_card(network.info))


def load_network(name: str, dtype: torch.dtype | None) -> torch.nn.Module:
    """The network of a built-in name or of a file in the model folder, on the CPU.

    Raises CoModError for any other name, and for files that hold no network.
    """
    path = host.model_path(name)
    if path is None and name not in built_in_models():
        raise CoModError(f"CoMod Load Model: '{name}' is not a built-in model and not a file in "
                         f"{host.model_folders()[0]}. Put the file there, or choose a name from the list.")
    return load_model(name if path is None else path, device="cpu", dtype=dtype)


def model_card(info: ModelInfo) -> str:
    """The facts about a model, one a line."""
    return "\n".join(f"{title}: {fact}" for title, fact in (
        ("name", info.name), ("architecture", info.architecture), ("resolution", info.resolution),
        ("channels", info.channels), ("licence", info.licence), ("origin", info.origin), ("SHA-256", info.sha256)))
