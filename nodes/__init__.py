"""The pack's nodes. ComfyUI asks for them through `comfy_entrypoint`; anything else takes `NODES`."""
from __future__ import annotations

from ._api import ComfyExtension, io
from .completion import CoModulate, Complete, Encode
from .latents import PsiSweep, SampleLatents, Truncate
from .masks import MaskBox, MaskEdit, MaskFreeForm, Outpaint
from .models import LoadModel
from .pictures import ExamplePicture, ImageGrid

NODES: list[type[io.ComfyNode]] = [
    LoadModel,
    Complete, Encode, SampleLatents, Truncate, PsiSweep, CoModulate,
    MaskFreeForm, MaskBox, Outpaint, MaskEdit,
    ExamplePicture, ImageGrid,
]


class CoModExtension(ComfyExtension):
    """CoMod's nodes for ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)


async def comfy_entrypoint() -> ComfyExtension:
    """Called by ComfyUI when it loads the pack."""
    return CoModExtension()
