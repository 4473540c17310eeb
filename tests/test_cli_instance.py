"""`comod instance`: index, neighbours, generate; the pictures are the core's."""
from __future__ import annotations

import sys

import fake_clip
import numpy as np
import pytest
import torch
from PIL import Image

from comod_core.checkpoints.store import save_networks
from comod_core.cli import main
from comod_core.images import open_picture, save_picture
from comod_core.instances import generation, text
from comod_core.instances.clip import load_clip
from comod_core.instances.extractors import encode, load_extractor
from comod_core.instances.stored import Instances, open_instances, save_instances
from comod_core.instances.text import guide
from comod_core.loading import load_model
from comod_core.networks import StyleGAN2Config, StyleGAN2Generator


@pytest.fixture
def photos(tmp_path):
    """Four pictures of noise, the last one in a folder below."""
    for i, name in enumerate(("a.png", "b.png", "c.png", "below/d.png")):
        noise = torch.rand(1, 3, 40, 30 + i, generator=torch.Generator().manual_seed(i)) * 2 - 1
        save_picture(tmp_path / "photos" / name, noise)
    return tmp_path / "photos"


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    net = StyleGAN2Generator(StyleGAN2Config(16, (12, 10, 8), 8, 12, feature_size=1472, mapping_layers=2)).eval()
    return save_networks(tmp_path / "net.safetensors", {"generator": net}, {"features": "lite0-colours"})


@pytest.fixture
def indexed(photos, tmp_path, capsys):
    assert main(["instance", "index", str(photos), str(tmp_path / "many.safetensors"), "--device", "cpu"]) == 0
    assert "4 instances of Lite0" in capsys.readouterr().out
    return tmp_path / "many.safetensors"


def test_index_and_neighbours_with_a_sheet(photos, indexed, tmp_path, capsys):
    found = open_instances(indexed)
    assert list(found.names) == ["a", "b", "below/d", "c"] and len(found.digest) == 64
    assert found.extractor == "lite0-colours"
    extractor = load_extractor("lite0-colours")
    for i, name in enumerate(("a.png", "b.png", "below/d.png", "c.png")):
        torch.testing.assert_close(found.feature(i), encode(extractor, open_picture(photos / name).image)[0])
    sheet = tmp_path / "sheet.png"
    assert main(["instance", "neighbours", str(photos / "c.png"), str(indexed), "-k", "2", "--sheet", str(sheet),
                 "--pictures", str(photos), "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].split() == ["1.0000", "3", "c"] and open_picture(sheet).image.shape[-1] > 700


def test_what_cannot_be_read_is_named_and_left_out(photos, tmp_path, capsys):
    (photos / "broken.png").write_bytes(b"no picture")
    target = tmp_path / "many.safetensors"
    assert main(["instance", "index", str(photos), str(target), "--dtype", "float16", "--device", "cpu"]) == 1
    assert "broken.png" in capsys.readouterr().err and len(open_instances(target)) == 4
    assert open_instances(target).features.dtype == np.float16
    assert main(["instance", "index", str(photos), str(target)]) == 1
    assert "exists" in capsys.readouterr().err
    only = tmp_path / "only"
    only.mkdir()
    (only / "broken.png").write_bytes(b"no picture")
    assert main(["instance", "index", str(only), str(tmp_path / "x.safetensors"), "--device", "cpu"]) == 1
    assert "none of 1 pictures" in capsys.readouterr().err and not list(tmp_path.glob("x.*"))


def test_generate_from_a_photo_and_from_a_stored_instance(photos, indexed, model, tmp_path, capsys):
    net, out = load_model(model), tmp_path / "out"
    feature = open_instances(indexed).feature(3)
    for end, chosen in ((["--instance", str(photos / "c.png")], "photo"), (["--stored", f"{indexed}:3"], "stored")):
        assert main(["instance", "generate", str(model), *end, "--seeds", "7,9", "--psi", "0.5", "--noise-mode",
                     "random", "--out", str(out / chosen), "--device", "cpu"]) == 0
        assert sorted(path.name for path in (out / chosen).iterdir()) == ["seed7.png", "seed9.png"]
        for sample in generation.generate(net, [7, 9], feature, psi=0.5, noise_mode="random"):
            saved = open_picture(out / chosen / f"seed{sample.seed}.png").image
            assert (saved - sample.image).abs().max() <= 1.01 / 255
    assert main(["instance", "generate", str(model), "--stored", f"{indexed}:3", "--seeds", "7", "--out",
                 str(out / "photo"), "--device", "cpu"]) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_keep_ranks(indexed, model, tmp_path, capsys):
    feature, extractor = open_instances(indexed).feature(0), load_extractor("lite0-colours")
    assert main(["instance", "generate", str(model), "--stored", f"{indexed}:0", "--seeds", "1-5", "--keep", "2",
                 "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    best = generation.rank(load_model(model), range(1, 6), feature, extractor, 2)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"seed{sample.seed}.png" for sample in best}


def test_classes_are_swapped(tmp_path, capsys):
    torch.manual_seed(0)
    net = StyleGAN2Generator(StyleGAN2Config(16, (12, 10, 8), 8, 12, label_size=9, mapping_layers=2)).eval()
    file = save_networks(tmp_path / "classes.safetensors", {"generator": net}, {})
    assert main(["instance", "generate", str(file), "--seeds", "4", "--label", "2,7-8", "--out", str(tmp_path / "out"),
                 "--device", "cpu"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"seed4-class{label}.png" for label in (2, 7, 8)}
    for label, sample in zip((2, 7, 8), generation.swap_class(load_model(file), 4, None, [2, 7, 8]), strict=True):
        saved = open_picture(tmp_path / "out" / f"seed4-class{label}.png").image
        assert (saved - sample.image).abs().max() <= 1.01 / 255
    assert main(["instance", "generate", str(file), "--label", "some", "--device", "cpu"]) == 1
    assert "--label 'some'" in capsys.readouterr().err


def test_the_way_from_one_look_to_another(photos, indexed, model, tmp_path, capsys):
    ends = ["--from", str(photos / "a.png"), "--to", f"{indexed}:3", "--frames", "4", "--device", "cpu"]
    assert main(["instance", "interpolate", str(model), str(tmp_path / "way"), *ends, "--end-seed", "5"]) == 0
    looks = tuple(open_instances(indexed).feature(number) for number in (0, 3))
    frames = generation.interpolate(load_model(model), 4, looks, (1, 5))
    for number, frame in enumerate(frames):
        saved = open_picture(tmp_path / "way" / f"{number:04d}.png").image
        assert (saved - frame.image).abs().max() <= 1.01 / 255
    assert main(["instance", "interpolate", str(model), str(tmp_path / "way.gif"), *ends, "--back"]) == 0
    assert "4 frames" in capsys.readouterr().out
    with Image.open(tmp_path / "way.gif") as film:
        assert film.n_frames == 6 and film.size == (16, 16)
    assert main(["instance", "interpolate", str(model), str(tmp_path / "way.gif"), *ends]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(["instance", "interpolate", str(model), str(tmp_path / "x.gif"), "--from", "absent.png"]) == 1
    assert "no such picture" in capsys.readouterr().err


def test_pictures_that_fit_a_text(photos, indexed, model, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", fake_clip.stand_in())
    torch.manual_seed(0)
    torch.save(fake_clip.Tiny().state_dict(), tmp_path / "Tiny.pt")
    words = ["instance", "text", str(model), "a hat", "--clip", str(tmp_path / "Tiny.pt"), "--stored", f"{indexed}:3",
             "--seeds", "2,3", "--steps", "5", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    printed = capsys.readouterr().err
    for seed in (2, 3):
        *_, best = guide(load_model(model), load_clip(tmp_path / "Tiny.pt"), "a hat", seed,
                         open_instances(indexed).feature(3), steps=5)
        assert (open_picture(tmp_path / "out" / f"seed{seed}.png").image - best.image).abs().max() <= 1.01 / 255
        assert f"{best.before:.4f} before, {best.similarity:.4f} after 5 steps" in printed
    assert main(words) == 1 and "--overwrite" in capsys.readouterr().err
    assert main([*words[:4], "--clip", "absent.pt", "--device", "cpu"]) == 1
    assert "no such file of a CLIP's weights" in capsys.readouterr().err


def test_ctrl_c_writes_the_best_so_far(indexed, model, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", fake_clip.stand_in())
    torch.save(fake_clip.Tiny().state_dict(), tmp_path / "Tiny.pt")

    def pressed(*arguments, **settings):
        states = guide(*arguments, **settings)
        yield next(states)
        yield next(states)
        raise KeyboardInterrupt

    monkeypatch.setattr(text, "guide", pressed)
    assert main(["instance", "text", str(model), "a hat", "--clip", str(tmp_path / "Tiny.pt"), "--stored",
                 f"{indexed}:3", "--seeds", "2,3", "--device", "cpu", "--out", str(tmp_path / "out")]) == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["seed2.png"]
    assert "after 1 steps" in capsys.readouterr().err


def test_wrong_usage_is_named(photos, indexed, model, tmp_path, capsys):
    unnamed = save_instances(tmp_path / "unnamed.safetensors", Instances(np.eye(3), list("abc")))
    out = ["--out", str(tmp_path / "out"), "--device", "cpu"]
    for words, said in (
            (["generate", str(model), *out], "--instance IMAGE or --stored"),
            (["generate", str(model), "--keep", "2", *out], "--instance IMAGE or --stored"),
            (["generate", str(model), "--stored", str(indexed), *out], "the instance's number"),
            (["generate", str(model), "--stored", f"{indexed}:9", *out], "from 0 to 3"),
            (["generate", str(model), "--stored", f"{indexed}:0", "--instance", "a.png", *out], "give one"),
            (["generate", "avatars-64", *out], "BigGAN or StyleGAN2"),
            (["neighbours", str(photos / "a.png"), str(unnamed)], "give --extractor"),
            (["neighbours", str(photos / "a.png"), str(unnamed), "--extractor", "lite0"], "same extractor"),
            (["neighbours", str(photos / "a.png"), str(indexed), "--sheet", "x.png"], "go together"),
            (["index", str(photos), str(tmp_path / "x.npy")], "ends in .safetensors"),
            (["index", str(photos), str(tmp_path / "x.safetensors"), "--extractor", "vgg"], "neither a file nor")):
        assert main(["instance", *words]) == 1
        assert said in capsys.readouterr().err, words
    assert not (tmp_path / "out").exists()
