"""The recipe of style maps: it learns, each loss moves what it should, and blends know what they want."""
import dataclasses
import itertools
import logging

import numpy as np
import pytest
import torch
from torch import nn

from comod_core import CoModError, load_model
from comod_core.networks import StyleMapConfig
from comod_core.training import blends, perceptual
from comod_core.training.export import export
from comod_core.training.heldout import HeldOut
from comod_core.training.loop import train
from comod_core.training.recipes import StyleMap, StyleMapTrainConfig, config_from_json, recipe_of, stylemap
from comod_core.training.trainer import Trainer

CONFIG = StyleMapTrainConfig(
    network=StyleMapConfig(resolution=16, style_size=4, style_channels=8, mapping_layers=2, channels=(16, 16, 8)),
    total_kimg=0.08, batch=4, r1_gamma=1.0, r1_interval=4, perceptual_weight=0.0, blend_weight=1.0, part_blends=0.5)


def pictures(n=24, r=16):
    """Two halves of one flat colour each: easy to learn, so that a few steps show."""
    halves = np.random.default_rng(0).integers(0, 255, (n, 2, 1, 3), dtype=np.uint8)
    return halves.repeat(r // 2, 1).repeat(r, 2)


def labels(n=24, r=16):
    found = np.zeros((n, r, r), np.uint8)
    found[:, r // 2:] = 1
    return found


def run(config, out, stop=None):
    steps = train(config, pictures(), out, beside={"labels": labels()})
    return [p.losses for p in itertools.islice(steps, stop)]


def part_of(trainer):
    part = trainer.recipe.draw(trainer, trainer.step, range(trainer.config.batch))
    trainer.recipe._plan(part)
    trainer.recipe._generate(trainer.generator, part, alone=False)
    return part


@pytest.fixture
def trainer():
    return Trainer(recipe_of(CONFIG), pictures(), beside={"labels": labels()})


def test_reconstructions_and_blends_come_nearer(tmp_path):
    config = dataclasses.replace(CONFIG, total_kimg=0.2, learning_rate=0.005, l1_weight=10.0, warmup_kimg=1.0,
                                 generator_beta1=0.9)
    found = run(config, tmp_path)
    for name in ("MSE", "MSE blend"):
        assert np.mean([x[name] for x in found[-10:]]) < 0.6 * np.mean([x[name] for x in found[:6]])


def test_without_an_adversary_at_first(tmp_path):
    found = run(dataclasses.replace(CONFIG, warmup_kimg=0.012), tmp_path, stop=5)
    assert [("G" in x, "D" in x) for x in found] == [(False, False)] * 3 + [(True, True)] * 2
    assert {"MSE", "MSE blend", "G", "G recon", "G blend", "in domain", "D"} <= set(found[3])
    assert "R1" in found[4] and "R1" not in found[3]


def test_the_in_domain_loss_moves_the_encoder_alone(trainer):
    trainer.recipe.indomain_loss(trainer.generator, part_of(trainer)).backward()
    moved = {name.split(".")[0] for name, p in trainer.generator.named_parameters() if p.grad is not None}
    assert moved == {"encoder"}


def test_the_discriminator_sees_reconstructions_samples_and_blends_as_fakes(trainer, monkeypatch):
    seen = []
    monkeypatch.setattr(stylemap, "judged", lambda discriminator, *batches: [
        seen.append(image) or discriminator(image) for image, in batches])
    part = part_of(trainer)
    torch.manual_seed(0)
    trainer.recipe._update_discriminator(trainer, [part])
    assert torch.equal(seen[0], part.real) and len(seen) == 4
    assert all(torch.equal(image, part.fakes[kind].detach())
               for image, kind in zip(seen[1:], ("recon", "sample", "blend"), strict=True))
    assert not any(image.requires_grad for image in seen)


def test_blends_are_what_the_editor_makes(trainer):
    from comod_core import stylemaps
    part, net = part_of(trainer), trainer.generator
    style = stylemaps.blend(net, part.encoded, part.encoded.roll(-1, 0), part.blend.mask)
    assert torch.allclose(net.decode(style), part.fakes["blend"], atol=1e-5)


def test_a_run_cut_in_two_gives_the_same_losses(tmp_path):
    config = dataclasses.replace(CONFIG, total_kimg=0.04, warmup_kimg=0.008)
    whole = run(config, tmp_path / "whole")
    first = run(config, tmp_path / "cut", stop=5)       # the iterator is closed, which saves
    assert len(whole) == 10 and first + run(config, tmp_path / "cut") == whole


def test_parts_of_a_batch_give_the_same_gradients(trainer):
    one = trainer.run_step()
    halves = Trainer(recipe_of(dataclasses.replace(CONFIG, accumulate=2, blend_weight=0.0)), pictures())
    other = Trainer(recipe_of(dataclasses.replace(CONFIG, blend_weight=0.0)), pictures())
    a, b = halves.run_step(), other.run_step()
    assert one["MSE"] == pytest.approx(b["MSE"], rel=1e-4) and a["MSE"] == pytest.approx(b["MSE"], rel=1e-4)
    assert a["in domain"] == pytest.approx(b["in domain"], rel=1e-3)


def test_the_mean_style_map_follows_the_mapping(trainer):
    for _ in range(3):
        trainer.run_step()
    assert trainer.generator.w_avg.abs().max() > 0
    assert torch.equal(trainer.generator.w_avg, trainer.ema.w_avg)


def test_exported_it_loads_everywhere(trainer, tmp_path):
    trainer.run_step()
    trainer.save(tmp_path / "snapshot.pt")
    net = load_model(export(tmp_path / "snapshot.pt", tmp_path / "m.safetensors", {"name": "m", "licence": "none"}))
    x = torch.zeros(1, 3, 16, 16)
    assert torch.allclose(net.decode(net.encode(x)), trainer.ema.decode(trainer.ema.encode(x)), atol=1e-5)


def test_grid_and_measure(trainer):
    held = HeldOut(pictures(12))
    held.features = None
    assert trainer.recipe.grid(trainer.ema, held).shape == (8 * 16, 8 * 16, 3)
    assert set(trainer.recipe.measure(trainer.ema, held)) == {"MSE", "MSE_src", "MSE_ref"}


def test_a_part_is_swapped_in_the_colours_of_the_source():
    own, its = torch.zeros(1, 16, 16, dtype=torch.uint8), torch.zeros(1, 16, 16, dtype=torch.uint8)
    own[:, 2:14, 2:14], its[:, 6:10, 6:10] = 1, 1
    source, reference = torch.full((1, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), -0.7)
    source[:, :, 2:14, 2:14], reference[:, :, 6:10, 6:10] = 0.9, -0.1
    found = blends.of_parts(source, reference, own, its, torch.tensor([1]), torch.tensor([1]), 1)
    wanted = torch.full((1, 3, 16, 16), 0.2)
    wanted[:, :, 6:10, 6:10] = -0.1
    assert torch.allclose(found.target, wanted) and bool(found.known.all())
    assert found.mask.sum() == 14 * 14
    patchy = source + torch.where(torch.arange(16) % 2 > 0, 0.5, 0.0)      # no one colour to fill in with
    found = blends.of_parts(patchy, reference, own, its, torch.tensor([1]), torch.tensor([1]), 1)
    assert found.known[0, 0, 3, 3] == 0 and found.known[0, 0, 7, 7] == 1 and found.known[0, 0, 0, 0] == 1


def test_a_random_shape_leaves_its_border_open():
    source, reference = torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)
    mask = blends.superellipses(torch.tensor([[0.5, 0.5, 0.5, 0.5, 0.9, 0.0]]), 32)
    found = blends.of_shapes(source, reference, mask, 4, blends.INSIDE)
    assert 0.3 < mask.mean() < 0.5 and torch.equal(found.target, mask.expand(-1, 3, -1, -1))
    assert found.known[0, 0, 0, 0] == 1 and found.known[0, 0, 16, 16] == pytest.approx(blends.INSIDE)
    assert not found.known[(mask > 0) & (torch.nn.functional.max_pool2d(1 - mask, 3, 1, 1) > 0)].any()


def test_a_part_that_is_only_touched_takes_the_colour_of_the_source():
    labels = torch.zeros(1, 16, 16, dtype=torch.uint8)
    labels[:, 6:10, 6:10] = 2
    labels[:, :, 13:] = 1
    source, reference = torch.full((1, 3, 16, 16), 0.5), torch.full((1, 3, 16, 16), -0.5)
    source[:, :, :, 13:], reference[:, :, :, 13:] = 0.1, -0.9
    source[:, :, 6:10, 6:10], reference[:, :, 6:10, 6:10] = 0.7, -0.2
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    changed, sure = blends.adapted(source, reference, labels, labels, mask, 2)
    assert torch.allclose(changed[..., 5, 5], torch.tensor(0.5))           # the background's
    assert torch.allclose(changed[..., 8, 8], torch.tensor(-0.2))          # wholly taken, so its own
    assert torch.allclose(changed[..., 0, 15], torch.tensor(0.1))
    assert sure[0, 0, 8, 8] == 1 and sure[0, 0, 2, 2] == 1 and sure[0, 0, 5, 7] == 0


def test_small_parts_count_as_much_as_large_ones():
    labels = torch.zeros(2, 16, 16, dtype=torch.uint8)
    labels[0, :4, :4] = 2
    weight = blends.balanced(labels, 2)
    assert torch.allclose(weight.mean(dim=(1, 2, 3)), torch.ones(2)) and torch.equal(weight[1], torch.ones(1, 16, 16))
    assert weight[0, 0, :4, :4].sum() == pytest.approx(128) and weight[0, 0, 8, 8] == pytest.approx(128 / 240)


def test_the_share_that_is_balanced_weighs_the_pixels(tmp_path):
    labels = np.zeros((24, 16, 16), np.uint8)
    labels[:, :4, :4] = 1
    config = dataclasses.replace(CONFIG, balance=0.5, blend_weight=0.0)
    trainer = Trainer(recipe_of(config), pictures(), beside={"labels": labels})
    part = part_of(trainer)
    assert part.weight[0, 0, 0, 0] == pytest.approx(0.5 + 0.5 * 8) and part.weight.mean() == pytest.approx(1)
    fake = part.real.clone()
    fake[:, :, :4, :4] += 1
    whole = torch.ones_like(part.weight)
    loss, losses = trainer.recipe._likeness(fake, part.real, whole, part.weight, "")
    assert losses["MSE"] == pytest.approx(16 / 256, rel=1e-4) and loss == pytest.approx(16 / 256 * 4.5, rel=1e-4)


def test_shares_choose_among_the_kinds():
    x = torch.rand(64, 3, 16, 16)
    pair = (torch.from_numpy(labels(64)),) * 2
    u = torch.rand(64, blends.DRAWS, generator=torch.Generator().manual_seed(0))
    parts = blends.blends(x, x.roll(-1, 0), u, 4, labels=pair, parts=1, share=1.0)
    assert all(int(rows) in (9, 10, 11) for rows in parts.mask[:, 0, :, 0].sum(dim=1))
    shapes = blends.blends(x, x.roll(-1, 0), u, 4)
    mixed = (shapes.mask.flatten(1).std(dim=1) == 0) & (shapes.known.flatten(1).sum(dim=1) == 0)
    assert 0 < mixed.sum() < 32


def test_bad_settings_and_labels_are_refused(tmp_path):
    with pytest.raises(CoModError, match="mse_weight"):
        dataclasses.replace(CONFIG, mse_weight=-1.0)
    with pytest.raises(CoModError, match="share"):
        dataclasses.replace(CONFIG, part_blends=2.0)
    with pytest.raises(CoModError, match="labels.npy"):
        Trainer(recipe_of(CONFIG), pictures())
    with pytest.raises(CoModError, match=r"uint8 \[24, 16, 16\]"):
        Trainer(recipe_of(CONFIG), pictures(), beside={"labels": labels(r=8)})


def test_a_set_without_labels_gets_ones_that_know_no_parts(tmp_path):
    said = []
    recipe_of(CONFIG).complete_data(tmp_path, pictures(), said.append)
    made = np.load(tmp_path / "labels.npy")
    assert made.shape == (24, 16, 16) and not made.any() and "without any parts" in said[0]
    trainer = Trainer(recipe_of(CONFIG), pictures(), beside={"labels": made})
    assert np.isfinite(list(trainer.run_step().values())).all()


@pytest.mark.parametrize("size", [16, 64, 1024])
def test_presets_fit_and_survive_json(size):
    for paper in (False, True):
        config = StyleMap.preset(size, 5000, paper=paper)
        assert config_from_json(config.to_json()) == config and config.augment != "none"


def test_the_small_preset_is_small():
    generator, discriminator = StyleMap.networks(StyleMap.preset(64, 24000))
    assert 4 * sum(p.numel() for net in (generator, discriminator) for p in net.parameters()) < 20e6


def test_lpips_where_it_is_and_else_a_stand_in_that_is_named(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with caplog.at_level(logging.INFO, "comod"):
        assert isinstance(perceptual.perceptual_network(), perceptual.PerceptualDistance)
    assert "stands in for LPIPS-VGG with EfficientNet-Lite0" in caplog.text

    class Lpips(nn.Module):
        def __init__(self, net, spatial, verbose):
            super().__init__()
            assert net == "vgg" and spatial

        def forward(self, a, b):
            return (a - b).abs().mean(dim=1, keepdim=True)

    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / perceptual.VGG).touch()
    monkeypatch.setitem(__import__("sys").modules, "lpips", type("lpips", (), {"LPIPS": Lpips}))
    net = perceptual.perceptual_network()
    a, mask = torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4)
    mask[..., 0] = 1
    assert isinstance(net, perceptual.VggDistance)
    assert net(a, a + torch.arange(4.0), torch.ones_like(mask)).tolist() == [1.5, 1.5]
    assert net(a, a + torch.arange(4.0), mask).tolist() == [0.0, 0.0]


def edits(n=24, r=16):
    """Each picture with the lower half of the one before it, and what says so."""
    edited, rows = pictures(n, r).copy(), np.arange(n) - (np.arange(n) > 0)
    edited[:, r // 2:] = pictures(n, r)[rows, r // 2:]
    return {"labels": labels(n, r), "edited": edited,
            "edits": np.stack([rows, np.ones(n, int)], axis=1).astype(np.int32)}


KNOWN = dataclasses.replace(CONFIG, edits=True, sample_weight=0.0, mirror=True)


def test_known_edits_meet_their_pictures_and_references():
    trainer = Trainer(recipe_of(KNOWN), pictures(), beside=edits())
    part = part_of(trainer)
    assert part.edited.shape == (2, 3, 16, 16) and part.exchanged.tolist() == [1, 1]
    wanted = part.real[:2].clone()
    wanted[:, :, 8:] = part.reference(part.real)[:2, :, 8:]
    assert torch.equal(part.edited, wanted) and torch.equal(part.blend.target[:2], wanted)
    assert bool(part.blend.known[:2].all()) and bool((part.blend.mask[:2, :, 8:] == 1).all())
    assert part.blend.mask[:2, :, :5].max() == 0 and set(part.fakes) == {"recon", "blend"} and part.mapped is None
    assert torch.equal(part.reference(part.real)[2:], part.real[:2])
    found = trainer.run_step()
    assert np.isfinite(list(found.values())).all() and not {"G", "in domain"} & set(found)
    assert {"D", "G recon", "G blend", "MSE blend"} <= set(found) and not trainer.generator.w_avg.any()


def test_known_edits_are_learned():
    config = dataclasses.replace(KNOWN, learning_rate=0.005, l1_weight=10.0, warmup_kimg=1.0, generator_beta1=0.9)
    trainer = Trainer(recipe_of(config), pictures(), beside=edits())
    part = trainer.recipe.draw(trainer, 999, range(4))
    trainer.recipe._plan(part)

    def gap():
        trainer.recipe._generate(trainer.generator, part, alone=True)
        return (part.fakes["blend"][:2] - part.edited).square().mean().item()

    before = gap()
    for _ in range(60):
        trainer.run_step()
    assert gap() < 0.5 * before


def test_a_broad_brush_is_a_box_around_a_small_part():
    own, its = torch.zeros(2, 32, 32, dtype=torch.uint8), torch.zeros(2, 32, 32, dtype=torch.uint8)
    own[:, 10, 8], its[:, 14, 16], own[:, 0, 0] = 3, 3, 1
    u = torch.zeros(2, blends.DRAWS)
    u[1, 2] = 0.9
    found = blends.known_edits(torch.zeros(2, 3, 32, 32), own, its, torch.tensor([3, 3]), u)
    assert found.mask[0, 0, 9:16, 7:18].all() and found.mask[0].sum() == 7 * 11
    assert found.mask[1].sum() == 2 * 9 and found.mask[1, 0, 10, 8] == 1 and found.mask[1, 0, 12, 12] == 0


def test_edits_that_do_not_fit_are_refused():
    with pytest.raises(CoModError, match="even batch"):
        dataclasses.replace(KNOWN, batch=3)
    with pytest.raises(CoModError, match="edits.npy, edited.npy"):
        Trainer(recipe_of(KNOWN), pictures(), beside={"labels": labels()})
    for change, words in (({"edited": pictures(r=8)}, "edited.npy is uint8"),
                          ({"edits": np.zeros((24, 3), int)}, "two whole numbers"),
                          ({"edits": np.full((24, 2), 24)}, "outside of the 24 pictures")):
        with pytest.raises(CoModError, match=words):
            Trainer(recipe_of(KNOWN), pictures(), beside=edits() | change)


def test_the_perceptual_distance_takes_what_mixed_precision_makes():
    net = perceptual.PerceptualDistance()
    fake = torch.rand(1, 3, 32, 32).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        net(fake, torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)).sum().backward()
    assert torch.isfinite(fake.grad).all() and fake.grad.abs().max() > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_steps_on_a_gpu():
    trainer = Trainer(recipe_of(CONFIG), pictures(), beside={"labels": labels()})
    assert trainer.place.device.type == "cuda"
    for _ in range(5):
        assert np.isfinite(list(trainer.run_step().values())).all()
    held = HeldOut(pictures(40), device=trainer.place.device)
    assert trainer.recipe.grid(trainer.ema, held).device.type == "cpu"
    assert trainer.recipe.measure(trainer.ema, held)["MSE"] > 0


def test_blends_in_mixed_precision(trainer):
    part = trainer.recipe.draw(trainer, 0, range(trainer.config.batch))
    trainer.recipe._plan(part)
    with torch.autocast("cpu", torch.bfloat16):
        trainer.recipe._generate(trainer.generator, part, alone=False)
        loss, _ = trainer.recipe._generator_loss(trainer, part, alone=False)
    assert torch.isfinite(loss) and set(part.fakes) == {"recon", "sample", "blend"}
