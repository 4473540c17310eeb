"""`comod edit`, run as a person would, with the small StyleMapGAN of the parity tests."""
from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comod_core import editing, stylemaps
from comod_core.cli import edit as commands
from comod_core.cli import edit_parts, edits, main
from comod_core.editing import Reference
from comod_core.geometry import Box
from comod_core.images import open_mask, open_picture, save_picture, to_integers
from comod_core.loading import load_model
from comod_core.photos import Options

ROOT = Path(__file__).resolve().parent.parent
MODEL = str(ROOT / "tests" / "data" / "stylemap_32_8x8.pt")


@pytest.fixture(scope="module")
def net():
    return load_model(MODEL)


@pytest.fixture(autouse=True)
def loaded_once(net, monkeypatch):
    """Reading the checkpoint takes longer than an edit."""
    from comod_core.cli import runs

    load = runs.load_model
    monkeypatch.setattr(runs, "load_model", lambda name, *rest: net if name == MODEL else load(name, *rest))


def draw(path: Path, size=(50, 40), seed=0, mode="RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = len(mode)
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), np.uint8)
    Image.fromarray(values[..., 0] if channels == 1 else values).save(path)
    return path


def draw_mask(path: Path, size=(50, 40), box=(10, 8, 30, 24)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.new("L", size, 0)
    mask.paste(255, box)
    mask.save(path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder: photos a, b, sub/c; a mask and a reference for each; one reference r and one mask m for all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMOD_DEVICE", "cpu")
    for i, name in enumerate(("a", "b", "sub/c")):
        draw(tmp_path / "photos" / f"{name}.png", seed=i)
        draw_mask(tmp_path / "masks" / f"{name}_mask.png")
        draw(tmp_path / "others" / f"{name}.jpg", seed=10 + i)
    draw(tmp_path / "r.png", seed=20)
    draw_mask(tmp_path / "m.png")
    return tmp_path


def run(*arguments, model=MODEL) -> int:
    return main(["edit", *arguments, "--model", model])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def image_of(name: str) -> torch.Tensor:
    return open_picture(name).image


def made(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
                  and path.name != "comod.jsonl")


OWN = Options("whole", Box(2, 4, 30), feather=3, color_match=False)
OPERATIONS = {
    "blend": (["--mask", "m.png", "--space", "w", "--strength", "0.5"],
              lambda net, a, r, m: editing.blend(net, a, r, m, space="w", strength=0.5)),
    "mix": (["--part", "coarse", "--levels", "3", "--mask", "m.png"],
            lambda net, a, r, m: editing.mix(net, a, r, part="coarse", count=3, mask=m)),
    "transplant": (["--mask", "m.png", "--shift", "-6,12.5"],
                   lambda net, a, r, m: editing.transplant(net, a, [Reference(r, m, (-6, 12.5))])),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_pixels_are_those_of_python(folder, net, name):
    options, expected = OPERATIONS[name]
    assert run(name, "photos/a.png", "--reference", "r.png", *options) == 0
    edit = expected(net, image_of("photos/a.png"), image_of("r.png"), open_mask("m.png"))
    found = pixels(folder / "out" / f"a_{name}.png")
    assert (found == to_integers(edit.image)).all() and (found != pixels(folder / "photos" / "a.png")).any()


def test_reconstruct_and_every_option_of_framing(folder, net):
    assert run("reconstruct", "photos/a.png", "--mask", "m.png", "--box", "4,2,30", "--feather", "3",
               "--no-color-match") == 0
    edit = editing.reconstruct(net, image_of("photos/a.png"), mask=open_mask("m.png"), options=OWN)
    assert (pixels(folder / "out" / "a_reconstruct.png") == to_integers(edit.image)).all()
    assert run("blend", "photos/a.png", "--reference", "r.png", "--mask", "m.png", "--strategy", "crop", "--context",
               "0.2", "--reference-box", "1,2,20", "--refine", "2", "--overwrite") == 0
    edit = editing.blend(net, image_of("photos/a.png"), image_of("r.png"), open_mask("m.png"),
                         options=Options("crop", context=0.2, refine=2),
                         reference_options=Options(box=Box(2, 1, 20), refine=2))
    assert (pixels(folder / "out" / "a_blend.png") == to_integers(edit.image)).all()


def test_outside_of_the_feather_every_bit_stays(folder):
    assert run("blend", "photos/a.png", "--reference", "r.png", "--mask", "m.png", "--feather", "0") == 0
    changed = (pixels(folder / "out" / "a_blend.png") != pixels(folder / "photos" / "a.png")).any(-1)
    mask = pixels(folder / "m.png") > 127
    assert changed[mask].mean() > 0.9 and not changed[~mask].any()


def test_exif_alpha_and_16_bits_are_kept(folder):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    Image.open(draw(folder / "turned.png", seed=3)).save(folder / "turned.jpg", exif=exif, quality=95)
    draw(folder / "clear.png", seed=4, mode="RGBA")
    deep = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0)) * 2 - 1
    save_picture(folder / "deep.png", deep, bits=16)
    for name in ("turned.jpg", "clear.png", "deep.png"):
        assert run("blend", name, "--reference", "r.png", "--mask", "m.png", "--feather", "0") == 0, name
    with Image.open(folder / "out" / "turned_blend.png") as result:
        assert result.size == (40, 50) and result.getexif()[0x010F] == "Maker" and 0x0112 not in result.getexif()
    assert (pixels(folder / "out" / "clear_blend.png")[..., 3] == pixels(folder / "clear.png")[..., 3]).all()
    result, before = open_picture("out/deep_blend.png"), open_picture("deep.png")
    assert result.bits == 16 and torch.equal(result.image[..., 24:, :], before.image[..., 24:, :])
    assert not torch.equal(result.image, before.image)


def test_a_folder_with_its_references_and_masks_goes_on_where_it_stopped(folder, net, monkeypatch, capsys):
    line = ["blend", "photos", "--reference", "others", "--mask", "masks"]
    save, saved = edits.save_picture, []

    def save_until_stopped(path, *rest):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(path)
        return save(path, *rest)

    monkeypatch.setattr(edits, "save_picture", save_until_stopped)
    assert run(*line) == 130
    monkeypatch.setattr(edits, "save_picture", save)
    assert made(folder / "out") == ["a_blend.png", "b_blend.png"]
    before = (folder / "out" / "a_blend.png").stat().st_mtime_ns
    assert run(*line) == 0
    assert made(folder / "out") == ["a_blend.png", "b_blend.png", "sub/c_blend.png"]
    assert (folder / "out" / "a_blend.png").stat().st_mtime_ns == before
    assert "1 made" in (text := capsys.readouterr().out) and "2 already there" in text
    edit = editing.blend(net, image_of("photos/sub/c.png"), image_of("others/sub/c.jpg"), open_mask("m.png"))
    assert (pixels(folder / "out" / "sub" / "c_blend.png") == to_integers(edit.image)).all()
    draw(folder / "others" / "b.jpg", seed=99)
    assert run(*line) == 0 and "1 made" in capsys.readouterr().out
    assert run(*line, "--strength", "0.5") == 0 and "3 made" in capsys.readouterr().out


def test_masks_beside_their_pictures_are_not_edited(folder):
    for name in ("a", "b"):
        draw_mask(folder / "photos" / f"{name}_mask.png")
    draw_mask(folder / "photos" / "sub" / "c-mask.png")
    assert run("blend", "photos", "--reference", "r.png", "--mask", "photos") == 0
    assert made(folder / "out") == ["a_blend.png", "b_blend.png", "sub/c_blend.png"]


def test_failures_are_listed_and_the_rest_is_done(folder, capsys):
    (folder / "others" / "b.jpg").unlink()
    (folder / "photos" / "a.png").write_bytes(b"no picture")
    draw(folder / "out" / "sub" / "c_blend.png")
    draw(folder / "photos" / "d.png"), draw(folder / "others" / "d.png"), draw_mask(folder / "masks" / "d.png")
    mine = (folder / "out" / "sub" / "c_blend.png").read_bytes()
    assert run("blend", "photos", "--reference", "others", "--mask", "masks") == 1
    text = (folder / "out" / "failures.csv").read_text()
    assert "no reference for it" in text and "not a picture" in text and "--overwrite" in text
    assert (folder / "out" / "sub" / "c_blend.png").read_bytes() == mine
    assert (folder / "out" / "d_blend.png").exists() and "3 failed" in capsys.readouterr().out


def test_transplants_of_several_parts(folder, net):
    draw_mask(folder / "n.png", (30, 30), (3, 3, 20, 20))
    draw(folder / "s.png", (30, 30), seed=21)
    assert run("transplant", "photos/a.png", "--reference", "r.png", "--mask", "m.png", "--shift", "3,0",
               "--reference", "s.png", "--mask", "n.png", "--shift", "10,5", "--strength", "0.8") == 0
    parts = [Reference(image_of("r.png"), open_mask("m.png"), (3, 0)),
             Reference(image_of("s.png"), open_mask("n.png"), (10, 5))]
    edit = editing.transplant(net, image_of("photos/a.png"), parts, strength=0.8)
    assert (pixels(folder / "out" / "a_transplant.png") == to_integers(edit.image)).all()


def test_warnings_are_shown_with_the_picture(folder, capsys):
    draw_mask(folder / "empty.png", box=(0, 0, 0, 0))
    assert run("blend", "photos/a.png", "--reference", "r.png", "--mask", "empty.png") == 0
    assert "photos/a.png: the mask is empty" in " ".join(capsys.readouterr().err.split())
    assert (pixels(folder / "out" / "a_blend.png") == pixels(folder / "photos" / "a.png")).all()


# Animations.

def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as file:
        found = []
        for i in range(file.n_frames):
            file.seek(i)
            found.append(np.asarray(file.convert("RGB")))
    return found


@pytest.mark.parametrize("mask", [None, "m.png"])
def test_an_animation_is_that_of_python(folder, net, mask):
    more = ["--mask", mask, "--space", "w"] if mask else []
    assert run("interpolate", "photos/a.png", "--reference", "r.png", "--frames", "4", "--format", "webp", *more) == 0
    wanted = editing.interpolate(net, image_of("photos/a.png"), image_of("r.png"), 4, space="w" if mask else "w+",
                                 mask=mask and open_mask(mask))
    found = frames_of(folder / "out" / "a_interpolate.webp")
    assert all((one == to_integers(frame)).all() for one, frame in zip(found, wanted, strict=True))
    if mask:
        assert all((one[35:] == pixels(folder / "photos" / "a.png")[35:]).all() for one in found)


@pytest.mark.parametrize("format", ["gif", "mp4"])
def test_animations_of_a_folder(folder, format, capsys):
    if format == "mp4":
        pytest.importorskip("av")
    line = ["interpolate", "photos", "--reference", "r.png", "--frames", "3", "--back", "--side", "24", "--format",
            format]
    assert run(*line) == 0
    assert made(folder / "out") == [f"{name}_interpolate.{format}" for name in ("a", "b", "sub/c")]
    if format == "gif":
        assert [frame.shape for frame in frames_of(folder / "out" / "a_interpolate.gif")] == [(19, 24, 3)] * 4
    assert run(*line) == 0 and "3 already there" in capsys.readouterr().out
    assert run(*line, "--fps", "20") == 0 and "3 made" in capsys.readouterr().out


def test_frames_as_pictures_go_on_where_they_stopped(folder, net, capsys):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.open(folder / "photos" / "a.png").save(folder / "a.png", exif=exif)
    line = ["interpolate", "a.png", "--reference", "r.png", "--frames", "4", "--format", "png"]
    assert run(*line) == 0
    names = [f"a_interpolate/{i:03}.png" for i in (1, 2, 3, 4)]
    assert made(folder / "out") == names
    wanted = list(editing.interpolate(net, image_of("a.png"), image_of("r.png"), 4))
    (folder / "out" / names[2]).unlink()
    capsys.readouterr()
    assert run(*line) == 0 and "1 made" in capsys.readouterr().out
    for name, frame in zip(names, wanted, strict=True):
        assert (pixels(folder / "out" / name) == to_integers(frame)).all()
    with Image.open(folder / "out" / names[0]) as frame:
        assert frame.getexif()[0x010F] == "Maker"


# Errors.

@pytest.mark.parametrize("arguments, words", [
    (["blend", "photos/a.png", "--reference", "absent.png", "--mask", "m.png"], "--reference absent.png"),
    (["blend", "photos/a.png", "--reference", "r.png", "--mask", "absent"], "--mask absent"),
    (["blend", "photos/a.png", "--reference", "r.png", "--mask", "m.png", "--box", "1,2"], "--box '1,2'"),
    (["blend", "absent.png", "--reference", "r.png", "--mask", "m.png"], "absent.png: there is no such file"),
    (["transplant", "photos/a.png", "--reference", "r.png", "--mask", "m.png", "--shift", "1"], "--shift '1'"),
    (["transplant", "photos/a.png", "--reference", "r.png", "--mask", "m.png", "--mask", "m.png"], "as many"),
    (["interpolate", "photos/a.png", "--reference", "r.png", "--fps", "60"], "0.01 to 50"),
    (["interpolate", "photos/a.png", "--reference", "r.png", "--format", "png", "--back"], "--back"),
    (["reconstruct", "photos/a.png", "--out", "r.png"], "is a file"),
])
def test_errors_are_one_line_that_says_what_to_do(folder, capsys, arguments, words):
    assert run(*arguments) == 1
    told = capsys.readouterr()
    assert told.err.startswith("comod: error: ") and words in told.err and "Traceback" not in told.err
    assert not (folder / "out").exists()


def test_another_kind_of_network_is_refused(folder, capsys):
    assert run("reconstruct", "photos/a.png", model="avatars-64") == 1
    assert "editing needs a StyleMapGAN" in capsys.readouterr().err


def test_without_a_model_the_built_in_one_is_taken(folder, monkeypatch, capsys):
    table = [entry for entry in edit_parts.MODELS if not (entry.architecture == "stylemapgan" and entry.built_in)]
    monkeypatch.setattr(edit_parts, "MODELS", table)
    assert main(["edit", "reconstruct", "photos/a.png"]) == 1
    assert "--model" in capsys.readouterr().err
    entry = next(entry for entry in table if entry.architecture == "stylemapgan")
    monkeypatch.setattr(edit_parts, "MODELS", [*table, dataclasses.replace(entry, name="mine", built_in=True)])
    assert edit_parts.default_model() == "mine"


def test_defaults_are_those_of_python():
    def defaults(function):
        return {name: p.default for name, p in inspect.signature(function).parameters.items()}

    for name in ("blend", "transplant", "mix", "interpolate", "reconstruct"):
        shell, python = defaults(getattr(commands, name)), defaults(getattr(editing, name))
        for key in {"space", "strength", "part"} & set(python) & set(shell):
            assert shell[key] == python[key], (name, key)
        for field in dataclasses.fields(Options):
            assert shell[field.name] == field.default, (name, field.name)
    assert defaults(commands.mix)["levels"] == stylemaps.COARSE_LEVELS


def test_the_journal_says_how_each_result_was_made(folder):
    assert run("transplant", "photos/a.png", "--reference", "r.png", "--mask", "m.png", "--shift", "2,3") == 0
    entry, = map(json.loads, (folder / "out" / "comod.jsonl").read_text().splitlines())
    assert entry["output"] == "a_transplant.png" and entry["shifts"] == [[2.0, 3.0]] and len(entry["model"]) == 64
    assert entry["references"][0]["file"] == "r.png" and entry["strategy"] == "whole"


def test_help_needs_no_torch():
    code = ("import sys; from comod_core.cli import main; code = main(['edit', 'blend', '--help']); "
            "sys.exit(code or 3 * ('torch' in sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "--reference" in done.stdout and "--refine" in done.stdout
