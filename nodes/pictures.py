"""Nodes around the pictures: the shipped examples, and a grid that puts a batch into one picture."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..comod_core.errors import CoModError
from ._api import io
from .host import host

CATEGORY = "CoMod/picture"
PREVIEW_SIDE = 256
ROOT = Path(__file__).resolve().parent.parent
EXAMPLES, CONDITIONS = ROOT / "example_pictures", ROOT / "example_conditions"


def example_names() -> list[str]:
    """Names of the shipped example pictures: NAME.png with its hole, white on black, in NAME-mask.png."""
    return sorted(path.stem for path in EXAMPLES.glob("*.png") if _mask_path(path.stem).is_file())


def condition_names() -> list[str]:
    """Names of the shipped drawings and label maps, to translate: FOLDER/NAME, without a hole."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in CONDITIONS.glob("*/*.png"))


def _mask_path(name: str) -> Path:
    return EXAMPLES / f"{name}-mask.png"


def _pixels(path: Path, mode: str) -> torch.Tensor:
    """A picture of 8 bits as [1,H,W,C] or [1,H,W] in [0,1]."""
    with Image.open(path) as file:
        return torch.from_numpy(np.array(file.convert(mode)))[None].float().to(host.intermediate_device()) / 255


def _with_hole_shown(picture: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The picture with its hole in grey, small ones enlarged pixel by pixel so that one can see them."""
    shown = torch.where(mask[..., None] > 0.5, 0.5, picture)
    times = max(1, PREVIEW_SIDE // max(shown.shape[1:3]))
    return shown.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2)


class ExamplePicture(io.ComfyNode):
    """Shipped picture with a hole, so that a workflow runs as it is."""

    @classmethod
    def define_schema(cls):
        names = [*example_names(), *condition_names()]
        return io.Schema(
            node_id="CoModExamplePicture",
            display_name="CoMod Example Picture",
            category=CATEGORY,
            is_output_node=True,  # so that ComfyUI shows the preview again when it has the result in its cache
            description="A picture that ships with the pack: one with a hole to complete, or a drawing or label map to "
                        "translate. For your own use Load Image, and its MaskEditor to paint the hole.",
            inputs=[io.Combo.Input("name", options=names, default=names[0] if names else None,
                                   tooltip="Which example picture.")],
            outputs=[
                io.Image.Output("picture", display_name="image", tooltip="The picture."),
                io.Mask.Output("hole", display_name="mask",
                               tooltip="Its hole: 1 (white) is completed. Empty for drawings and label maps."),
            ],
        )

    @classmethod
    def execute(cls, name):
        names = [*example_names(), *condition_names()]
        if name not in names:
            raise CoModError(f"CoMod Example Picture: there is no example '{name}'. Choose one of: {', '.join(names)}.")
        whole = name in condition_names()
        picture = _pixels((CONDITIONS if whole else EXAMPLES) / f"{name}.png", "RGB")
        mask = torch.zeros_like(picture[..., 0]) if whole else _pixels(_mask_path(name), "L")
        return io.NodeOutput(picture, mask, ui=host.preview(_with_hole_shown(picture, mask), cls))


class ImageGrid(io.ComfyNode):
    """Batch of pictures -> one picture, row by row."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModImageGrid",
            display_name="CoMod Image Grid",
            category=CATEGORY,
            description="Puts a batch of pictures into one picture, row by row.",
            inputs=[
                io.Image.Input("images", tooltip="The batch, for example the variations of CoMod Co-Modulate."),
                io.Int.Input("columns", default=4, min=1, max=64, tooltip="Pictures a row."),
                io.Int.Input("scale", default=1, min=1, max=16,
                             tooltip="Enlarge each picture this many times, pixel by pixel; for small models."),
                io.Int.Input("gap", default=4, min=0, max=64, tooltip="White pixels between the pictures."),
            ],
            outputs=[io.Image.Output("grid", display_name="image", tooltip="The grid as one picture.")],
        )

    @classmethod
    def execute(cls, images, columns=4, scale=1, gap=4):
        images = images.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
        count, height, width, channels = images.shape
        columns = min(columns, count)
        rows = -(-count // columns)
        grid = images.new_ones(1, rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
        for index, picture in enumerate(images):
            top, left = index // columns * (height + gap), index % columns * (width + gap)
            grid[0, top:top + height, left:left + width] = picture
        return io.NodeOutput(grid)
