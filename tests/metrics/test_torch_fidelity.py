"""The metrics and Inception's features beside torch-fidelity itself."""
import numpy as np
import pytest
import torch

from comod_core import metrics
from comod_core.errors import CoModError
from comod_core.metrics.loading import load_features


@pytest.fixture
def fidelity(torchvision):
    return pytest.importorskip("torch_fidelity")


@pytest.fixture
def features():
    """real [300,24] and fake [280,24] that overlap in part."""
    random = np.random.default_rng(0)
    mixer = random.normal(size=(24, 24)) / 5
    return tuple((random.normal(size=(n, 24)) @ mixer + shift).astype(np.float32)
                 for n, shift in ((300, 0), (280, 0.1)))


def test_fid(fidelity, features):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    ends = [fid_features_to_statistics(torch.from_numpy(x)) for x in features]
    expected = fid_statistics_to_metric(*ends, verbose=False)["frechet_inception_distance"]
    assert metrics.frechet_distance(*features) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_kid(fidelity, features):
    from torch_fidelity.metric_kid import kid_features_to_metric

    real, fake = features
    expected = kid_features_to_metric(torch.from_numpy(real), torch.from_numpy(fake), kid_subsets=20,
                                      kid_subset_size=100, verbose=False)
    found = metrics.kernel_distance(real, fake, subsets=20, subset_size=100)
    assert found == pytest.approx((expected["kernel_inception_distance_mean"],
                                   expected["kernel_inception_distance_std"]), abs=1e-6)


@pytest.mark.parametrize("k", [3, 5])
def test_precision_and_recall(fidelity, features, k):
    from torch_fidelity.metric_prc import prc_features_to_metric

    real, fake = features
    expected = prc_features_to_metric(torch.from_numpy(fake), torch.from_numpy(real), prc_neighborhood=k, verbose=False)
    assert 0 < expected["precision"] < 1 and 0 < expected["recall"] < 1
    assert metrics.precision_recall(real, fake, k) == pytest.approx((expected["precision"], expected["recall"]),
                                                                    abs=1e-6)


def test_inceptions_own_layers(fidelity, monkeypatch):
    """All of the network, with random weights, where the published ones would be downloaded."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    torch.manual_seed(0)
    monkeypatch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
    monkeypatch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
    net = load_features("inception")
    images = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    found = net(images)
    with torch.no_grad():
        expected = module.FeatureExtractorInceptionV3.forward(net.net, images)[0]
    assert found.shape == (2, 2048) and found.dtype == np.float32 and net.title("FD") == "FID"
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_torchvision_that_does_not_fit_is_told(monkeypatch):
    import builtins

    real = builtins.__import__

    def broken(name, *args, **kwargs):
        if name.startswith("torch_fidelity"):
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(CoModError, match="torchvision that fits torch .*pytorch.org"):
        load_features("inception")
