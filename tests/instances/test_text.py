"""Guidance by a text: the similarity rises, the best is kept, it stops at once, and what is missing is said."""
import builtins
import json
import re
import sys

import pytest
import torch
from fake_clip import SIZE, Tiny, stand_in, tokens

from comod_core.errors import CoModError
from comod_core.instances import clip as clips
from comod_core.instances import text as texts
from comod_core.instances.clip import Clip, architecture_of, load_clip
from comod_core.instances.generation import generate, unit
from comod_core.instances.text import guide
from comod_core.networks.biggan import BigGANConfig, BigGANGenerator, initialise
from comod_core.networks.stylegan2 import StyleGAN2Config, StyleGAN2Generator


@pytest.fixture
def clip():
    torch.manual_seed(3)
    return Clip(Tiny(), tokens, SIZE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def biggan(**values):
    torch.manual_seed(0)
    config = BigGANConfig(32, 4, 24, attention=(16,), **{"feature_size": 12, **values})
    return initialise(BigGANGenerator(config)).eval().requires_grad_(False)


def stylegan(feature_size=12):
    torch.manual_seed(0)
    config = StyleGAN2Config(16, (12, 10, 8), 8, 12, feature_size=feature_size, mapping_layers=2)
    return StyleGAN2Generator(config).eval().requires_grad_(False)


def feature():
    return unit(torch.randn(12, generator=torch.Generator().manual_seed(5)))


@pytest.mark.parametrize("net", [biggan, stylegan])
def test_similarity_rises_and_the_best_never_falls(net, clip):
    net = net()
    states = list(guide(net, clip, "a red hat", 3, feature(), steps=25, stay=0.0))
    assert [state.step for state in states] == list(range(26)) and states[-1].done and not states[-2].done
    found = [state.similarity for state in states]
    assert found == sorted(found) and found[-1] > found[0] + 0.05 and states[-1].before == found[0]
    first, last = states[0], states[-1]
    torch.testing.assert_close(first.image, next(generate(net, 3, feature())).image, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(last.z.norm(), first.z.norm())
    torch.testing.assert_close(last.feature.norm(), torch.tensor(1.0))
    again = net.generate(last.z, last.feature).clamp(-1, 1)
    torch.testing.assert_close(again, last.image, atol=1e-4, rtol=1e-4)
    similar = clip.images(torch.nn.functional.interpolate(again, (SIZE, SIZE), mode="bicubic", antialias=True))
    assert float((similar @ clip.text("a red hat").T)[0, 0]) == pytest.approx(last.similarity, abs=1e-4)


def test_another_text_gives_another_picture_and_the_same_text_the_same(clip):
    net = stylegan()
    ends = [list(guide(net, clip, text, 3, feature(), steps=4))[-1].image for text in ("hat", "hat", "a green sea")]
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_staying_near_the_instance(clip):
    ends = [list(guide(stylegan(), clip, "hat", 3, feature(), steps=15, stay=stay))[-1].feature[0]
            for stay in (0.0, 100.0)]
    assert float(ends[1] @ feature()) > 0.999 > float(ends[0] @ feature())


def test_plain_networks_and_classes(clip):
    plain = list(guide(stylegan(feature_size=0), clip, "hat", 1, steps=3, psi=0.7, noise_mode="random"))[-1]
    assert plain.feature is None and plain.z.shape == (1, 8)
    classes = biggan(label_size=7)
    ends = [list(guide(classes, clip, "hat", 1, feature(), label, steps=2))[0].image for label in (2, 5)]
    torch.testing.assert_close(ends[0], next(generate(classes, 1, feature(), 2)).image, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(*ends)


def test_the_clip_sees_the_whole_picture_and_views(clip):
    list(guide(stylegan(), clip, "hat", 1, feature(), steps=2, views=3))
    assert clip.model.seen == [(4, 3, SIZE, SIZE)] * 3


def test_progress_and_stopping(clip):
    calls = []

    def progress(done, total, image):
        calls.append((done, total, tuple(image.shape)))
        if done == 3:
            raise InterruptedError

    states = []
    with pytest.raises(InterruptedError):
        for state in guide(stylegan(), clip, "hat", 1, feature(), steps=9, progress=progress):
            states.append(state)
    assert calls == [(i, 9, (1, 3, 16, 16)) for i in (1, 2, 3)] and [state.step for state in states] == [0, 1, 2]


def test_works_where_inference_mode_rules(clip):
    net = stylegan()
    with torch.inference_mode():
        inside = list(guide(net, clip, "hat", 1, feature().clone(), steps=3))[-1]
    outside = list(guide(net, clip, "hat", 1, feature(), steps=3))[-1]
    assert torch.equal(inside.image, outside.image)
    with torch.inference_mode():
        made_inside = stylegan()
    with pytest.raises(CoModError, match="inference_mode"):
        guide(made_inside, clip, "hat", 1, feature())


BAD = {"no text": ({"text": " "}, "text is empty"), "no steps": ({"steps": 0}, "steps is 0"),
       "half a step": ({"steps": 1.5}, "steps is 1.5"), "a negative rate": ({"rate": -1}, "rate is -1"),
       "an infinite stay": ({"stay": float("inf")}, "stay is inf"), "too many views": ({"views": 1000}, "views is"),
       "no instance": ({"feature": None}, "give its feature"), "a class": ({"label": 1}, "no classes"),
       "psi": ({"psi": float("nan")}, "psi")}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_named_at_the_call(name, clip):
    change, words = BAD[name]
    given = {"text": "hat", "feature": feature(), "steps": 2, **change}
    with pytest.raises(CoModError, match=re.escape(words)):
        guide(stylegan(), clip, given.pop("text"), 1, given.pop("feature"), given.pop("label", None), **given)


def test_architecture_from_the_file_s_name():
    known = ["ViT-B-32", "ViT-B-32-quickgelu", "ViT-B-16"]
    assert architecture_of("vit-b-32.safetensors", known) == "ViT-B-32"
    assert architecture_of("ViT-B-32-quickgelu-openai.pt", known) == "ViT-B-32-quickgelu"
    assert architecture_of("ViT-B-32_laion2b.bin", known) == "ViT-B-32"
    for name in ("open_clip_model.safetensors", "ViT-B-320.pt"):
        with pytest.raises(CoModError, match="Begin it with"):
            architecture_of(name, known)


@pytest.fixture
def open_clip(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", stand_in())


def test_loading_a_file(open_clip, clip, tmp_path):
    torch.save(clip.model.state_dict(), tmp_path / "Tiny-first.pt")
    found = load_clip(tmp_path / "Tiny-first.pt")
    assert found.name == "Tiny" and found.size == SIZE and len(found.digest) == 64
    torch.testing.assert_close(found.text("hat"), clip.text("hat"))
    assert not any(parameter.requires_grad for parameter in found.model.parameters())
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    for path, architecture, words in (
            ("absent.pt", None, "no such file.*ViT-B-32.safetensors"), ("other.pt", None, "Begin it with"),
            ("other.pt", "ViT-Z", "knows no such architecture"), ("other.pt", "Tiny", "not the weights of a Tiny")):
        with pytest.raises(CoModError, match=words):
            load_clip(tmp_path / path, architecture)


@pytest.mark.parametrize("problem", [ImportError("No module named 'open_clip'"),
                                     RuntimeError("operator torchvision::nms does not exist")])
def test_without_open_clip(problem, tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "open_clip":
            raise problem
        return real(name, *args, **kwargs)

    (tmp_path / "Tiny.pt").write_bytes(b"weights")
    monkeypatch.delitem(sys.modules, "open_clip", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(CoModError, match="pip install open_clip_torch"):
        load_clip(tmp_path / "Tiny.pt")


def test_a_tiny_clip_of_open_clip_s_own(torchvision, tmp_path):
    """The real transformer towers and tokenizer, 2 layers of 16 values."""
    open_clip = clips._open_clip()
    config = {"embed_dim": 16, "vision_cfg": {"image_size": 32, "layers": 2, "width": 16, "head_width": 8,
                                              "patch_size": 8},
              "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}}
    (tmp_path / "Tiny-CLIP.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "Tiny-CLIP.json")
    torch.manual_seed(0)
    torch.save(open_clip.create_model("Tiny-CLIP").state_dict(), tmp_path / "Tiny-CLIP.pt")
    clip = load_clip(tmp_path / "Tiny-CLIP.pt")
    assert clip.size == 32 and clip.text("a hat").shape == (1, 16)
    states = list(texts.guide(stylegan(), clip, "a man with a red hat", 1, feature(), steps=10, stay=0.0))
    assert states[-1].similarity > states[0].similarity
