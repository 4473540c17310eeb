"""pix2pix and SPADE: shapes, noise from seeds alone, the condition counts, files, errors."""
from __future__ import annotations

import pytest
import torch

from comod_core.checkpoints.store import load_networks, save_networks
from comod_core.errors import CoModError
from comod_core.networks import (
    Pix2PixConfig,
    Pix2PixDiscriminator,
    Pix2PixGenerator,
    SpadeConfig,
    SpadeDiscriminator,
    SpadeGenerator,
)
from comod_core.networks.spade import SpectralConv2d

UNET = Pix2PixConfig(16, 3, 2, unet_channels=4, unet_max=8, patch_channels=4, patch_layers=1)
SPADE = SpadeConfig(16, 3, 5, 6, spade_channels=4, spade_max=8, spade_hidden=4, patch_channels=4, patch_layers=1)


def made(kind, config):
    torch.manual_seed(0)
    return kind(config).eval().requires_grad_(False)


def draws(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def condition(channels, count=3):
    return torch.randn(count, channels, 16, 16, generator=torch.Generator().manual_seed(3))


def test_unet_halves_down_to_one_pixel():
    assert Pix2PixConfig().widths == [64, 128, 256, 512, 512, 512, 512, 512]
    net = made(Pix2PixGenerator, UNET)
    assert net.translate(condition(2), draws(1, 2, 3)).shape == (3, 3, 16, 16)
    assert len(net.down) == len(net.up) == 4 and net.up[-1].norm is None


def test_unet_dropout_is_the_noise_and_comes_from_the_seed_alone():
    net, given = made(Pix2PixGenerator, UNET), condition(2)
    whole = net.translate(given, draws(1, 2, 3))
    assert torch.equal(whole, net.translate(given, draws(1, 2, 3)))
    assert not torch.allclose(whole[0], net.translate(given, draws(9, 2, 3))[0])
    alone = net.translate(given[1:2], draws(2))
    assert torch.allclose(whole[1], alone[0], atol=1e-5)
    still = [net.translate(given, draws(seed, seed, seed), dropout=False) for seed in (1, 2)]
    assert torch.equal(*still)
    with pytest.raises(CoModError, match="3 samples but 2"):
        net.translate(given, draws(1, 2))


def test_spade_takes_z_and_condition():
    net, given = made(SpadeGenerator, SPADE), condition(5)
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    whole = net.translate(given, z)
    assert whole.shape == (3, 3, 16, 16) and whole.abs().max() <= 1
    assert torch.allclose(whole[1], net.translate(given[1:2], z[1:2])[0], atol=1e-5)
    assert not torch.allclose(whole[1], net.translate(given[1:2], z[:1])[0], atol=1e-3)
    assert not torch.allclose(whole[1], net.translate(given[:1], z[1:2])[0], atol=1e-3)
    assert torch.allclose(net.translate(given[:1], z)[2], net.translate(given[:1], z[2:])[0], atol=1e-5)
    assert SpadeConfig().widths == [1024, 1024, 1024, 512, 256, 128, 64]


def test_spectral_norm_is_the_largest_singular_value():
    torch.manual_seed(0)
    layer = SpectralConv2d(3, 8).train()
    with torch.no_grad():
        layer.weight.mul_(7)
    for _ in range(60):
        layer(torch.zeros(1, 3, 4, 4))
    before = layer.direction.clone()
    layer.eval()
    x = torch.randn(1, 3, 6, 6)
    sigma = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
    wanted = torch.nn.functional.conv2d(x, layer.weight / sigma, layer.bias, 1, 1)
    assert torch.allclose(layer(x), wanted, atol=1e-4) and torch.equal(layer.direction, before)


@pytest.mark.parametrize(("kind", "config"), [(Pix2PixDiscriminator, UNET), (SpadeDiscriminator, SPADE)])
def test_discriminators_score_patches_of_pairs(kind, config):
    torch.manual_seed(0)
    net, image = kind(config), torch.randn(2, 3, 16, 16)
    given = condition(config.condition_channels, 2)
    scores = net(image, given)
    assert scores.shape[0] == 2 and scores.shape[1] > 4
    assert not torch.allclose(scores, net(image, given.flip(0)), atol=1e-3)
    judged, features = net.judge(image, given)
    assert torch.allclose(judged, scores, atol=1e-4)
    assert len(features) >= 2 and all(len(one) == 2 for one in features)


@pytest.mark.parametrize(("kind", "critic", "config"), [(Pix2PixGenerator, Pix2PixDiscriminator, UNET),
                                                        (SpadeGenerator, SpadeDiscriminator, SPADE)])
def test_files(tmp_path, kind, critic, config):
    net, judge = made(kind, config), made(critic, config)
    path = save_networks(tmp_path / "net.safetensors", {"generator": net, "discriminator": judge}, {"licence": "none"})
    networks, facts = load_networks(path)
    assert networks["generator"].config == config and isinstance(networks["discriminator"], critic)
    for name, value in net.state_dict().items():
        assert torch.equal(value, networks["generator"].state_dict()[name])


def test_errors():
    with pytest.raises(CoModError, match="power of two"):
        Pix2PixConfig(48)
    with pytest.raises(CoModError, match="patch_layers"):
        Pix2PixConfig(16, patch_layers=3)
    with pytest.raises(CoModError, match="patch_scales"):
        SpadeConfig(16, patch_layers=3)
    with pytest.raises(CoModError, match="takes \\[N,2,16,16\\]"):
        made(Pix2PixGenerator, UNET).translate(condition(3))
    with pytest.raises(CoModError, match="z has shape"):
        made(SpadeGenerator, SPADE).translate(condition(5), torch.randn(2, 6))
