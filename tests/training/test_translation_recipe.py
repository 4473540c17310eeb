"""The recipes `edges` and `labels`: conditions, all three architectures, resuming, export, errors."""
import dataclasses
import itertools

import numpy as np
import pytest
import torch

from comod_core.errors import CoModError
from comod_core.labels import AVATAR_PARTS, outlines
from comod_core.loading import load_model
from comod_core.networks import CoModConfig, Pix2PixConfig, SpadeConfig
from comod_core.training.drawings import complete_edges, draws, together, vary_labels, vary_lines
from comod_core.training.export import export
from comod_core.training.heldout import HeldOut
from comod_core.training.loop import train
from comod_core.training.recipes import Edges, Labels, TranslationConfig, config_from_json, recipe_of
from comod_core.training.trainer import Trainer
from comod_core.translation import classes_of, condition_kind

CLASSES = tuple(map(str, AVATAR_PARTS))
SMALL = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2, "mapping_fmaps": 8, "fmap_base": 64, "fmap_max": 16}
NETWORKS = {
    "comodgan": CoModConfig(16, pix2pix=True, condition_channels=7, dropout_rate=0.0, **SMALL),
    "pix2pix": Pix2PixConfig(16, 3, 7, unet_channels=4, unet_max=8, patch_channels=4, patch_layers=1),
    "spade": SpadeConfig(16, 3, 7, 6, spade_channels=4, spade_max=8, spade_hidden=4, patch_channels=4, patch_layers=1),
}


def pairs(n=24, r=16):
    """Two flat halves; the label says which colour each has."""
    labels = np.random.default_rng(0).integers(0, 7, (n, 1, 2), dtype=np.uint8).repeat(r, 1).repeat(r // 2, 2)
    colours = np.array([one.colour for one in AVATAR_PARTS], np.uint8)
    return colours[labels], labels


def config(architecture="comodgan", recipe="labels", **others):
    network = NETWORKS[architecture]
    if recipe == "edges":
        network = dataclasses.replace(network, condition_channels=1)
    common = {"recipe": recipe, "architecture": architecture, "network": network, "total_kimg": 0.04, "batch": 4,
              "r1_gamma": 1.0, "r1_interval": 4, "l1_weight": 5.0, "l1_warmup_weight": 5.0, "jitter": 1.0, "drop": 0.3}
    return TranslationConfig(**common | ({"classes": CLASSES} if recipe == "labels" else {}) | others)


def run(settings, out, beside=None, stop=None):
    images, labels = pairs()
    return [p.losses for p in itertools.islice(train(settings, images, out, beside=beside or {"labels": labels}), stop)]


@pytest.mark.parametrize("architecture", NETWORKS)
def test_every_architecture_learns_resumes_and_is_exported(architecture, tmp_path):
    settings = config(architecture, snapshot_minutes=0.0, learning_rate=0.01, l1_weight=20.0, l1_warmup_weight=20.0,
                      jitter=0.0, drop=0.0, total_kimg=0.028)
    if architecture == "spade":
        settings = dataclasses.replace(settings, adversarial="hinge", matching_weight=1.0, r1_gamma=0.0)
    assert config_from_json(settings.to_json()) == settings
    whole = run(settings, tmp_path / "whole")
    assert np.mean([step["L1"] for step in whole[-2:]]) < 0.9 * whole[0]["L1"]
    first = run(settings, tmp_path / "cut", stop=4)
    assert first + run(settings, tmp_path / "cut") == whole
    file = export(tmp_path / "cut" / "snapshot.pt", tmp_path / "net.safetensors", {"name": "tiny", "licence": "none"})
    net = load_model(file)
    assert net.info.architecture == architecture and net.config == settings.network
    assert condition_kind(net) == "labels" and classes_of(net) == AVATAR_PARTS


def test_a_new_architecture_gets_a_network_of_its_kind():
    changed = dataclasses.replace(config(), architecture="spade")
    assert isinstance(changed.network, SpadeConfig) and changed.network.condition_channels == 7
    assert changed.network.resolution == 16


def test_edges_are_drawn_once_and_seen_as_lines(tmp_path):
    images, labels = pairs()
    np.save(tmp_path / "labels.npy", labels)
    said = []
    settings = config(recipe="edges", batch=4)
    recipe = recipe_of(settings)
    recipe.complete_data(tmp_path, images, said.append)
    edges = np.load(tmp_path / "edges.npy")
    assert edges.shape == (24, 16, 16, 3) and np.array_equal(edges[..., 0], outlines(labels)) and len(said) == 1
    recipe.complete_data(tmp_path, images, said.append)
    assert len(said) == 1                                            # it is there already
    losses = run(settings, tmp_path / "run", {"edges": edges}, stop=2)
    assert set(losses[0]) == {"D", "R1", "L1", "G"}
    (tmp_path / "labels.npy").unlink()
    (tmp_path / "edges.npy").unlink()
    complete_edges(tmp_path, images, said.append)
    assert np.load(tmp_path / "edges.npy").shape == (24, 16, 16, 2)   # photos alone: Canny and soft edges
    with pytest.raises(CoModError, match="Remove it"):
        complete_edges(tmp_path, images[:5], said.append)


def test_lines_are_varied_by_row_alone_and_stay_near():
    maps = torch.zeros(6, 2, 32, 32)
    maps[:, 0, 10, 4:28] = 1
    maps[:, 1, 20, 4:28] = 1
    u = draws(0, 7, range(6))
    assert torch.equal(u[2:], draws(0, 7, range(2, 6))) and not torch.equal(u, draws(0, 8, range(6)))
    lines = vary_lines(maps, u)
    assert torch.equal(lines[3:4], vary_lines(maps[3:4], u[3:4])) and 0 <= lines.min() and lines.max() <= 1
    rows = (lines > 0).any(dim=3)[:, 0].nonzero()[:, 1]
    assert ((rows - 10).abs() <= 3).logical_or((rows - 20).abs() <= 3).all()
    assert len({tuple(line.flatten().tolist()) for line in lines}) == 6
    plain = vary_lines(maps, torch.ones(6, u.shape[1]), jitter=0.0, drop=0.0)
    assert torch.equal(plain > 0, maps[:, 1:] > 0)


def test_labels_are_varied_and_plain_ones_are_not():
    labels = torch.from_numpy(pairs(6, 32)[1])
    plain = vary_labels(labels, 7, torch.ones(6, draws(0, 0, [0]).shape[1]), 0, 0, 0)
    assert torch.equal(plain.argmax(1), labels.long()) and (plain.sum(1) == 1).all()
    varied = vary_labels(labels, 7, draws(0, 1, range(6)), 1.0, 0.9, 0.3)
    assert set(varied.unique().tolist()) == {0.0, 1.0} and (varied.sum(1) == 0).any()
    seen = varied.sum(1) > 0
    assert (varied.argmax(1) == labels.long())[seen].float().mean() > 0.9


def test_several_pictures_of_one_condition(tmp_path):
    settings = config(perceptual_weight=1.0, samples_per_condition=4, diversity_weight=1.0, batch=8,
                      network=dataclasses.replace(NETWORKS["comodgan"], resolution=32))
    images, labels = pairs(24, 32)
    trainer = Trainer(recipe_of(settings), images, beside={"labels": labels})
    part = trainer.recipe.draw(trainer, 0, range(8))
    assert torch.equal(part.condition[0], part.condition[3]) and torch.equal(part.wanted[4], part.wanted[7])
    losses = trainer.run_step()
    assert losses["variety"] > 0 and set(losses) == {"D", "R1", "L1", "LP", "variety", "G"}


def test_mirrored_pictures_have_mirrored_conditions():
    settings = config(mirror=True, jitter=0.0, drop=0.0)
    images, labels = pairs()
    trainer = Trainer(recipe_of(settings), images, beside={"labels": labels})
    for step in range(4):
        part = trainer.recipe.draw(trainer, step, range(4))
        colours = torch.tensor([one.colour for one in AVATAR_PARTS]).float()[part.shown.argmax(1)].movedim(-1, 1)
        assert torch.allclose(part.real, colours / 127.5 - 1, atol=1e-6)


def test_grid_and_measurements():
    images, labels = pairs(10)
    recipe = recipe_of(config())
    torch.manual_seed(0)
    net, held = recipe.networks(recipe.config)[0].eval(), HeldOut(images, {"labels": labels})
    with torch.inference_mode():
        grid = recipe.grid(net, held)
    assert grid.shape == (8 * 16, 8 * 16, 3)
    assert torch.equal(grid[:16, 16:32], torch.from_numpy(images[0]))    # in the classes' colours
    found = recipe.measure(net, held)
    assert found["between two seeds"] > 0


@pytest.mark.parametrize("recipe", [Edges, Labels])
def test_presets(recipe):
    small, large = recipe.preset(64, 30_000), recipe.preset(512, 30_000, paper=True)
    assert small.samples_per_condition > 1 and small.augment == "none" and recipe.preset(64, 500).augment != "none"
    assert large.network.fmap_base == 16384 and large.network.pix2pix
    assert small.recipe == recipe.name and config_from_json(small.to_json()) == small


def test_errors():
    images, labels = pairs()
    with pytest.raises(CoModError, match="needs labels.npy"):
        Trainer(recipe_of(config()), images)
    with pytest.raises(CoModError, match="label . is none of the 3 classes"):
        short = dataclasses.replace(NETWORKS["comodgan"], condition_channels=3)
        Trainer(recipe_of(config(classes=CLASSES[:3], network=short)), images, beside={"labels": labels})
    with pytest.raises(CoModError, match="condition_channels=6"):
        config(classes=CLASSES[:6])
    with pytest.raises(CoModError, match="architecture 'cyclegan'"):
        dataclasses.replace(config(), architecture="cyclegan")
    with pytest.raises(CoModError, match="samples_per_condition"):
        config(diversity_weight=1.0)
    with pytest.raises(CoModError, match="network.pix2pix"):
        config(network=CoModConfig(16, **SMALL))


def test_a_guided_z_says_what_the_condition_does_not():
    images, labels = pairs()
    images = np.random.default_rng(3).integers(0, 256, (24, 1, 1, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    network = dataclasses.replace(NETWORKS["comodgan"], mapping_lr_mul=1.0)         # quick to learn
    settings = config(network=network, guided=3, l1_only_kimg=10.0, learning_rate=0.01, generator_beta1=0.9, batch=8,
                      jitter=0.0, drop=0.0, total_kimg=1.0, style_mixing=0.9, noise_mode="none")
    trainer = Trainer(recipe_of(settings), images, beside={"labels": labels})
    losses = [trainer.run_step()["L1"] for _ in range(120)]
    recipe, net = trainer.recipe, trainer.generator
    wanted, seen = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1, recipe._unvaried_rows(trainer, range(24))
    z = torch.randn(24, 8, generator=torch.Generator().manual_seed(0))
    z[:, :3] = recipe.codes(wanted, seen)
    with torch.no_grad():
        made = net.decode(net.encode(seen, dropout=False), net.map(z), "none").mean(dim=(2, 3))
    gaps = torch.cdist(made, wanted.mean(dim=(2, 3)))
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert gaps.diagonal().mean() < 0.6 * gaps.mean()


def test_the_first_picture_of_a_condition_is_guided_and_compared():
    images, labels = pairs()
    settings = config(guided=2, samples_per_condition=2, batch=8, style_mixing=0.9)
    trainer = Trainer(recipe_of(settings), images, beside={"labels": labels})
    recipe, seen = trainer.recipe, []
    part = recipe.draw(trainer, 0, range(8))
    chosen = trainer.pictures.indices(0, 8, range(4))
    codes = recipe.codes(part.wanted[::2], recipe._unvaried_rows(trainer, chosen))
    assert torch.equal(part.codes, codes)
    original = trainer.generator.map
    trainer.generator.map = lambda z: seen.append(z) or original(z)
    recipe._generate(trainer, part)
    torch.testing.assert_close(seen[0][::2, :2], codes)
    assert not torch.isclose(seen[0][1::2, :2], codes).any()
    changed = dataclasses.replace(part, fake=part.fake.clone())
    changed.fake[1::2] = 7.0
    assert torch.equal(*(recipe._likeness(trainer, one)[1]["L1"] for one in (part, changed)))


@pytest.mark.parametrize(("changes", "words"), [
    ({"architecture": "spade", "guided": 2}, "guided"), ({"guided": 9}, "guided"),
    ({"guided": 2, "diversity_weight": 1.0, "samples_per_condition": 2, "perceptual_weight": 1.0}, "diversity_weight"),
])
def test_settings_that_do_not_go_with_a_guided_z(changes, words):
    with pytest.raises(CoModError, match=words):
        config(**changes)


@pytest.mark.parametrize("recipe", ["edges", "labels"])
def test_pictures_and_conditions_move_together(recipe):
    """A dark bar on light ground, and a condition that shows the same bar."""
    images, labels = np.full((8, 16, 16, 3), 255, np.uint8), np.zeros((8, 16, 16), np.uint8)
    images[:, 4:12, 6:10], labels[:, 4:12, 6:10] = 0, 3
    edges = (labels[..., None] > 0).astype(np.uint8) * 255
    beside = {"edges": edges} if recipe == "edges" else {"labels": labels}
    still, moving = (recipe_of(config(recipe=recipe, jitter=0.0, drop=0.0, warp=warp, batch=8, guided=2))
                     for warp in (0.0, 3.0))
    parts = [one.draw(Trainer(one, images, beside=beside), 1, range(8)) for one in (still, moving)]
    bars = [part.real[:, 0] < 0 for part in parts]
    assert all((a ^ b).sum() >= 4 for a, b in zip(*bars, strict=True))           # each has moved
    shown = parts[1].shown[:, 0] < 0 if recipe == "edges" else parts[1].shown[:, 3] > 0.5
    both = (shown & bars[1]).sum(dim=(1, 2)) / (shown | bars[1]).sum(dim=(1, 2))
    apart = (shown & bars[0]).sum(dim=(1, 2)) / (shown | bars[0]).sum(dim=(1, 2))
    assert both.mean() > 0.65 > apart.mean() and both.mean() > apart.mean() + 0.2
    assert torch.equal(parts[0].codes, parts[1].codes)
    assert torch.equal(together(0, 1, range(4), 16, 3.0)[2:], together(0, 1, range(2, 4), 16, 3.0))
