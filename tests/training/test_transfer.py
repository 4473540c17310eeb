"""What a wider network takes of a narrow one: it does the same at first."""
import pytest
import torch

from comod_core.networks import CoModConfig
from comod_core.networks.discriminator import CoModDiscriminator
from comod_core.networks.spade import SpadeConfig, SpadeGenerator
from comod_core.networks.stylegan2 import StyleGAN2Config, StyleGAN2Generator
from comod_core.training.transfer import take


def w_of(net):
    return torch.randn(2, net.num_layers, net.w_dim, generator=torch.Generator().manual_seed(0))


def stylegan(channels):
    torch.manual_seed(len(channels) + channels[-1])
    return StyleGAN2Generator(StyleGAN2Config(resolution=16, channels=channels, z_dim=8, w_dim=8, mapping_layers=2))


@pytest.mark.parametrize(("narrow", "wide", "does"), [
    (stylegan((8, 6, 4)), stylegan((16, 12, 8)), lambda net: net.decode(w_of(net), "none")),
    (CoModDiscriminator(CoModConfig(resolution=16, fmap_base=64, fmap_max=16)),
     CoModDiscriminator(CoModConfig(resolution=16, fmap_base=128, fmap_max=16)),
     lambda net: net(torch.linspace(-1, 1, 2 * 3 * 256).view(2, 3, 16, 16), torch.zeros(2, 1, 16, 16))),
], ids=["stylegan2", "discriminator"])
def test_a_wider_network_does_what_the_narrow_one_did(narrow, wide, does):
    before = does(wide).detach()
    assert take(wide, narrow) == []
    after, wanted = does(wide).detach(), does(narrow).detach()
    torch.testing.assert_close(after, wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before, wanted, atol=1e-2)


def test_a_narrower_network_and_another_condition_take_what_is_alike():
    wide, narrow = stylegan((16, 12, 8)), stylegan((8, 6, 4))
    assert "synthesis.b8.conv1.weight" in take(narrow, wide)
    config = {"resolution": 16, "fmap_base": 64, "fmap_max": 16}
    five, seven = (CoModDiscriminator(CoModConfig(pix2pix=True, condition_channels=n, **config)) for n in (5, 7))
    assert take(seven, five) == ["from_rgb.weight"]       # the channels of another condition mean other things


def test_networks_of_other_kinds_take_nothing_by_leading_channels():
    small, large = (SpadeGenerator(SpadeConfig(resolution=16, condition_channels=3, z_dim=4, spade_channels=n,
                                               spade_max=16, spade_hidden=4, patch_layers=1)) for n in (4, 8))
    assert any(name.endswith("conv0.weight") for name in take(large, small))
