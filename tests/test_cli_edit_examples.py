"""`comod edit learn`, `move` and `sample`: what nodes and Python give."""
import pytest
import torch
from PIL import Image
from test_cli_edit import MODEL, draw, draw_mask, loaded_once, net, pixels, run  # noqa: F401

from comod_core import directions, editing
from comod_core.checkpoints import import_checkpoint
from comod_core.checkpoints.store import save_networks
from comod_core.cli import main, runs
from comod_core.images import open_mask, open_picture, to_integers


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Red pictures and blue ones, a photo, a mask."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMOD_DEVICE", "cpu")
    for i in range(4):
        for name, colour in (("red", (200, 10 + i, 9 * i)), ("blue", (5 * i, 20, 180 + i))):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (20 + i, 24), colour).save(tmp_path / name / f"{i}.png")
    draw(tmp_path / "a.png")
    draw_mask(tmp_path / "m.png")
    return tmp_path


def test_a_direction_of_two_folders_moves_pictures(folder, net, capsys):  # noqa: F811
    assert run("learn", "red", "blue", "redder.safetensors") == 0
    assert "from 4 and 4 pictures, 100 %" in capsys.readouterr().out
    groups = [[open_picture(path).image for path in sorted((folder / name).iterdir())] for name in ("red", "blue")]
    expected, found = editing.learn_direction(net, *groups), directions.open_direction("redder.safetensors")
    assert torch.equal(found.vector, expected.vector) and found.gap == expected.gap
    assert found.accuracy == expected.accuracy and found.model == net.info.sha256
    for options, keywords in (((), {}), (("--mask", "m.png"), {"mask": open_mask("m.png")})):
        assert run("move", "a.png", "--direction", "redder.safetensors", "--strength", "-0.7", "--overwrite",
                   *options) == 0
        made = editing.move(net, open_picture("a.png").image, expected, -0.7, **keywords)
        assert (pixels(folder / "out" / "a_move.png") == to_integers(made.image)).all()
    assert run("move", "a.png", "--direction", "redder.safetensors", "--strength", "-0.7", "--mask", "m.png") == 0
    assert "1 already there" in capsys.readouterr().out
    assert run("learn", "blue", "red", "redder.safetensors", "--overwrite") == 0      # another direction: made anew
    assert run("move", "a.png", "--direction", "redder.safetensors", "--strength", "-0.7", "--mask", "m.png",
               "--out", "new") == 0


def test_samples_are_those_of_python(folder, net):  # noqa: F811
    assert run("sample", "--seeds", "3,5", "--psi", "0.6") == 0
    for seed, image in zip((3, 5), editing.generate(net, [3, 5], psi=0.6), strict=True):
        assert (pixels(folder / "out" / f"seed{seed}.png") == to_integers(image)).all()
    assert run("sample", "--seeds", "5") == 1                                         # no file is replaced unasked


def test_what_goes_wrong_is_said(folder, capsys, monkeypatch):
    assert run("learn", "red", "blue", "way.safetensors") == 0
    (folder / "mixed").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "mixed" / "a.png")
    (folder / "mixed" / "b.png").write_bytes(b"no picture")
    other = import_checkpoint(MODEL)
    save_networks(folder / "other.safetensors", {"generator": other.generator}, {"name": "other", "licence": "none"})
    for words, said in (
            (["learn", "red", "red", "x.safetensors"], "look the same"), (["learn", "red", "nowhere", "x.safetensors"],
                                                                          "no such file"),
            (["learn", "red", "mixed", "x.safetensors"], "b.png"), (["learn", "red", "blue", "way.pt"], ".safetensors"),
            (["learn", "red", "blue", "way.safetensors"], "--overwrite"),
            (["move", "a.png", "--direction", "none.safetensors"], "comod edit learn makes one"),
            (["move", "a.png", "--direction", "a.png"], "no direction"),
            (["move", "a.png", "--direction", "other.safetensors"], "something else")):
        assert run(*words) == 1, words
        assert said in capsys.readouterr().err, words
    assert not (folder / "x.safetensors").exists()
    assert main(["edit", "move", "a.png", "--direction", "way.safetensors", "--model", "other.safetensors"]) == 1
    assert "learned with another model" in capsys.readouterr().err


def test_progress_within_a_picture_is_told(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(runs, "_step", lambda bar, line, name, done, total, *_: seen.append((name, done, total)))
    assert run("reconstruct", "a.png", "--refine", "3") == 0
    assert seen == [("a", i, 5) for i in range(1, 6)]              # encoded, three steps, decoded
