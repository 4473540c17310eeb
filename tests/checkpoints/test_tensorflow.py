"""Parity: networks imported from the official format give the outputs that the published code gave."""
from __future__ import annotations

import contextlib
import copy
import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from comod_core.checkpoints import convert, import_checkpoint
from comod_core.checkpoints.machine import Record
from comod_core.checkpoints.pickles import read_pickle
from comod_core.checkpoints.store import load_networks
from comod_core.checkpoints.tensorflow import import_tensorflow, noise_layer
from comod_core.errors import CoModError
from comod_core.latents import truncate

DATA = Path(__file__).parent.parent / "data"
GOLDENS = ("comod_tf_64", "comod_tf_32_pix2pix")
CASES = {"image_psi_None": (1, None, "const"), "image_psi_0.5": (0.5, None, "const"),
         "image_psi_0.0": (0, None, "const"), "image_psi_0.7_cut_4": (0.7, 4, "const"),
         "image_noise_none": (1, None, "none")}
TOLERANCE = 1e-4  # of the reference's standard deviation


@cache
def reference(golden: str) -> dict[str, torch.Tensor]:
    with np.load(DATA / f"{golden}.npz") as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.fixture(scope="module", params=[(golden, door) for golden in GOLDENS for door in ("pickle", "safetensors")],
                ids=lambda param: "-".join(param))
def networks(request, tmp_path_factory):
    """Generator, discriminator and reference; imported directly, and after convert and reload."""
    golden, door = request.param
    path = DATA / f"{golden}.pkl"
    if door == "pickle":
        found = import_checkpoint(path)
        return found.generator, found.discriminator, reference(golden)
    loaded, _ = load_networks(convert(path, tmp_path_factory.mktemp("converted") / "net.safetensors"))
    return loaded["generator"], loaded["discriminator"], reference(golden)


def assert_agrees(found: torch.Tensor, expected: torch.Tensor):
    assert found.shape == expected.shape
    assert ((found - expected).abs().max() / expected.std()).item() <= TOLERANCE


def render(net, golden: dict, psi: float, cutoff: int | None, noise_mode: str) -> torch.Tensor:
    """The picture as the published network gives it; its mask is 1 on KNOWN pixels, and pairs carry the condition."""
    w = truncate(net.map(golden["z"]), net.w_avg, psi, cutoff)
    if not net.pix2pix:
        encoding = net.encode(golden["image"], 1 - golden["mask"], dropout=False)
        return net.decode(encoding, w, noise_mode)
    condition = golden["image"][:, net.image_channels:]
    return torch.cat([net.decode(net.encode(condition, None, dropout=False), w, noise_mode), condition], dim=1)


@pytest.mark.parametrize("case", CASES)
def test_pictures(networks, case):
    net, _, golden = networks
    assert_agrees(render(net, golden, *CASES[case]), golden[case])


def test_latents(networks):
    net, _, golden = networks
    assert_agrees(net.map(golden["z"]), golden["w"])


@pytest.mark.parametrize(("scores", "pictures"), [("scores_real", "image"), ("scores_fake", "image_psi_None")])
def test_scores(networks, scores, pictures):
    net, critic, golden = networks
    image = golden[pictures]
    if net.pix2pix:
        found = critic(image[:, :net.image_channels], image[:, net.image_channels:])
    else:
        found = critic(image, 1 - golden["mask"])
    assert_agrees(found, golden[scores])


@pytest.mark.parametrize("golden", GOLDENS)
def test_converted_networks_are_the_imported_ones_bit_for_bit(golden, tmp_path):
    direct = import_checkpoint(DATA / f"{golden}.pkl")
    again = import_checkpoint(convert(DATA / f"{golden}.pkl", tmp_path / "net.safetensors"))
    for one, other in ((direct.generator, again.generator), (direct.discriminator, again.discriminator)):
        assert one.config == other.config
        tensors = dict(one.state_dict()), dict(other.state_dict())
        assert tensors[0].keys() == tensors[1].keys()
        assert all(torch.equal(tensors[0][key], tensors[1][key]) for key in tensors[0])
    arrays = reference(golden)
    pictures = [render(found.generator, arrays, 1, None, "const") for found in (direct, again)]
    assert torch.equal(*pictures)


def test_configuration_is_the_one_in_the_file():
    config = import_checkpoint(DATA / "comod_tf_64.pkl").generator.config
    assert (config.resolution, config.image_channels, config.fmap_base, config.fmap_max) == (64, 3, 512, 32)
    assert (config.z_dim, config.w_dim, config.mapping_layers, config.mapping_fmaps) == (48, 48, 8, 48)
    assert config.style_mod and config.cond_mod and not config.pix2pix and config.dropout_rate == 0.5
    config = import_checkpoint(DATA / "comod_tf_32_pix2pix.pkl").generator.config
    assert config.pix2pix and config.resolution == 32 and config.image_channels == 3 and config.encoder_channels == 3


def test_the_trained_generator_can_be_had(tmp_path):
    averaged, trained = (import_checkpoint(DATA / "comod_tf_64.pkl", which).generator for which in ("ema", "train"))
    expected = {name: dict(read_pickle(DATA / "comod_tf_64.pkl")[index].get("components")["mapping"].get("variables"))
                for name, index in (("train", 0), ("ema", 2))}
    for net, name in ((averaged, "ema"), (trained, "train")):
        assert torch.equal(net.mapping.dense0.weight, torch.from_numpy(expected[name]["Dense0/weight"]).t())


def edited(**settings):
    """The content of a golden whose averaged generator states other settings."""
    content = copy.deepcopy(read_pickle(DATA / "comod_tf_32_pix2pix.pkl"))
    content[2].get("static_kwargs").update(settings)
    return content


def test_stated_settings_win_where_shapes_are_silent():
    content = edited(mapping_lrmul=0.5, dropout_rate=0.75)
    content[1].get("static_kwargs")["mbstd_group_size"] = 2
    config = import_tensorflow(content, "ema", "test")[0].config
    assert (config.mapping_lr_mul, config.dropout_rate, config.mbstd_group) == (0.5, 0.25, 2)


def test_wrong_fmap_settings_give_way_to_shapes():
    config = import_tensorflow(edited(fmap_base=9999), "ema", "test")[0].config
    assert [config.channels(k) for k in range(5)] == [32, 32, 32, 32, 16]


def test_switched_off_noise_is_strength_zero():
    content = edited()
    synthesis = content[2].get("components")["synthesis"]
    synthesis.state["variables"] = [pair for pair in synthesis.get("variables") if "noise_strength" not in pair[0]]
    net = import_tensorflow(content, "ema", "test")[0]
    assert net.synthesis.b8.conv0.noise_strength == 0 and net.synthesis.b8.conv0.noise_const.std() > 0


@pytest.mark.parametrize(("settings", "words"), [
    ({"architecture": "orig"}, "architecture"), ({"nonlinearity": "relu"}, "nonlinearity"),
    ({"resample_kernel": [1, 2, 1]}, "resample_kernel"), ({"normalize_latents": False}, "normalize_latents"),
    ({"mapping_lrmul": "a"}, "number")])
def test_unsupported_settings_are_named(settings, words):
    with pytest.raises(CoModError, match=words):
        import_tensorflow(edited(**settings), "ema", "test")


def test_damaged_networks_are_named():
    for part, change, words in (
            ("synthesis", lambda pairs: pairs[:-1], "G_32x32|to_rgb"),
            ("synthesis", lambda pairs: [*pairs, ("G_32x32/Evil/weight", np.zeros(1))], "Evil"),
            ("synthesis", lambda pairs: [*pairs, ("noise99", np.zeros(1))], "noise_const"),
            ("mapping", lambda pairs: [], "dense"),
            ("mapping", lambda pairs: None, "without variables")):
        content = edited()
        record = content[2].get("components")[part]
        record.state["variables"] = change(record.get("variables"))
        with pytest.raises(CoModError, match=words):
            import_tensorflow(content, "ema", "test")


def places_of(value, found: list):
    """Every (container, key) in a pickle's content."""
    value = value.state if isinstance(value, Record) else value
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            found.append((value, key))
            places_of(value[key], found)
    elif isinstance(value, tuple):
        for part in value:
            places_of(part, found)


def test_values_of_other_types_are_errors_or_harmless():
    """Whatever stands in place of whatever: a network, or a CoModError; nothing else."""
    chance = random.Random(0)
    nonsense = (None, -1, 2 ** 70, float("nan"), float("inf"), "x", [], {}, (), np.zeros((2, 2)), np.array(["a"]), True)
    for _ in range(60):
        content, places = edited(), []
        places_of(content, places)
        container, key = chance.choice(places)
        container[key] = chance.choice(nonsense)
        with contextlib.suppress(CoModError):
            assert import_tensorflow(content, "ema", "test")[0].resolution == 32


def test_other_tensorflow_networks_are_recognised():
    content = edited()
    content[2].get("components")["synthesis"].state["build_func_name"] = "G_synthesis_stylegan2"
    with pytest.raises(CoModError, match="G_synthesis_stylegan2.*not supported"):
        import_tensorflow(content, "ema", "test")
    empty = Record("dnnlib.tflib.network", "Network")
    with pytest.raises(CoModError, match="not supported"):
        import_tensorflow((empty, empty, empty), "ema", "test")


def test_noise_maps_go_to_their_layers():
    assert [noise_layer(i) for i in range(5)] == ["b4.conv", "b8.conv0", "b8.conv1", "b16.conv0", "b16.conv1"]
