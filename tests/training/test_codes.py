"""Codes of pictures as values of z, and completions that they guide."""
import dataclasses

import numpy as np
import pytest
import torch
from test_loop import CONFIG, pictures

from comod_core import CoModError
from comod_core.training.codes import ConditionCodes, HoleCodes, _cells, listen
from comod_core.training.recipes import CompletionConfig, recipe_of
from comod_core.training.trainer import Trainer

GUIDED = dataclasses.replace(CONFIG, guided=2, hole_range=(0.9, 1.0), structured_masks=0.0, batch=8, noise_mode="none",
                             l1_only_kimg=10.0, learning_rate=0.01, style_mixing=0.9)


def as_tensor(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1


def halves(count=64, r=16):
    """Holes: the left half, the right half, the whole and little."""
    holes = torch.zeros(count, 1, r, r)
    holes[0::4, ..., :r // 2] = holes[1::4, ..., r // 2:] = holes[2::4] = 1
    holes[3::4, ..., :2, :2] = 1
    return holes


def flat(colours):
    return colours[:, None, None].repeat(16, 1).repeat(16, 2)


def test_codes_of_whole_pictures_are_distributed_as_random_values_are():
    random = np.random.default_rng(5)
    images = flat(np.clip(random.exponential(40, (1200, 3)) * [1.0, 0.7, 0.4], 0, 255).astype(np.uint8))
    holes = torch.ones(1200, 1, 16, 16)
    codes = HoleCodes(images, 3, holes[:400])       # of colours that are far from normal
    found = codes(as_tensor(images), holes)
    assert found.mean(dim=0).abs().max() < 0.1 and (found.std(dim=0) - 1).abs().max() < 0.1
    third = found.quantile(torch.tensor([0.1587, 0.8413]), dim=0)
    assert (third - torch.tensor([[-1.0], [1.0]])).abs().max() < 0.1
    assert np.abs(np.corrcoef(found.T.numpy()) - np.eye(3)).max() < 0.25       # their ranks alone could not promise 0
    assert torch.equal(codes(as_tensor(images[7:9]), holes[7:9]), found[7:9])
    far = codes(torch.full((1, 3, 16, 16), 9.0), holes[:1])
    assert torch.isfinite(far).all() and far.abs().max() < 5


def test_codes_say_nothing_that_the_surroundings_tell():
    """Of two halves of one flat colour each: where both always have the same one, the seen half tells the other."""
    random = np.random.default_rng(6)
    colours = random.integers(0, 255, (2, 600, 3), dtype=np.uint8)
    same = flat(colours[0])
    apart = np.concatenate([same[:, :, :8], flat(colours[1])[:, :, 8:]], axis=2)
    holes = halves(600)
    right = slice(1, None, 4)
    for images, least, most in ((same, 0.0, 0.1), (apart, 0.5, 2.0)):
        codes = HoleCodes(images, 3, holes[:200])
        codes.quantiles = codes.normal = np.linspace(-9, 9, 513)           # as they are
        codes.quantiles = codes.quantiles[:, None].repeat(3, 1)
        found = codes(as_tensor(images), holes)[right]
        assert least <= found.std(dim=0).min() and found.std(dim=0).max() <= most
    seen = as_tensor(apart)[right, :, 0, 0]         # codes of the hidden half know nothing of the half that is seen
    together = np.corrcoef(torch.cat([found, seen], dim=1).T.numpy())[:3, 3:]
    assert np.abs(together).max() < 0.25


def test_codes_of_conditions_say_what_the_condition_does_not():
    """A condition tells the brightness of the left half; the colour of the right one is its own."""
    random = np.random.default_rng(8)
    told, own = random.uniform(0, 255, 800), random.integers(0, 255, (800, 3), dtype=np.uint8)
    left = flat(told.astype(np.uint8)[:, None].repeat(3, 1))
    images = np.concatenate([left[:, :, :8], flat(own)[:, :, 8:]], axis=2)
    conditions = torch.from_numpy(1 - told / 255).float()[:, None, None, None].expand(-1, 1, 16, 16)
    codes = ConditionCodes(images[:600], conditions[:600], 3)
    found = codes(as_tensor(images), conditions)[600:]
    assert found.mean(dim=0).abs().max() < 0.2 and (found.std(dim=0) - 1).abs().max() < 0.2
    assert np.abs(np.corrcoef(found.T.numpy(), told[600:])[3, :3]).max() < 0.3
    fitted = np.linalg.lstsq(np.c_[found.numpy(), np.ones(200)], own[600:].astype(float), rcond=None)[0]
    error = own[600:] - np.c_[found.numpy(), np.ones(200)] @ fitted
    assert error.std() < 0.2 * own[600:].std()
    with pytest.raises(CoModError, match="9 components of 8 pictures"):
        ConditionCodes(images[:8], conditions[:8], 9)


def test_what_is_known_changes_no_code_where_nothing_is_hidden():
    images, holes = pictures(24), halves(24)
    codes, one = HoleCodes(images, 3, holes), as_tensor(images[:1])
    nothing = codes._white(*(x[0] for x in _cells(one, torch.zeros(1, 1, 16, 16))))
    assert np.isfinite(nothing).all() and np.abs(nothing).max() < 1.0


def test_too_many_codes_are_refused():
    with pytest.raises(CoModError, match="25 components of 24 pictures"):
        HoleCodes(pictures(24), 25, halves(8))
    with pytest.raises(CoModError, match="guided"):
        CompletionConfig(network=CONFIG.network, guided=9)


def test_a_layer_listens_once():
    weight = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    x = torch.randn(4000, 32, generator=torch.Generator().manual_seed(1))
    before = (x @ weight.T).var()
    listen(weight, 4)
    parts = [(x[:, part] @ weight[:, part].T).std() for part in (slice(4), slice(4, None))]
    assert float(parts[0] / parts[1]) == pytest.approx(3, rel=0.05)
    assert float((x @ weight.T).var()) == pytest.approx(float(before), rel=0.05)
    again = weight.clone()
    listen(again, 4)
    assert torch.equal(again, weight)


def test_the_first_completion_of_a_hole_is_guided_and_compared():
    trainer = Trainer(recipe_of(dataclasses.replace(GUIDED, samples_per_hole=2)), pictures())
    recipe, seen = trainer.recipe, []
    part = recipe.draw(trainer, 0, range(8))
    original = trainer.generator.map
    trainer.generator.map = lambda z: seen.append(z) or original(z)
    recipe._generate(trainer, part)
    codes = recipe.codes(part.wanted, part.holes)
    for z in seen:              # both of style mixing, so that a guided completion has one z
        torch.testing.assert_close(z[::2, :2], codes[::2])
        assert not torch.isclose(z[1::2, :2], codes[1::2]).any()
    changed = dataclasses.replace(part, fake=part.fake.clone())
    changed.fake[1::2] = 7.0
    area = part.holes.mean()
    losses = [recipe._generator_loss(trainer, one, area, True, 1.0)[1]["L1"] for one in (part, changed)]
    assert torch.equal(*losses)


def test_z_says_what_comes_into_the_hole():
    network = dataclasses.replace(GUIDED.network, mapping_lr_mul=1.0)       # quick to learn
    trainer = Trainer(recipe_of(dataclasses.replace(GUIDED, network=network)), pictures())
    losses = [trainer.run_step()["L1"] for _ in range(120)]
    wanted, codes = as_tensor(pictures()), trainer.recipe.codes
    z = torch.randn(len(wanted), 8, generator=torch.Generator().manual_seed(0))
    z[:, :2] = codes(wanted, torch.ones(len(wanted), 1, 16, 16))
    net = trainer.generator
    encoding = net.encode(torch.zeros(len(wanted), 3, 16, 16), torch.ones(len(wanted), 1, 16, 16), dropout=False)
    with torch.no_grad():
        fills = net.decode(encoding, net.map(z), "none").mean(dim=(2, 3))
    gaps = torch.cdist(fills, wanted.mean(dim=(2, 3)))
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert gaps.diagonal().mean() < 0.6 * gaps.mean()
