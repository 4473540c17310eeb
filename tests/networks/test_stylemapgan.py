"""The StyleMapGAN networks: shapes, switches, gradients, errors. Parity with published files: tests/checkpoints."""
from __future__ import annotations

import dataclasses

import pytest
import torch

from comod_core.errors import CoModError
from comod_core.networks import StyleMapConfig, StyleMapDiscriminator, StyleMapGAN
from comod_core.networks.stylemapgan import SpatialConv

TINY = StyleMapConfig(32, 8, 6, 3, channels=(16, 14, 12, 10))


def network(config=TINY, seed=0):
    torch.manual_seed(seed)
    return StyleMapGAN(config).eval().requires_grad_(False)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize(("resolution", "style_size"), [(32, 4), (32, 16), (64, 8), (128, 32), (256, 8)])
def test_every_size(resolution, style_size, small):
    count = resolution.bit_length() - 2
    config = StyleMapConfig(resolution, style_size, 6, 2, channels=tuple(range(4 + count, 4, -1)), small=small)
    net = network(config)
    maps = net.map(torch.randn(2, 6))
    assert maps.shape == (2, 6, style_size, style_size)
    levels = net.expand(maps)
    sizes = [style_size] * 2 + [size for level in config.levels for size in (level, level)]
    assert [level.shape[-1] for level in levels] == sizes
    assert {level.shape[1] for level in levels} == ({6} if small else {config.features(size) for size in sizes})
    image = net.decode(levels)
    assert image.shape == (2, 3, resolution, resolution) and torch.isfinite(image).all()
    assert torch.equal(image, net.decode(maps))
    assert net.encode(image.clamp(-1, 1)).shape == maps.shape
    assert StyleMapDiscriminator(config)(image).shape == (2, 1)


def test_the_published_size_has_its_published_layers():
    with torch.device("meta"):
        net = StyleMapGAN(StyleMapConfig())
    assert net.resolution == 256 and net.z_dim == 64 and net.w_avg.shape == (64 * 8 * 8,)
    assert len(net.mapping) == 8 and len(net.decoder.resizer) == 12 and len(net.decoder.blocks) == 5
    assert net.decoder.blocks[-1].conv1.conv.weight.shape == (128, 128, 3, 3)
    assert net.decoder.resizer[2].weight.shape == (512, 512, 3, 3)
    with torch.device("meta"):
        small = StyleMapGAN(dataclasses.replace(StyleMapConfig(), small=True))
    assert {layer.weight.shape[0] for layer in small.decoder.resizer} == {64}
    assert small.decoder.blocks[0].conv0.gamma.weight.shape == (512, 64, 3, 3)


def test_modulation_is_layer_normalisation_then_gamma_and_beta():
    torch.manual_seed(0)
    layer = SpatialConv(5, 7, 3)
    x, style = torch.randn(2, 5, 8, 8) * 3 + 1, torch.randn(2, 3, 8, 8)
    flat = x.flatten(1)
    normal = ((flat - flat.mean(dim=1, keepdim=True)) / (flat.var(dim=1, correction=0, keepdim=True) + 1e-5).sqrt())
    expected = layer.conv(normal.reshape(x.shape) * layer.gamma(style) + layer.beta(style))
    torch.testing.assert_close(layer(x, style), expected)


def test_a_fresh_modulation_leaves_features_as_they_are():
    layer = SpatialConv(5, 5, 3)
    assert (layer.gamma.bias == 1).all() and (layer.beta.bias == 0).all()
    zero = torch.zeros(1, 3, 4, 4)
    assert (layer.gamma(zero) == 1).all() and (layer.beta(zero) == 0).all()


def test_the_style_map_acts_at_its_place():
    """A change of one corner cell moves pixels there more than in the opposite corner."""
    net = network(StyleMapConfig(64, 8, 6, 3, channels=(16,) * 5))
    maps = net.map(torch.randn(1, 6))
    other = maps.clone()
    other[..., 0, 0] += 3
    change = (net.decode(maps) - net.decode(other)).abs().mean(dim=1)[0]
    assert change[:16, :16].mean() > 5 * change[-16:, -16:].mean()


def test_rows_of_a_batch_do_not_mix():
    net = network()
    maps = net.map(torch.randn(3, 6))
    together, alone = net.decode(maps), net.decode(maps[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("small", [False, True])
def test_gradients_reach_everything(small):
    torch.manual_seed(0)
    config = dataclasses.replace(TINY, small=small)
    net, critic = StyleMapGAN(config), StyleMapDiscriminator(config)
    image = torch.rand(2, 3, 32, 32).requires_grad_()
    loss = critic(net.decode(net.map(torch.randn(2, 6)))).sum() + net.decode(net.encode(image)).square().sum()
    loss.backward()
    for name, parameter in [*net.named_parameters(), *critic.named_parameters(), ("image", image)]:
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0 or name == "output.bias", name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_number_formats(dtype):
    net = network().to(dtype)
    image = net.decode(net.map(torch.randn(1, 6, dtype=dtype)))
    assert image.dtype == dtype and torch.isfinite(image).all()
    assert net.encode(torch.rand(1, 3, 32, 32)).dtype == dtype


@pytest.mark.parametrize(("call", "words"), [
    (lambda net: net.encode(torch.zeros(1, 3, 64, 64)), "32,32"),
    (lambda net: net.encode(torch.zeros(3, 32, 32)), "N,3"),
    (lambda net: net.encode(torch.zeros(1, 4, 32, 32)), "3,32"), (lambda net: net.map(torch.zeros(1, 7)), "N,6"),
    (lambda net: net.map(torch.zeros(6)), "N,6"), (lambda net: net.expand(torch.zeros(1, 6, 4, 4)), "6,8,8"),
    (lambda net: net.decode(torch.zeros(1, 5, 8, 8)), "6,8,8")])
def test_wrong_shapes_are_named(call, words):
    with pytest.raises(CoModError, match=words):
        call(network())


@pytest.mark.parametrize("values", [
    {"resolution": 64}, {"style_size": 32}, {"style_size": 12}, {"style_size": 2}, {"channels": ()},
    {"channels": (16,)}, {"channels": (16, 0, 16, 16)}, {"channels": (16, 1.5, 16, 16)}, {"channels": "abcd"},
    {"mapping_layers": 0},
    {"style_channels": -1}, {"image_channels": 0}, {"resolution": "32"}])
def test_impossible_configurations(values):
    with pytest.raises(CoModError):
        dataclasses.replace(TINY, **values)
