"""Features of photos: preparation, weights of several forms, what is said when something is missing."""
from __future__ import annotations

import hashlib
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from comod_core.errors import CoModError
from comod_core.instances import extractors
from comod_core.instances.extractors import WEIGHTS, ResNet50, encode, load_extractor, prepare


class Small(nn.Module):
    """A stand-in with the names of a ResNet-50's ends: a convolution, a batch normalisation, a last layer."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.fc = nn.Conv2d(3, 2048, 32, 32, bias=False), nn.BatchNorm2d(2048), nn.Linear(2048, 9)

    def forward(self, x):
        return self.fc(self.bn1(self.conv1(x)).relu().mean(dim=(2, 3)))


@pytest.fixture
def stand_in(monkeypatch):
    """In place of torchvision: a network of few layers."""
    models = types.ModuleType("torchvision.models")
    models.resnet50 = lambda weights: Small()
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)


def state() -> dict:
    torch.manual_seed(0)
    return Small().state_dict()


def picture(height=90, width=70) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_preparation_is_a_crop_a_resize_and_imagenets_normalisation():
    values = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    photo = Image.fromarray(values).resize((400, 300), Image.Resampling.BICUBIC)
    found = prepare(torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None])[0]
    square = photo.crop((50, 0, 350, 300)).resize((224, 224), Image.Resampling.BILINEAR)
    expected = (np.asarray(square) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.abs(found.permute(1, 2, 0).numpy() - expected).max() < 1.01 / 255 / 0.224  # Pillow rounds to whole values
    exact = prepare(torch.full([1, 3, 224, 224], 255, dtype=torch.uint8))
    torch.testing.assert_close(exact[0, :, 0, 0], torch.tensor([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]))


def test_weights_of_torchvision_and_of_swav_give_the_same_features(stand_in, tmp_path):
    weights = state()
    swav = {f"module.{key}": value for key, value in weights.items() if not key.startswith("fc.")}
    swav |= {"module.prototypes.weight": torch.ones(2), "module.projection_head.0.weight": torch.ones(2)}
    old = {key: value for key, value in weights.items() if "num_batches" not in key}
    files = {"a.pth": weights, "swav.pth.tar": swav, "wrapped.pth": {"state_dict": weights}, "old.pth": old}
    rows = []
    for name, content in files.items():
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=name != "old.pth")
        rows.append(encode(ResNet50(tmp_path / name), picture()))
    assert rows[0].shape == (1, 2048) and all(torch.equal(row, rows[0]) for row in rows)
    torch.testing.assert_close(rows[0].norm(dim=1), torch.ones(1))
    net = Small().eval()
    net.load_state_dict(weights)
    net.fc = nn.Identity()
    with torch.no_grad():
        expected = net(prepare(extractors.as_bytes(picture())))
    torch.testing.assert_close(rows[0], expected / expected.norm())


def test_the_published_network_of_torchvision_itself(torchvision, tmp_path):
    """All layers of a ResNet-50, random weights, against torchvision's own way through it."""
    torch.manual_seed(0)
    net = torchvision.models.resnet50(weights=None).eval()
    torch.save(net.state_dict(), tmp_path / "mine.pth")
    found = ResNet50(tmp_path / "mine.pth")(torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8,
                                                          generator=torch.Generator().manual_seed(1)))
    image = prepare(torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8,
                                  generator=torch.Generator().manual_seed(1)))
    net.fc = nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), net(image), rtol=1e-4, atol=1e-5)
    assert found.shape == (1, 2048)


def test_each_picture_is_encoded_alone(stand_in, tmp_path):
    torch.save(state(), tmp_path / "net.pth")
    extractor, batch = ResNet50(tmp_path / "net.pth"), torch.cat([picture(), -picture(), picture().flip(3)])
    found = encode(extractor, batch)
    assert all(torch.equal(found[i:i + 1], encode(extractor, batch[i:i + 1])) for i in range(3))
    assert torch.equal(encode(extractor, torch.cat([picture(), torch.ones(1, 1, 90, 70)], dim=1)), found[:1])
    assert encode(extractor, picture()[:, :1]).shape == (1, 2048)


def test_names_look_in_torch_hubs_cache_and_say_where_to_get_them(stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for weights in WEIGHTS:
        with pytest.raises(CoModError) as caught:
            load_extractor(weights.name)
        message = str(caught.value)
        assert weights.url in message and str(weights.place) in message and "does not download" in message
    (tmp_path / "checkpoints").mkdir()
    torch.save(state(), WEIGHTS[0].place)
    extractor = load_extractor("SwAV")
    assert extractor.name == "swav" and extractor.width == 2048
    assert extractor.digest == hashlib.sha256(WEIGHTS[0].place.read_bytes()).hexdigest()
    assert load_extractor(WEIGHTS[0].place).name == "swav_800ep_pretrain"


def test_a_checksum_in_the_name_is_checked(stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save(state(), WEIGHTS[1].place)
    with pytest.raises(CoModError, match="SHA-256 begins with .*0676ba61"):
        load_extractor("supervised")
    right = tmp_path / f"net-{hashlib.sha256(WEIGHTS[1].place.read_bytes()).hexdigest()[:8]}.pth"
    WEIGHTS[1].place.rename(right)
    assert load_extractor(right).name == right.stem


def test_lite0_is_an_extractor():
    extractor = load_extractor("lite0")
    found = encode(extractor, torch.cat([picture(), -picture()]))
    assert found.shape == (2, 1280) and not torch.allclose(found[0], found[1])
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))


def test_lite0_with_colours_tells_what_lite0_does_not():
    plain, both = load_extractor("lite0"), load_extractor("lite0-colours")
    found = encode(both, picture())
    assert found.shape == (1, 1280 + 192) and both.name.lower() == "lite0-colours" and len(both.digest) == 64
    torch.testing.assert_close(found.norm(dim=1), torch.ones(1))
    torch.testing.assert_close(torch.nn.functional.normalize(found[:, :1280], dim=1), encode(plain, picture()))
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 20, 30)
    colours = encode(both, red)[:, 1280:].view(64, 3)
    assert torch.allclose(colours, colours[:1]) and colours[0, 0] > 0 > colours[0, 1] == colours[0, 2]


@pytest.mark.parametrize("problem", [ImportError("No module named 'torchvision'"),
                                     RuntimeError("operator torchvision::nms does not exist")])
def test_without_a_fitting_torchvision(problem, tmp_path, monkeypatch):
    class Finder:
        @staticmethod
        def find_spec(name, *args):
            if name.partition(".")[0] == "torchvision":
                raise problem

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    torch.save(state(), tmp_path / "net.pth")
    with pytest.raises(CoModError, match="torchvision that fits torch .*lite0"):
        ResNet50(tmp_path / "net.pth")


def changed(**values):
    return {key: value for key, value in (state() | values).items() if value is not None}


@pytest.mark.parametrize(("content", "words"), [
    (changed(**{"conv1.weight": None}), "conv1.weight should be .*, is nothing"),
    (changed(**{"conv1.weight": torch.ones(3)}), r"is \[3\]"), (changed(**{"bn1.weight": 5}), "bn1.weight"),
    ([1, 2], "no ResNet-50"), ({"state_dict": 3}, "no ResNet-50"), ({}, "no ResNet-50")])
def test_files_of_something_else(content, words, stand_in, tmp_path):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(CoModError, match=words):
        ResNet50(tmp_path / "net.pth")


def test_paths_that_are_wrong(stand_in, tmp_path):
    (tmp_path / "net.pth").write_bytes(b"text")
    for spec, words in (("resnet", "neither a file nor"), (tmp_path / "absent.pth", "neither a file nor"),
                        (tmp_path / "net.pth", "not a torch checkpoint")):
        with pytest.raises(CoModError, match=words):
            load_extractor(spec)
    with pytest.raises(CoModError, match="no such file"):
        ResNet50(tmp_path / "absent.pth")
