"""The PyTorch port's files: the same network in the port's names and layouts comes back as it was."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from comod_core.checkpoints import convert, import_checkpoint
from comod_core.checkpoints.port import average_latent, import_port, is_port
from comod_core.checkpoints.store import read_header
from comod_core.errors import CoModError
from comod_core.networks import CoModConfig, CoModGenerator

DATA = Path(__file__).parent.parent / "data"
DERIVED = ("w_avg", "noise_const")
KERNEL = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


def port_names(net: CoModGenerator) -> dict[str, torch.Tensor]:
    """The network's state in the port's format: the inverse of the importer, written from the format's description."""
    made = {}
    for key, value in net.state_dict().items():
        parts = key.split(".")
        if key.endswith(DERIVED):
            continue
        if parts[0] == "mapping":
            made[f"G_mapping.G_mapping.Dense{parts[1].removeprefix('dense')}.{parts[2]}"] = value
        elif parts[0] == "encoder":
            made[encoder_name(parts, net.resolution)] = value
        else:
            name, value = synthesis_entry(parts, value)
            made[name] = value
    for block in range(3, net.config.log2 + 1):
        size = 2 ** block
        made[f"G_synthesis.E.{size}x{size}.Conv1_down.0.kernel"] = KERNEL
        made[f"G_synthesis.G_{size}x{size}.Conv0_up.conv.blur.kernel"] = KERNEL * 4
        made[f"G_synthesis.G_{size}x{size}.ToRGB.upsample.kernel"] = KERNEL * 4
    return made


def encoder_name(parts: list[str], resolution: int) -> str:
    *_, leaf = parts
    index = {"weight": 0, "bias": 1}[leaf]
    if parts[1] == "from_rgb":
        return f"G_synthesis.E.{resolution}x{resolution}_0.FromRGB.{index}.{leaf}"
    size = parts[1].removeprefix("b")
    if parts[2] == "dense":
        return f"G_synthesis.E.4x4.Dense0.{leaf}"
    layer = {"conv": "Conv.", "conv0": "Conv0.", "conv1": "Conv1_down."}[parts[2]]
    return f"G_synthesis.E.{size}x{size}.{layer}{index + (parts[2] == 'conv1')}.{leaf}"


def synthesis_entry(parts: list[str], value: torch.Tensor) -> tuple[str, torch.Tensor]:
    size = parts[1].removeprefix("b")
    block = f"G_synthesis.G_{size}x{size}"
    if parts[2] == "dense":
        return f"{block}.Dense.{parts[3]}", value
    layer = {"conv": "Conv", "conv0": "Conv0_up", "conv1": "Conv1", "to_rgb": "ToRGB"}[parts[2]]
    leaf = ".".join(parts[3:])
    if leaf == "weight":
        return f"{block}.{layer}.conv.weight", value[None]
    if leaf.startswith("mod."):
        return f"{block}.{layer}.conv.modulation.{parts[4]}", value + 1 if parts[4] == "bias" else value
    if leaf == "noise_strength":
        return f"{block}.{layer}.noise.weight", value.reshape(1)
    return (f"{block}.ToRGB.bias", value.reshape(1, -1, 1, 1)) if layer == "ToRGB" else (
        f"{block}.{layer}.activate.bias", value)


@pytest.fixture(scope="module")
def net():
    return import_checkpoint(DATA / "comod_tf_64.pkl").generator


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("zipped", [True, False])
def test_round_trip(net, prefix, zipped, tmp_path):
    path = tmp_path / "64_net_G_ema.pth"
    torch.save({prefix + key: value for key, value in port_names(net).items()}, path,
               _use_new_zipfile_serialization=zipped)
    found = import_checkpoint(path)
    assert found.discriminator is None
    expected, state = net.state_dict(), found.generator.state_dict()
    assert state.keys() == expected.keys()
    for key in expected:
        if key.endswith("mod.bias"):  # + 1 - 1 costs a bit
            torch.testing.assert_close(state[key], expected[key], rtol=0, atol=2e-7)
        elif not key.endswith(DERIVED):
            assert torch.equal(state[key], expected[key]), key


def test_configuration_comes_from_the_shapes(net):
    found = import_port(port_names(net), "test")
    assert found.config == net.config


@pytest.mark.parametrize("config", [
    CoModConfig(resolution=512, fmap_base=1024, fmap_max=32, z_dim=16, w_dim=16, mapping_fmaps=16),
    CoModConfig(resolution=64, fmap_base=1000, fmap_max=80, z_dim=12, w_dim=20, mapping_fmaps=24, mapping_layers=3),
    CoModConfig(resolution=16, fmap_base=512, fmap_max=16, z_dim=12, w_dim=20, mapping_fmaps=24, mapping_layers=12),
    CoModConfig(resolution=32, fmap_base=512, fmap_min=40, fmap_max=64, z_dim=8, w_dim=8, mapping_fmaps=8),
    CoModConfig(resolution=16, fmap_base=4096, fmap_max=16, z_dim=8, w_dim=8, style_mod=False, mapping_fmaps=8),
    CoModConfig(resolution=16, fmap_base=4096, fmap_max=16, z_dim=8, w_dim=8, cond_mod=False, mapping_fmaps=8),
    CoModConfig(resolution=16, fmap_base=4096, fmap_max=16, z_dim=8, w_dim=8, mapping_fmaps=8, image_channels=1)])
def test_any_configuration_is_found_from_shapes(config):
    found = import_port(port_names(CoModGenerator(config)), "test").config
    assert [found.channels(k) for k in range(1, config.log2)] == [config.channels(k) for k in range(1, config.log2)]
    for name in ("resolution", "image_channels", "z_dim", "w_dim", "mapping_layers", "mapping_fmaps", "style_mod",
                 "cond_mod", "pix2pix"):
        assert getattr(found, name) == getattr(config, name), name


def test_what_is_missing_is_estimated_and_said(net, tmp_path):
    path = tmp_path / "net.pth"
    torch.save(port_names(net), path)
    one, other = import_checkpoint(path), import_checkpoint(path)
    assert torch.equal(one.generator.w_avg, other.generator.w_avg)
    for key, value in one.generator.state_dict().items():
        if key.endswith("noise_const"):
            assert torch.equal(value, other.generator.state_dict()[key]) and abs(value.std() - 1) < 0.5
    many = average_latent(net, 40_000, seed=99)
    spread = net.map(torch.randn(2000, net.z_dim, generator=torch.Generator().manual_seed(3)))[:, 0].std(dim=0)
    assert ((one.generator.w_avg - many).abs() < 5 * spread / 10_000 ** 0.5).all()
    header = read_header(convert(path))
    assert "w_avg" in header["notes"] and "noise maps" in header["notes"]
    assert "co-mod-gan-pytorch" in header["origin"] and "non-commercial" in header["licence"]
    assert header["networks"] == ["generator"]


def test_pictures_are_those_of_the_original_network(net):
    """With the original's noise maps and w_avg put back, the pictures agree."""
    found = import_port(port_names(net), "test")
    for key, value in net.state_dict().items():
        if key.endswith(DERIVED):
            found.state_dict()[key].copy_(value)
    image = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 8:60] = 1
    z = torch.randn(2, net.z_dim, generator=torch.Generator().manual_seed(1))
    pictures = [each.decode(each.encode(image, mask, dropout=False), each.map(z)) for each in (net, found)]
    assert ((pictures[0] - pictures[1]).abs().max() / pictures[0].std()).item() < 1e-4


def test_wrong_files_are_named(net):
    names = port_names(net)
    assert is_port(names) and not is_port({"G_mapping": 1}) and not is_port([1])
    some = next(key for key in names if key.endswith("Conv0_up.conv.weight"))
    for change, words in ((lambda state: state.pop(some), re.escape("weight: expected")),
                          (lambda state: state.update({"G_synthesis.Evil": torch.ones(1)}), "Evil"),
                          (lambda state: state.update({some: "text"}), "not a tensor"),
                          (lambda state: state.update({some: torch.ones(1, 1)}), "expected"),
                          (lambda state: state.update({some.replace("weight", "blur.kernel"): KERNEL + 1}), "1,3,3,1"),
                          (lambda state: [state.pop(key) for key in list(state) if "G_mapping" in key], "mapping"),
                          (lambda state: [state.pop(key) for key in list(state) if ".E." in key], "encoder")):
        state = dict(names)
        change(state)
        with pytest.raises(CoModError, match=words):
            import_port(state, "test")


def test_there_is_no_trained_generator_in_it(net, tmp_path):
    torch.save(port_names(net), tmp_path / "net.pth")
    with pytest.raises(CoModError, match="averaged"):
        import_checkpoint(tmp_path / "net.pth", "train")
