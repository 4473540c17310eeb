"""Instance-conditioned training: neighbours, both backbones, resumption, export, bad input."""
import dataclasses
import itertools

import numpy as np
import pytest
import torch

from comod_core import CoModError, load_model
from comod_core.instances.extractors import load_extractor
from comod_core.instances.generation import generate
from comod_core.metrics.networks import FeatureNetwork
from comod_core.networks import BigGANConfig
from comod_core.networks.stylegan2 import StyleGAN2Config
from comod_core.training import losses
from comod_core.training.export import export
from comod_core.training.heldout import HeldOut
from comod_core.training.loop import train
from comod_core.training.neighbourhoods import Steps, _nearest_on, neighbourhoods, of_groups, write_features
from comod_core.training.recipes import RECIPES, BigGANInstanceConfig, InstanceConfig, config_from_json, recipe_of
from comod_core.training.trainer import Trainer

WIDTH, COUNT, GROUPS = 12, 24, 4
STYLE = InstanceConfig(
    network=StyleGAN2Config(16, (8, 8, 8), z_dim=8, w_dim=8, feature_size=WIDTH, mapping_layers=2,
                            critic_mapping_layers=1),
    total_kimg=0.064, batch=8, r1_gamma=1.0, r1_interval=4, neighbours=4, feature_noise=0.1, ema_kimg=0.05,
    learning_rate=0.01)
BIG = BigGANInstanceConfig(
    network=BigGANConfig(32, 2, 16, feature_size=WIDTH, feature_dim=6, attention=(16,)), total_kimg=0.032, batch=4,
    neighbours=4, learning_rate=1e-3, critic_rate=2e-3, critic_steps=2, ema_kimg=0.02)


def pictures(r=16):
    """GROUPS groups of almost one colour each."""
    random = np.random.default_rng(0)
    colours = random.integers(40, 215, (GROUPS, 3)).repeat(COUNT // GROUPS, 0) + random.integers(-9, 9, (COUNT, 3))
    return colours.astype(np.uint8)[:, None, None].repeat(r, 1).repeat(r, 2)


def features():
    """One direction a group, with a little noise: the neighbours are the group."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(GROUPS, WIDTH)).repeat(COUNT // GROUPS, 0) + random.normal(size=(COUNT, WIDTH)) * 0.05
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def beside():
    return {"instances": features(), "labels": np.arange(COUNT) % 3}


def trainer_of(config, r=16):
    return Trainer(recipe_of(config), pictures(r), beside=beside())


def run(config, out, stop=None, r=16):
    return [p.losses for p in itertools.islice(train(config, pictures(r), out, beside=beside()), stop)]


# ---- neighbours -------------------------------------------------------------------------------
def test_neighbours_are_the_nearest_by_cosine():
    rows = features().astype(np.float32)
    expected = np.argsort(-(rows @ rows.T), axis=1)[:, :4]
    found = neighbourhoods(features(), 4)
    assert found.dtype == np.int32 and (found[:, 0] == np.arange(COUNT)).all()
    assert (np.sort(found, axis=1) == np.sort(expected, axis=1)).mean() > 0.95      # float16 has ties
    assert (found // 6 == np.arange(COUNT)[:, None] // 6).all()


def test_blocks_change_no_neighbour(monkeypatch):
    random = np.random.default_rng(3)
    rows = random.normal(size=(50, WIDTH)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    whole = neighbourhoods(rows, 5)
    monkeypatch.setattr("comod_core.training.neighbourhoods.QUERIES", 7)
    monkeypatch.setattr("comod_core.training.neighbourhoods.ROWS", 8)
    assert (neighbourhoods(rows, 5) == whole).all()
    assert (_nearest_on(torch.device("cpu"), rows, torch.from_numpy(rows), 5) == whole).all()   # what a GPU does


def test_of_a_pool_the_neighbours_alike_in_colour():
    random, images = np.random.default_rng(3), np.zeros((40, 16, 16, 3), np.uint8)
    rows = random.normal(size=(40, WIDTH)).astype(np.float32)
    images[::2] = 200
    found = neighbourhoods(rows / np.linalg.norm(rows, axis=1, keepdims=True), 5, images=images, pool=30)
    assert (found % 2 == np.arange(40)[:, None] % 2).all() and (found[:, 0] == np.arange(40)).all()
    with pytest.raises(CoModError, match="too few|fewer"):
        neighbourhoods(rows, 5, images=images, pool=41)


class MeanColour(FeatureNetwork):
    name, width, digest = "mean colour", 3, ""

    def forward(self, images):
        return images.float().mean(dim=(2, 3)) + 1, []


def test_groups_are_neighbours_in_turn():
    groups = np.array([7, 3, 7, 7, 3, 9])
    found = of_groups(groups, 3)
    assert found.tolist() == [[0, 2, 3], [1, 4, 1], [2, 3, 0], [3, 0, 2], [4, 1, 4], [5, 5, 5]]
    with pytest.raises(CoModError, match="a group of its own"):
        of_groups(np.arange(5), 2)
    with pytest.raises(CoModError, match="one whole number a picture"):
        of_groups(np.zeros((5, 2)), 2)


def test_the_reals_are_of_the_group():
    config = dataclasses.replace(STYLE, groups=True, neighbours=2)
    with pytest.raises(CoModError, match="groups.npy"):
        trainer_of(config)
    groups = np.arange(COUNT) % 12
    trainer = Trainer(recipe_of(config), pictures(), beside=beside() | {"groups": groups})
    assert (groups[trainer.recipe.neighbours] == groups[:, None]).all()
    assert np.isfinite(list(trainer.run_step().values())).all()


def test_features_are_written_in_blocks_and_have_length_one(tmp_path, monkeypatch):
    monkeypatch.setattr("comod_core.training.neighbourhoods.PICTURES", 5)
    write_features(tmp_path / "instances.npy", pictures(), MeanColour())
    found = np.load(tmp_path / "instances.npy", mmap_mode="r")
    mean = pictures().mean(axis=(1, 2)) + 1
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-3)


# ---- training ---------------------------------------------------------------------------------
def test_hinge_by_hand():
    real, fake = torch.tensor([[2.0], [0.0]]), torch.tensor([[-3.0], [0.5]])
    assert losses.discriminator_hinge(real, fake).item() == pytest.approx(0.5 + 0.75)
    assert losses.generator_hinge(fake).item() == pytest.approx(1.25)


@pytest.mark.parametrize(("config", "r"), [(STYLE, 16), (BIG, 32)], ids=["stylegan2", "biggan"])
def test_a_run_cut_in_two_gives_the_same_losses(config, r, tmp_path):
    whole = run(config, tmp_path / "whole", r=r)
    often = dataclasses.replace(config, snapshot_minutes=0.0)
    first = run(often, tmp_path / "cut", stop=3, r=r)
    assert len(first) == 3 and first + run(often, tmp_path / "cut", r=r) == whole


def test_the_reals_are_neighbours_and_the_fakes_have_their_feature():
    trainer = trainer_of(dataclasses.replace(STYLE, feature_noise=0.0))
    part = trainer.recipe._part(trainer, 3, range(8))
    at = trainer.pictures.indices(3, 8, range(8))
    torch.testing.assert_close(part.feature, torch.from_numpy(features()[at].astype(np.float32)), atol=2e-3, rtol=0)
    shown = ((part.real[:, :, 0, 0] + 1) * 127.5).round().numpy()
    found = [np.abs(pictures()[:, 0, 0] - row).sum(axis=1).argmin() for row in shown]
    assert [i // 6 for i in found] == [i // 6 for i in at] and found != at


def test_noise_on_the_feature_has_the_stated_length():
    plain, noisy = (trainer_of(dataclasses.replace(STYLE, feature_noise=x)) for x in (0.0, 0.3))
    a, b = (t.recipe._part(t, 0, range(8)).feature for t in (plain, noisy))
    torch.testing.assert_close(b.norm(dim=1), torch.ones(8))
    assert (a * b).sum(dim=1).mean().item() == pytest.approx(1 / (1 + 0.3 ** 2) ** 0.5, abs=0.04)


def test_it_learns_what_an_instance_looks_like():
    """After a short run most samples have the colour of their own group; by chance one in four would."""
    config = dataclasses.replace(STYLE, batch=16, style_mixing=0.0, noise_mode="none", r1_gamma=0.1, r1_interval=16,
                                 network=dataclasses.replace(STYLE.network, resolution=8, channels=(16, 16)))
    trainer = trainer_of(config, 8)
    for _ in range(120):
        trainer.run_step()
    rows = torch.from_numpy(features()[::6].astype(np.float32))
    with torch.no_grad():
        images = trainer.ema.generate(torch.randn(GROUPS * 8, 8, generator=torch.Generator().manual_seed(0)),
                                      rows.repeat_interleave(8, dim=0))
    colours = images.mean(dim=(2, 3)).reshape(GROUPS, 8, 3)
    groups = torch.from_numpy(pictures()[:, 0, 0].reshape(GROUPS, 6, 3).mean(axis=1)).float() / 127.5 - 1
    nearest = (colours[:, :, None] - groups).norm(dim=-1).argmin(dim=-1)
    assert (nearest == torch.arange(GROUPS)[:, None]).float().mean() > 0.6


def test_the_mean_feature_is_the_origin():
    trainer = trainer_of(STYLE)
    mean = torch.from_numpy(features().astype(np.float32).mean(axis=0))[None]
    for net in (trainer.generator, trainer.ema, trainer.discriminator):
        assert net.mapping.feature(mean).abs().max() < 1e-4


def test_without_instances_it_is_a_plain_stylegan2(tmp_path):
    config = dataclasses.replace(STYLE, network=dataclasses.replace(STYLE.network, feature_size=0))
    recipe = recipe_of(config)
    assert recipe.beside == ()
    trainer = Trainer(recipe, pictures())
    assert set(trainer.run_step()) == {"D", "G", "R1"} and trainer.generator.w_avg.abs().sum() > 0
    held = HeldOut(pictures())
    assert recipe.grid(trainer.ema, held).shape == (8 * 16, 6 * 16, 3)


def test_with_classes_the_label_is_that_of_the_picture_shown():
    trainer = trainer_of(dataclasses.replace(STYLE, network=dataclasses.replace(STYLE.network, label_size=3)))
    part = trainer.recipe._part(trainer, 0, range(8))
    shown = ((part.real[:, :, 0, 0] + 1) * 127.5).round().numpy()
    found = [int(np.abs(pictures()[:, 0, 0] - row).sum(axis=1).argmin()) % 3 for row in shown]
    assert part.label.argmax(dim=1).tolist() == found
    trainer.run_step()
    bad = dataclasses.replace(STYLE, network=dataclasses.replace(STYLE.network, label_size=2))
    with pytest.raises(CoModError, match="class 2"):
        trainer_of(bad).run_step()


@pytest.mark.parametrize("augment", ["diffaugment", "ada"])
def test_parts_of_a_batch_add_up_to_the_whole(augment):
    config = dataclasses.replace(STYLE, noise_mode="const", augment=augment, batch=16, learning_rate=0.002)
    whole, parts = trainer_of(config), trainer_of(dataclasses.replace(config, accumulate=2))
    for _ in range(3):
        assert parts.run_step() == pytest.approx(whole.run_step(), rel=2e-3, abs=1e-4)


def test_a_resumed_run_takes_the_new_learning_rates(tmp_path):
    run(STYLE, tmp_path, stop=2)
    changed = dataclasses.replace(STYLE, learning_rate=0.001, critic_rate=0.003)
    trainer = trainer_of(changed)
    trainer.restore(tmp_path / "snapshot.pt")
    trainer.run_step()
    assert trainer.g_optimizer.param_groups[0]["lr"] == 0.001
    assert trainer.d_optimizer.param_groups[0]["lr"] == pytest.approx(0.003 * 4 / 5)


def test_steps_to_neighbours_are_as_random_z_are():
    random = np.random.default_rng(3)
    latent, images = random.normal(size=(600, 3)), random.integers(0, 255, (600, 16, 16, 3)).astype(np.uint8)
    images[:] = images[:1]                                      # colours tell nothing
    rows = latent @ (random.normal(size=(3, WIDTH)) * [[5.0], [1.0], [0.2]])
    neighbours = (np.arange(600)[:, None] + [[0, 7, 131, 222]]) % 600
    steps = Steps(rows.astype(np.float32), images, neighbours, 3)
    found = np.stack([steps(i, j) for i in range(600) for j in neighbours[i, 1:]])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 3 ** 0.5, rtol=1e-5)
    np.testing.assert_allclose(found.T @ found / len(found), np.eye(3), atol=0.15)
    np.testing.assert_allclose(steps(7, 9), -steps(9, 7), rtol=1e-5)
    assert not steps(7, 7).any()


def test_steps_know_colours_too():
    images = pictures()
    rows = np.zeros((COUNT, WIDTH), np.float32)
    rows[:, 0] = np.arange(COUNT) % 2
    steps = Steps(rows, images, np.stack([np.arange(COUNT), np.roll(np.arange(COUNT), 7)], axis=1), 8)
    z = steps(0, 12)                                            # another group, the same feature
    assert np.abs(z).max() > 0.5 and z.shape == (8,)


def test_pulled_samples_stand_for_the_neighbour_beside_them():
    recipe = recipe_of(dataclasses.replace(STYLE, pull_weight=1.0, pull_only_kimg=1.0))
    trainer = Trainer(recipe, pictures(), beside=beside())
    rows = range(STYLE.batch)
    alone, later = (recipe._part(trainer, 0, rows, alone) for alone in (True, False))
    assert alone.pulled.tolist() == list(rows) and later.pulled.tolist() == [1, 3, 5, 7]
    at = trainer.pictures.indices(0, STYLE.batch, rows)
    for row, part in itertools.product(rows, (alone, later)):
        found = [j for j in recipe.neighbours[at[row]][1:]
                 if np.allclose(recipe.steps(at[row], j), part.z[0, row].numpy(), atol=1e-6)]
        real = ((part.real[row].permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
        assert any((real == pictures()[j]).all() for j in found) == (row in part.pulled.tolist())


def test_pulled_alone_at_first_and_with_the_discriminator_then(tmp_path):
    config = dataclasses.replace(STYLE, pull_weight=1.0, pull_only_kimg=0.016, generator_beta1=0.9)
    steps = run(config, tmp_path, stop=3)
    assert [set(step) for step in steps] == [{"pull"}, {"pull"}, {"D", "G", "pull"}]
    with pytest.raises(CoModError, match="pull_weight"):
        InstanceConfig(pull_only_kimg=1.0)
    with pytest.raises(CoModError, match="pull_weight"):
        dataclasses.replace(STYLE, pull_weight=1.0, network=dataclasses.replace(STYLE.network, feature_size=0))
    with pytest.raises(CoModError, match="from 2"):
        dataclasses.replace(STYLE, pull_weight=1.0, neighbours=1)


# ---- what a run leaves behind -----------------------------------------------------------------
@pytest.mark.parametrize(("config", "r"), [(STYLE, 16), (BIG, 32)], ids=["stylegan2", "biggan"])
def test_export_gives_the_averaged_pictures(config, r, tmp_path):
    trainer = trainer_of(config, r)
    for _ in range(3):
        trainer.run_step()
    trainer.save(tmp_path / "snapshot.pt")
    model = export(tmp_path / "snapshot.pt", tmp_path / "model.safetensors", {"name": "tiny", "licence": "none"})
    net = load_model(model)
    assert net.feature_size == WIDTH and net.info.name == "tiny"
    z, feature = torch.randn(2, net.z_dim), torch.from_numpy(features()[:2].astype(np.float32))
    with torch.no_grad():
        torch.testing.assert_close(net.generate(z, feature), trainer.ema.generate(z, feature), rtol=1e-4, atol=1e-4)
    sample, = generate(net, [3], feature[0])
    assert sample.image.shape == (1, 3, r, r)
    again = load_model(export(tmp_path / "snapshot.pt", tmp_path / "again.safetensors",
                              {"name": "again", "licence": "none"}, earlier=model)).state_dict()
    for name, value in net.state_dict().items():
        assert torch.allclose(again[name], value, atol=1e-6), name


@pytest.mark.parametrize(("config", "r"), [(STYLE, 16), (BIG, 32)], ids=["stylegan2", "biggan"])
def test_a_run_can_start_from_a_model_file(config, r, tmp_path):
    trainer = trainer_of(config, r)
    trainer.run_step()
    trainer.save(tmp_path / "snapshot.pt")
    model = export(tmp_path / "snapshot.pt", tmp_path / "model.safetensors", {"name": "tiny", "licence": "none"})
    other = trainer_of(dataclasses.replace(config, seed=5), r)
    fresh = other.start_from(model)
    assert not [name for name in fresh if name.endswith("weight")]
    mine, theirs = ((net.blocks[0] if r == 32 else net.synthesis.b8).conv1.weight for net in
                    (other.ema, load_model(model)))
    torch.testing.assert_close(mine, theirs, rtol=0.02, atol=0.02)     # under spectral norm nearly so
    other.run_step()


@pytest.mark.parametrize(("config", "r"), [(STYLE, 16), (BIG, 32)], ids=["stylegan2", "biggan"])
def test_grid_and_measure(config, r):
    held, trainer = HeldOut(pictures(r), beside()), trainer_of(config, r)
    grid = trainer.recipe.grid(trainer.ema, held)
    assert grid.dtype == torch.uint8 and grid.shape == (8 * r, 7 * r, 3)
    assert torch.equal(grid[:r, :r], held.images[0].permute(1, 2, 0))
    assert not torch.equal(grid[:r, r:2 * r], grid[:r, 2 * r:3 * r])
    assert torch.equal(grid, trainer.recipe.grid(trainer.ema, held))
    held.features = None
    assert trainer.recipe.measure(trainer.ema, held) == {}


@pytest.mark.parametrize("name", ["instance", "instance-biggan"])
@pytest.mark.parametrize("paper", [False, True])
def test_presets_make_networks(name, paper):
    config = RECIPES[name].preset(64, 1000, paper=paper)
    assert config_from_json(config.to_json()) == config and config.augment == "diffaugment"
    assert recipe_of(config).beside == ("instances",)
    if not paper:
        networks = RECIPES[name].networks(config)
        size = sum(p.numel() * 4 for net in networks for p in net.parameters())
        assert size < 20e6
        extractor = {"instance": "lite0-colours", "instance-biggan": "lite0"}[name]
        assert RECIPES[name].facts(config) == {"features": extractor}
        assert load_extractor(extractor).width == config.network.feature_size


def test_bad_input(tmp_path):
    with pytest.raises(CoModError, match=r"instances\.npy"):
        Trainer(recipe_of(STYLE), pictures())
    with pytest.raises(CoModError, match="shape"):
        Trainer(recipe_of(STYLE), pictures(), beside={"instances": features()[:, :5]})
    with pytest.raises(CoModError, match="24 instances|fewer"):
        trainer_of(dataclasses.replace(STYLE, neighbours=25))
    with pytest.raises(CoModError, match="colour_pool"):
        InstanceConfig(neighbours=5, colour_pool=4)
    with pytest.raises(CoModError, match="critic_steps"):
        InstanceConfig(critic_steps=0)
