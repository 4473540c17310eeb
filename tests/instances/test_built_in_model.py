"""The built-in instance-conditioned model: samples are nearer to their instance than others, and differ."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from comod_core import load_model
from comod_core.instances.extractors import load_extractor
from comod_core.instances.generation import as_bytes, generate, rank, unit
from comod_core.instances.stored import built_in, open_instances
from comod_core.loading import find_model

NAME = "avatars-instance-64"
LITE0 = 1280        # values before the colours


@pytest.fixture(scope="module")
def net():
    return load_model(NAME)


def test_the_file(net):
    assert find_model(NAME)[0].stat().st_size < 20e6 and built_in()[NAME].is_file()
    assert (net.info.architecture, net.info.features, net.info.licence) == ("stylegan2", "lite0-colours", "CC BY 4.0")
    assert open_instances(NAME).features.shape[1] == net.feature_size == load_extractor(net.info.features).width


def test_samples_are_nearer_to_their_own_instance_and_its_style(net):
    """Over all stored instances: the model is small, and one sample alone can be nearer to another instance."""
    many = open_instances(NAME)
    features = torch.stack([many.feature(i) for i in range(len(many))])
    images = torch.cat([as_bytes(one.image) for one in generate(net, range(len(many)), features)])
    found = unit(torch.from_numpy(load_extractor(net.info.features)(images)))
    likeness = found @ features.T                                                   # [samples of, compared with]
    assert likeness.diagonal().mean() > likeness.mean() + 0.03
    gaps = torch.cdist(found[:, LITE0:], features[:, LITE0:])                       # of colours
    assert gaps.diagonal().mean() < 0.5 * gaps.mean()
    styles = np.array([name.split("-family")[0] for name in many.names])
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
    extractor = load_extractor(net.info.features)
    every = rank(net, range(10), feature, extractor, 10)
    assert [one.seed for one in rank(net, range(10), feature, extractor, 3)] == [one.seed for one in every[:3]]
    assert every[0].distance < every[-1].distance
