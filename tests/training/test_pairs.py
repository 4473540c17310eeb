"""Pairs to a set for training: two folders, two halves, label maps; what does not fit is listed."""
import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from comod_core.cli import main
from comod_core.errors import CoModError
from comod_core.images import open_picture, save_picture
from comod_core.labels import LabelClass, from_palette, paint
from comod_core.training.pairs import PairConfig, pairs_of, prepare_pairs
from comod_core.training.prepare import PrepareConfig, load_prepared
from comod_core.training.recipes import RECIPES

TABLE = (LabelClass("sky", (0, 128, 255)), LabelClass("grass", (0, 160, 0)))
CONFIG = PrepareConfig(16, heldout=0.3, min_size=8)


def photo(i, side=32):
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(i)) * 2 - 1


def drawing(i, side=32):
    lines = torch.ones(1, 3, side, side)
    lines[..., 2 + 2 * i:4 + 2 * i, 4:28] = -1
    return lines


def labels(i, side=32):
    found = torch.zeros(1, side, side, dtype=torch.uint8)
    found[:, 2 * i:] = 1
    return found


def names_of(side):
    return [json.loads(line)["name"] for line in open(side / "index.jsonl")]


@pytest.fixture
def halves(tmp_path):
    for i in range(12):
        save_picture(tmp_path / "ab" / f"{i:02d}.png", torch.cat([drawing(i), photo(i)], dim=3))
    return tmp_path / "ab"


def check(out, kind, condition, picture):
    """Each row is the picture and the condition of the same name."""
    done = 0
    for side in (out, out / "heldout"):
        images, beside, names = np.load(side / "images.npy"), np.load(side / f"{kind}.npy"), names_of(side)
        assert len(images) == len(beside) == len(names)
        for row, name in enumerate(names):
            wanted = picture(int(name[:2]))
            resized = Image.fromarray(wanted).resize((16, 16), Image.Resampling.LANCZOS)
            assert np.array_equal(images[row], np.asarray(resized))
            assert np.array_equal(beside[row], condition(int(name[:2]))), name
        done += len(names)
    return done


def as_bytes(image):
    return ((image[0].movedim(0, -1) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()


def rows_of_lines(i):
    """Where the line of a drawing of 32 pixels lies at 16, sampled by halves."""
    lines = np.zeros((16, 16, 1), np.uint8)
    lines[1 + i, 2:14] = 255
    return lines


@pytest.mark.parametrize("where", ["left", "right"])
def test_halves(tmp_path, halves, where):
    if where == "right":
        for path in halves.glob("*.png"):
            Image.fromarray(np.roll(np.asarray(Image.open(path)), 32, axis=1)).save(path)
    done = prepare_pairs(str(halves), tmp_path / "set", PairConfig(where, "edges"), CONFIG)
    assert done.training + done.heldout == 12 and done.heldout
    assert check(tmp_path / "set", "edges", rows_of_lines, lambda i: as_bytes(photo(i))) == 12


def test_two_folders_of_label_maps(tmp_path, capsys):
    for i in range(10):
        save_picture(tmp_path / "photos" / f"{i:02d}.jpg", photo(i))
        if i % 2:
            save_picture(tmp_path / "maps" / f"{i:02d}.png", paint(labels(i), TABLE))
        else:
            save_picture(tmp_path / "maps" / f"{i:02d}.png", labels(i)[:, None].float() / 127.5 - 1)
    save_picture(tmp_path / "photos" / "lonely.png", photo(20))
    save_picture(tmp_path / "photos" / "wrong.png", photo(21))
    save_picture(tmp_path / "maps" / "wrong.png", torch.tensor([1.0, -1, 1]).view(1, 3, 1, 1).expand(1, 3, 32, 32))
    save_picture(tmp_path / "photos" / "wide.png", photo(22))
    save_picture(tmp_path / "maps" / "wide.png", paint(labels(0), TABLE)[..., :16, :])
    (tmp_path / "table.txt").write_text("\n".join(map(str, TABLE)))
    assert main(["dataset", str(tmp_path / "photos"), "--out", str(tmp_path / "set"), "--size", "16",
                 "--heldout", "0.3", "--pairs", str(tmp_path / "maps"), "--as", "labels", "--classes",
                 str(tmp_path / "table.txt")]) == 0
    wanted = lambda i: labels(i)[0, ::2, ::2].numpy()                                    # noqa: E731
    photos = lambda i: as_bytes(open_picture(tmp_path / "photos" / f"{i:02d}.jpg").image)  # noqa: E731
    assert check(tmp_path / "set", "labels", wanted, photos) == 10
    with open(tmp_path / "set" / "skipped.csv", newline="") as file:
        skipped = dict(list(csv.reader(file))[1:])
    assert "no condition" in skipped["lonely.png"] and "#ff00ff" in skipped["wrong.png"]
    assert "another shape: the condition is 32x16" in skipped["wide.png"]
    recipe = RECIPES["labels"]
    settings = recipe.for_set(recipe.preset(16, 20), tmp_path / "set")
    assert settings.classes == tuple(map(str, TABLE)) and settings.network.condition_channels == 2


def test_a_set_of_halves_trains(tmp_path, halves, capsys):
    out = tmp_path / "set"
    assert main(["dataset", str(halves), "--out", str(out), "--size", "16", "--pairs", "left", "--heldout", "0"]) == 0
    assert main(["train", "--data", str(out), "--recipe", "edges", "--out", str(tmp_path / "run"), "--kimg", "0.008",
                 "--batch", "4", "--set", "perceptual_weight=0", "--set", "diversity_weight=0", "--set",
                 "network.fmap_max=8", "--set", "network.mapping_fmaps=8"]) == 0
    assert (tmp_path / "run" / "model.safetensors").is_file()
    drawn = next(iter(pairs_of(str(halves), "left"))).condition()
    save_picture(tmp_path / "one.png", drawn.image)
    assert main(["translate", str(tmp_path / "one.png"), "--model", str(tmp_path / "run" / "model.safetensors"),
                 "--out", str(tmp_path / "out"), "--seeds", "0-2", "--device", "cpu"]) == 0
    assert len(list((tmp_path / "out").glob("one_seed?.png"))) == 3
    assert load_prepared(out)[1] is None


def test_errors(tmp_path, halves):
    with pytest.raises(CoModError, match="neither a folder"):
        PairConfig("up", "edges")
    with pytest.raises(CoModError, match="table of their classes"):
        PairConfig("left", "labels")
    save_picture(tmp_path / "odd" / "1.png", photo(0, 33))
    with pytest.raises(CoModError, match="1 cannot be read"):
        prepare_pairs(str(tmp_path / "odd"), tmp_path / "set", PairConfig("left", "edges"), CONFIG)
    assert from_palette(paint(labels(3), TABLE), TABLE).equal(labels(3))
