"""The pack's nodes. ComfyUI asks for them through `comfy_entrypoint`; anything else takes `NODES`."""
from __future__ import annotations

from ._api import ComfyExtension, io
from .completion import CoModulate, Complete, Encode
from .instance_text import InstanceText
from .instances import (
    InstanceCondition,
    InstanceEncode,
    InstanceInterpolate,
    InstanceNeighbours,
    InstanceRank,
    InstanceStored,
)
from .latents import PsiSweep, SampleLatents, Truncate
from .masks import MaskBox, MaskEdit, MaskFreeForm, Outpaint
from .models import LoadModel
from .pictures import ExamplePicture, ImageGrid
from .style_edits import StyleMapBlend, StyleMapDirection, StyleMapMix, StyleMapMove, StyleMapTransplant
from .stylemaps import StyleMapDecode, StyleMapEncode, StyleMapInterpolate, StyleMapSample
from .translation import EdgeCondition, LabelCondition, Translate

NODES: list[type[io.ComfyNode]] = [
    LoadModel,
    Complete, Encode, SampleLatents, Truncate, PsiSweep, CoModulate,
    MaskFreeForm, MaskBox, Outpaint, MaskEdit,
    StyleMapEncode, StyleMapSample, StyleMapBlend, StyleMapTransplant, StyleMapMix, StyleMapDirection, StyleMapMove,
    StyleMapDecode, StyleMapInterpolate,
    InstanceEncode, InstanceCondition, InstanceRank, InstanceInterpolate, InstanceNeighbours, InstanceStored,
    InstanceText,
    EdgeCondition, LabelCondition, Translate,
    ExamplePicture, ImageGrid,
]


class CoModExtension(ComfyExtension):
    """CoMod's nodes for ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)


async def comfy_entrypoint() -> ComfyExtension:
    """Called by ComfyUI when it loads the pack."""
    return CoModExtension()
