"""`comod translate`: the pictures are the core's; folders, sheets, errors."""
from __future__ import annotations

import csv

import pytest
import torch

from comod_core.checkpoints.store import save_networks
from comod_core.cli import main
from comod_core.conditions import from_drawing, from_labels, from_photo
from comod_core.images import open_picture, save_picture
from comod_core.labels import AVATAR_PARTS, paint
from comod_core.loading import load_model
from comod_core.networks import CoModConfig, CoModGenerator, Pix2PixConfig, Pix2PixGenerator
from comod_core.translation import translate

SMALL = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2, "mapping_fmaps": 8, "fmap_base": 64, "fmap_max": 16}


@pytest.fixture
def edges(tmp_path):
    torch.manual_seed(0)
    net = CoModGenerator(CoModConfig(16, pix2pix=True, condition_channels=1, **SMALL)).eval()
    return save_networks(tmp_path / "edges.safetensors", {"generator": net}, {"condition": "edges"})


@pytest.fixture
def maps(tmp_path):
    torch.manual_seed(0)
    net = Pix2PixGenerator(Pix2PixConfig(16, 3, 7, unet_channels=4, unet_max=8, patch_layers=1)).eval()
    facts = {"condition": "labels", "classes": "\n".join(map(str, AVATAR_PARTS))}
    return save_networks(tmp_path / "labels.safetensors", {"generator": net}, facts)


@pytest.fixture
def drawings(tmp_path):
    for i, name in enumerate(("a.png", "below/b.jpg")):
        drawing = torch.ones(1, 3, 40, 40)
        drawing[..., 10 + i:12 + i, 5:30] = -1
        save_picture(tmp_path / "drawings" / name, drawing)
    return tmp_path / "drawings"


def run(*words):
    return main(["translate", *map(str, words), "--device", "cpu"])


def expected(model, condition, seed, tmp_path, **options):
    made, = translate(load_model(model), condition, seed, **options)
    save_picture(tmp_path / "expected.png", made.image)
    return open_picture(tmp_path / "expected.png").image


def test_a_folder_of_drawings(edges, drawings, tmp_path, capsys):
    words = [drawings, "--model", edges, "--seeds", "3,5", "--psi", "0.7", "--out", tmp_path / "out", "--sheet"]
    assert run(*words) == 0 and "4 made" in capsys.readouterr().out
    condition = from_drawing(open_picture(drawings / "a.png").image)
    wanted = expected(edges, condition, 5, tmp_path, psi=0.7)
    assert torch.equal(open_picture(tmp_path / "out" / "a_seed5.png").image, wanted)
    assert open_picture(tmp_path / "out" / "below" / "b_sheet.png").image.shape[-1] > 700
    assert run(*words) == 0 and "4 already there" in capsys.readouterr().out
    assert run(*words, "--from", "canny") == 0 and "4 made" in capsys.readouterr().out


def test_a_photo_by_its_edges(edges, drawings, tmp_path):
    words = ["--from", "soft", "--softness", "0.1", "--out", tmp_path / "o"]
    assert run(drawings / "a.png", "--model", edges, *words) == 0
    condition = from_photo(open_picture(drawings / "a.png").image, "soft", 16, softness=0.1)
    assert torch.equal(open_picture(tmp_path / "o" / "a_seed0.png").image, expected(edges, condition, 0, tmp_path))


def test_label_pictures_in_colours_and_numbers(maps, tmp_path):
    labels = torch.randint(0, 7, (1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    save_picture(tmp_path / "in" / "colours.png", paint(labels, AVATAR_PARTS))
    save_picture(tmp_path / "in" / "numbers.png", labels[:, None].float() / 127.5 - 1)
    wanted = expected(maps, from_labels(labels, AVATAR_PARTS), 2, tmp_path)
    for way in ("colours", "numbers"):
        assert run(tmp_path / "in" / f"{way}.png", "--model", maps, "--from", way, "--seeds", "2", "--out",
                   tmp_path / "out") == 0
        assert torch.equal(open_picture(tmp_path / "out" / f"{way}_seed2.png").image, wanted)


def test_a_table_of_ones_own(maps, tmp_path):
    table = tmp_path / "table.txt"
    table.write_text("\n".join(f"c{i} #{i:02x}{i * 30:02x}ff" for i in range(7)))
    labels = torch.full((1, 16, 16), 3, dtype=torch.uint8)
    picture = torch.tensor([3, 90, 255]).view(1, 3, 1, 1).expand(1, 3, 16, 16) / 127.5 - 1
    save_picture(tmp_path / "one.png", picture)
    assert run(tmp_path / "one.png", "--model", maps, "--classes", table, "--out", tmp_path / "out") == 0
    wanted = expected(maps, from_labels(labels, AVATAR_PARTS), 0, tmp_path)
    assert torch.equal(open_picture(tmp_path / "out" / "one_seed0.png").image, wanted)


def test_a_wrong_palette_is_named_and_the_rest_goes_on(maps, tmp_path, capsys):
    save_picture(tmp_path / "in" / "good.png", paint(torch.zeros(1, 16, 16, dtype=torch.uint8), AVATAR_PARTS))
    save_picture(tmp_path / "in" / "bad.png", torch.tensor([1.0, -1, 1]).view(1, 3, 1, 1).expand(1, 3, 16, 16))
    assert run(tmp_path / "in", "--model", maps, "--out", tmp_path / "out") == 1
    assert (tmp_path / "out" / "good_seed0.png").is_file()
    with open(tmp_path / "out" / "failures.csv", newline="") as file:
        (_, error), = list(csv.reader(file))[1:]
    assert "#ff00ff" in error and "belongs to no class; the nearest is" in error


@pytest.mark.parametrize(("words", "wrong"), [
    (["--from", "colours"], "this model takes edges"), (["--from", "none.pt"], "TorchScript file of an edge network"),
    (["--classes", "{table}"], "takes drawings, which have no classes"), (["--seeds", "x"], "--seeds")])
def test_wrong_options(edges, drawings, tmp_path, capsys, words, wrong):
    (tmp_path / "t.txt").write_text("a #000000")
    words = [word.replace("{table}", str(tmp_path / "t.txt")) for word in words]
    assert run(drawings, "--model", edges, "--out", tmp_path / "out", *words) == 1
    assert wrong in " ".join(capsys.readouterr().err.split())
