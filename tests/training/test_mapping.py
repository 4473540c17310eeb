"""The mapping fitted to the encoder draws what the encoder makes of pictures."""
import pytest
import torch

from comod_core import CoModError, stylemaps
from comod_core.networks import StyleMapConfig, StyleMapGAN
from comod_core.training.mapping import GAIN, SLOPE, fit_mapping


@pytest.mark.parametrize("layers", [1, 3])
def test_samples_have_the_mean_and_the_spread_of_encoded_maps(layers):
    torch.manual_seed(0)
    net = StyleMapGAN(StyleMapConfig(resolution=16, style_size=4, style_channels=8, mapping_layers=layers,
                                     channels=(16, 16, 8))).eval().requires_grad_(False)
    shades = torch.randn(200, 6)        # pictures of six degrees of freedom, fewer than z has
    images = torch.einsum("nk,kchw->nchw", shades, torch.randn(6, 3, 16, 16)) * 0.1
    decoder = {name: value.clone() for name, value in net.state_dict().items() if not name.startswith("mapping")}
    share = fit_mapping(net, images)
    assert 0.9 < share <= 1
    drawn = net.map(torch.randn(4000, net.z_dim))
    wanted, found = (torch.where(x > 0, x, x / SLOPE).flatten(1) / GAIN for x in (net.encode(images), drawn))
    assert torch.allclose(found.mean(0), wanted.mean(0), atol=0.05 * wanted.std())
    assert found.std(0).mean() == pytest.approx(wanted.std(0).mean().item(), rel=0.1)
    mean = stylemaps.sample(net, [1], psi=0)
    assert torch.allclose(mean.flatten(), net.w_avg) and net.w_avg.std() > 0
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in decoder.items() if name != "w_avg")


def test_too_few_pictures_are_refused():
    net = StyleMapGAN(StyleMapConfig(resolution=16, style_size=4, style_channels=8, channels=(16, 16, 8)))
    with pytest.raises(CoModError, match="more than 8"):
        fit_mapping(net, torch.zeros(8, 3, 16, 16))
