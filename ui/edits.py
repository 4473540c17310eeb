"""What the buttons around the editor do to a source: open, put a hole on it, extend it. The nodes do the work."""
from __future__ import annotations

import secrets
from pathlib import Path

import torch
from gradio.utils import get_upload_folder

from ..comod_core.images import Picture, open_mask, save_picture
from ..comod_core.masks import to_size
from ..nodes.layout import images_in, images_out, masks_in, masks_out
from ..nodes.masks import MaskFreeForm, Outpaint
from ..nodes.pictures import ExamplePicture, example_names
from .sources import Source, named, open_source, read


def new_file(name: str) -> Path:
    """A path for a file that the browser may fetch, in a folder of its own. It goes when the app ends, or earlier."""
    folder = Path(get_upload_folder()) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder / name


def example(name: str) -> Source:
    """A shipped example with its hole."""
    picture, hole = ExamplePicture.execute(name).result
    path = new_file(f"{name}.png")
    save_picture(path, images_in(picture))
    return open_source(path).with_hole(masks_in(hole))


def first_example() -> Source | None:
    """The example that the app begins with."""
    names = example_names()
    return example(names[0]) if names else None


def with_mask_file(source: Source, path: str) -> Source:
    """The source with the hole of a mask file, at the picture's size."""
    return source.with_hole(to_size(named(open_mask, path), source.size))


def with_random_hole(source: Source, hole_min: float, hole_max: float) -> Source:
    """The source with a free-form hole of a new seed."""
    height, width = source.size
    hole = MaskFreeForm.execute(secrets.randbits(32), 1, width, height, hole_min, hole_max)[0]
    return source.with_hole(masks_in(hole))


def extended(source: Source, hole: torch.Tensor, sides: dict[str, int]) -> Source:
    """The source with room at its sides, which is hole, along with the `hole` [1,1,H,W] that it had."""
    picture = read(source.path)
    image, new_hole = Outpaint.execute(images_out(picture.image), **sides, mask=masks_out(hole)).result
    path = write_image(image, f"{source.name}-extended.png", picture)
    return open_source(path, source.name, previous=source).with_hole(masks_in(new_hole))


def write(pixels: torch.Tensor, name: str, like: Picture) -> Path:
    """A new PNG of [1,C,H,W] in [-1,1] with the depth and the colour profile of `like`."""
    path = new_file(name)
    save_picture(path, pixels, like)
    return path


def write_image(image: torch.Tensor, name: str, like: Picture) -> Path:
    """The same for a node's IMAGE [1,H,W,C] in [0,1]."""
    return write(images_in(image), name, like)
