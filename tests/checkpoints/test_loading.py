"""load_model: by file, by name, by download; and what it says when it cannot."""
from __future__ import annotations

import dataclasses
import hashlib
import logging
import re
from pathlib import Path

import pytest
import torch

from comod_core import loading
from comod_core.checkpoints import convert
from comod_core.checkpoints.store import save_networks
from comod_core.errors import CoModError
from comod_core.loading import ModelInfo, load_model
from comod_core.models.table import MODELS, ModelEntry
from comod_core.networks import CoModConfig, CoModDiscriminator, CoModGenerator

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def tiny(tmp_path):
    net = CoModGenerator(CoModConfig(resolution=16, fmap_base=128, fmap_max=16, z_dim=8, w_dim=8, mapping_fmaps=8))
    return save_networks(tmp_path / "tiny.safetensors", {"generator": net},
                         {"licence": "CC0", "origin": "here", "name": "tiny-16"})


def test_a_file_of_our_own(tiny):
    net = load_model(tiny)
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert net.info == ModelInfo("tiny-16", "comodgan", 16, 3, "CC0", "here", digest)
    assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())
    assert net.w_avg.device.type == "cpu" and net.w_avg.dtype == torch.float32


def test_number_format_and_device(tiny):
    net = load_model(str(tiny), device="cpu", dtype=torch.float16)
    assert net.w_avg.dtype == torch.float16 and net.mapping.dense0.weight.dtype == torch.float16


def test_the_digest_follows_the_file(tiny, tmp_path):
    first = load_model(tiny).info.sha256
    net = CoModGenerator(CoModConfig(resolution=16, fmap_base=128, fmap_max=8, z_dim=8, w_dim=8, mapping_fmaps=8))
    save_networks(tiny, {"generator": net}, {})
    assert load_model(tiny).info.sha256 == hashlib.sha256(tiny.read_bytes()).hexdigest() != first


def test_gradients_pass_even_when_loaded_in_inference_mode(tiny):
    with torch.inference_mode():
        net = load_model(tiny)
    z = torch.randn(1, 8, requires_grad=True)
    net.map(z).sum().backward()
    assert z.grad.abs().sum() > 0


def test_a_foreign_file_is_imported_on_the_fly(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "comod"):
        net = load_model(DATA / "comod_tf_32_pix2pix.pkl")
    assert "comod convert" in caplog.text
    assert net.info.name == "comod_tf_32_pix2pix" and "NVIDIA" in net.info.licence and net.info.resolution == 32
    assert net.info.sha256 == hashlib.sha256((DATA / "comod_tf_32_pix2pix.pkl").read_bytes()).hexdigest()
    caplog.clear()
    with caplog.at_level(logging.INFO, "comod"):
        again = load_model(convert(DATA / "comod_tf_32_pix2pix.pkl", tmp_path / "net.safetensors"))
    assert "on the fly" not in caplog.text
    assert torch.equal(net.w_avg, again.w_avg) and again.info.licence == net.info.licence
    assert load_model(convert(DATA / "comod_tf_32_pix2pix.pkl", tmp_path / "t.safetensors", "train")).info.name == "t"


@pytest.mark.parametrize(("name", "words"), [
    ("avatar-64", "Did you mean avatars-64"), ("fhq-512", "Did you mean ffhq-512"), ("zzzz", "Known names: avatars-64"),
    ("absent/net.safetensors", "no such file"), ("net.pkl", "no such file"), ("", "no such file|no model")])
def test_unknown_names(name, words):
    with pytest.raises(CoModError, match=words):
        load_model(name)


def test_published_models_say_how_to_get_them(folder):
    for entry in MODELS:
        if not entry.built_in and entry.url is None:
            with pytest.raises(CoModError) as caught:
                load_model(entry.name)
            message = str(caught.value)
            assert entry.origin in message and entry.licence in message and str(folder / entry.file) in message


def test_a_published_file_in_the_folder_is_found_and_its_conversion_preferred(folder):
    entry = next(entry for entry in MODELS if entry.name == "edges2shoes-256")
    folder.mkdir()
    (folder / entry.file).write_bytes((DATA / "comod_tf_32_pix2pix.pkl").read_bytes())
    foreign = load_model("edges2shoes-256")
    assert foreign.info.name == "edges2shoes-256" and foreign.pix2pix
    path = convert(folder / entry.file)
    assert load_model("edges2shoes-256").info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_model_with_an_address_is_downloaded_once(tiny, folder, monkeypatch):
    content = tiny.read_bytes()
    entry = ModelEntry("remote-16", "remote.safetensors", "https://example.org/remote.safetensors",
                       hashlib.sha256(content).hexdigest(), len(content), "CC0", 16, "for the test")
    asked = []

    def fetch(url, path, sha256, size):
        asked.append((url, sha256, size))
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        return path

    monkeypatch.setattr(loading, "MODELS", (entry,))
    monkeypatch.setattr(loading, "download", fetch)
    assert load_model("remote-16").info.name == load_model("remote-16").info.name == "remote-16"
    assert asked == [(entry.url, entry.sha256, entry.size)] and (folder / "remote.safetensors").is_file()


def test_a_file_without_a_generator(tmp_path):
    critic = CoModDiscriminator(CoModConfig(resolution=16, fmap_base=128, fmap_max=16))
    path = save_networks(tmp_path / "critic.safetensors", {"discriminator": critic}, {})
    with pytest.raises(CoModError, match="no generator"):
        load_model(path)


def test_the_table():
    names = [entry.name for entry in MODELS]
    assert len(set(names)) == len(names) and names[0] == "avatars-64" and MODELS[0].built_in
    for entry in MODELS:
        assert all(getattr(entry, field.name) or field.name in ("url", "sha256", "size", "origin", "built_in")
                   for field in dataclasses.fields(entry))
        assert entry.sha256 is None or re.fullmatch("[0-9a-f]{64}", entry.sha256)
        assert entry.url is None or entry.sha256 and entry.size and entry.url.startswith("https://")
        assert entry.built_in or entry.url or entry.origin.startswith("https://")
