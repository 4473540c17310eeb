"""Parity: BigGANs imported from IC-GAN's folders give the pictures that the published code gave."""
from __future__ import annotations

import dataclasses
import re
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from comod_core.checkpoints import convert, import_checkpoint
from comod_core.checkpoints.biggan import import_biggan, infer_config
from comod_core.checkpoints.pickles import read_torch
from comod_core.checkpoints.store import load_networks, read_header
from comod_core.cli import main
from comod_core.errors import CoModError
from comod_core.loading import load_model
from comod_core.networks import BigGANConfig, BigGANGenerator

DATA = Path(__file__).parent.parent / "data"
TOLERANCE = 1e-4  # of the reference's standard deviation


@pytest.fixture
def folder(tmp_path) -> Path:
    """The golden as people have it: a folder with the published names."""
    made = tmp_path / "icgan_biggan_64"
    made.mkdir()
    for name in ("G_ema_best0.pth", "state_dict_best0.pth"):
        shutil.copy(DATA / f"icgan_biggan_64_{name}", made / name)
    return made


@cache
def reference() -> dict[str, torch.Tensor]:
    with np.load(DATA / "icgan_biggan_64.npz") as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.mark.parametrize("form", ["folder", "file", "safetensors"])
def test_pictures(form, folder, tmp_path):
    path = {"folder": folder, "file": folder / "G_ema_best0.pth"}.get(form)
    if path:
        net = import_checkpoint(path).generator
    else:
        net = load_networks(convert(folder, tmp_path / "net.safetensors"))[0]["generator"]
    expected = reference()["image"]
    found = net.generate(reference()["z"], reference()["feats"])
    assert found.shape == expected.shape
    assert ((found - expected).abs().max() / expected.std()).item() <= TOLERANCE


def test_every_array_of_the_reference_is_used():
    assert set(reference()) == {"z", "feats", "labels", "image"}  # the labels mean nothing to this network


def test_configuration_metadata_and_round_trip(folder):
    found, path = import_checkpoint(folder), convert(folder)
    assert path == folder.with_suffix(".safetensors") and found.discriminator is None
    assert found.generator.config == BigGANConfig(64, 4, 40, 2048, 24, 0, attention=(16,))
    header, loaded = read_header(path), load_model(path)
    assert header["architecture"] == "biggan" and header["licence"] == "CC BY-NC 4.0 (non-commercial)"
    assert "G_ema_best0.pth, whose FID at that time was 12.5" in header["notes"]
    state = loaded.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in found.generator.state_dict().items())
    direct = load_model(folder)
    assert direct.info == dataclasses.replace(loaded.info, sha256=direct.info.sha256, name="icgan_biggan_64")
    assert direct.info.features == "swav"
    assert direct.info.sha256 == header["source_sha256"] and loaded.info.sha256 != direct.info.sha256


def test_the_command_line_reads_a_folder(folder, capsys):
    assert main(["convert", str(folder)]) == 0 and main(["info", str(folder)]) == 0
    assert "biggan" in capsys.readouterr().out and folder.with_suffix(".safetensors").is_file()


@pytest.mark.parametrize(("first", "second", "expected"), [
    (12.5, 9.0, "best1"), (9.0, 12.5, "best0"), (float("nan"), 30.0, "best1"), ("low", 30.0, "best1"),
    (None, None, "best0"), (True, 30.0, "best1")])
def test_the_better_one_by_its_fid(first, second, expected, folder):
    content = torch.load(folder / "G_ema_best0.pth", weights_only=True)
    state = torch.load(folder / "state_dict_best0.pth", weights_only=True)
    torch.save(content | {"linear.bias": content["linear.bias"] + 1}, folder / "G_ema_best1.pth")
    for number, fid in enumerate((first, second)):
        torch.save({**state, "best_FID": fid}, folder / f"state_dict_best{number}.pth")
    found = import_checkpoint(folder)
    assert f"G_ema_{expected}.pth" in found.metadata["notes"]
    bias = content["linear.bias"] + (expected == "best1")
    assert torch.equal(found.generator.linear.bias, bias)


def test_which_generator(folder):
    with pytest.raises(CoModError, match="without G_best0.pth"):
        import_checkpoint(folder, "train")
    with pytest.raises(CoModError, match="averaged"):
        import_checkpoint(folder / "G_ema_best0.pth", "train")
    shutil.copy(folder / "G_ema_best0.pth", folder / "G_best0.pth")
    assert import_checkpoint(folder, "train").metadata["which"] == "train"


def test_folders_without_a_model(tmp_path):
    for read in (import_checkpoint, load_model):
        with pytest.raises(CoModError, match="without G_ema_best0.pth"):
            read(tmp_path)


# Other networks: state dicts made from this package's networks under the published names.

def their_name(key: str) -> str:
    key = re.sub(r"^blocks\.(\d+)\.attention\.", r"blocks.\1.1.", key)
    key = re.sub(r"^blocks\.(\d+)\.conv(\d)", lambda found: f"blocks.{found[1]}.0.conv{int(found[2]) + 1}", key)
    key = re.sub(r"^blocks\.(\d+)\.norm(\d)", lambda found: f"blocks.{found[1]}.0.bn{int(found[2]) + 1}", key)
    key = re.sub(r"^blocks\.(\d+)\.skip", r"blocks.\1.0.conv_sc", key)
    key = re.sub(r"^norm\.", "output_layer.0.", re.sub(r"^to_rgb\.", "output_layer.2.", key))
    key = re.sub(r"^feature\.", "shared_feat.", key.replace("embed.weight", "shared.weight"))
    return re.sub(r"\.(mean|var)$", r".stored_\1", key)


def published(net: BigGANGenerator, classes: int = 7) -> tuple[dict, dict]:
    """(state dict with spectral norm, the same network's own weights divided by it)."""
    torch.manual_seed(1)
    theirs, folded = {}, {}
    for key, value in net.state_dict().items():
        name, folded[key] = their_name(key), value
        theirs[name] = value.t() if name == "shared.weight" else value
        if key.endswith(".weight") and name != "shared.weight":
            u = F.normalize(torch.randn(1, len(value)))
            theirs[name.replace("weight", "u0")], theirs[name.replace("weight", "sv0")] = u, torch.ones(1)
            v = F.normalize(u @ value.flatten(1))
            folded[key] = value / (v @ value.flatten(1).t()).norm()
    theirs.setdefault("shared.weight", torch.randn(classes, 128))
    return {f"module.{name}": value for name, value in theirs.items()}, folded


SMALL = BigGANConfig(32, 4, 20, feature_size=30, feature_dim=6, attention=(8, 32), image_channels=1)
CLASSES = dataclasses.replace(SMALL, label_size=7, label_dim=9, bn_eps=1e-3, critic_channels=2)
PLAIN = dataclasses.replace(CLASSES, feature_size=0, feature_dim=512)


def network(config) -> BigGANGenerator:
    torch.manual_seed(0)
    net = BigGANGenerator(config).eval().requires_grad_(False)
    for name, value in net.state_dict().items():
        if name.endswith(("mean", "gamma", "norm.bias")):
            value.normal_()
        elif name.endswith("var"):
            value.uniform_(0.5, 2)
    return net


@pytest.mark.parametrize("config", [SMALL, CLASSES, PLAIN], ids=["instance", "instance and class", "class"])
def test_conditions(config, tmp_path):
    net = network(config)
    theirs, folded = published(net)
    torch.save(theirs, tmp_path / "G_ema_best0.pth")
    torch.save({"config": {"BN_eps": config.bn_eps, "D_ch": config.critic_channels or config.channels,
                           "class_cond": bool(config.label_size)}}, tmp_path / "state_dict_best0.pth")
    found = import_checkpoint(tmp_path).generator
    assert found.config == config
    net.load_state_dict(folded)
    z, feature = torch.randn(3, 20), torch.randn(3, 30) if config.feature_size else None
    label = torch.eye(7)[:3] if config.label_size else None
    torch.testing.assert_close(found.generate(z, feature, label), net.generate(z, feature, label), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("config", [
    BigGANConfig(), BigGANConfig(256, 64), BigGANConfig(128, 96, 120), BigGANConfig(64, 64, 120),
    BigGANConfig(512, 96, 128), BigGANConfig(256, 96, label_size=1000), BigGANConfig(128, 64, 120, label_size=1000),
    BigGANConfig(128, 96, 120, 0, 512, 1000)], ids=repr)
def test_released_plans_are_inferred_from_shapes(config):
    with torch.device("meta"):
        state = BigGANGenerator(config).state_dict()
    assert infer_config(state) == config


def test_a_file_without_its_settings(folder):
    (folder / "state_dict_best0.pth").unlink()
    found = import_checkpoint(folder)
    assert found.generator.config.bn_eps == 1e-5 and found.metadata["notes"] == "From G_ema_best0.pth."


def broken(name: str, value) -> dict:
    state = {key.removeprefix("module."): part for key, part in published(network(SMALL))[0].items()}
    state[name] = value
    return {key: part for key, part in state.items() if part is not None}


BAD = {
    "no spectral norm": (lambda: broken("linear.bias", torch.ones(256)), {"G_param": "ortho"}, "G_param"),
    "flat z": (lambda: broken("linear.bias", torch.ones(256)), {"hier": False}, "hier"),
    "another normalisation": (lambda: broken("linear.bias", torch.ones(256)), {"norm_style": "gn"}, "norm_style = gn"),
    "an epsilon that is none": (lambda: broken("linear.bias", torch.ones(256)), {"SN_eps": "small"}, "SN_eps"),
    "an unknown tensor": (lambda: broken("blocks.0.2.weight", torch.ones(1)), {}, "blocks.0.2"),
    "a missing tensor": (lambda: broken("blocks.0.0.conv1.bias", None), {}, "blocks.0.conv0.bias"),
    "a missing block": (lambda: broken("blocks.0.0.bn1.gain.weight", None), {}, "no complete BigGAN"),
    "a wrong shape": (lambda: broken("output_layer.0.gain", torch.ones(3)), {}, "norm.gain"),
    "a condition of no known width": (lambda: broken("blocks.0.0.bn1.gain.weight", torch.ones(16, 12)), {}, "neither"),
    "u of another length": (lambda: broken("linear.u0", torch.ones(1, 3)), {}, "damaged"),
    "a number for a tensor": (lambda: broken("linear.bias", 3), {}, "not a tensor"),
    "channels of no plan": (lambda: broken("blocks.0.0.conv1.weight", torch.ones(16, 18, 3, 3)), {}, "no known plan"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_content_is_refused_with_a_reason(name):
    make, config, words = BAD[name]
    with pytest.raises(CoModError, match=words) as caught:
        import_biggan(make(), {"config": config}, "file")
    assert "file" in str(caught.value)


def test_names_made_here_are_those_of_the_published_file():
    file = read_torch(DATA / "icgan_biggan_64_G_ema_best0.pth")
    config = BigGANConfig(64, 4, 40, 2048, 24, 0, attention=(16,))
    made = {name.removeprefix("module."): value for name, value in published(BigGANGenerator(config), 10)[0].items()}
    made["shared.weight"] = made["shared.weight"][:, :16]
    assert {name: part.shape for name, part in made.items()} == {name: part.shape for name, part in file.items()}
