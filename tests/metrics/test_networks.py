"""Networks of features: the same interface for all, and clear words where one cannot be had."""
import sys
from types import ModuleType
from urllib.error import URLError

import numpy as np
import pytest
import torch

from comod_core import CoModError
from comod_core.files import sha256_of
from comod_core.metrics.loading import load_features
from comod_core.metrics.networks import FeatureNetwork


class Means(torch.nn.Module):
    def forward(self, x):
        return torch.cat([x.float().mean(dim=(2, 3)), x.float().amax(dim=(2, 3))], dim=1)


class Choice(torch.nn.Module):
    def forward(self, x, return_features: bool = False):
        means = x.float().mean(dim=(2, 3))
        return means if return_features else means[:, :1] > 0


class Map(torch.nn.Module):
    def forward(self, x):
        return x.float() + 1


def script(path, module):
    torch.jit.save(torch.jit.script(module), str(path))
    return str(path)


def pictures(count=5):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, 40, 40), np.uint8))


def test_a_users_torchscript(tmp_path):
    net = load_features(script(tmp_path / "means.pt", Means()))
    assert (net.name, net.width, net.digest) == ("means", 6, sha256_of(tmp_path / "means.pt"))
    assert net.title("FD") == "FD-means" and net.title("KID") == "KID-means"
    images = pictures()
    assert np.allclose(net(images)[:, :3], images.float().mean(dim=(2, 3)))
    assert np.array_equal(net(images, batch=2), net(images)), "the batch makes no difference"
    features, maps = net.describe(images)
    assert [x.shape for x in maps] == [(5, 6, 1, 1)] and np.array_equal(maps[0][..., 0, 0], features)


def test_a_torchscript_that_is_asked_for_features(tmp_path):
    assert load_features(script(tmp_path / "choice.pt", Choice())).width == 3


def test_files_that_are_no_feature_network(tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CoModError, match="not a TorchScript file"):
        load_features(str(tmp_path / "text.pt"))
    with pytest.raises(CoModError, match=r"gave \[2, 3, 64, 64\]"):
        load_features(script(tmp_path / "map.pt", Map()))
    with pytest.raises(CoModError, match="lite0, inception"):
        load_features("resnet")
    net = load_features(script(tmp_path / "means.pt", Means()))
    with pytest.raises(CoModError, match="uint8"):
        net(torch.zeros(1, 3, 8, 8))


def test_lite0_is_its_packages_network():
    pytest.importorskip("efficientnet_lite_pytorch")
    net, images = load_features("lite0"), pictures(2)
    features, maps = net.describe(images)
    x = torch.nn.functional.interpolate(images.float(), (128, 128), mode="bilinear", antialias=True)
    with torch.inference_mode():
        expected = net.net.extract_features((x - 127) / 128).mean(dim=(2, 3))
    assert np.allclose(features, expected, atol=1e-6) and features.shape == (2, net.width)
    assert [x.shape[1:] for x in maps] == [(16, 64, 64), (24, 32, 32), (40, 16, 16), (112, 8, 8), (320, 4, 4)]
    assert len(net.digest) == 64 and net.title("U-IDS") == "U-IDS-Lite0"


def stand_in(monkeypatch, extractor):
    """torch-fidelity with this extractor in place of its own."""
    package, module = ModuleType("torch_fidelity"), ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = extractor
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_inception_through_torch_fidelity(monkeypatch):
    class Extractor(torch.nn.Linear):
        def __init__(self, name, layers):
            assert (name, layers) == ("inception-v3-compat", ["2048"])
            super().__init__(3, 2048)

        def forward(self, images):
            assert images.dtype == torch.uint8
            return super().forward(images.float().mean(dim=(2, 3))),

    stand_in(monkeypatch, Extractor)
    net = load_features("inception")
    assert net(pictures()).shape == (5, 2048) and len(net.digest) == 64
    assert [net.title(x) for x in ("FD", "KID", "P-IDS")] == ["FID", "KID", "P-IDS"]
    assert load_features("inception").digest != net.digest, "other weights, another digest"


def test_inception_that_cannot_be_had(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(CoModError, match="pip install torch-fidelity.*91 MB"):
        load_features("inception")

    def offline(*_):
        raise URLError("no route")

    stand_in(monkeypatch, offline)
    with pytest.raises(CoModError, match="no route.*another machine and save it as .*weights-inception"):
        load_features("inception")


def test_features_alone_keep_no_maps():
    class Untouchable(FeatureNetwork):
        name, width, digest = "Untouchable", 3, "0"

        def forward(self, images):
            return images.float().mean(dim=(2, 3)), [None]

    images = torch.randint(0, 256, (9, 3, 4, 4), dtype=torch.uint8)
    assert np.array_equal(Untouchable()(images, batch=2), images.float().mean(dim=(2, 3)).numpy())
    with pytest.raises(AttributeError):
        Untouchable().describe(images)
