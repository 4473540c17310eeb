"""`comod dataset` and `comod train`: from a folder of pictures to a model that `comod complete` takes."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from comod_core.cli import main
from comod_core.training.watch import read_rows

ROOT = Path(__file__).resolve().parents[1]
TINY = ["--set", "network.fmap_max=16", "--set", "network.z_dim=8", "--set", "network.w_dim=8", "--set",
        "network.mapping_fmaps=8", "--set", "network.mapping_layers=2", "--set", "perceptual_weight=0"]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    for i in range(30):
        small = np.random.default_rng(i).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(small).resize((20, 24), Image.Resampling.BICUBIC).save(root / f"{i}.png")
    (root / "broken.png").write_bytes(b"no picture")
    return root


def test_from_a_folder_to_a_model(folder, tmp_path, capsys):
    run = tmp_path / "run"
    command = ["train", "--data", str(folder), "--out", str(run), "--size", "16", "--batch", "8", "--kimg", "0.04",
               "--set", "l1_only_kimg=0.016", "--set", "snapshot_minutes=0", "--name", "mine", "--licence", "CC0",
               *TINY]
    assert main(command) == 0, capsys.readouterr()
    text = capsys.readouterr().out
    assert "1 cannot be read" in text and "model.safetensors" in text
    for name in ("config.json", "curves.png", "snapshot.pt", "data/contact-sheet.png", "fakes000000.png"):
        assert (run / name).stat().st_size > 0, name
    settings = json.loads((run / "config.json").read_text())
    assert settings["augment"] == "diffaugment" and settings["network"]["fmap_max"] == 16
    rows = read_rows(run / "metrics.jsonl")
    assert [row["images"] for row in rows] == [8, 16, 24, 32, 40] and rows[0]["L1 in the hole"] > 0
    assert main(["info", str(run / "model.safetensors")]) == 0 and "CC0" in capsys.readouterr().out
    assert main(["complete", str(folder / "3.png"), "--outpaint", "4,0,0,0", "--model", str(run / "model.safetensors"),
                 "--out", str(tmp_path / "out")]) == 0
    assert Image.open(next((tmp_path / "out").glob("*.png"))).size == (24, 24)
    assert main([*command[:-len(TINY)], *TINY, "--set", "total_kimg=0.048"]) == 0        # goes on
    assert [row["images"] for row in read_rows(run / "metrics.jsonl")][-1] == 48


def test_dataset_and_wrong_options(folder, tmp_path, capsys):
    made = tmp_path / "set"
    assert main(["dataset", str(folder), "--out", str(made), "--size", "16", "--heldout", "0.2"]) == 0
    assert "held out" in capsys.readouterr().out and (made / "images.npy").exists()
    for options, message in ((["--set", "nonsense=1"], "nonsense"), (["--set", "batch"], "NAME=VALUE"),
                             (["--recipe", "cake"], "cake"), (["--set", "hole_range=[0.9,0.1]"], "hole_range"),
                             (["--masks", str(tmp_path / "none")], "not a folder")):
        assert main(["train", "--data", str(made), "--out", str(tmp_path / "run"), *TINY, *options]) == 1
        assert message in capsys.readouterr().err
    assert main(["train", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "run")]) == 1
    assert "not a folder" in capsys.readouterr().err


def test_asked_to_stop_it_saves(folder, tmp_path):
    assert main(["dataset", str(folder), "--out", str(tmp_path / "set"), "--size", "16"]) == 0
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "comod_core", "train", "--data", str(tmp_path / "set"), "--out", str(run), *TINY],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not (run / "config.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and (run / "snapshot.pt").exists() and "goes on from here" in errors


def test_mixed_precision(folder, tmp_path):
    run = tmp_path / "run"
    command = ["train", "--data", str(folder), "--out", str(run), "--size", "16", "--batch", "8", "--kimg", "0.016",
               "--set", "precision=bf16", "--set", "l1_only_kimg=0", *TINY]
    done = subprocess.run([sys.executable, "-m", "comod_core", *command], cwd=ROOT, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((run / "config.json").read_text())["precision"] == "bf16"


@pytest.mark.slow
def test_a_folder_of_500_pictures_works_out_of_the_box(tmp_path):
    """No option but the number of pictures: the held-out error falls. Minutes on two cores: pytest -m slow."""
    root = tmp_path / "pictures"
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(500):                                  # faces of a kind: background, head, hair, two eyes
        sky, skin, hair = (tuple(int(v) for v in rng.integers(30, 225, 3)) for _ in range(3))
        picture = Image.new("RGB", (80, 96), sky)
        draw, x, y = ImageDraw.Draw(picture), 40 + int(rng.integers(-6, 7)), 50 + int(rng.integers(-6, 7))
        draw.ellipse((x - 26, y - 34, x + 26, y + 10), fill=hair)
        draw.ellipse((x - 22, y - 24, x + 22, y + 30), fill=skin)
        for eye in (x - 9, x + 9):
            draw.ellipse((eye - 4, y - 4, eye + 4, y + 4), fill=(255, 255, 255))
            draw.ellipse((eye - 2, y - 2, eye + 2, y + 2), fill=(0, 0, 0))
        picture.save(root / f"{i}.jpg", quality=90)
    command = ["train", "--data", str(root), "--out", str(tmp_path / "run"), "--set", "snapshot_minutes=0.5"]
    assert main([*command, "--kimg", "4"]) == 0
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert rows[-1]["images"] == 4000 and rows[-1]["L1 in the hole"] < 0.95 * rows[0]["L1 in the hole"]
    assert (tmp_path / "run" / "model.safetensors").exists()
