"""The StyleGAN2 networks: shapes, conditions, truncation, mixing, clamps, gradients. Parity: tests/checkpoints."""
from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from comod_core import latents
from comod_core.errors import CoModError
from comod_core.networks import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator
from comod_core.networks.layers import normalize_2nd_moment
from comod_core.networks.stylegan2 import ConditionedMapping

PLAIN = StyleGAN2Config(32, (16, 14, 12, 10), 8, 12, mapping_layers=2)
BOTH = dataclasses.replace(PLAIN, label_size=5, feature_size=20, critic_mapping_layers=2)


def generator(config=PLAIN):
    torch.manual_seed(0)
    net = StyleGAN2Generator(config).eval().requires_grad_(False)
    for name, value in net.state_dict().items():
        if name.endswith("noise_strength"):
            value.fill_(0.3)
    net.w_avg.normal_()
    return net


@pytest.mark.parametrize("resolution", [8, 32, 64, 128, 512])
def test_every_size(resolution):
    count = resolution.bit_length() - 2
    config = StyleGAN2Config(resolution, tuple(range(4 + count, 4, -1)), 6, 6, mapping_layers=2)
    net = generator(config)
    image = net.generate(torch.randn(1, 6))
    assert image.shape == (1, 3, resolution, resolution) and torch.isfinite(image).all()
    assert net.map(torch.randn(2, 6)).shape == (2, 2 * int(math.log2(resolution)) - 2, 6)
    assert StyleGAN2Discriminator(config)(image).shape == (1, 1)


def test_mapping_is_the_papers():
    torch.manual_seed(0)
    mapping = ConditionedMapping(8, 12, 1, 5, 20, lr_mul=0.1)
    for parameter in mapping.parameters():
        torch.nn.init.normal_(parameter)
    z, label, feature = torch.randn(3, 8), torch.eye(5)[:3], torch.randn(3, 20)
    by_label = label @ mapping.label.weight.t() / math.sqrt(5) + mapping.label.bias
    by_feature = feature @ mapping.feature.weight.t() / math.sqrt(20) + mapping.feature.bias
    x = torch.cat([normalize_2nd_moment(z), normalize_2nd_moment(torch.cat([by_label, by_feature], 1))], 1)
    x = x @ mapping.dense[0].weight.t() * 0.1 / math.sqrt(8 + 24) + mapping.dense[0].bias * 0.1
    expected = torch.nn.functional.leaky_relu(x, 0.2) * math.sqrt(2)
    torch.testing.assert_close(mapping(z, label, feature), expected)


def test_seeds_truncation_and_style_mixing():
    net = generator()
    w = latents.sample(net, [3, 4])
    torch.testing.assert_close(net.generate(latents_z(net, 3), psi=0.6),
                               net.decode(latents.truncate(w[:1], net.w_avg, 0.6)), atol=1e-5, rtol=1e-4)
    average = net.decode(net.w_avg.expand(1, net.num_layers, -1))
    torch.testing.assert_close(net.generate(torch.randn(1, 8), psi=0), average, atol=1e-5, rtol=1e-4)
    mixed = net.decode(latents.mix(w[:1], w[1:], range(4, net.num_layers)))
    pictures = net.decode(w)
    assert not torch.allclose(mixed, pictures[:1]) and not torch.allclose(mixed, pictures[1:])


def latents_z(net, seed):
    return torch.randn(1, net.z_dim, generator=latents.generators([seed])[0])


def test_noise_modes():
    net, z = generator(), torch.randn(2, 8)
    const, none = net.generate(z), net.generate(z, noise_mode="none")
    assert torch.equal(const, net.generate(z)) and not torch.allclose(const, none)
    random = [net.generate(z, noise_mode="random", generators=latents.generators([1, 2], "noise")) for _ in range(2)]
    assert torch.equal(*random) and not torch.allclose(random[0], const)
    with pytest.raises(CoModError, match="noise_mode"):
        net.generate(z, noise_mode="loud")


def test_conditions_matter():
    net = generator(BOTH)
    z, feature, label = torch.randn(2, 8), torch.randn(2, 20), torch.eye(5)[:2]
    image = net.generate(z, feature, label)
    assert not torch.allclose(image, net.generate(z, feature.flip(0), label))
    assert not torch.allclose(image, net.generate(z, feature, label.flip(0)))
    critic = StyleGAN2Discriminator(BOTH).eval()
    assert not torch.allclose(critic(image, feature, label), critic(image, feature.flip(0), label))
    assert not torch.allclose(critic(image, feature, label), critic(image, feature, label.flip(0)))


def test_clamps_hold_every_layer():
    """With a clamp at c no layer's output and no term of the picture is larger than c."""
    net = generator(dataclasses.replace(PLAIN, clamp=0.05))
    image, free = net.generate(torch.randn(4, 8)), generator().generate(torch.randn(4, 8))
    assert image.abs().max() <= 0.05 * 4 * 1.3 < free.abs().max()
    torch.testing.assert_close(generator(dataclasses.replace(PLAIN, clamp=1e6)).generate(torch.ones(1, 8)),
                               generator().generate(torch.ones(1, 8)))
    torch.manual_seed(0)
    free = StyleGAN2Discriminator(PLAIN).eval()
    tight = StyleGAN2Discriminator(dataclasses.replace(PLAIN, clamp=0.1)).eval()
    tight.load_state_dict(free.state_dict())
    assert not torch.allclose(free(image * 9), tight(image * 9))


@pytest.mark.parametrize("config", [PLAIN, BOTH])
def test_gradients_reach_everything(config):
    net, critic = generator(config).requires_grad_(True).train(), StyleGAN2Discriminator(config)
    feature, label = (torch.randn(4, 20), torch.eye(5)[:4]) if config is BOTH else (None, None)
    critic(net(torch.randn(4, 8), feature, label), feature, label).sum().backward()
    for name, parameter in [*net.named_parameters(), *critic.named_parameters()]:
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("config", "call", "words"), [
    (PLAIN, lambda net: net.generate(torch.zeros(1, 9)), "N,8"), (PLAIN, lambda net: net.map(torch.zeros(8)), "N,8"),
    (PLAIN, lambda net: net.generate(torch.zeros(1, 8), torch.zeros(1, 20)), "takes no feature"),
    (BOTH, lambda net: net.generate(torch.zeros(1, 8), torch.zeros(1, 20)), "label is missing"),
    (BOTH, lambda net: net.generate(torch.zeros(1, 8), None, torch.zeros(1, 5)), "feature is missing"),
    (BOTH, lambda net: net.map(torch.zeros(2, 8), torch.zeros(2, 4), torch.zeros(2, 20)), "2,5"),
    (PLAIN, lambda net: net.decode(torch.zeros(1, 3, 12)), "N,8,12")])
def test_wrong_inputs_are_named(config, call, words):
    with pytest.raises(CoModError, match=words):
        call(generator(config))


@pytest.mark.parametrize("values", [
    {"resolution": 64}, {"channels": (16,)}, {"channels": (16, 0, 12, 10)}, {"channels": "abcd"}, {"clamp": 0},
    {"clamp": -1.0}, {"mapping_layers": 0}, {"critic_channels": (16, 14)}, {"critic_mapping_layers": 65},
    {"feature_size": -1}, {"mapping_lr_mul": 0}])
def test_impossible_configurations(values):
    with pytest.raises(CoModError):
        dataclasses.replace(PLAIN, **values)
