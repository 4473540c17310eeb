"""The CoModGAN networks: shapes, switches, seeds, masks, gradients. Parity with published files: tests/checkpoints."""
import dataclasses

import pytest
import torch

from comod_core import CoModError, latents
from comod_core.networks import CoModConfig, CoModDiscriminator, CoModGenerator

SMALL = CoModConfig(resolution=32, z_dim=24, w_dim=20, mapping_layers=3, mapping_fmaps=16, fmap_base=128, fmap_max=24)


def network(seed=0, **changes):
    torch.manual_seed(seed)
    net = CoModGenerator(dataclasses.replace(SMALL, **changes)).eval().requires_grad_(False)
    for name, parameter in net.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.3)
    return net


def picture(n=2, r=32, seed=1):
    torch.manual_seed(seed)
    mask = torch.zeros(n, 1, r, r)
    mask[..., 4:r // 2, 6:r - 4] = 1
    return torch.rand(n, 3, r, r) * 2 - 1, mask


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256, 512, 1024])
def test_every_size(resolution):
    net = network(resolution=resolution, fmap_base=resolution, fmap_max=8)
    image, mask = picture(1, resolution)
    w = latents.sample(net, [0])
    assert net.num_layers == w.shape[1] == 2 * resolution.bit_length() - 4
    y = net.decode(net.encode(image, mask, dropout=False), w)
    assert y.shape == image.shape and torch.isfinite(y).all()


@pytest.mark.parametrize("resolution", [0, 48, 4, -64, 8192])
def test_wrong_sizes_are_refused(resolution):
    with pytest.raises(CoModError, match="power of two"):
        CoModConfig(resolution=resolution)


def test_feature_maps_follow_the_formula():
    config = CoModConfig()
    assert [config.channels(k) for k in range(1, 10)] == [512, 512, 512, 512, 512, 256, 128, 64, 32]
    assert CoModConfig(fmap_base=1000, fmap_decay=0.5, fmap_min=300).channels(3) == 353
    assert CoModConfig(fmap_base=1000, fmap_decay=0.5, fmap_min=300).channels(6) == 300


def test_published_size_has_the_published_number_of_parameters():
    # 79.8 M is what the public 512x512 networks hold
    with torch.device("meta"):
        net = CoModGenerator(CoModConfig())
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 1) == 79.8


def test_known_pixels_are_the_inputs_and_hidden_ones_do_not_matter():
    net, (image, mask) = network(), picture()
    w = latents.sample(net, [1, 2])
    y = net.decode(net.encode(image, mask, dropout=False), w)
    known = (mask == 0).expand_as(image)
    assert torch.equal(y[known], image[known])
    assert not torch.allclose(y[~known], image[~known])
    for hidden in (9.0, float("nan"), float("inf")):
        other = torch.where(mask > 0, torch.full_like(image, hidden), image)
        assert torch.equal(net.decode(net.encode(other, mask, dropout=False), w), y)


def test_mask_of_one_reads_as_hole():
    net, (image, _) = network(), picture()
    w, full = latents.sample(net, [1]), torch.ones(2, 1, 32, 32)
    y = net.decode(net.encode(image, full, dropout=False), w)
    torch.testing.assert_close(y[0], y[1])      # everything is hidden: both pictures complete alike
    assert torch.equal(net.decode(net.encode(image, 1 - full, dropout=False), w), image)


def test_one_encoding_serves_many_latents():
    net, (image, mask) = network(), picture(1)
    encoding, w = net.encode(image, mask, dropout=False), latents.sample(net, [1, 2, 3])
    together = net.decode(encoding, w)
    assert together.shape == (3, 3, 32, 32)
    for i in range(3):
        torch.testing.assert_close(together[i:i + 1], net.decode(encoding, w[i:i + 1]), rtol=1e-4, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_dropout_is_seeded_per_sample_and_can_be_switched_off():
    net, (image, mask) = network(), picture()
    g = lambda *seeds: latents.generators(seeds, "dropout")  # noqa: E731
    a = net.encode(image, mask, generators=g(5, 6))
    assert torch.equal(a.code, net.encode(image, mask, dropout=False).drop(g(5, 6)).code)
    torch.testing.assert_close(a[1].code, net.encode(image[1:], mask[1:], generators=g(6)).code)
    assert not torch.equal(a.code, net.encode(image, mask, generators=g(7, 8)).code)
    off = net.encode(image, mask, dropout=False)
    assert torch.equal(off.code, off.raw_code)
    ratio = a.code / off.raw_code
    assert set(ratio.unique().tolist()) == {0.0, 2.0}
    one = net.encode(image[:1], mask[:1], generators=g(1, 2, 3))
    assert one.code.shape[0] == len(one) == 3 and one.skips[32].shape[0] == 1
    with pytest.raises(CoModError, match="generators"):
        net.encode(image, mask, generators=g(1, 2, 3))


def test_indexing_an_encoding():
    net, (image, mask) = network(), picture(3)
    encoding = net.encode(image, mask, dropout=False)
    assert torch.equal(encoding[-1].code, encoding[2].code) and len(encoding[1]) == 1
    assert torch.equal(encoding[1].image, encoding.image[1:2])
    assert torch.equal(encoding[-2].skips[4], encoding.skips[4][1:2])
    with pytest.raises(IndexError):
        encoding[3]
    assert len(list(encoding)) == 3


def test_noise_modes():
    net, (image, mask) = network(), picture(1)
    encoding, w = net.encode(image, mask, dropout=False), latents.sample(net, [1, 2])
    const, none = net.decode(encoding, w), net.decode(encoding, w, "none")
    assert not torch.allclose(const, none)
    assert torch.equal(const, net.decode(encoding, w, "const"))
    first = net.decode(encoding, w, "random", latents.generators([3, 4], "noise"))
    assert torch.equal(first, net.decode(encoding, w, "random", latents.generators([3, 4], "noise")))
    alone = net.decode(encoding, w[1:], "random", latents.generators([4], "noise"))
    torch.testing.assert_close(first[1:], alone, rtol=1e-4, atol=1e-5)
    with pytest.raises(CoModError, match="noise_mode"):
        net.decode(encoding, w, "sometimes")


@pytest.mark.parametrize("switch", ["style_mod", "cond_mod"])
def test_modulation_switches(switch):
    net, (image, mask) = network(**{switch: False}), picture(1)
    width = net.synthesis.b8.conv0.mod.weight.shape[1]
    assert width == (2 * 24 if switch == "style_mod" else 20)
    y = net.decode(net.encode(image, mask, dropout=False), latents.sample(net, [1, 2]))
    same = torch.equal(y[0], y[1])
    assert same == (switch == "style_mod")       # without style modulation z changes nothing
    with pytest.raises(CoModError, match="both off"):
        CoModConfig(style_mod=False, cond_mod=False)


def test_labels():
    net = network(label_size=3)
    eye, z = torch.eye(3), torch.zeros(3, 24) + 0.5
    w = net.map(z, eye)
    assert not torch.allclose(w[0], w[1])
    assert torch.equal(latents.sample(net, [4, 5], label=eye[1])[1:], latents.sample(net, [5], label=eye[1:2]))
    with pytest.raises(CoModError, match="label"):
        net.map(z, torch.eye(4))
    with pytest.raises(CoModError, match="no labels"):
        network().map(z, eye)
    d = CoModDiscriminator(dataclasses.replace(SMALL, label_size=3))
    image, mask = picture(3)
    scores = d(image, mask, eye)
    assert scores.shape == (3, 1)
    torch.testing.assert_close(scores[0], d(image, mask, eye[[0, 0, 0]])[0])
    with pytest.raises(CoModError, match="labels"):
        d(image, mask)


def test_translation():
    net = network(pix2pix=True, condition_channels=5)
    y = net.decode(net.encode(torch.randn(2, 5, 32, 32), dropout=False), latents.sample(net, [1, 2]))
    assert y.shape == (2, 3, 32, 32)
    with pytest.raises(CoModError, match="no mask"):
        net.encode(torch.randn(1, 5, 32, 32), torch.zeros(1, 1, 32, 32))
    d = CoModDiscriminator(net.config)
    assert d(y, torch.randn(2, 5, 32, 32)).shape == (2, 1)


@pytest.mark.parametrize("image,mask", [((1, 3, 16, 16), (1, 1, 16, 16)), ((1, 4, 32, 32), (1, 1, 32, 32)),
                                        ((2, 3, 32, 32), (3, 1, 32, 32)), ((1, 3, 32, 32), (1, 32, 32))])
def test_wrong_shapes_are_refused(image, mask):
    with pytest.raises(CoModError, match="encode"):
        network().encode(torch.zeros(image), torch.zeros(mask))


def test_wrong_latents_are_refused():
    net, (image, mask) = network(), picture(2)
    encoding = net.encode(image, mask, dropout=False)
    with pytest.raises(CoModError, match="z has shape"):
        net.map(torch.zeros(2, 25))
    with pytest.raises(CoModError, match="w has shape"):
        net.decode(encoding, torch.zeros(2, 3, 20))
    with pytest.raises(CoModError, match="encodings"):
        net.decode(encoding, latents.sample(net, [1, 2, 3]))


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    net, d = CoModGenerator(SMALL), CoModDiscriminator(SMALL)
    image, mask = picture(4)
    fake = net(image, mask, torch.randn(4, 24))
    d(fake, mask).sum().backward()
    missing = [n for m in (net, d) for n, p in m.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a constant added to every score of a batch has a gradient; strengths of noise too
    assert missing == []


def test_second_gradient_of_the_discriminator():
    d = CoModDiscriminator(dataclasses.replace(SMALL, resolution=8, fmap_max=4)).double()
    image = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda x: d(x, mask), (image,), atol=1e-4)


def test_decode_traces_without_graph_breaks():
    net, (image, mask) = network(), picture(1)
    w = latents.sample(net, [1])

    def run(image, mask, w):
        return net.decode(net.encode(image, mask, dropout=False), w)

    compiled = torch.compile(run, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(image, mask, w), run(image, mask, w))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    net, (image, mask) = network(), picture(1)
    w = latents.sample(net, [1])
    full = net.decode(net.encode(image, mask, dropout=False), w)
    net = net.to(dtype)
    y = net.decode(net.encode(image, mask, dropout=False), w)
    assert y.dtype == dtype
    assert (y.double() - full.double()).abs().max() < (1e-4 if dtype == torch.float64 else 0.1) * full.abs().max()
