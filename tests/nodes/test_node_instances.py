"""Instances through the nodes: the pixels are the core's, files are found, wrong connections say so."""
import shutil
import sys
from pathlib import Path

import fake_clip
import numpy as np
import pytest
import torch

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture(scope="module")
def network(pack):
    networks = pack("comod_core.networks")
    torch.manual_seed(0)
    config = networks.StyleGAN2Config(16, (12, 10, 8), 8, 12, feature_size=1280, mapping_layers=2)
    net = networks.StyleGAN2Generator(config)
    for name, value in net.state_dict().items():
        if name.endswith("noise_strength"):
            value.fill_(0.3)
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model(pack, network):
    return pack("nodes.host").host.wrap(network.cpu())


@pytest.fixture(scope="module")
def generation(pack):
    return pack("comod_core.instances.generation")


@pytest.fixture(scope="module")
def picture():
    return torch.randint(0, 256, (2, 40, 30, 3), generator=torch.Generator().manual_seed(1)).float() / 255


@pytest.fixture(scope="module")
def encoded(nodes, picture):
    return nodes["CoModInstanceEncode"].execute(picture, "lite0")[0]


@pytest.fixture(scope="module")
def one(pack, encoded):
    return pack("nodes.sockets").InstanceFeatures(encoded.features[:1], encoded.extractor, encoded.digest)


@pytest.fixture(scope="module")
def image(pack):
    layout = pack("nodes.layout")
    return lambda samples: torch.cat([layout.images_out(sample.image) for sample in samples])


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path))
    (tmp_path / "instances").mkdir()
    return tmp_path / "instances"


def test_encode_is_the_cores(pack, encoded, picture):
    extractors, layout = pack("comod_core.instances.extractors"), pack("nodes.layout")
    expected = extractors.encode(extractors.load_extractor("lite0"), layout.images_in(picture))
    assert torch.equal(encoded.features, expected) and encoded.features.shape == (2, 1280)
    assert encoded.extractor == "lite0" and len(encoded.digest) == 64


@pytest.mark.parametrize("noise_mode", ["const", "random"])
def test_condition(nodes, model, network, generation, image, encoded, noise_mode):
    found = nodes["CoModInstanceCondition"].execute(model, 5, 2, 0.7, noise_mode, -1, encoded)[0]
    samples = [next(generation.generate(network, seed, row, psi=0.7, noise_mode=noise_mode))
               for seed in (5, 6) for row in encoded.features]
    assert found.shape == (4, 16, 16, 3) and torch.equal(found, image(samples))


def test_plain_networks_need_no_instance_and_classes_their_label(pack, nodes, generation, image):
    networks, wrap = pack("comod_core.networks"), pack("nodes.host").host.wrap
    plain = networks.StyleGAN2Generator(networks.StyleGAN2Config(16, (12, 10, 8), 8, 12, label_size=3)).eval()
    found = nodes["CoModInstanceCondition"].execute(wrap(plain.requires_grad_(False)), 2 ** 64 - 1, 2, label=2)[0]
    assert torch.equal(found, image(generation.generate(plain, [2 ** 64 - 1, 0], None, 2)))
    with pytest.raises(pack("comod_core.errors").CoModError, match="label from 0 to 2"):
        nodes["CoModInstanceCondition"].execute(wrap(plain), 1)


def test_rank(nodes, model, network, generation, pack, image, one):
    found, text = nodes["CoModInstanceRank"].execute(model, one, 3, 6, 2).result
    extractor = pack("comod_core.instances.extractors").load_extractor("lite0")
    best = generation.rank(network, range(3, 9), one.features[0], extractor, 2)
    assert torch.equal(found, image(best)) and [line.split()[1] for line in text.splitlines()] == [
        str(sample.seed) for sample in best]


def test_interpolate(nodes, model, network, generation, image, pack, encoded, one):
    node, other = nodes["CoModInstanceInterpolate"], pack("nodes.sockets").InstanceFeatures(encoded.features[1:])
    rows = encoded.features[0], encoded.features[1]
    assert torch.equal(node.execute(model, 3, -1, 4, instance=one, target=other)[0],
                       image(generation.interpolate(network, 4, rows, (3, 3))))
    assert torch.equal(node.execute(model, 3, 9, 3, 0.5, instance=one, target=other)[0],
                       image(generation.interpolate(network, 3, rows, (3, 9), psi=0.5)))
    with pytest.raises(pack("comod_core.errors").CoModError, match="give its feature|both ends"):
        node.execute(model, 3, instance=one)


def test_neighbours_of_a_file(nodes, pack, folder, one, encoded):
    stored = pack("comod_core.instances.stored")
    rows = np.concatenate([np.random.default_rng(0).normal(size=(6, 1280)), encoded.features.numpy()])
    instances = stored.Instances(rows, [f"{i}.png" for i in range(8)], None, "lite0")
    stored.save_instances(folder / "sub" / "some.safetensors", instances)
    np.save(folder / "icgan.npy", {"instance_features": rows})
    node = nodes["CoModInstanceNeighbours"]
    assert node.define_schema().inputs[0].options[-2:] == ["icgan.npy", "sub/some.safetensors"]
    assert node.validate_inputs("sub/some.safetensors") is True
    for name, first in (("sub/some.safetensors", "1.000 6 6.png"), ("icgan.npy", "1.000 6 6")):
        found, text = node.execute(name, 3, one).result
        assert text.splitlines()[0] == first and found.features.shape == (3, 1280) and found.extractor == "lite0"
        torch.testing.assert_close(found.features[0], encoded.features[0], atol=1e-5, rtol=1e-4)
    assert not any(name.startswith("sub") or "instances" in name for name in pack("nodes.models").model_names())


def test_stored_instances_by_number(nodes, pack, folder, encoded):
    stored, node = pack("comod_core.instances.stored"), nodes["CoModInstanceStored"]
    rows = np.concatenate([np.random.default_rng(0).normal(size=(6, 1280)), encoded.features.numpy()])
    names = [f"{i}.png" for i in range(8)]
    stored.save_instances(folder / "a.safetensors", stored.Instances(rows, names, None, "lite0"))
    assert node.validate_inputs("a.safetensors") is True and str(folder) in node.validate_inputs("b.safetensors")
    found, text = node.execute("a.safetensors", 6, 9).result
    torch.testing.assert_close(found.features, encoded.features, atol=1e-5, rtol=1e-4)
    assert text == "6 6.png\n7 7.png" and found.extractor == "lite0"
    with pytest.raises(pack("comod_core.errors").CoModError, match="has 8 instances: give a number from 0 to 7"):
        node.execute("a.safetensors", 8)


def test_the_class_changes_on_the_way(nodes, pack, generation, image):
    networks = pack("comod_core.networks")
    config = networks.StyleGAN2Config(16, (12, 10, 8), 8, 12, label_size=3)
    net = networks.StyleGAN2Generator(config).eval().requires_grad_(False)
    found = nodes["CoModInstanceInterpolate"].execute(pack("nodes.host").host.wrap(net), 3, frames=3, label=0,
                                                      end_label=2)[0]
    assert torch.equal(found, image(generation.interpolate(net, 3, (None, None), (3, 3), (0, 2))))


def test_guided_by_a_text(nodes, pack, model, network, folder, one, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", fake_clip.stand_in())
    node, clips = nodes["CoModInstanceText"], folder.parent / "clip"
    assert str(clips) in node.validate_inputs("none")
    with pytest.raises(pack("comod_core.errors").CoModError, match="there is no CLIP 'none'"):
        node.execute(model, "hat", "none", 1)
    clips.mkdir()
    torch.manual_seed(0)
    torch.save(fake_clip.Tiny().state_dict(), clips / "Tiny-a.pt")
    assert node.define_schema().inputs[2].options == ["Tiny-a.pt"] and node.validate_inputs("Tiny-a.pt") is True
    assert not any("clip" in name for name in pack("nodes.models").model_names())
    with torch.inference_mode():
        found, moved, text = node.execute(model, "hat", "Tiny-a.pt", 1, 8, stay=0.0, instance=one).result
    judge = pack("comod_core.instances.clip").load_clip(clips / "Tiny-a.pt")
    *_, best = pack("comod_core.instances.text").guide(network, judge, "hat", 1, one.features[0], steps=8, stay=0.0)
    assert torch.equal(found, pack("nodes.layout").images_out(best.image)) and torch.equal(moved.features, best.feature)
    assert text == f"{best.before:.3f} before, {best.similarity:.3f} after 8 steps" and moved.extractor == "lite0"


def test_files_that_do_not_fit(nodes, pack, folder, one):
    stored, error = pack("comod_core.instances.stored"), pack("comod_core.errors").CoModError
    node = nodes["CoModInstanceNeighbours"]
    stored.save_instances(folder / "x.safetensors", stored.Instances(np.eye(3), list("abc"), None, "swav"))
    with pytest.raises(error, match="features of swav, the instance is of lite0"):
        node.execute("x.safetensors", 1, one)
    for name in ("absent.npy", "../x.safetensors", "none"):
        assert str(folder) in node.validate_inputs(name)
        with pytest.raises(error, match="no file of instances"):
            node.execute(name, 1, one)


def test_published_networks_through_the_loader(nodes, pack, monkeypatch, tmp_path):
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path))
    (tmp_path / "ic").mkdir()
    for name in ("G_ema_best0.pth", "state_dict_best0.pth"):
        shutil.copy(DATA / f"icgan_biggan_64_{name}", tmp_path / "ic" / name)
    shutil.copy(DATA / "icgan_stylegan2_64.pkl", tmp_path / "style.pkl")
    instance = pack("nodes.sockets").InstanceFeatures(torch.randn(1, 2048))
    for name, architecture in (("ic/G_ema_best0.pth", "biggan"), ("style.pkl", "stylegan2")):
        loaded, card = nodes["CoModLoadModel"].execute(name).result
        assert f"architecture: {architecture}" in card and "CC BY-NC 4.0" in card
        image = nodes["CoModInstanceCondition"].execute(loaded, 1, 1, instance=instance)[0]
        assert image.shape == (1, 64, 64, 3)


def test_runs_in_inference_mode_as_comfyui_does(nodes, model, picture, encoded):
    expected = nodes["CoModInstanceCondition"].execute(model, 1, 1, instance=encoded)[0]
    with torch.inference_mode():
        again = nodes["CoModInstanceEncode"].execute(picture.clone(), "lite0")[0]
        found = nodes["CoModInstanceCondition"].execute(model, 1, 1, instance=again)[0]
    assert torch.equal(found, expected)


def test_progress_and_interruption(nodes, pack, model, one):
    module, steps = pack("nodes.host"), []

    def stop(done, total, image):
        steps.append((done, total, image.shape))
        if done == 2:
            raise module.Interrupted

    with module.host.listening(stop), pytest.raises(module.Interrupted):
        nodes["CoModInstanceCondition"].execute(model, 1, 64, instance=one)
    assert steps == [(1, 64, (1, 3, 16, 16)), (2, 64, (1, 3, 16, 16))]


def test_wrong_connections_are_told(nodes, pack, model, encoded, one):
    error = pack("comod_core.errors").CoModError
    completes = nodes["CoModLoadModel"].execute("avatars-64")[0]
    with pytest.raises(error, match="BigGAN or StyleGAN2"):
        nodes["CoModInstanceCondition"].execute(completes, 1, instance=one)
    with pytest.raises(error, match="completes no holes"):
        nodes["CoModComplete"].execute(model, torch.zeros(1, 16, 16, 3), torch.ones(1, 16, 16), 1)
    with pytest.raises(error, match="no style maps"):
        nodes["CoModStyleMapSample"].execute(model, 1)
    with pytest.raises(error, match="give its feature"):
        nodes["CoModInstanceCondition"].execute(model, 1)
    with pytest.raises(error, match="2 instances; connect one"):
        nodes["CoModInstanceRank"].execute(model, encoded, 1)
    unknown = pack("nodes.sockets").InstanceFeatures(one.features)
    with pytest.raises(error, match="Choose the extractor"):
        nodes["CoModInstanceRank"].execute(model, unknown, 1)
