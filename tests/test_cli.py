"""The command `comod`, run as a person would, on a small network with random weights."""
from __future__ import annotations

import csv
import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comod_core.checkpoints.store import save_networks
from comod_core.cli import batch as batch_module
from comod_core.cli import complete as command
from comod_core.cli import main
from comod_core.completion import complete
from comod_core.images import open_mask, open_picture
from comod_core.loading import load_model
from comod_core.models.table import MODELS
from comod_core.networks import CoModConfig, CoModGenerator

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    net = CoModGenerator(CoModConfig(resolution=64, z_dim=16, w_dim=16, mapping_fmaps=16, mapping_layers=2,
                                     fmap_base=256, fmap_max=16)).eval()
    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    return save_networks(path, {"generator": net, "discriminator": None}, {"licence": "CC0", "origin": "dice"})


def draw(path: Path, size=(80, 60), seed=0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def draw_hole(path: Path, size=(80, 60), box=(20, 15, 60, 45)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    hole = Image.new("L", size, 0)
    hole.paste(255, box)
    hole.save(path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with pictures a, b, sub/c and a hole for each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMOD_DEVICE", "cpu")
    for i, name in enumerate(("a", "b", "sub/c")):
        draw(tmp_path / "photos" / f"{name}.png", seed=i)
        draw_hole(tmp_path / "holes" / f"{name}.png")
    return tmp_path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def rows(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def made(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def test_one_picture_keeps_its_known_pixels_and_varies_with_the_seed(folder, model, capsys):
    code = main(["complete", "photos/a.png", "--mask", "holes/a.png", "--seeds", "7,9-10", "--model", str(model),
                 "--feather", "0"])
    assert code == 0, capsys.readouterr().err
    results = [pixels(folder / "out" / f"a_seed{seed}.png") for seed in (7, 9, 10)]
    assert made(folder / "out") == ["a_seed10.png", "a_seed7.png", "a_seed9.png"]
    hole = pixels(folder / "holes" / "a.png") > 127
    for result in results:
        assert (result[~hole] == pixels(folder / "photos" / "a.png")[~hole]).all()
    assert not (results[0][hole] == results[1][hole]).all() and not (results[1][hole] == results[2][hole]).all()
    assert "3 made" in capsys.readouterr().out


def test_the_pixels_are_those_of_python(folder, model):
    assert main(["complete", "photos/a.png", "--mask", "holes/a.png", "--seeds", "5", "--psi", "0.6", "--cutoff", "4",
                 "--noise-mode", "random", "--strategy", "whole", "--model", str(model)]) == 0
    net, picture = load_model(model), open_picture("photos/a.png")
    result, = complete(net, picture.image, open_mask("holes/a.png"), [5], psi=0.6, cutoff=4, noise_mode="random",
                       size_strategy="whole")
    expected = ((result.image[0] + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(np.uint8)
    assert (pixels(folder / "out" / "a_seed5.png") == expected).all()


def test_defaults_are_those_of_python():
    python = {name: p.default for name, p in inspect.signature(complete).parameters.items()}
    shell = {name: p.default for name, p in inspect.signature(command.complete).parameters.items()}
    shell["size_strategy"] = shell["strategy"]
    shared = set(python) & set(shell) - {"seeds", "mask"}
    assert shared >= {"psi", "cutoff", "noise_mode", "dropout", "size_strategy", "context", "feather", "grow",
                      "color_match"}
    assert {name: shell[name] for name in shared} == {name: python[name] for name in shared}


def test_a_folder_goes_on_where_it_stopped(folder, model, monkeypatch, capsys):
    line = ["complete", "photos", "--mask", "holes", "--seeds", "1,2", "--model", str(model), "--out", "done"]
    saved = []

    def save_until_stopped(path, *rest):
        if len(saved) == 3:
            raise KeyboardInterrupt
        saved.append(Path(path))
        return save(path, *rest)

    save = batch_module.save_picture
    monkeypatch.setattr(batch_module, "save_picture", save_until_stopped)
    assert main(line) == 130
    assert made(folder / "done") == ["a_seed1.png", "a_seed2.png", "b_seed1.png"]
    assert "stopped" in capsys.readouterr().out

    monkeypatch.setattr(batch_module, "save_picture", save)
    before = {path: path.stat().st_mtime_ns for path in saved}
    assert main(line) == 0
    assert made(folder / "done") == [f"{name}_seed{seed}.png" for name in ("a", "b", "sub/c") for seed in (1, 2)]
    assert {path: path.stat().st_mtime_ns for path in saved} == before
    assert "3 made" in (text := capsys.readouterr().out) and "3 already there" in text


def test_what_changed_is_made_again_and_nothing_else(folder, model, capsys):
    line = ["complete", "photos", "--mask", "holes", "--model", str(model)]
    assert main(line) == 0
    (folder / "out" / "a_seed0.png").unlink()
    draw(folder / "photos" / "b.png", seed=9)
    kept = (folder / "out" / "sub" / "c_seed0.png").read_bytes()
    capsys.readouterr()
    assert main(line) == 0
    assert "2 made" in (text := capsys.readouterr().out) and "1 already there" in text
    assert main([*line, "--psi", "0.5"]) == 0
    assert "3 made" in capsys.readouterr().out
    assert (folder / "out" / "sub" / "c_seed0.png").read_bytes() != kept


def test_other_peoples_files_are_not_replaced(folder, model):
    draw(folder / "out" / "a_seed0.png")
    mine = (folder / "out" / "a_seed0.png").read_bytes()
    line = ["complete", "photos", "--mask", "holes", "--model", str(model)]
    assert main(line) == 1
    assert (folder / "out" / "a_seed0.png").read_bytes() == mine
    assert (folder / "out" / "b_seed0.png").exists()
    assert main([*line, "--overwrite"]) == 0
    assert (folder / "out" / "a_seed0.png").read_bytes() != mine
    assert not (folder / "out" / "failures.csv").exists()


def test_failures_are_listed_and_the_rest_is_done(folder, model, capsys):
    (folder / "photos" / "broken.png").write_bytes(b"no picture")
    draw_hole(folder / "holes" / "broken.png")
    draw(folder / "photos" / "holeless.png")
    assert main(["complete", "photos", "--mask", "holes", "--model", str(model)]) == 1
    found = dict(rows(folder / "out" / "failures.csv")[1:])
    assert sorted(Path(name).name for name in found) == ["broken.png", "holeless.png"]
    assert all("mask" in text for name, text in found.items() if "holeless" in name)
    assert made(folder / "out") == ["a_seed0.png", "b_seed0.png", "sub/c_seed0.png"]
    told = capsys.readouterr()
    assert "2 failed" in told.out and "Traceback" not in told.err


def test_random_holes_depend_on_name_and_mask_seed_alone(folder, model):
    line = ["complete", "photos", "--mask", "random", "--model", str(model), "--hole-range", "0.1,0.6"]
    assert main([*line, "--out", "one"]) == 0
    assert main([*line, "--out", "two", "--seeds", "3"]) == 0
    assert main([*line, "--out", "three", "--mask-seed", "1"]) == 0
    one, two, three = (pixels(folder / name / "sub" / "c_mask.png") for name in ("one", "two", "three"))
    assert (one == two).all() and not (one == three).all()
    assert 0.1 < (one > 127).mean() < 0.6


def test_outpainting_adds_pixels(folder, model):
    assert main(["complete", "photos/a.png", "--outpaint", "10,0,20,5", "--feather", "0", "--model", str(model)]) == 0
    result = pixels(folder / "out" / "a_seed0.png")
    assert result.shape == (65, 110, 3)
    assert (result[:60, 10:90] == pixels(folder / "photos" / "a.png")).all()
    assert main(["complete", "photos/a.png", "--outpaint", "0,0,20,0", "--mask", "holes/a.png", "--feather", "0",
                 "--out", "both", "--model", str(model)]) == 0
    changed = (pixels(folder / "both" / "a_seed0.png")[:, :80] != pixels(folder / "photos" / "a.png")).any(-1)
    assert changed.mean() > 0.2 and not (changed & (pixels(folder / "holes" / "a.png") < 128)).any()


def test_the_sheet_shows_picture_hole_and_completions(folder, model):
    line = ["complete", "photos/a.png", "--mask", "holes/a.png", "--seeds", "1-3", "--sheet", "--model", str(model)]
    assert main(line) == 0
    first = pixels(folder / "out" / "a_sheet.png")
    assert first.shape == (2 * 192 + 3 * 8, 4 * 256 + 5 * 8, 3)
    assert abs(int(first[8 + 96, 8 + 256 + 8 + 128, 0]) - 128) <= 1, "the hole is grey in the second tile"
    (folder / "out" / "a_sheet.png").unlink()
    assert main(line) == 0
    assert (pixels(folder / "out" / "a_sheet.png") == first).all()


def test_the_journal_says_how_each_result_was_made(folder, model):
    assert main(["complete", "photos/a.png", "--mask", "holes/a.png", "--seeds", "4", "--model", str(model)]) == 0
    entry, = map(json.loads, (folder / "out" / "comod.jsonl").read_text().splitlines())
    assert entry["output"] == "a_seed4.png" and entry["seed"] == 4 and entry["noise_mode"] == "const"
    assert entry["image"]["file"] == "a.png" and entry["mask"]["file"] == "a.png" and len(entry["model"]) == 64


@pytest.mark.parametrize("arguments, words", [
    (["photos/a.png"], "--mask random"),
    (["photos/a.png", "--outpaint", "1,2"], "4 numbers"),
    (["photos/a.png", "--outpaint", "1,2,-3,4"], "-3"),
    (["photos/a.png", "--mask", "random", "--hole-range", "0.5,0.5"], "LOW < HIGH"),
    (["photos/a.png", "--mask", "absent.png"], "no such file"),
    (["absent.png", "--mask", "random"], "no such file"),
    (["photos/a.png", "--mask", "holes/a.png", "--seeds", "x"], "8-11"),
    (["photos/a.png", "--mask", "holes/a.png", "--model", "avatar-64"], "avatars-64"),
    (["photos/a.png", "--mask", "holes/a.png", "--device", "warp:9"], "Try cpu"),
    (["photos/a.png", "--mask", "holes/a.png", "--psi", "inf"], "psi"),
    (["photos/a.png", "--mask", "holes/a.png", "--out", "photos/a.png"], "is a file"),
])
def test_errors_are_one_line_that_says_what_to_do(folder, model, capsys, arguments, words):
    if "--model" not in arguments:
        arguments = [*arguments, "--model", str(model)]
    assert main(["complete", *arguments]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("comod: error: ") and words in told.err and "Traceback" not in told.err


def test_names_cannot_drive_the_terminal(folder, capsys):
    assert main(["complete", "no\x1b[2Jfile", "--mask", "random"]) == 1
    assert "no\\x1b[2Jfile" in capsys.readouterr().err


def test_wrong_usage_and_debug(folder, capsys):
    assert main(["complete", "photos/a.png", "--noise-mode", "loud"]) == 2
    assert main(["--nonsense"]) == 2
    with pytest.raises(ValueError, match="no such file"):
        main(["complete", "absent.png", "--mask", "random", "--debug"])


def test_help_needs_no_torch():
    code = ("import sys; from comod_core.cli import main; code = main(['complete', '--help']); "
            "sys.exit(code or 3 * ('torch' in sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "--noise-mode" in done.stdout


def test_models_lists_every_name_with_its_licence(capsys):
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert all(entry.name in text for entry in MODELS) and "non-commercial" in text


def test_info_of_a_file_and_of_a_name(model, capsys, monkeypatch, tmp_path):
    assert main(["info", str(model), "--tensors"]) == 0
    text = capsys.readouterr().out
    assert "CC0" in text and "dice" in text and "resolution 64" in text and "generator.w_avg  [16]  F32" in text
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path))
    assert main(["info", "ffhq-512"]) == 0
    assert "co-mod-gan-ffhq-9-025000.pkl" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "absent.pkl")]) == 1


def test_convert_and_info_of_an_official_pickle(tmp_path, capsys):
    source = tmp_path / "net.pkl"
    source.write_bytes((ROOT / "tests" / "data" / "comod_tf_64.pkl").read_bytes())
    assert main(["info", str(source)]) == 0
    assert "discriminator:" in capsys.readouterr().out
    assert main(["convert", str(source)]) == 0
    assert load_model(tmp_path / "net.safetensors").resolution == 64
    assert main(["convert", str(source)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(["convert", str(source), "--overwrite"]) == 0
    assert main(["convert", str(source), str(tmp_path / "x.safetensors"), "--which", "train"]) == 0


def test_version_and_the_module(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("comod ")
    done = subprocess.run([sys.executable, "-m", "comod_core", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.startswith("comod ")
