"""The bias experiments: names of colours, counts, overlaps, and the commands."""
import json

import numpy as np
import pytest
import torch
from PIL import Image

from comod_core import CoModError, load_model
from comod_core.cli import main
from comod_core.evaluation.bias import COLOURS, colour_bias, colour_names, grabcut, shape_bias, torchscript_segmenter


@pytest.fixture(scope="module")
def net():
    return load_model("avatars-64")


@pytest.fixture
def picture(tmp_path):
    pixels = np.full((64, 64, 3), (40, 90, 200), np.uint8)
    pixels[20:50, 22:44] = (230, 190, 40)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_every_colour_has_its_name():
    pixels = {"red": (220, 30, 30), "orange": (240, 130, 30), "yellow": (240, 220, 40), "green": (40, 160, 60),
              "blue": (40, 90, 200), "purple": (140, 60, 200), "black": (20, 20, 20), "gray": (120, 120, 125),
              "white": (250, 250, 250)}
    named = colour_names(np.array(list(pixels.values()), np.uint8)[None])
    assert named.shape == (1, 9) and list(named[0]) == list(pixels) == list(COLOURS)
    assert colour_names(np.array([[255, 0, 60]], np.uint8))[0] == "red"


def test_fills_are_counted(net):
    image = torch.zeros(1, 3, 64, 64)
    found = colour_bias(net, image, seeds=range(3))
    assert sum(found.counts.values()) == 3 and len(found.images) == 3 and set(found.named) == {0, 1, 2}
    assert (found.images[0][:46] == found.images[1][:46]).all()      # only the bottom quarter was filled
    white = torch.ones(1, 3, 64, 64)
    hole = torch.zeros(1, 1, 64, 64)
    hole[..., 60:, 60:] = 1
    again = colour_bias(net, white, hole, seeds=[5])
    assert again.named[5] in COLOURS


def test_the_overlap_is_that_of_the_masks(net, picture):
    image = torch.zeros(1, 3, 64, 64)
    silhouette = torch.zeros(1, 1, 64, 64)
    silhouette[..., 16:32, 16:32] = 1

    def half(pixels, hole):
        found = hole.copy()
        found[:, :24] = False
        return found

    assert shape_bias(net, [("a", image, silhouette)], half).overlaps == {("a", 0): 0.5}
    with pytest.raises(CoModError, match="b: its silhouette is empty"):
        shape_bias(net, [("b", image, silhouette * 0)], half)


def test_grabcut_finds_what_stands_out(picture):
    pixels = np.asarray(Image.open(picture))
    hole = np.zeros((64, 64), bool)
    hole[22:48, 24:42] = True
    wanted = np.zeros_like(hole)
    wanted[20:50, 22:44] = True
    found = grabcut(pixels, hole)
    assert (found & wanted).sum() / (found | wanted).sum() > 0.9


def test_a_segmenter_of_the_users_own(tmp_path):
    class Bright(torch.nn.Module):
        def forward(self, x):
            return x.mean(dim=1, keepdim=True) - 0.5

    torch.jit.trace(Bright(), torch.rand(1, 3, 8, 8)).save(str(tmp_path / "bright.pt"))
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[2:4] = 255
    found = torchscript_segmenter(tmp_path / "bright.pt")(pixels, np.ones((8, 8), bool))
    assert found[2:4].all() and found.sum() == 16
    (tmp_path / "no.pt").write_text("nothing")
    with pytest.raises(CoModError, match="not a TorchScript file"):
        torchscript_segmenter(tmp_path / "no.pt")


def test_the_commands(picture, tmp_path, capsys):
    out = tmp_path / "colour"
    assert main(["bias", "colour", str(picture), "--samples", "4", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert sum(result["counts"].values()) == 4 and result["model"] == "avatars-64"
    assert Image.open(out / "pictures.png").size == (256, 64) and Image.open(out / "chart.png").width > 400
    mask = np.zeros((64, 64), np.uint8)
    mask[20:50, 22:44] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    out = tmp_path / "shape"
    assert main(["bias", "shape", str(picture), "--masks", str(tmp_path / "mask.png"), "--seeds", "0,1", "--out",
                 str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert len(result["overlaps"]) == 2 and 0 <= result["mean"] <= 1
    assert main(["bias", "shape", str(picture), "--masks", str(tmp_path)]) == 1
    assert "two files or two folders" in capsys.readouterr().err
