"""The BigGAN networks: plans, conditions, normalisation, spectral norm, errors. Parity: tests/checkpoints."""
from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from comod_core.errors import CoModError
from comod_core.networks import BigGANConfig, BigGANDiscriminator, BigGANGenerator
from comod_core.networks.biggan import ConditionalNorm, SelfAttention, fold_spectral_norm, initialise, spectral_norm

TINY = BigGANConfig(32, 4, 20, feature_size=30, feature_dim=6, label_size=7, label_dim=5, attention=(16,))


def inputs(count=2):
    torch.manual_seed(1)
    return torch.randn(count, 20), torch.randn(count, 30), torch.eye(7)[:count]


def generator(config=TINY):
    torch.manual_seed(0)
    net = initialise(BigGANGenerator(config)).eval().requires_grad_(False)
    for block in net.blocks:
        if block.attention is not None:
            block.attention.gamma.fill_(0.5)
    return net


@pytest.mark.parametrize("resolution", [32, 64, 128, 256, 512])
def test_every_size(resolution):
    blocks = {32: 3, 64: 4, 128: 5, 256: 6, 512: 7}[resolution]
    config = BigGANConfig(resolution, 2, 2 * (blocks + 1), feature_size=8, feature_dim=4, attention=(16,))
    net, critic = generator(config), BigGANDiscriminator(config).eval()
    assert len(net.blocks) == blocks and config.plan[-1][2] == resolution and config.critic_plan[-1][2] in (4, 8)
    if resolution <= 128:
        image = net.generate(torch.randn(1, config.z_dim), torch.randn(1, 8))
        assert image.shape == (1, 3, resolution, resolution) and image.abs().max() <= 1
        assert critic(image, torch.randn(1, 8)).shape == (1, 1)


def test_the_published_256_has_its_published_layers():
    with torch.device("meta"):
        net = BigGANGenerator(BigGANConfig(label_size=1000))
    widths = [(block.conv0.in_channels // 96, block.conv0.out_channels // 96) for block in net.blocks]
    assert widths == [(16, 16), (16, 8), (8, 8), (8, 4), (4, 2), (2, 1)]
    assert [block.attention is not None for block in net.blocks] == [False, False, False, True, False, False]
    assert net.blocks[0].norm0.gain.in_features == 128 + 512 + 17 and net.linear.out_features == 1536 * 16
    assert net.blocks[3].attention.theta.out_channels == 384 // 8


def test_chunks_of_z_go_to_their_blocks():
    """The last chunk changes what the last block makes and nothing before it."""
    net = generator()
    seen = []
    for block in net.blocks:
        block.register_forward_hook(lambda module, args, out: seen.append(out))
    z, feature, label = inputs(1)
    net.generate(z, feature, label)
    other = z.clone()
    other[:, 15:] += 1
    net.generate(other, feature, label)
    assert torch.equal(seen[0], seen[3]) and torch.equal(seen[1], seen[4]) and not torch.equal(seen[2], seen[5])


def test_conditional_normalisation_is_the_papers():
    torch.manual_seed(0)
    norm = ConditionalNorm(3, 4, 1e-5).eval()
    norm.mean.normal_()
    norm.var.uniform_(0.5, 2)
    x, y = torch.randn(2, 3, 5, 5), torch.randn(2, 4)
    normal = (x - norm.mean[:, None, None]) / (norm.var[:, None, None] + 1e-5).sqrt()
    gain, bias = 1 + y @ norm.gain.weight.t(), y @ norm.bias.weight.t()
    torch.testing.assert_close(norm(x, y), normal * gain[:, :, None, None] + bias[:, :, None, None])
    before = norm.mean.clone()
    norm.train()(x, y)
    torch.testing.assert_close(norm.mean, 0.9 * before + 0.1 * x.mean(dim=(0, 2, 3)))


def test_self_attention_by_loops():
    torch.manual_seed(0)
    layer = SelfAttention(8)
    layer.gamma.data.fill_(0.7)
    x = torch.randn(1, 8, 4, 4)
    q, k, v = layer.theta(x), F.max_pool2d(layer.phi(x), 2), F.max_pool2d(layer.g(x), 2)
    found = torch.zeros(1, 4, 4, 4)
    for row in range(4):
        for column in range(4):
            likeness = torch.stack([(q[0, :, row, column] * k[0, :, i, j]).sum() for i in range(2) for j in range(2)])
            shares = likeness.softmax(0)
            found[0, :, row, column] = sum(share * v[0, :, i // 2, i % 2] for i, share in enumerate(shares))
    torch.testing.assert_close(layer(x), x + 0.7 * layer.o(found))


def test_conditions_and_psi_matter_and_noise_mode_does_not():
    net = generator()
    z, feature, label = inputs()
    image = net.generate(z, feature, label)
    assert not torch.allclose(image, net.generate(z, feature.flip(0), label))
    assert not torch.allclose(image, net.generate(z, feature, label.flip(0)))
    torch.testing.assert_close(net.generate(z, feature, label, psi=0.5), net.generate(z * 0.5, feature, label))
    assert torch.equal(net.generate(z, feature, label, psi=0), net.generate(z * 0, feature, label))
    assert torch.equal(image, net.generate(z, feature, label, noise_mode="none"))
    one = net.generate(z, feature[:1], label[:1])
    torch.testing.assert_close(one[:1], net.generate(z[:1], feature[:1], label[:1]), atol=1e-5, rtol=1e-4)


def test_projection():
    """The score's dependence on the condition is linear in it, by the discriminator's own features."""
    torch.manual_seed(0)
    critic = BigGANDiscriminator(TINY).eval()
    image = torch.rand(2, 3, 32, 32)
    _, feature, label = inputs()
    zero = critic(image, feature * 0, label * 0)
    by_feature, by_label = critic(image, feature, label * 0) - zero, critic(image, feature * 0, label) - zero
    torch.testing.assert_close(critic(image, feature, label) - zero, by_feature + by_label, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(critic(image, 2 * feature, label * 0) - zero, 2 * by_feature, atol=1e-4, rtol=1e-3)
    assert by_feature.abs().min() > 0 and by_label.abs().min() > 0


def test_spectral_norm_folds_into_the_same_network():
    net = generator().requires_grad_(True)
    spectral_norm(net)
    assert not hasattr(net.embed, "parametrizations")
    z, feature, label = inputs()
    net.train()
    for _ in range(20):
        net.generate(z, feature, label)
    net.eval()
    folded = fold_spectral_norm(net)
    assert not folded.training and fold_spectral_norm(net.train()).training is False and net.training
    net.eval()
    with torch.no_grad():
        torch.testing.assert_close(folded.generate(z, feature, label), net.generate(z, feature, label))
    for layer in folded.modules():
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)) and layer is not folded.embed:
            assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2) < 1.05
    assert {key: value.shape for key, value in folded.state_dict().items()} == {
        key: value.shape for key, value in generator().state_dict().items()}


def test_gradients_reach_everything():
    net, critic = generator().requires_grad_(True).train(), BigGANDiscriminator(TINY)
    z, feature, label = inputs()
    critic(net(z, feature, label), feature, label).sum().backward()
    for name, parameter in [*net.named_parameters(), *critic.named_parameters()]:
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        # a discriminator's attention starts at gamma 0; batch statistics make these biases idle
        idle = name.endswith(("gamma", "theta.weight", "phi.weight", "g.weight", "o.weight", "conv0.bias"))
        assert parameter.grad.abs().sum() > 0 or idle, name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_number_formats(dtype):
    image = generator().to(dtype).generate(*inputs())
    assert image.dtype == dtype and torch.isfinite(image).all()


@pytest.mark.parametrize(("call", "words"), [
    (lambda net, z, f, c: net.generate(z[:, :19], f, c), "N,20"),
    (lambda net, z, f, c: net.generate(z, None, c), "feature is missing"),
    (lambda net, z, f, c: net.generate(z, f), "label is missing"),
    (lambda net, z, f, c: net.generate(z, f[:, 1:], c), "2,30"),
    (lambda net, z, f, c: net.generate(z, f, torch.eye(7)[:3]), r"label has shape \[3, 7\]"),
    (lambda net, z, f, c: net.generate(z, f, c, noise_mode="loud"), "noise_mode 'loud'"),
    (lambda net, z, f, c: generator(dataclasses.replace(TINY, label_size=0)).generate(z, f, c), "takes no label")])
def test_wrong_inputs_are_named(call, words):
    with pytest.raises(CoModError, match=words):
        call(generator(), *inputs())


@pytest.mark.parametrize("values", [
    {"resolution": 48}, {"resolution": "32"}, {"z_dim": 21}, {"channels": 0}, {"channels": 1.5}, {"feature_size": -1},
    {"attention": (0,)}, {"bn_eps": 0}, {"critic_channels": 0}])
def test_impossible_configurations(values):
    with pytest.raises(CoModError):
        dataclasses.replace(TINY, **values)
