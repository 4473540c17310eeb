"""The loader: which models it offers, what it refuses, what it puts on the socket."""
import os

import pytest
import torch


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path))
    return tmp_path


@pytest.fixture
def tiny(pack, folder):
    """A network file in the model folder, and the network itself."""
    comodgan = pack("comod_core.networks.comodgan")
    config = comodgan.CoModConfig(resolution=16, fmap_base=128, fmap_max=16, z_dim=16, w_dim=16, mapping_fmaps=16)
    network = comodgan.CoModGenerator(config).eval()
    facts = {"name": "tiny", "licence": "CC0", "origin": "made for a test"}
    pack("comod_core.checkpoints.store").save_networks(
        folder / "sub" / "tiny.safetensors", {"generator": network, "discriminator": None}, facts)
    return network


@pytest.fixture(scope="module")
def loader(nodes):
    return nodes["CoModLoadModel"]


def test_offers_built_in_names_and_files(pack, loader, tiny):
    combo = loader.define_schema().inputs[0]
    table = pack("comod_core.models.table").MODELS
    assert combo.options == [entry.name for entry in table if entry.built_in] + ["sub/tiny.safetensors"]
    assert combo.default == "avatars-64"


def test_loads_a_file_with_its_card(pack, loader, tiny):
    model, card = loader.execute("sub/tiny.safetensors").result
    network = pack("nodes.host").host.acquire(model)
    z = torch.randn(2, 16)
    assert torch.equal(network.map(z), tiny.map(z))
    assert not any(parameter.requires_grad for parameter in network.parameters()) and not network.training
    for line in ("name: tiny", "resolution: 16", "licence: CC0", "origin: made for a test"):
        assert line in card.splitlines()


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_is_the_weights(loader, tiny, precision, dtype):
    model = loader.execute("sub/tiny.safetensors", precision)[0]
    assert {parameter.dtype for parameter in model.model.parameters()} == {dtype}


def test_weights_loaded_in_inference_mode_can_be_differentiated(loader, tiny):
    with torch.inference_mode():
        network = loader.execute("sub/tiny.safetensors")[0].model
    z = torch.randn(1, 16, requires_grad=True)
    network.map(z).sum().backward()
    assert z.grad.abs().sum() > 0


def test_validation_names_the_place_and_the_choices(loader, tiny, folder):
    assert loader.validate_inputs("avatars-64") is True
    assert loader.validate_inputs("sub/tiny.safetensors") is True
    assert loader.validate_inputs(None) is True, "a linked input has no value yet"
    message = loader.validate_inputs("ffhq.pkl")
    assert "ffhq.pkl" in message and str(folder) in message and "avatars-64" in message


@pytest.mark.parametrize("name", ["absent.pkl", "../outside.safetensors", "/etc/passwd", "ffhq-512"])
def test_execute_refuses_what_is_not_listed(pack, loader, folder, name):
    with pytest.raises(pack("comod_core.errors").CoModError, match="Put the file there"):
        loader.execute(name)


def test_fingerprint_follows_the_file(loader, tiny, folder):
    before = loader.fingerprint_inputs("sub/tiny.safetensors", "fp32")
    assert loader.fingerprint_inputs("sub/tiny.safetensors", "fp32") == before
    assert loader.fingerprint_inputs("sub/tiny.safetensors", "bf16") != before
    os.utime(folder / "sub" / "tiny.safetensors", (1, 1))
    assert loader.fingerprint_inputs("sub/tiny.safetensors", "fp32") != before


def test_a_damaged_file_is_refused_in_words(pack, loader, folder):
    (folder / "broken.safetensors").write_bytes(b"not a network")
    with pytest.raises(pack("comod_core.errors").CoModError, match="broken.safetensors"):
        loader.execute("broken.safetensors")
