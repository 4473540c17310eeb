"""Which models each tab offers, and which networks stay loaded."""
import shutil
from pathlib import Path

import pytest

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "stylemap_32_8x8.pt"


@pytest.fixture
def folder(pack, monkeypatch, tmp_path):
    """A model folder with a foreign file, a converted one and one that is no model."""
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path))
    shutil.copy(GOLDEN, tmp_path / "faces.pt")
    pack("comod_core.checkpoints").convert(GOLDEN, tmp_path / "small.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    return tmp_path


def test_a_tab_offers_models_of_its_architecture_and_foreign_files(pack, folder):
    models = pack("ui.models").Models()
    edits, completes = models.names("stylemapgan"), models.names("comodgan")
    assert {"faces.pt", "small.safetensors"} <= set(edits) and "avatars-64" not in edits
    assert {"faces.pt", "avatars-64"} <= set(completes) and "small.safetensors" not in completes
    assert {"faces.pt", "small.safetensors", "avatars-64", "broken.safetensors"} <= set(models.names())


def test_the_model_of_the_start_leads_where_it_fits(pack, folder, tmp_path):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    path = shutil.copy(folder / "small.safetensors", outside / "mine.safetensors")
    models = pack("ui.models").Models(str(path))
    assert models.default("stylemapgan") == models.names("stylemapgan")[0] == "mine.safetensors"
    assert models.default("comodgan") == "avatars-64" and "mine.safetensors" not in models.names("comodgan")


def test_one_network_of_each_architecture_stays_loaded(pack, folder):
    models = pack("ui.models").Models()
    edits, completes = models.get("small.safetensors"), models.get("avatars-64")
    assert models.get("small.safetensors") is edits and models.get("avatars-64") is completes
    assert models.get("small.safetensors", "bf16") is not edits
    assert models.get("avatars-64") is completes and models.get("small.safetensors") is not edits
