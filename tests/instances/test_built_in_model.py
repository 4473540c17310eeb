"""The built-in instance-conditioned model: samples are nearer to their instance than others, and differ."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from comod_core import load_model
from comod_core.instances.generation import as_bytes, generate, rank, unit
from comod_core.instances.stored import built_in, open_instances
from comod_core.loading import find_model
from comod_core.metrics.lite0 import Lite0

NAME = "avatars-instance-64"


@pytest.fixture(scope="module")
def net():
    return load_model(NAME)


def test_the_file(net):
    assert find_model(NAME)[0].stat().st_size < 20e6 and built_in()[NAME].is_file()
    assert (net.info.architecture, net.info.features, net.info.licence) == ("stylegan2", "lite0", "CC BY 4.0")
    assert open_instances(NAME).features.shape[1] == net.feature_size == Lite0.width


def test_samples_are_nearer_to_their_own_instance_and_its_style(net):
    """Over all stored instances: the model is small, and one sample alone can be nearer to another instance."""
    many = open_instances(NAME)
    features = torch.stack([many.feature(i) for i in range(len(many))])
    images = torch.cat([as_bytes(one.image) for one in generate(net, range(len(many)), features)])
    likeness = unit(torch.from_numpy(Lite0()(images))) @ features.T                 # [samples of, compared with]
    assert likeness.diagonal().mean() > likeness.mean() + 0.03
    styles = np.array([name.rsplit("-", 1)[0] for name in many.names])
    assert (styles[likeness.argmax(dim=1)] == styles).mean() > 0.45                 # by chance 0.27


def test_samples_of_one_instance_differ(net):
    many = open_instances(NAME)
    for number in range(0, len(many), len(many) // 6):
        samples = generate(net, range(6), many.feature(number))
        pixels = torch.stack([as_bytes(one.image).float().flatten() for one in samples])
        apart = [(pixels[i] - pixels[j]).abs().mean().item() for i in range(6) for j in range(i)]
        assert np.mean(apart) > 8 and min(apart) > 3                                # of 255


def test_of_many_the_nearest_are_nearer(net):
    feature = open_instances(NAME).feature(0)
    every = rank(net, range(10), feature, Lite0(), 10)
    assert [one.seed for one in rank(net, range(10), feature, Lite0(), 3)] == [one.seed for one in every[:3]]
    assert every[0].distance < every[-1].distance
