"""Parity: networks imported from StyleMapGAN's checkpoints give the outputs that the published code gave."""
from __future__ import annotations

import argparse
import json
import re
import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from comod_core import stylemaps
from comod_core.checkpoints import convert, import_checkpoint
from comod_core.checkpoints.pickles import read_torch
from comod_core.checkpoints.store import load_networks, read_header, save_networks
from comod_core.checkpoints.stylemap import import_stylemap, infer_config
from comod_core.cli import main
from comod_core.errors import CoModError
from comod_core.loading import load_model
from comod_core.networks import (
    CoModConfig,
    CoModDiscriminator,
    StyleMapConfig,
    StyleMapDiscriminator,
    StyleMapGAN,
)
from comod_core.stylemaps import Patch, blend, decode, lerp, mix, transplant, truncate

DATA = Path(__file__).parent.parent / "data"
GOLDEN = DATA / "stylemap_32_8x8.pt"
TOLERANCE = 1e-4  # of the reference's standard deviation


@cache
def reference() -> dict[str, torch.Tensor]:
    with np.load(GOLDEN.with_suffix(".npz")) as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.fixture(scope="module", params=["checkpoint", "safetensors"])
def networks(request, tmp_path_factory):
    """Generator and discriminator; imported directly, and after convert and reload."""
    if request.param == "checkpoint":
        found = import_checkpoint(GOLDEN)
        return found.generator, found.discriminator
    loaded, _ = load_networks(convert(GOLDEN, tmp_path_factory.mktemp("converted") / "net.safetensors"))
    return loaded["generator"], loaded["discriminator"]


def patches(net) -> list[Patch]:
    """The golden's two references with their masks and shifts."""
    golden = reference()
    maps = net.encode(golden["image"])
    shifts = torch.stack([golden["demo_shift_x"], golden["demo_shift_y"]], dim=1).tolist()
    return [Patch(maps[i + 1:i + 2], golden["demo_masks"][i:i + 1], shift) for i, shift in enumerate(shifts)]


def mask() -> torch.Tensor:
    """The golden's masks, which are -1 and 1, as 0 and 1."""
    return (reference()["mask"][:, None] + 1) / 2


CASES = {
    "stylemap_z": lambda net, g: net.map(g["z"]),
    "random": lambda net, g: decode(net, net.map(g["z"])),
    "random_trunc": lambda net, g: decode(net, truncate(net.map(g["z"]), g["mean"], 0.6)),
    "stylemap_e": lambda net, g: net.encode(g["image"]),
    "recon": lambda net, g: decode(net, net.encode(g["image"])),
    "mix_w": lambda net, g: decode(net, blend(net, net.encode(g["image"]), net.encode(g["image"]).flip(0), mask(),
                                              space="w")),
    "mix_w_plus": lambda net, g: decode(net, blend(net, net.encode(g["image"]), net.encode(g["image"]).flip(0), mask(),
                                                   space="w+")),
    "mix_stylemixing_coarse": lambda net, g: decode(net, mix(net, net.encode(g["image"]),
                                                             net.encode(g["image"]).flip(0))),
    "mix_stylemixing_fine": lambda net, g: decode(net, mix(net, net.encode(g["image"]).flip(0),
                                                           net.encode(g["image"]))),
    "lerp_0.3": lambda net, g: decode(net, lerp(net.encode(g["image"]), net.encode(g["image"]).flip(0), 0.3)),
    "demo": lambda net, g: torch.cat([decode(net, transplant(net, net.encode(g["image"][:1]), patches(net), t))
                                      for t in stylemaps.fractions(4)]),
}


@pytest.mark.parametrize("case", CASES)
def test_pictures_and_style_maps(networks, case):
    expected = reference()[case]
    found = CASES[case](networks[0], reference())
    assert found.shape == expected.shape
    assert ((found - expected).abs().max() / expected.std()).item() <= TOLERANCE


def test_scores(networks):
    expected = reference()["scores"]
    assert ((networks[1](reference()["image"]) - expected).abs().max() / expected.std()).item() <= TOLERANCE


def test_every_array_of_the_reference_is_used():
    inputs = {"z", "image", "mask", "mean", "demo_masks", "demo_shift_x", "demo_shift_y"}
    assert set(reference()) == set(CASES) | {"scores"} | inputs


def test_the_mean_is_an_estimate_and_the_file_says_so(networks):
    net, golden = networks[0], reference()
    deviation = net.map(torch.randn(1000, net.z_dim, generator=torch.Generator().manual_seed(3))).flatten(1).std(dim=0)
    assert ((net.w_avg - golden["mean"][0]) / deviation).square().mean().sqrt() < 0.15
    assert torch.equal(import_checkpoint(GOLDEN).generator.w_avg, net.w_avg)
    assert "5000" in import_checkpoint(GOLDEN).metadata["notes"]


def test_configuration_is_the_one_in_the_file():
    config = import_checkpoint(GOLDEN).generator.config
    assert config == StyleMapConfig(32, 8, 12, 8, 0.01, (16, 16, 16, 16), False, 3)


def test_converted_networks_are_the_imported_ones_bit_for_bit(tmp_path):
    paths = [convert(GOLDEN, tmp_path / f"{name}.safetensors") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    direct, again = import_checkpoint(GOLDEN), import_checkpoint(paths[0])
    for one, other in ((direct.generator, again.generator), (direct.discriminator, again.discriminator)):
        assert one.config == other.config
        state = other.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in one.state_dict().items())
    header = read_header(paths[0])
    assert header["architecture"] == "stylemapgan" and header["networks"] == ["discriminator", "generator"]
    assert "CC BY-NC 4.0" in header["licence"] and header["layout"] == "aligned" and "5000" in header["notes"]


def test_the_trained_networks_can_be_had(tmp_path):
    content = read_torch(GOLDEN)
    for which, keys in (("ema", ("g_ema", "e_ema")), ("train", ("generator", "encoder"))):
        net = import_checkpoint(GOLDEN, which).generator
        assert torch.equal(net.mapping[2].weight, content[keys[0]]["mapping_z.3.weight"])
        assert torch.equal(net.encoder.final.weight, content[keys[1]]["final_conv.0.weight"])
    assert not torch.equal(content["g_ema"]["mapping_z.3.weight"], content["generator"]["mapping_z.3.weight"])
    path = convert(GOLDEN, tmp_path / "train.safetensors", "train")
    assert read_header(path)["which"] == "train"


def test_load_model_says_what_it_is(tmp_path):
    for path in (GOLDEN, convert(GOLDEN, tmp_path / "net.safetensors")):
        net = load_model(path)
        assert isinstance(net, StyleMapGAN) and not net.training
        assert not any(parameter.requires_grad for parameter in net.parameters())
        info = net.info
        assert (info.architecture, info.resolution, info.channels, info.layout) == ("stylemapgan", 32, 3, "aligned")
        assert info.licence == "CC BY-NC 4.0 (non-commercial)" and "StyleMapGAN" in info.origin
    assert load_model(path, dtype=torch.float16).w_avg.dtype == torch.float16


def test_the_command_line_reads_it(tmp_path, capsys):
    target = tmp_path / "net.safetensors"
    assert main(["info", str(GOLDEN)]) == 0
    assert main(["convert", str(GOLDEN), str(target)]) == 0
    assert main(["info", str(target)]) == 0
    text = capsys.readouterr().out
    assert text.count("stylemapgan") == 2 and text.count("BY-NC") == 2 and text.count("discriminator:") == 2
    assert main(["info", "stylemap-celeba-hq-256"]) == 0
    assert "celeba_hq_256_8x8.pt" in capsys.readouterr().out


# Other sizes: files made from this package's networks under the published names.

def their_name(key: str, network: str) -> str:
    """The published name of one of our tensors."""
    if network == "generator":
        key = re.sub(r"^mapping\.(\d+)", lambda found: f"mapping_z.{int(found[1]) + 1}", key)
        key = key.replace("decoder.const", "decoder.input.input")
        key = re.sub(r"^decoder\.blocks\.(\d+)\.skip\.weight", r"decoder.convs.\1.skip.0.weight", key)
        key = re.sub(r"^decoder\.blocks\.(\d+)\.conv(\d)", lambda f: f"decoder.convs.{f[1]}.conv{int(f[2]) + 1}", key)
        key = re.sub(r"^decoder\.conv\.", "decoder.conv1.", key)
        if not key.startswith(("mapping_z", "decoder.input", "decoder.resizer")) and ".skip." not in key:
            key = re.sub(r"\.conv\.bias$", ".activate.bias", re.sub(r"\.(gamma|beta)\.", r".conv.\1.", key))
        return re.sub(r"^decoder\.resizer\.(\d+)\.(weight|bias)",
                      lambda f: f"decoder.convs_latent.{f[1]}.{int(f[2] == 'bias')}.{f[2]}", key)
    shift = network == "discriminator"
    number = {"weight": 0, "bias": 1}
    key = re.sub(r"^from_rgb\.(\w+)", lambda f: f"{'convs.0' if shift else 'from_rgb'}.{number[f[1]]}.{f[1]}", key)
    key = re.sub(r"^blocks\.(\d+)\.conv(\d)\.(\w+)",
                 lambda f: f"convs.{int(f[1]) + shift}.conv{int(f[2]) + 1}.{number[f[3]] + int(f[2])}.{f[3]}", key)
    key = re.sub(r"^blocks\.(\d+)\.skip\.weight", lambda f: f"convs.{int(f[1]) + shift}.skip.1.weight", key)
    key = re.sub(r"^(?:final|conv)\.(\w+)", lambda f: f"final_conv.{number[f[1]]}.{f[1]}", key)
    return key.replace("dense.", "final_linear.0.").replace("output.", "final_linear.1.")


def their_state(state: dict, network: str) -> dict:
    """A state dict as published: modulated weights have an axis more, and the filters are in it."""
    theirs = {}
    for key, value in state.items():
        name = their_name(key, network)
        modulated = network == "generator" and name.endswith(".conv.weight")
        theirs[name] = value[None] if modulated else value
    fir = torch.outer(*[torch.tensor([1.0, 3.0, 3.0, 1.0])] * 2) / 64
    return {**theirs, "convs.0.skip.0.kernel": fir, "convs.0.conv2.0.kernel": fir * 4}


def checkpoint(config: StyleMapConfig, **settings) -> dict:
    """A checkpoint of random networks, as a training run of the published code would save it."""
    torch.manual_seed(0)
    net, critic = StyleMapGAN(config), StyleMapDiscriminator(config)
    state = net.state_dict()
    state.pop("w_avg")
    encoder = {key.removeprefix("encoder."): state.pop(key) for key in list(state) if key.startswith("encoder.")}
    g, e = their_state(state, "generator"), their_state(encoder, "encoder")
    args = {"lr_mul": 0.02, "normalize_mode": "LayerNorm", "small_generator": config.small, **settings}
    return {"g_ema": g, "e_ema": e, "generator": g, "encoder": e, "train_args": args,
            "discriminator": their_state(critic.state_dict(), "discriminator")}


SMALL = StyleMapConfig(64, 16, 6, 3, 0.02, (20, 18, 16, 14, 10), small=True)
FULL = StyleMapConfig(64, 4, 6, 5, 0.02, (16, 14, 12, 10, 8))


def test_the_names_made_here_are_those_of_the_published_file():
    made, published = checkpoint(import_checkpoint(GOLDEN).generator.config), read_torch(GOLDEN)

    def names(state):
        return {re.sub(r"(convs_latent\.\d+)\.\d", r"\1.n", key) for key in state if not key.endswith("kernel")}

    for key in ("g_ema", "e_ema", "discriminator"):
        assert names(made[key]) == names(published[key])
        assert all(made[key][name].shape == published[key][name].shape for name in made[key]
                   if name in published[key])


@pytest.mark.parametrize("config", [SMALL, FULL], ids=["small", "full"])
@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_other_sizes(config, zipped, tmp_path):
    content = checkpoint(config)
    content["train_args"] = argparse.Namespace(**content["train_args"])
    content["g_ema"] = {f"module.{key}": value for key, value in content["g_ema"].items()}
    torch.save(content, tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
    found = import_checkpoint(tmp_path / "net.pt")
    assert found.generator.config == found.discriminator.config == config
    torch.manual_seed(0)
    net, image = StyleMapGAN(config).eval(), torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        assert torch.equal(found.generator.decode(found.generator.encode(image)), net.decode(net.encode(image)))


@pytest.mark.parametrize("config", [
    StyleMapConfig(), StyleMapConfig(256, 16, 64), StyleMapConfig(256, 32, 64),
    StyleMapConfig(1024, 16, 64, channels=(512, 512, 512, 512, 512, 256, 128, 64, 32), small=True)], ids=repr)
@pytest.mark.parametrize("has_scores", [True, False])
def test_released_plans_are_inferred_from_shapes(config, has_scores):
    with torch.device("meta"):
        state, scores = StyleMapGAN(config).state_dict(), StyleMapDiscriminator(config).state_dict()
    encoder = {key.removeprefix("encoder."): value for key, value in state.items() if key.startswith("encoder.")}
    assert infer_config(state, encoder, scores if has_scores else None) == config


def test_channels_below_the_style_map_come_from_the_discriminator():
    assert import_stylemap(checkpoint(SMALL), "ema", "file")[0].config.channels == (20, 18, 16, 14, 10)
    content = checkpoint(SMALL)
    del content["discriminator"]
    net, critic = import_stylemap(content, "ema", "file")
    assert critic is None and net.config.channels == (16, 16, 16, 14, 10)


def changed(key: str, name: str, value) -> dict:
    content = checkpoint(FULL)
    content[key] = {**content[key], name: value}
    if value is None:
        del content[key][name]
    return content


BAD = {
    "no encoder": (lambda: {"g_ema": checkpoint(FULL)["g_ema"]}, "e_ema"),
    "an unknown tensor": (lambda: changed("g_ema", "decoder.norm.weight", torch.ones(1)), "decoder.norm"),
    "a missing tensor": (lambda: changed("g_ema", "decoder.conv1.activate.bias", None), "decoder.conv.conv.bias"),
    "a missing constant": (lambda: changed("g_ema", "decoder.input.input", None), "decoder.const"),
    "a wrong shape": (lambda: changed("e_ema", "final_conv.0.weight", torch.ones(6, 5, 3, 3)), "final.weight"),
    "no mapping": (lambda: {**checkpoint(FULL), "g_ema": {
        key: value for key, value in checkpoint(FULL)["g_ema"].items() if "mapping" not in key}}, "mapping"),
    "a number for a tensor": (lambda: changed("e_ema", "final_conv.0.weight", 3), "not a tensor"),
    "whole numbers": (lambda: changed("e_ema", "final_conv.1.bias", torch.ones(6, dtype=torch.int64)), "not a tensor"),
    "a flat constant": (lambda: changed("g_ema", "decoder.input.input", torch.ones(())), "file"),
    "another filter": (lambda: changed("g_ema", "decoder.convs.0.skip.1.kernel", torch.ones(4, 4)), "1,3,3,1"),
    "another normalisation": (lambda: checkpoint(FULL, normalize_mode="InstanceNorm2d"), "InstanceNorm2d"),
    "a rate that is none": (lambda: checkpoint(FULL, lr_mul="fast"), "lr_mul"),
    "a discriminator of another size": (lambda: {**checkpoint(FULL), "discriminator":
                                        checkpoint(SMALL)["discriminator"]}, "discriminator"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_content_is_refused_with_a_reason(name):
    make, words = BAD[name]
    with pytest.raises(CoModError, match=words) as caught:
        import_stylemap(make(), "ema", "file")
    assert "file" in str(caught.value)


def test_a_checkpoint_of_something_else_is_no_stylemapgan(tmp_path):
    torch.save({"g_ema": {"conv.weight": torch.ones(1)}, "e_ema": {}}, tmp_path / "net.pt")
    with pytest.raises(CoModError, match="recognised as .*no StyleMapGAN.*not supported"):
        import_checkpoint(tmp_path / "net.pt")


# CoMod's own files of this architecture.

@pytest.mark.parametrize(("values", "words"), [
    ({"channels": [16] * 1000}, "too large"), ({"channels": [16, 16, 16, 1 << 30]}, "too large"),
    ({"channels": [16, 16, 16, "16"]}, "impossible"), ({"channels": 7}, "impossible"), ({"channels": {}}, "impossible"),
    ({"resolution": 64}, "impossible"), ({"mapping_layers": 10 ** 9}, "too large"),
    ({"mapping_layers": 7}, "do not fit"), ({"small": True}, "do not fit"), ({"fmap_max": 8}, "unknown")])
def test_damaged_configurations(values, words, tmp_path):
    path = convert(GOLDEN, tmp_path / "net.safetensors")
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    header["__metadata__"]["config"] = json.dumps({**json.loads(header["__metadata__"]["config"]), **values})
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length:])
    with pytest.raises(CoModError, match=words) as caught:
        load_networks(path)
    assert str(path) in str(caught.value)


def test_networks_of_two_architectures_are_not_saved_together(tmp_path):
    net, critic = StyleMapGAN(FULL), StyleMapDiscriminator(FULL)
    other = CoModDiscriminator(CoModConfig(resolution=32, fmap_base=128, fmap_max=8, z_dim=8, w_dim=8, mapping_fmaps=8))
    for wrong, words in (({"generator": net, "discriminator": other}, "no discriminator of stylemapgan"),
                         ({"generator": critic}, "no generator"), ({"generator": torch.nn.Linear(1, 1)}, "no known")):
        with pytest.raises(CoModError, match=words):
            save_networks(tmp_path / "net.safetensors", wrong)
    assert not list(tmp_path.iterdir())
