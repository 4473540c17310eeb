"""A run that begins with a model file has the file's network, at the resolution of its own pictures."""
import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from comod_core import CoModError
from comod_core.checkpoints import import_checkpoint
from comod_core.checkpoints.store import read_header
from comod_core.cli import main
from comod_core.networks.comodgan import CoModConfig
from comod_core.networks.stylegan2 import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator
from comod_core.networks.stylemapgan import StyleMapConfig, StyleMapDiscriminator, StyleMapGAN
from comod_core.ops import upsample2d
from comod_core.training.beginnings import like, network_of, recipe_for
from comod_core.training.recipes import RECIPES
from comod_core.training.transfer import take

DATA = Path(__file__).resolve().parents[1] / "data"
FILES = {"comod_tf_64.pkl": "completion", "stylemap_32_8x8.pt": "stylemap", "icgan_stylegan2_64.pkl": "instance",
         "icgan_biggan_64_G_ema_best0.pth": "instance-biggan"}


def settings(file: str, size: int, tmp_path, recipe: str | None = None):
    found = network_of(DATA / file, tmp_path)
    kind = RECIPES[recipe or recipe_for(found, file)]
    return like(kind.preset(size, 100), found, file)


def new_layers(file: str, size: int, tmp_path) -> list[str]:
    config = settings(file, size, tmp_path)
    generator, _ = RECIPES[config.recipe].networks(config)
    return take(generator, import_checkpoint(DATA / file).generator)


@pytest.mark.parametrize("file", FILES)
def test_the_recipe_and_every_layer_of_a_published_file_are_taken(file, tmp_path):
    size = import_checkpoint(DATA / file).generator.resolution
    assert settings(file, size, tmp_path).recipe == FILES[file]
    embedding = {"instance": ["mapping.feature.weight"], "instance-biggan": ["feature.weight"]}   # of other features
    assert new_layers(file, size, tmp_path) == embedding.get(FILES[file], [])


@pytest.mark.parametrize(("file", "size", "fresh"), [
    ("comod_tf_64.pkl", 128, r"(encoder|synthesis)\.b128|encoder\.from_rgb"),
    ("comod_tf_64.pkl", 32, r"encoder\.from_rgb"),
    ("stylemap_32_8x8.pt", 64, r"decoder\.(resizer\.[67]|blocks\.2|to_rgb)|encoder\.(blocks\.0|from_rgb)"),
    ("icgan_stylegan2_64.pkl", 128, r"synthesis\.b128|mapping\.feature"),
    ("icgan_stylegan2_64.pkl", 32, r"mapping\.feature"),
    ("icgan_biggan_64_G_ema_best0.pth", 128, r"blocks\.4|norm\.|to_rgb|feature"),
])
def test_at_another_resolution_what_both_have_is_taken(file, size, fresh, tmp_path):
    found = new_layers(file, size, tmp_path)
    assert found and all(re.match(fresh, name) for name in found), found


@pytest.mark.parametrize(("make", "blocks"), [
    (lambda r: StyleMapGAN(StyleMapConfig(r, 4, 6, 1, channels=(8,) * (r.bit_length() - 2))), "encoder.blocks"),
    (lambda r: StyleMapDiscriminator(StyleMapConfig(r, 4, 6, 1, channels=(8,) * (r.bit_length() - 2))), "blocks"),
    (lambda r: StyleGAN2Discriminator(StyleGAN2Config(r, (8,) * (r.bit_length() - 2))), "blocks"),
], ids=["stylemap encoder", "stylemap", "stylegan2"])
@pytest.mark.parametrize(("size", "shift"), [(64, -1), (128, 0), (256, 1)])
def test_blocks_counted_from_the_highest_resolution_keep_their_own(make, blocks, size, shift):
    """Channels are alike at all resolutions, so that shapes would fit a wrong block."""
    net, other = make(size), make(128)
    take(net, other)
    own, theirs = net.state_dict(), other.state_dict()
    for at in (1, 2):
        source = theirs[f"{blocks}.{at - shift}.conv1.weight"]
        assert torch.equal(own[f"{blocks}.{at}.conv1.weight"], source)


def test_a_grown_stylegan2_begins_with_the_enlarged_pictures():
    small = StyleGAN2Generator(StyleGAN2Config(16, (8, 8, 8), 8, 8, mapping_layers=1))
    large = StyleGAN2Generator(StyleGAN2Config(32, (8, 8, 8, 4), 8, 8, mapping_layers=1))
    fresh = take(large, small)
    assert fresh and all(".b32." in name for name in fresh)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    made = [net.generate(z, noise_mode="none") for net in (small, large)]
    torch.testing.assert_close(made[1], upsample2d(made[0], large.synthesis.fir), atol=1e-4, rtol=1e-4)
    made[1].square().sum().backward()
    assert large.synthesis.b32.to_rgb.weight.grad.abs().sum() > 0         # and learns from there


def test_translation_takes_the_architecture_and_keeps_the_condition(tmp_path):
    config = settings("comod_tf_32_pix2pix.pkl", 64, tmp_path, "edges")
    found = import_checkpoint(DATA / "comod_tf_32_pix2pix.pkl").generator.config
    assert (config.architecture, config.network.w_dim, config.network.resolution) == ("comodgan", found.w_dim, 64)
    assert config.network.encoder_channels == RECIPES["edges"].preset(64, 100).network.encoder_channels
    for recipe, words in ((None, "say --recipe edges"), ("completion", "does not train its network"),
                          ("stylemap", "does not train its network")):
        with pytest.raises(CoModError, match=words):
            settings("comod_tf_32_pix2pix.pkl", 32, tmp_path, recipe)


def test_the_command_needs_nothing_but_the_file(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 255, (12, 1, 1, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    np.save(tmp_path / "images.npy", images)
    shutil.copy(DATA / "stylemap_32_8x8.pt", tmp_path / "faces.pt")
    command = ["train", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--start", str(tmp_path / "faces.pt"),
               "--batch", "2", "--set", "perceptual_weight=0", "--set", "part_blends=0", "--set", "balance=0"]
    assert main([*command, "--kimg", "0.002"]) == 0
    text = capsys.readouterr().err
    assert '"recipe": "stylemap"' in text and "begin new" not in text
    made = import_checkpoint(tmp_path / "run" / "model.safetensors").generator.config
    published = import_checkpoint(DATA / "stylemap_32_8x8.pt").generator.config
    assert made == dataclasses.replace(published, resolution=16, channels=published.channels[:3])
    (tmp_path / "faces.pt").unlink()                      # a run that goes on has everything
    assert main([*command, "--kimg", "0.004"]) == 0
    assert main([*command, "--kimg", "0.004", "--out", str(tmp_path / "other")]) == 1
    assert "faces.pt" in capsys.readouterr().err
    (tmp_path / "other.json").write_text(RECIPES["completion"].preset(16, 100).to_json())
    for options, said in (
            ([*command, "--set", "network.mapping_layers=1"], "network.mapping_layers: 8, now 1"),
            ([*command[:5], "--config", str(tmp_path / "other.json")], "recipe: stylemap, now completion")):
        assert main(options) == 1, options
        text = capsys.readouterr().err
        assert "holds a run with another network" in text and said in text, text


def test_a_built_in_model_by_its_name(tmp_path, capsys):
    np.save(tmp_path / "images.npy", np.zeros((8, 64, 64, 3), np.uint8))
    assert main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--start", "avatars-64", "--batch",
                 "2", "--kimg", "0.002", "--set", "perceptual_weight=0"]) == 0, capsys.readouterr().err
    begun = json.loads(read_header(tmp_path / "run" / "model.safetensors")["begun"])
    assert begun["file"] == "avatars-64.safetensors" and begun["name"] == "avatars-64"


def test_changes_come_after_the_file(tmp_path, capsys):
    np.save(tmp_path / "images.npy", np.zeros((8, 64, 64, 3), np.uint8))
    command = ["train", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--start",
               str(DATA / "comod_tf_64.pkl"), "--batch", "2", "--kimg", "0.002", "--set", "perceptual_weight=0"]
    before = import_checkpoint(DATA / "comod_tf_64.pkl").generator.config
    wide = 2 * before.fmap_base
    assert main([*command, "--set", f"network.fmap_base={wide}"]) == 0, capsys.readouterr().err
    assert network_of("none", tmp_path / "run") == dataclasses.replace(before, fmap_base=wide)
    assert isinstance(before, CoModConfig)
