"""CoMod's own files: whole, deterministic, readable by the safetensors library, checked when read."""
from __future__ import annotations

import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from comod_core.checkpoints import convert, import_checkpoint
from comod_core.checkpoints.store import is_safetensors, load_networks, read_header, save_networks
from comod_core.errors import CoModError
from comod_core.networks import CoModConfig, CoModDiscriminator, CoModGenerator

DATA = Path(__file__).parent.parent / "data"
CONFIG = CoModConfig(resolution=16, fmap_base=128, fmap_max=16, z_dim=8, w_dim=8, mapping_fmaps=8, label_size=3)
FACTS = {"licence": "CC0", "origin": "test", "credits": ["a", "b"], "name": "tiny"}


@pytest.fixture
def networks():
    torch.manual_seed(0)
    return {"generator": CoModGenerator(CONFIG), "discriminator": CoModDiscriminator(CONFIG)}


def test_round_trip(networks, tmp_path):
    path = save_networks(tmp_path / "sub" / "net.safetensors", networks, FACTS)
    assert is_safetensors(path)
    found, facts = load_networks(path)
    for name, net in networks.items():
        state = found[name].state_dict()
        assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
        assert not found[name].training and not any(p.requires_grad for p in found[name].parameters())
    assert found["generator"].config == CONFIG
    assert facts["licence"] == "CC0" and json.loads(facts["credits"]) == ["a", "b"]
    z = torch.randn(1, 8)
    label = torch.eye(3)[:1]
    image, mask = torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
    with torch.no_grad():
        pictures = [net.eval().decode(net.encode(image, mask, dropout=False), net.map(z, label))
                    for net in (networks["generator"], found["generator"])]
        scores = [net(image, mask, label) for net in (networks["discriminator"], found["discriminator"])]
    assert torch.equal(*pictures)
    assert torch.equal(*scores)


def test_the_library_reads_the_file(networks, tmp_path):
    path = save_networks(tmp_path / "net.safetensors", networks, FACTS)
    tensors = load_file(path)
    expected = {f"{name}.{key}": value for name, net in networks.items() for key, value in net.state_dict().items()}
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[key], expected[key]) for key in expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_number_formats(networks, dtype, tmp_path):
    path = save_networks(tmp_path / "net.safetensors", {"generator": networks["generator"].to(dtype)}, FACTS)
    found, _ = load_networks(path)
    assert set(found) == {"generator"} and found["generator"].w_avg.dtype == dtype
    assert torch.equal(found["generator"].mapping.dense0.weight, networks["generator"].mapping.dense0.weight)


def test_bytes_are_the_same_in_every_process(tmp_path):
    source = str(DATA / "comod_tf_32_pix2pix.pkl")
    script = "import sys; from comod_core.checkpoints import convert; convert(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", script, source, str(tmp_path / "other.safetensors")], check=True,
                   cwd=DATA.parent.parent, env={**os.environ, "PYTHONHASHSEED": "1"})
    assert convert(source, tmp_path / "net.safetensors").read_bytes() == (tmp_path / "other.safetensors").read_bytes()


def test_header(networks, tmp_path):
    header = read_header(save_networks(tmp_path / "net.safetensors", networks, FACTS))
    assert header["architecture"] == "comodgan" and header["config"]["resolution"] == 16
    assert header["networks"] == ["discriminator", "generator"] and header["name"] == "tiny"


def test_a_failed_write_leaves_the_old_file(networks, tmp_path):
    path = save_networks(tmp_path / "net.safetensors", networks, FACTS)
    before = path.read_bytes()
    networks["generator"].register_buffer("number", torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(CoModError, match="complex64"):
        save_networks(path, networks, FACTS)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["net.safetensors"]


def test_a_loaded_network_does_not_follow_changes_of_the_file(networks, tmp_path):
    path = save_networks(tmp_path / "net.safetensors", {"generator": networks["generator"]}, FACTS)
    found, _ = load_networks(path)
    found["generator"].w_avg.fill_(5)
    assert not (load_networks(path)[0]["generator"].w_avg == 5).any()
    save_networks(path, {"generator": CoModGenerator(CONFIG)}, FACTS)
    assert torch.equal(found["generator"].mapping.dense0.weight, networks["generator"].mapping.dense0.weight)


def test_networks_that_do_not_belong_together(networks, tmp_path):
    other = CoModDiscriminator(CoModConfig(resolution=32, fmap_base=128, fmap_max=16, z_dim=8, w_dim=8))
    for wrong in ({"generator": networks["generator"], "discriminator": other}, {}, {"critic": other}):
        with pytest.raises(CoModError):
            save_networks(tmp_path / "net.safetensors", wrong, FACTS)


def rewritten(path: Path, change) -> Path:
    """The file with its header changed."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length:])
    return path


def edit_config(**values):
    def change(header):
        config = json.loads(header["__metadata__"]["config"])
        header["__metadata__"]["config"] = json.dumps({**config, **values})
    return change


@pytest.mark.parametrize(("change", "words"), [
    (edit_config(resolution=32), "do not fit"), (edit_config(resolution=17), "impossible"),
    (edit_config(resolution="a"), "impossible"), (edit_config(mapping_layers=10 ** 9), "too large"),
    (edit_config(z_dim=10 ** 12), "too large"), (edit_config(evil=1), "unknown"),
    (lambda header: header["__metadata__"].update(config="{"), "damaged"),
    (lambda header: header["__metadata__"].update(config="[" * 100_000), "damaged"),
    (lambda header: header["__metadata__"].update(config="[]"), "unknown"),
    (lambda header: header["__metadata__"].update(architecture="other"), "other"),
    (lambda header: header.pop("__metadata__"), "unknown"),
    (lambda header: header["generator.w_avg"].update(shape=[2 ** 40]), "safetensors"),
    (lambda header: header["generator.w_avg"].update(dtype="I32"), "int32"),
    (lambda header: header["generator.w_avg"].update(data_offsets=[0, 2 ** 60]), "safetensors")])
def test_damaged_files(networks, change, words, tmp_path):
    path = rewritten(save_networks(tmp_path / "net.safetensors", networks, FACTS), change)
    with pytest.raises(CoModError, match=words) as caught:
        load_networks(path)
    assert str(path) in str(caught.value)


def test_gigantic_or_cut_headers(networks, tmp_path):
    path = save_networks(tmp_path / "net.safetensors", networks, FACTS)
    content = path.read_bytes()
    for damaged in (content[:100], content[:-1], struct.pack("<Q", 1 << 60) + content[8:], b"{" * 20):
        path.write_bytes(damaged)
        with pytest.raises(CoModError):
            load_networks(path)
        with pytest.raises(CoModError):
            import_checkpoint(path)


def test_convert_keeps_everything(tmp_path):
    source = tmp_path / "co-mod-gan-test.pkl"
    source.write_bytes((DATA / "comod_tf_32_pix2pix.pkl").read_bytes())
    said = []
    path = convert(source, progress=said.append)
    assert path == tmp_path / "co-mod-gan-test.safetensors" and len(said) == 2
    header = read_header(path)
    assert header["networks"] == ["discriminator", "generator"] and header["which"] == "ema"
    assert header["source_name"] == source.name and len(header["source_sha256"]) == 64
    assert "NVIDIA" in header["licence"] and "github.com/zsyzzsoft" in header["origin"] and "Zhao" in header["credits"]
    assert not path.stat().st_mode & stat.S_IXUSR
    trained = convert(source, tmp_path / "train.safetensors", "train")
    assert read_header(trained)["which"] == "train" and trained.read_bytes() != path.read_bytes()
    again = convert(path, tmp_path / "again.safetensors")
    assert load_file(again).keys() == load_file(path).keys() and read_header(again) == read_header(path)


def test_convert_refuses(tmp_path):
    source = DATA / "comod_tf_32_pix2pix.pkl"
    with pytest.raises(CoModError, match="ends in .safetensors"):
        convert(source, tmp_path / "net.pkl")
    path = convert(source, tmp_path / "net.safetensors")
    with pytest.raises(CoModError, match="already"):
        convert(path)
    with pytest.raises(CoModError, match="which"):
        convert(source, tmp_path / "net.safetensors", "best")
    with pytest.raises(CoModError, match="'ema'"):
        import_checkpoint(path, "train")


@pytest.mark.parametrize(("content", "words"), [
    ({"best_FID": 1.0, "config": {}}, "configuration of an IC-GAN BigGAN .*G_ema"),
    ({"blocks.0.0.conv1.weight": torch.ones(1)}, "BigGAN state dict, not of a generator")])
def test_other_architectures_are_recognised(content, words, tmp_path):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(CoModError, match=f"recognised as .*{words}.*not supported by this version"):
        import_checkpoint(tmp_path / "net.pth")
