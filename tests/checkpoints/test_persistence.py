"""Parity: networks imported from StyleGAN2-ADA's pickles give the outputs that the published code gave."""
from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import persistent
import pytest
import torch

from comod_core import latents
from comod_core.checkpoints import convert, import_checkpoint
from comod_core.checkpoints.persistence import import_stylegan2
from comod_core.checkpoints.pickles import read_pickle
from comod_core.checkpoints.store import load_networks, read_header
from comod_core.cli import main
from comod_core.errors import CoModError
from comod_core.loading import load_model
from comod_core.networks import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator

GOLDEN = Path(__file__).parent.parent / "data" / "icgan_stylegan2_64.pkl"
TOLERANCE = 1e-4  # of the reference's standard deviation


@cache
def reference() -> dict[str, torch.Tensor]:
    with np.load(GOLDEN.with_suffix(".npz")) as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.fixture(scope="module", params=["pickle", "safetensors"])
def net(request, tmp_path_factory):
    """The generator; imported directly, and after convert and reload."""
    if request.param == "pickle":
        return import_checkpoint(GOLDEN).generator
    return load_networks(convert(GOLDEN, tmp_path_factory.mktemp("converted") / "net.safetensors"))[0]["generator"]


CASES = {
    "w": lambda net, g: net.map(g["z"], None, g["feats"]),
    "image_psi_1": lambda net, g: net.generate(g["z"], g["feats"]),
    "image_psi_0.5": lambda net, g: net.generate(g["z"], g["feats"], psi=0.5),
    "image_noise_none": lambda net, g: net.generate(g["z"], g["feats"], noise_mode="none"),
}


@pytest.mark.parametrize("case", CASES)
def test_pictures_and_latents(net, case):
    expected, found = reference()[case], CASES[case](net, reference())
    assert found.shape == expected.shape
    assert ((found - expected).abs().max() / expected.std()).item() <= TOLERANCE


def test_every_array_of_the_reference_is_used():
    assert set(reference()) == set(CASES) | {"z", "feats", "labels"} and reference()["labels"].numel() == 0


def test_truncation_and_decode_are_the_parts_of_generate(net):
    golden = reference()
    w = latents.truncate(golden["w"], net.w_avg, 0.5)
    torch.testing.assert_close(net.decode(w), net.generate(golden["z"], golden["feats"], psi=0.5), atol=1e-4, rtol=1e-4)


def test_configuration_licence_and_round_trip(tmp_path):
    found, path = import_checkpoint(GOLDEN), convert(GOLDEN, tmp_path / "net.safetensors")
    assert found.discriminator is None
    assert found.generator.config == StyleGAN2Config(64, (32, 32, 32, 32, 16), 32, 32, 0, 2048, 4)
    header, loaded = read_header(path), load_model(path)
    assert header["architecture"] == "stylegan2" and "CC BY-NC 4.0" in header["licence"]
    state = loaded.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in found.generator.state_dict().items())
    assert loaded.info.architecture == "stylegan2" and loaded.info.resolution == 64
    assert load_model(GOLDEN).info.licence == header["licence"]
    assert torch.equal(import_checkpoint(GOLDEN, "train").generator.w_avg, read_pickle(GOLDEN)["G"].get(
        "_modules")["mapping"].get("_buffers")["w_avg"])


def test_the_command_line_converts_it(tmp_path, capsys):
    target = tmp_path / "net.safetensors"
    assert main(["convert", str(GOLDEN), str(target)]) == 0 and main(["info", str(target)]) == 0
    assert "stylegan2" in capsys.readouterr().out


# Other networks: pickles made from this package's networks under the published names.

PLAIN = StyleGAN2Config(32, (16, 14, 12, 10), 8, 12, mapping_layers=2, mapping_lr_mul=0.02, clamp=256.0, mbstd_group=2)
LABELS = dataclasses.replace(PLAIN, label_size=5, critic_embed=9, critic_mapping_layers=3)
BOTH = dataclasses.replace(PLAIN, label_size=5, feature_size=20, clamp=None, critic_channels=(20, 16, 12, 8))


def pair(config):
    torch.manual_seed(0)
    nets = StyleGAN2Generator(config), StyleGAN2Discriminator(config)
    for parameter in (parameter for net in nets for parameter in net.parameters()):
        if parameter.ndim < 2:
            torch.nn.init.normal_(parameter, std=0.3)
    nets[0].w_avg.normal_()
    return [net.eval().requires_grad_(False) for net in nets]


def content(config=PLAIN) -> dict:
    net, critic = pair(config)
    made = persistent.generator(net)
    return {"G": made, "D": persistent.discriminator(critic), "G_ema": made, "training_set_kwargs": {},
            "augment_pipe": persistent.Part("AugmentPipe")}


@pytest.mark.parametrize("config", [PLAIN, LABELS, BOTH], ids=["plain", "labels", "labels and features"])
def test_generator_and_discriminator_of_other_networks(config, tmp_path):
    path = persistent.write(tmp_path / "network-snapshot.pkl", content(config))
    found = import_checkpoint(path)
    assert found.generator.config == found.discriminator.config == config and "notes" not in found.metadata
    assert ("CC BY-NC" in found.metadata["licence"]) == bool(config.feature_size)
    net, critic = pair(config)
    label = torch.eye(5)[:3] if config.label_size else None
    feature = torch.randn(3, 20) if config.feature_size else None
    z = torch.randn(3, 8)
    image = net.generate(z, feature, label, psi=0.7)
    torch.testing.assert_close(found.generator.generate(z, feature, label, psi=0.7), image, rtol=1e-5, atol=1e-5)
    assert torch.equal(found.discriminator(image, feature, label), critic(image, feature, label))
    again = import_checkpoint(convert(path, tmp_path / "net.safetensors"))
    assert again.generator.config == again.discriminator.config == config


def test_a_discriminator_that_cannot_be_built_is_left_out_and_said(tmp_path):
    made = content()
    made["D"].at("b32").state["architecture"] = "orig"
    found = import_checkpoint(persistent.write(tmp_path / "net.pkl", made))
    assert found.discriminator is None and "architecture = orig" in found.metadata["notes"]
    made = content()
    made["D"].at("b32.attention").state["_parameters"]["weight"] = torch.ones(1)
    found = import_checkpoint(persistent.write(tmp_path / "net.pkl", made))
    assert found.discriminator is None and "attention" in found.metadata["notes"]


def changed(path: str, table: str | None, **values) -> dict:
    made = content()
    state = made["G_ema"].at(path).state
    (state if table is None else state[table]).update(values)
    return made


BAD = {
    "another architecture": (lambda: changed("synthesis.b8", None, architecture="resnet"), "architecture = resnet"),
    "another activation": (lambda: changed("synthesis.b8.conv0", None, activation="relu"), "activation = relu"),
    "no noise": (lambda: changed("synthesis.b8.conv0", None, use_noise=False), "use_noise"),
    "different clamps": (lambda: changed("synthesis.b8.conv0", None, conv_clamp=1.0), "different clamps"),
    "a clamp of text": (lambda: changed("", None) | {"G_ema": all_clamps("x")}, "not a StyleGAN2|clamp"),
    "a negative clamp": (lambda: changed("", None) | {"G_ema": all_clamps(-1.0)}, "clamp"),
    "an attribute of an unknown kind": (lambda: changed("synthesis.b8", None, architecture=[1]), "unknown kind"),
    "an unknown tensor": (lambda: changed("synthesis.b8", "_parameters", gamma=torch.ones(1)), "gamma"),
    "a missing tensor": (lambda: changed("synthesis.b8.conv0", "_parameters", bias=None), "b8.conv0.bias"),
    "a wrong shape": (lambda: changed("synthesis.b8.conv0", "_parameters", bias=torch.ones(3)), "b8.conv0.bias"),
    "a number for a tensor": (lambda: changed("synthesis.b8.conv0", "_parameters", bias=3), "not a tensor"),
    "another filter": (lambda: changed("synthesis.b8", "_buffers", resample_filter=torch.ones(4, 4)), "1,3,3,1"),
    "no mapping": (lambda: changed("", "_modules", mapping=None), "no complete StyleGAN2"),
    "no such generator": (lambda: {"G": content()["G"]}, "no G_ema"),
}


def all_clamps(value) -> persistent.Part:
    made = content()["G_ema"]
    for block in made.at("synthesis").state["_modules"].values():
        for layer in block.state["_modules"].values():
            layer.state["conv_clamp"] = value
    return made


@pytest.mark.parametrize("name", BAD)
def test_other_content_is_refused_with_a_reason(name, tmp_path):
    make, words = BAD[name]
    read = read_pickle(persistent.write(tmp_path / "net.pkl", make()))
    with pytest.raises(CoModError, match=words) as caught:
        import_stylegan2(read, "ema", "file")
    assert "file" in str(caught.value)


def test_modules_that_hold_each_other_end_the_reading(tmp_path):
    made = content()
    block = made["G_ema"].at("synthesis.b8")
    for name in "abc":
        block.state["_modules"][name] = made["G_ema"]
    with pytest.raises(CoModError, match="more modules"):
        import_checkpoint(persistent.write(tmp_path / "net.pkl", made))


def test_a_stylegan3_pickle_is_recognised(tmp_path):
    net = persistent.network({"synthesis.input.weight": torch.ones(1), "synthesis.L0_36_512.weight": torch.ones(1)})
    with pytest.raises(CoModError, match="no StyleGAN2 .StyleGAN3 perhaps.*not supported"):
        import_checkpoint(persistent.write(tmp_path / "net.pkl", {"G_ema": net, "G": net, "D": None}))
