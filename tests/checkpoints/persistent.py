"""Pickles as StyleGAN2-ADA's `torch_utils.persistence` writes them, made from this package's networks."""
from __future__ import annotations

import pickle
import re
import sys
import types
from pathlib import Path

import torch

MODULE = "torch_utils.persistence"
SOURCE = "raise SystemExit('the embedded source was run')"


class Part:
    """A module of a published network: pickled as a call of `_reconstruct_persistent_obj`."""

    def __init__(self, kind: str = "Module", **attributes):
        self.kind = kind
        self.state = {"_parameters": {}, "_buffers": {}, "_modules": {}, **attributes}

    def __reduce__(self):
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": self.kind, "state": self.state}
        return sys.modules[MODULE]._reconstruct_persistent_obj, (meta,)

    def at(self, path: str) -> Part:
        """The module of that path, made where it is missing."""
        part = self
        for name in filter(None, path.split(".")):
            part = part.state["_modules"].setdefault(name, Part())
        return part


def write(path: Path, content: dict) -> Path:
    """A pickle of a dict with Parts, under the published module's name."""
    def _reconstruct_persistent_obj(meta):
        raise AssertionError("the file's function was called")

    fake, called = types.ModuleType(MODULE), _reconstruct_persistent_obj
    called.__module__, called.__qualname__ = MODULE, called.__name__
    fake._reconstruct_persistent_obj = called
    kept = {name: sys.modules.get(name) for name in ("torch_utils", MODULE)}
    sys.modules.update({"torch_utils": types.ModuleType("torch_utils"), MODULE: fake})
    try:
        path.write_bytes(pickle.dumps(content))
    finally:
        for name, module in kept.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
    return path


def network(state: dict[str, torch.Tensor]) -> Part:
    """Nested parts from tensors under published names."""
    root = Part("Network")
    for name, value in state.items():
        path, _, leaf = name.rpartition(".")
        table = "_buffers" if leaf in ("noise_const", "w_avg", "resample_filter") else "_parameters"
        root.at(path).state[table][leaf] = value
    return root


def generator(net) -> Part:
    """A StyleGAN2 of this package as a published module, with the attributes that its layers have."""
    state = {}
    for key, value in net.state_dict().items():
        key = key.replace("mapping.label.", "mapping.embed.").replace("mapping.feature.", "mapping.embed_feats.")
        key = re.sub(r"mapping\.dense\.(\d+)", r"mapping.fc\1", key).replace(".to_rgb.", ".torgb.")
        key = key.replace("b4.conv.", "b4.conv1.").replace("synthesis.const", "synthesis.b4.const")
        key = key.replace(".mod.", ".affine.") if ".mod." in key else "mapping.w_avg" if key == "w_avg" else key
        value = value + 1 if key.endswith("affine.bias") else value
        state[key] = value[0] if key.endswith(".const") else value[0, 0] if key.endswith("noise_const") else value
    root, config = network(state), net.config
    for i in range(config.mapping_layers):
        root.at(f"mapping.fc{i}").state.update(activation="lrelu", bias_gain=config.mapping_lr_mul)
    for name, block in root.at("synthesis").state["_modules"].items():
        block.state.update(architecture="skip", use_fp16=True)
        for layer in block.state["_modules"].values():
            layer.state["conv_clamp"] = config.clamp
        for conv in {"conv0", "conv1"} & set(block.state["_modules"]):
            block.at(conv).state.update(activation="lrelu", use_noise=True)
        block.state["_buffers"]["resample_filter"] = torch.outer(*[torch.tensor([1.0, 3, 3, 1])] * 2) / 64
        assert name.startswith("b")
    return root


def discriminator(net) -> Part:
    """A StyleGAN2 discriminator of this package as a published module."""
    state, top = {}, net.config.resolution
    for key, value in net.state_dict().items():
        key = re.sub(r"^blocks\.(\d+)", lambda match: f"b{top >> int(match[1])}", key)
        key = re.sub(r"^mapping\.dense\.(\d+)", r"mapping.fc\1", key).replace("from_rgb.", f"b{top}.fromrgb.")
        key = key.replace("mapping.label.", "mapping.embed.").replace("mapping.feature.", "mapping.embed_feats.")
        key = re.sub(r"^conv\.", "b4.conv.", re.sub(r"^output\.", "b4.out.", re.sub(r"^dense\.", "b4.fc.", key)))
        state[key] = value
    root = network(state)
    root.at("b4").state["architecture"] = root.at(f"b{top}").state["architecture"] = "resnet"
    root.at("b4.mbstd").state.update(group_size=net.config.mbstd_group, num_channels=net.config.mbstd_features)
    return root
