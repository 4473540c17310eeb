"""The trainer: it learns, a killed run resumes to the same losses, and bad input is refused."""
import dataclasses
import errno
import itertools
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from comod_core import CoModError
from comod_core.checkpoints import import_checkpoint
from comod_core.checkpoints.store import read_header
from comod_core.files import sha256_of
from comod_core.networks import CoModConfig
from comod_core.training import losses, place
from comod_core.training.data import Pictures
from comod_core.training.export import export
from comod_core.training.grids import completion_grid, save_grid
from comod_core.training.loop import train
from comod_core.training.perceptual import PerceptualDistance
from comod_core.training.recipes import CompletionConfig, config_from_json, recipe_of
from comod_core.training.trainer import Trainer

CONFIG = CompletionConfig(
    network=CoModConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, mapping_fmaps=8, fmap_base=64, fmap_max=16),
    total_kimg=0.08, batch=4, r1_gamma=1.0, r1_interval=4, structured_masks=0.5, brush_width=(1.0, 3.0), l1_weight=1.0)


def pictures(n=24, r=16):
    """One flat colour each: easy to learn, so that a few steps show."""
    return np.random.default_rng(0).integers(0, 255, (n, 1, 1, 3), dtype=np.uint8).repeat(r, 1).repeat(r, 2)


def trainer_of(config, images):
    return Trainer(recipe_of(config), images)


def completed(net):
    """A hole in the middle of two pictures, w drawn anew with the same seed."""
    image, mask = torch.from_numpy(pictures(2)).permute(0, 3, 1, 2) / 127.5 - 1, torch.zeros(2, 1, 16, 16)
    mask[:, :, 4:12, 4:12] = 1
    w = torch.randn(2, net.num_layers, net.w_dim, generator=torch.Generator().manual_seed(0))
    return net.decode(net.encode(image, mask, dropout=False), w, "none").detach()


def run(config, out, stop=None):
    return [p.losses for p in itertools.islice(train(config, pictures(), out), stop)]


def test_losses_by_hand():
    assert losses.generator_loss(torch.zeros(2, 1)).item() == pytest.approx(np.log(2))
    assert losses.discriminator_loss(torch.zeros(2, 1), torch.zeros(2, 1)).item() == pytest.approx(2 * np.log(2))
    x = torch.randn(3, 1, 4, 4)
    assert losses.r1_penalty(lambda x: (x * 2).sum(dim=[1, 2, 3]), x).item() == pytest.approx(4 * 16)
    mask = torch.zeros(1, 1, 2, 2)
    mask[..., 0, 0] = 1
    fake, real = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    real[..., 1, 1] = 100
    assert losses.hole_l1(fake, real, mask).item() == pytest.approx(1.0)
    assert losses.best_of(torch.tensor([3.0, 1.0, 2.0, 8.0]), 2).item() == pytest.approx(1.5)


def test_pictures_are_shuffled_once_an_epoch():
    source = Pictures(np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1).repeat(3, 3), seed=1)
    seen = torch.cat([source.rows(step, 4, range(4)) for step in range(6)])[:, 0, 0, 0]
    values = ((seen + 1) * 127.5).round().int().tolist()
    assert sorted(values[:12]) == sorted(values[12:]) == list(range(12)) and values[:12] != values[12:]
    assert torch.equal(source.rows(1, 4, [2, 3]), Pictures(source.images, seed=1).rows(1, 4, range(4))[2:])
    with pytest.raises(CoModError, match="uint8"):
        Pictures(np.zeros((0, 4, 4, 3), np.uint8), seed=0)


def test_holes_depend_on_seed_and_step_alone():
    source = recipe_of(CONFIG).holes
    a, b = source.rows(3, range(8)), recipe_of(CONFIG).holes.rows(3, range(8))
    assert torch.equal(a, b) and not torch.equal(a, source.rows(4, range(8)))
    assert torch.equal(a[5:], source.rows(3, [5, 6, 7]))
    assert set(a.unique().tolist()) == {0.0, 1.0}


def test_it_learns(tmp_path):
    config = dataclasses.replace(CONFIG, l1_weight=20.0, total_kimg=0.4, learning_rate=0.01, hole_range=(0.0, 0.5))
    l1 = [step["L1"] for step in run(config, tmp_path)]
    assert np.mean(l1[-20:]) < 0.75 * np.mean(l1[:10])


def test_a_run_cut_in_two_gives_the_same_losses(tmp_path):
    whole = run(CONFIG, tmp_path / "whole")
    often = dataclasses.replace(CONFIG, snapshot_minutes=0.0)
    first = run(often, tmp_path / "cut", stop=7)       # the iterator is closed, which saves
    rest = run(often, tmp_path / "cut")
    assert len(first) == 7 and first + rest == whole


def test_a_run_can_start_from_a_model_file(tmp_path):
    trainer = trainer_of(CONFIG, pictures())
    trainer.run_step()
    trainer.save(tmp_path / "snapshot.pt")
    model = export(tmp_path / "snapshot.pt", tmp_path / "model.safetensors", {"name": "tiny", "licence": "none"})
    other = trainer_of(dataclasses.replace(CONFIG, seed=5), pictures())
    other.start_from(model)
    for name, tensor in trainer.ema.state_dict().items():
        assert torch.equal(other.generator.state_dict()[name], tensor)
    for name, tensor in trainer.discriminator.state_dict().items():
        assert torch.equal(other.discriminator.state_dict()[name], tensor)
    with pytest.raises(CoModError, match="not a snapshot"):
        export(model, tmp_path / "x.safetensors", {})


def test_a_model_file_tells_what_its_run_began_with(tmp_path):
    def model(trainer, name: str):
        trainer.save(tmp_path / "snapshot.pt")
        return export(tmp_path / "snapshot.pt", tmp_path / f"{name}.safetensors", {"name": name, "licence": "none"})

    files = [model(trainer_of(CONFIG, pictures()), "first")]
    for name in ("second", "third"):
        trainer = trainer_of(CONFIG, pictures())
        trainer.start_from(files[-1])
        trainer.save(tmp_path / "between.pt")
        resumed = trainer_of(CONFIG, pictures())
        resumed.restore(tmp_path / "between.pt")
        files.append(model(resumed, name))
    headers = [read_header(file) for file in files]
    second = json.loads(headers[2]["begun"])
    assert "begun" not in headers[0] and (second["name"], second["steps"]) == ("second", "0")
    assert [second["sha256"], second["begun"]["sha256"]] == [sha256_of(files[1]), sha256_of(files[0])]
    assert second["training"]["recipe"] == "completion" and "\\\\" not in headers[2]["begun"]


def test_a_file_can_go_back_towards_the_one_that_its_run_began_with(tmp_path):
    facts, snapshot = {"name": "tiny", "licence": "none"}, tmp_path / "snapshot.pt"
    first = trainer_of(CONFIG, pictures())
    first.save(snapshot)
    earlier = export(snapshot, tmp_path / "earlier.safetensors", facts)
    last = trainer_of(dataclasses.replace(CONFIG, seed=5), pictures())
    last.save(snapshot)
    found = export(snapshot, tmp_path / "between.safetensors", facts, earlier, 0.25)
    name = next(name for name, x in first.ema.named_parameters() if name.endswith("weight"))
    a, b, c = (net.state_dict()[name] for net in (first.ema, last.ema, import_checkpoint(found).generator))
    assert torch.allclose(c, torch.lerp(a, b, 0.25)) and not torch.allclose(a, b)
    assert json.loads(read_header(found)["earlier"]) == {"sha256": sha256_of(earlier), "share": 0.25}
    with pytest.raises(CoModError, match="share is 2"):
        export(snapshot, tmp_path / "x.safetensors", facts, earlier, 2.0)
    other = trainer_of(dataclasses.replace(CONFIG, network=dataclasses.replace(CONFIG.network, w_dim=4)), pictures())
    other.save(snapshot)
    with pytest.raises(CoModError, match="is not the snapshot's"):
        export(snapshot, tmp_path / "x.safetensors", facts, earlier)


def test_a_run_at_another_resolution_takes_the_layers_that_fit(tmp_path):
    small = trainer_of(CONFIG, pictures())
    small.save(tmp_path / "snapshot.pt")
    model = export(tmp_path / "snapshot.pt", tmp_path / "model.safetensors", {"name": "tiny", "licence": "none"})
    larger = dataclasses.replace(CONFIG, network=dataclasses.replace(CONFIG.network, resolution=32))
    trainer = trainer_of(larger, pictures(r=32))
    fresh = trainer.start_from(model)
    assert "generator.synthesis.b32.conv0.weight" in fresh and "generator.synthesis.b16.conv0.weight" not in fresh
    own, theirs = trainer.generator.synthesis.b8.conv1.weight, small.ema.synthesis.b8.conv1.weight
    assert torch.equal(own, theirs) and torch.equal(trainer.ema.synthesis.b8.conv1.weight, theirs)
    trainer.run_step()
    narrow = CoModConfig(resolution=16, z_dim=6, w_dim=6, mapping_fmaps=4, fmap_base=48, fmap_max=12)
    other = dataclasses.replace(CONFIG, network=narrow)
    with pytest.raises(CoModError, match="no layer"):
        trainer_of(other, pictures()).start_from(model)


def test_a_wider_generator_begins_with_the_pictures_of_the_narrow_one(tmp_path):
    narrow = trainer_of(CONFIG, pictures())
    narrow.run_step()
    narrow.save(tmp_path / "snapshot.pt")
    model = export(tmp_path / "snapshot.pt", tmp_path / "model.safetensors", {"name": "tiny", "licence": "none"})
    before = CONFIG.network
    wide = dataclasses.replace(before, fmap_base=2 * before.fmap_base, fmap_max=2 * before.fmap_max)
    trainer = trainer_of(dataclasses.replace(CONFIG, network=wide), pictures())
    assert trainer.start_from(model) == []
    made = [completed(net) for net in (narrow.ema, trainer.ema)]
    assert trainer.ema.synthesis.b8.conv1.weight.shape[0] == 2 * narrow.ema.synthesis.b8.conv1.weight.shape[0]
    torch.testing.assert_close(made[1], made[0], rtol=1e-4, atol=1e-4)
    trainer.run_step()
    unread = trainer.generator.synthesis.b8.conv1.weight[:, narrow.ema.synthesis.b8.conv1.weight.shape[1]:]
    assert unread.abs().sum(dim=(1, 2, 3)).min() > 0                        # the new channels come to be read


def test_frozen_layers_of_the_discriminator_stay(tmp_path):
    trainer = trainer_of(dataclasses.replace(CONFIG, freeze_d=1), pictures())
    before = {name: value.clone() for name, value in trainer.discriminator.state_dict().items()}
    trainer.run_step()
    moved = {name for name, value in trainer.discriminator.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("from_rgb", "b16.")) for name in moved) and "b8.conv0.weight" in moved
    with pytest.raises(CoModError, match="freeze_d 9"):
        trainer_of(dataclasses.replace(CONFIG, freeze_d=9), pictures())


def test_parts_of_a_batch_add_up_to_the_whole():
    config = dataclasses.replace(CONFIG, batch=16, perceptual_weight=0.0, network=dataclasses.replace(
        CONFIG.network, dropout_rate=0.3), noise_mode="const", augment="diffaugment")
    whole, parts = trainer_of(config, pictures()), trainer_of(dataclasses.replace(config, accumulate=2), pictures())
    for _ in range(5):
        assert parts.run_step() == pytest.approx(whole.run_step(), rel=2e-4, abs=1e-5)
    with pytest.raises(CoModError, match="multiple of 3"):
        trainer_of(dataclasses.replace(config, accumulate=3), pictures()).run_step()


def test_masks_of_a_folder(tmp_path):
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 255
    Image.fromarray(mask).save(tmp_path / "right.png")
    config = dataclasses.replace(CONFIG, mask_folder=str(tmp_path))
    found = recipe_of(config).holes.rows(0, range(8))
    assert found.shape == (8, 1, 16, 16) and found.mean().item() == pytest.approx(0.5)
    assert {tuple(row[0, 0].tolist()) for row in found} == {(0.0,) * 8 + (1.0,) * 8, (1.0,) * 8 + (0.0,) * 8}
    clear = Image.new("RGBA", (60, 40), "black")              # as ComfyUI saves masks: transparent is hole
    clear.putalpha(Image.fromarray(255 - mask))
    (tmp_path / "alpha").mkdir()
    clear.save(tmp_path / "alpha" / "right.png")
    alpha = recipe_of(dataclasses.replace(CONFIG, mask_folder=str(tmp_path / "alpha"))).holes.rows(0, range(8))
    assert torch.equal(alpha, found)
    with pytest.raises(CoModError, match="not a folder"):
        recipe_of(dataclasses.replace(CONFIG, mask_folder=str(tmp_path / "none")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CoModError, match="no pictures"):
        recipe_of(dataclasses.replace(CONFIG, mask_folder=str(tmp_path / "empty")))
    Image.fromarray(mask * 0).save(tmp_path / "empty" / "black.png")
    with pytest.raises(CoModError, match=r"black\.png"):
        recipe_of(dataclasses.replace(CONFIG, mask_folder=str(tmp_path / "empty"))).holes.rows(0, [0])


def test_a_full_disk_leaves_the_snapshot_before(tmp_path, monkeypatch):
    trainer = trainer_of(CONFIG, pictures())
    trainer.save(tmp_path / "snapshot.pt")
    before = (tmp_path / "snapshot.pt").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    trainer.run_step()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CoModError, match="disk is full"):
        trainer.save(tmp_path / "snapshot.pt")
    assert (tmp_path / "snapshot.pt").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    trainer = trainer_of(CONFIG, pictures())
    with torch.no_grad():
        trainer.generator.synthesis.b4.to_rgb.bias.fill_(float("nan"))
    with pytest.raises(CoModError, match="not finite|loss"):
        trainer.run_step()
    assert trainer.step == 0


def test_bad_input(tmp_path):
    with pytest.raises(CoModError, match="16x16"):
        trainer_of(CONFIG, pictures(r=32))
    (tmp_path / "snapshot.pt").write_bytes(b"not a snapshot")
    with pytest.raises(CoModError, match="snapshot"):
        next(train(CONFIG, pictures(), tmp_path))
    with pytest.raises(CoModError, match="hole_range"):
        CompletionConfig(hole_range=(0.5, 0.2))
    with pytest.raises(CoModError, match="another version"):
        config_from_json(CONFIG.to_json().replace("batch", "botch"))
    assert config_from_json(CONFIG.to_json()) == CONFIG


def test_grid(tmp_path):
    trainer = trainer_of(CONFIG, pictures())
    images = trainer.pictures.rows(0, 3, range(3))
    grid = completion_grid(trainer.ema, images, recipe_of(CONFIG).holes.rows(0, range(3)), seeds=range(4))
    assert grid.shape == (3 * 16, 6 * 16, 3)
    assert torch.equal(grid[:16, :16], ((images[0] * 127.5 + 127.5).round()).to(torch.uint8).permute(1, 2, 0))
    save_grid(tmp_path / "grid.png", grid)
    assert (tmp_path / "grid.png").stat().st_size > 100


def test_completions_of_one_hole_share_it_and_only_the_best_is_pulled(tmp_path):
    config = dataclasses.replace(CONFIG, samples_per_hole=2)
    trainer = trainer_of(config, pictures())
    part = trainer.recipe.draw(trainer, 0, range(4))
    assert torch.equal(part.wanted[0], part.wanted[1]) and torch.equal(part.holes[2], part.holes[3])
    assert torch.equal(part.wanted[2], part.real[1]) and not torch.equal(part.wanted[0], part.wanted[2])
    assert all(np.isfinite(v) for v in trainer.run_step().values())
    with pytest.raises(CoModError, match="samples_per_hole"):
        dataclasses.replace(CONFIG, samples_per_hole=3)


def test_the_perceptual_distance_sees_the_hole_alone():
    distance = PerceptualDistance()
    real = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.zeros(2, 1, 32, 32)
    mask[..., :16] = 1
    fake = torch.where(mask > 0, -real, real).requires_grad_()
    assert distance(real, real, mask).tolist() == [0.0, 0.0]
    seen = distance(fake, real, mask)
    assert seen.shape == (2,) and (seen > 0.1).all()
    seen.sum().backward()
    assert fake.grad.abs().sum() > 0
    assert len([p for p in distance.parameters() if p.requires_grad]) == 0


def test_completions_of_one_hole_are_pushed_apart(tmp_path):
    config = dataclasses.replace(CONFIG, samples_per_hole=2, perceptual_weight=1.0, diversity_weight=5.0, batch=8,
                                 noise_mode="none", l1_only_kimg=1.0, learning_rate=0.005, diversity_limit=1.0)
    apart = trainer_of(config, pictures())
    alone = trainer_of(dataclasses.replace(config, diversity_weight=1e-9), pictures())
    apart.save(tmp_path / "snapshot.pt")
    assert export(tmp_path / "snapshot.pt", tmp_path / "m.safetensors", {"name": "m", "licence": "none"}).exists()
    variety = [[trainer.run_step()["variety"] for _ in range(25)] for trainer in (apart, alone)]
    assert np.mean(variety[0][-5:]) > 1.5 * np.mean(variety[1][-5:])
    with pytest.raises(CoModError, match="samples_per_hole 2"):
        dataclasses.replace(CONFIG, diversity_weight=1.0)


@pytest.mark.parametrize(("amx", "device", "wanted"), [(True, False, "bf16"), (False, False, "fp32"),
                                                       (True, True, "fp32")])
def test_a_new_run_takes_the_number_format_that_suits_the_machine(amx, device, wanted, monkeypatch):
    monkeypatch.setattr(place, "good_at_bfloat16", lambda: amx)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: device)
    assert place.suited_precision() == wanted
