"""Pictures from seeds and instances: the same in every batch, ranked, interpolated, of another class, mixed."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from comod_core import completion, latents
from comod_core.checkpoints import import_checkpoint
from comod_core.errors import CoModError
from comod_core.instances.generation import (
    as_bytes,
    draw,
    generate,
    interpolate,
    mix,
    one_hot,
    rank,
    swap_class,
    unit,
)
from comod_core.metrics.networks import FeatureNetwork
from comod_core.networks import (
    BigGANConfig,
    BigGANGenerator,
    CoModConfig,
    CoModGenerator,
    StyleGAN2Config,
    StyleGAN2Generator,
)
from comod_core.networks.biggan import initialise

DATA = Path(__file__).parent.parent / "data"


def biggan(**values):
    torch.manual_seed(0)
    config = BigGANConfig(32, 4, 20, feature_size=30, feature_dim=6, label_dim=5, attention=(16,), **values)
    return initialise(BigGANGenerator(config)).eval().requires_grad_(False)


def stylegan(**values):
    torch.manual_seed(0)
    net = StyleGAN2Generator(StyleGAN2Config(32, (16, 14, 12, 10), 8, 12, mapping_layers=2, **values))
    for name, value in net.state_dict().items():
        if name.endswith("noise_strength"):
            value.fill_(0.3)
    net.w_avg.normal_()
    return net.eval().requires_grad_(False)


NETS = {"biggan": lambda: biggan(), "biggan with classes": lambda: biggan(label_size=7),
        "stylegan2": lambda: stylegan(feature_size=30), "stylegan2 with both": lambda: stylegan(feature_size=30,
                                                                                                 label_size=7)}


def feature(seed=5, width=30):
    return torch.randn(width, generator=torch.Generator().manual_seed(seed)) * 3


def label_of(net, number=2):
    return number if net.label_size else None


class Means(FeatureNetwork):
    """Colours of the four quarters and of the whole: a feature that pictures share when they look alike."""

    name, digest, width = "means", "0", 30

    def forward(self, images):
        x = torch.nn.functional.adaptive_avg_pool2d(images.float() - 128, 3).flatten(1)
        return torch.cat([x, x[:, :3]], dim=1) + 1e-3, []


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("noise_mode", ["const", "random"])
def test_a_seed_gives_the_same_picture_in_every_batch(name, noise_mode):
    net = NETS[name]()
    many = list(generate(net, [3, 2 ** 64 - 1, 4], feature(), label_of(net), noise_mode=noise_mode))
    assert [sample.seed for sample in many] == [3, 2 ** 64 - 1, 4] and many[0].image.shape == (1, 3, 32, 32)
    for sample in many:
        alone, = generate(net, sample.seed, feature()[None] * 8, label_of(net), noise_mode=noise_mode)
        assert torch.equal(alone.image, sample.image)
        assert sample.image.abs().max() <= 1 and sample.image.dtype == torch.float32 and sample.distance is None
    assert not torch.equal(many[0].image, many[1].image)


def test_random_noise_comes_from_the_seed_and_differs_from_the_stored():
    net = stylegan(feature_size=30)
    pictures = {mode: next(generate(net, 1, feature(), noise_mode=mode)).image for mode in ("const", "random", "none")}
    assert len({picture.numpy().tobytes() for picture in pictures.values()}) == 3


@pytest.mark.parametrize("name", NETS)
def test_a_row_a_seed(name):
    net = NETS[name]()
    rows = torch.stack([feature(1), feature(2)])
    labels = [1, 4] if net.label_size else None
    both = list(generate(net, [8, 9], rows, labels))
    for i, (row, sample) in enumerate(zip(rows, both, strict=True)):
        alone, = generate(net, sample.seed, row, labels and labels[i])
        assert torch.equal(alone.image, sample.image)


def test_the_feature_is_of_unit_length_and_the_rest_is_the_networks_own_generate():
    net = stylegan(feature_size=30, label_size=7)
    found, = generate(net, 11, feature(), 2, psi=0.5, noise_mode="random")
    x = feature() / feature().norm()
    expected = net.generate(draw(net, 11), x[None], torch.eye(7)[2:3], 0.5, "random", latents.generators([11], "noise"))
    torch.testing.assert_close(found.image, expected.clamp(-1, 1))


def test_the_published_formats_generate():
    with np.load(DATA / "icgan_biggan_64.npz") as golden:
        features = torch.from_numpy(golden["feats"])
    for file in ("icgan_biggan_64_G_ema_best0.pth", "icgan_stylegan2_64.pkl"):
        net = import_checkpoint(DATA / file).generator
        first, second = generate(net, [1, 1], features[:2])
        assert first.image.shape == (1, 3, 64, 64) and not torch.allclose(first.image, second.image)


def test_plain_networks_need_no_instance():
    net = stylegan()
    sample, = generate(net, 1, psi=0.7)
    w = latents.truncate(latents.sample(net, [1]), net.w_avg, 0.7)
    torch.testing.assert_close(sample.image, net.decode(w).clamp(-1, 1), atol=1e-5, rtol=1e-4)


def test_progress_and_stop():
    calls = []

    def progress(done, total, image):
        calls.append((done, total, image.shape))
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(generate(biggan(), range(5), feature(), progress=progress))
    assert calls == [(1, 5, (1, 3, 32, 32)), (2, 5, (1, 3, 32, 32))]


def test_swap_class_keeps_seed_and_instance():
    net = biggan(label_size=7)
    pictures = list(swap_class(net, 4, feature(), [0, 3, 6]))
    for label, sample in zip([0, 3, 6], pictures, strict=True):
        assert torch.equal(sample.image, next(generate(net, 4, feature(), label)).image) and sample.seed == 4
    assert not torch.allclose(pictures[0].image, pictures[1].image)


@pytest.mark.parametrize("name", NETS)
def test_interpolation_begins_and_ends_at_its_ends(name):
    net = NETS[name]()
    labels = (1, 5) if net.label_size else (None, None)
    frames = list(interpolate(net, 5, (feature(1), feature(2)), (3, 4), labels))
    assert len(frames) == 5
    for frame, seed, row, label in ((frames[0], 3, feature(1), labels[0]), (frames[-1], 4, feature(2), labels[1])):
        end, = generate(net, seed, row, label)
        torch.testing.assert_close(frame.image, end.image, atol=1e-4, rtol=1e-3)
    steps = [(a.image - b.image).abs().mean() for a, b in zip(frames[:-1], frames[1:], strict=True)]
    assert max(steps) < (frames[0].image - frames[-1].image).abs().mean()
    assert min(steps) > 0


def test_interpolation_between_instances_alone_keeps_z():
    net, seen = biggan(), []
    net.linear.register_forward_hook(lambda module, args, out: seen.append(args[0].clone()))
    net.feature.register_forward_hook(lambda module, args, out: seen.append(args[0].norm()))
    list(interpolate(net, 3, (feature(1), feature(2)), (3, 3)))
    zs, lengths = [x for x in seen if x.ndim == 2], torch.stack([x for x in seen if x.ndim == 0])
    assert len(zs) == 3 and all(torch.allclose(z, zs[0], atol=1e-6) for z in zs)
    torch.testing.assert_close(lengths, torch.ones(3))


def test_rank_keeps_the_nearest_first():
    net, extractor, seeds = stylegan(feature_size=30), Means(), range(12)
    pictures = list(generate(net, seeds, feature()))
    target = torch.from_numpy(extractor(as_bytes(pictures[7].image)))[0]
    calls = []
    # the instance is the picture of a seed made with ITS feature, so distances follow from the pictures alone
    found = rank(net, seeds, target, extractor, 4, progress=lambda *args: calls.append(args[:2]))
    mine = list(generate(net, seeds, target))
    distances = [float(1 - unit(torch.from_numpy(extractor(as_bytes(one.image))))[0] @ unit(target)) for one in mine]
    order = sorted(range(12), key=lambda i: distances[i])[:4]
    assert [sample.seed for sample in found] == order and calls[-1] == (12, 12)
    assert [sample.distance for sample in found] == sorted(sample.distance for sample in found)
    np.testing.assert_allclose([sample.distance for sample in found], sorted(distances)[:4], atol=1e-6)
    assert all(torch.equal(sample.image, mine[sample.seed].image) for sample in found)


def test_style_mixing():
    net = stylegan(feature_size=30)
    layers = range(4, net.num_layers)
    whole = mix(net, 1, 2, range(net.num_layers), feature(), psi=0.8)
    torch.testing.assert_close(whole.image, next(generate(net, 2, feature(), psi=0.8)).image, atol=1e-5, rtol=1e-4)
    none = mix(net, 1, 2, [], feature(), psi=0.8)
    torch.testing.assert_close(none.image, next(generate(net, 1, feature(), psi=0.8)).image, atol=1e-5, rtol=1e-4)
    some = mix(net, 1, 2, layers, feature(), psi=0.8).image
    assert not torch.allclose(some, whole.image) and not torch.allclose(some, none.image)
    with pytest.raises(CoModError, match="StyleGAN2"):
        mix(biggan(), 1, 2, [1], feature())


def test_labels():
    net = biggan(label_size=7)
    assert torch.equal(one_hot(net, 3), torch.eye(7)[3:4]) and torch.equal(one_hot(net, [0, 6]), torch.eye(7)[[0, 6]])
    weights = torch.tensor([0.5, 0.5, 0, 0, 0, 0, 0])
    assert torch.equal(one_hot(net, weights), weights[None]) and one_hot(net, None) is None
    assert torch.equal(one_hot(net, torch.tensor([2])), torch.eye(7)[2:3])


def test_bytes_are_those_of_the_pixels():
    image = torch.tensor([-1.0, 0.0, 1.0, 2.0])[None, None, None]
    assert as_bytes(image).tolist() == [[[[0, 128, 255, 255]]] * 3]
    assert as_bytes(torch.zeros(2, 4, 1, 1)).shape == (2, 3, 1, 1)


BAD = {
    "no instance": (lambda: generate(biggan(), 1), "give its feature"),
    "an instance too many": (lambda: generate(stylegan(), 1, feature()), "takes no instance"),
    "no class": (lambda: generate(biggan(label_size=7), 1, feature()), "label from 0 to 6"),
    "a class too many": (lambda: generate(biggan(), 1, feature(), 1), "no classes"),
    "an unknown class": (lambda: generate(biggan(label_size=7), 1, feature(), 7), "from 0 to 6"),
    "a negative class": (lambda: generate(biggan(label_size=7), 1, feature(), -1), "from 0 to 6"),
    "half a class": (lambda: generate(biggan(label_size=7), 1, feature(), 0.5), "from 0 to 6"),
    "yes for a class": (lambda: generate(biggan(label_size=7), 1, feature(), True), "from 0 to 6"),
    "weights of another width": (lambda: generate(biggan(label_size=7), 1, feature(), torch.ones(6)), "7 values"),
    "another width": (lambda: generate(biggan(), 1, feature(width=31)), "30 values"),
    "too many rows": (lambda: generate(biggan(), [1, 2], torch.ones(3, 30)), "one row or 2"),
    "a feature of zeros": (lambda: generate(biggan(), 1, torch.zeros(30)), "zero or not finite"),
    "a feature of NaN": (lambda: generate(biggan(), 1, torch.full([30], float("nan"))), "zero or not finite"),
    "no seeds": (lambda: generate(biggan(), [], feature()), "no seeds"),
    "a seed out of range": (lambda: generate(biggan(), -1, feature()), "seed"),
    "psi that is none": (lambda: generate(biggan(), 1, feature(), psi=float("nan")), "psi"),
    "an unknown noise mode": (lambda: generate(biggan(), 1, feature(), noise_mode="loud"), "noise_mode"),
    "a completion network": (lambda: generate(CoModGenerator(CoModConfig(16, fmap_max=8, z_dim=8, w_dim=8,
                                                                        mapping_fmaps=8)), 1), "BigGAN or StyleGAN2"),
    "nothing to keep": (lambda: rank(biggan(), [1], feature(), Means(), 0), "keep"),
    "another extractor": (lambda: rank(biggan(), [1], feature(width=31), Means(), 1), "extractor"),
    "one frame": (lambda: interpolate(biggan(), 1, (feature(), feature()), (1, 1)), "frames"),
    "no completion": (lambda: completion.prepare(biggan(), torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)),
                      "completes no holes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_named_at_the_call(name):
    call, words = BAD[name]
    with pytest.raises(CoModError, match=words):
        call()
