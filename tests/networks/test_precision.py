"""Mixed precision: which layers compute in half, that pictures stay close, and what CUDA graphs keep of a call."""
import pytest
import torch

from comod_core import graphs
from comod_core.errors import CoModError
from comod_core.loading import load_model
from comod_core.networks import (
    BigGANConfig,
    BigGANGenerator,
    CoModConfig,
    CoModGenerator,
    Encoding,
    StyleGAN2Config,
    StyleGAN2Generator,
    StyleMapConfig,
    StyleMapGAN,
)
from comod_core.precision import use_half

COMOD = CoModConfig(resolution=32, z_dim=8, w_dim=8, mapping_layers=1, mapping_fmaps=8, fmap_base=128, fmap_max=16)


def small(make):
    torch.manual_seed(0)
    return make().eval().requires_grad_(False)


NETWORKS = {"comodgan": lambda: CoModGenerator(COMOD),
            "stylegan2": lambda: StyleGAN2Generator(StyleGAN2Config(resolution=32, channels=(8, 8, 8, 8), z_dim=8,
                                                                    w_dim=8, mapping_layers=1)),
            "stylemapgan": lambda: StyleMapGAN(StyleMapConfig(resolution=32, style_size=4, style_channels=4,
                                                              mapping_layers=1, channels=(8, 8, 8, 8)))}


def run(name: str, net, seen: list) -> torch.Tensor:
    for layer in net.modules():
        if hasattr(layer, "compute"):
            layer.register_forward_hook(lambda layer, given, made: seen.append((made.shape[-1], made.dtype)))
    torch.manual_seed(1)
    with torch.no_grad():
        if name == "comodgan":
            image, mask = torch.rand(1, 3, 32, 32) * 2 - 1, torch.ones(1, 1, 32, 32)
            return net.decode(net.encode(image, mask, dropout=False), net.map(torch.randn(1, 8)))
        z = torch.randn(1, net.z_dim)
        return net.decode(net.map(z)) if name == "stylegan2" else net.decode(net.encode(torch.randn(1, 3, 32, 32)))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_highest_resolutions_are_half_and_the_picture_stays(name):
    seen: list = []
    with torch.enable_grad():
        full = run(name, small(NETWORKS[name]), seen)
    assert {dtype for _, dtype in seen} <= {torch.float32}
    net, seen = use_half(small(NETWORKS[name]), blocks=2), []
    from comod_core.networks.fast import plain_form

    with plain_form():
        mixed = run(name, net, seen)
    assert {dtype for side, dtype in seen if side == 32} == {torch.float16}
    assert {dtype for side, dtype in seen if side <= 4} == {torch.float32}
    assert (mixed.float() - full).abs().max() < 0.02 * full.abs().max()
    assert all(layer.compute is None for layer in use_half(net, 0).modules() if hasattr(layer, "compute"))


def test_half_layers_are_clamped():
    net = use_half(small(NETWORKS["stylegan2"]), blocks=2, clamp=0.1)
    assert net.synthesis.b32.conv1.clamp == 0.1 and net.synthesis.b4.conv.clamp is None
    x = net.synthesis.b32.conv1(torch.randn(1, 8, 32, 32), torch.randn(1, 8))
    assert x.abs().max() <= 0.1001 and x.dtype == torch.float16


def test_what_cannot_mix_is_refused():
    net = small(lambda: BigGANGenerator(BigGANConfig(resolution=32, channels=2, z_dim=8)))
    with pytest.raises(CoModError, match="BigGANGenerator has no layers that mix"):
        use_half(net)
    with pytest.raises(CoModError, match="mixed precision is for GPUs"):
        load_model("avatars-64", dtype="mixed")
    assert load_model("avatars-64", dtype="bfloat16").w_avg.dtype == torch.bfloat16


def test_graphs_need_a_gpu_and_know_a_call_by_its_shapes():
    with pytest.raises(CoModError, match="need the network on a CUDA device"):
        graphs.use_cuda_graphs(small(NETWORKS["stylegan2"]))
    x = torch.ones(1, 2)
    encoding = Encoding(x, x + 1, {4: x + 2}, x + 3, None)
    leaves, copies = [], []
    shape = graphs.flatten(((encoding, x), {"noise_mode": "const"}), leaves)
    assert hash(shape) == hash(graphs.flatten(((encoding, x * 5), {"noise_mode": "const"}), []))
    assert [part[0, 0].item() for part in leaves] == [1, 2, 3, 4, 1]
    again, _ = graphs.rebuild((encoding, {"noise_mode": "const"}), copies)
    assert [part[0, 0].item() for part in copies] == [1, 2, 3, 4]
    assert again.code is copies[1] and again.skips[4] is copies[2] and again.mask is None
    assert not graphs.recordable(shape, leaves, x), "nothing is recorded on a CPU"
