"""Augmentation: mask and picture move together, gradients pass, and ADA's strength follows the discriminator."""
import numpy as np
import pytest
import torch

from comod_core.training.augment import Augment, adaptive, diffaugment

SEEDS = list(range(16))


def draws(value=0.999, n=2, **changes):
    u = [torch.full([n], value) for _ in range(32)]
    for name, x in changes.items():
        u[int(name[1:])] = torch.full([n], x)
    return u


def pair(n=2, r=16):
    image = torch.rand(n, 3, r, r, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = (image[:, :1] > 0).float()
    return image, mask


@pytest.mark.parametrize("kind", ["diffaugment", "ada"])
def test_the_mask_moves_with_the_picture(kind):
    change = Augment(kind)
    change.p = 1.0
    mask = torch.zeros(16, 1, 32, 32)
    mask[..., 8:20, 4:24] = 1
    image = mask.expand(-1, 3, -1, -1) * 2 - 1
    moved, holes = change(image, mask, SEEDS, 0)
    assert not torch.equal(holes, mask)
    for picture, hole in zip(moved, holes, strict=True):
        flat = hole.flatten().double().numpy()
        if kind == "ada":                # resampling and colour are linear: the picture stays a line over its mask
            for channel in picture.flatten(1).double().numpy():
                line = np.polynomial.Polynomial.fit(flat, channel, 1) if np.ptp(flat) > 0.1 else None
                assert line is None or np.abs(line(flat) - channel).max() < 1e-3
        else:                            # a hole keeps one colour, cut and shifted as it may be
            inside = picture.flatten(1)[:, flat == 1]
            assert inside.numel() == 0 or inside.std(dim=1).max() < 1e-5
    again = change(image[3:5], mask[3:5], SEEDS[3:5], 0)
    assert torch.equal(again[0], moved[3:5]) and torch.equal(again[1], holes[3:5])
    assert not torch.equal(change(image, mask, SEEDS, 1)[0], moved)


def test_nothing_happens_at_probability_zero_and_without_augmentation():
    image, mask = pair()
    for change in (Augment("none"), Augment("ada")):
        assert change(image, mask, SEEDS[:2], 0)[0] is image
    still = adaptive(image, mask, draws(0.999), 0.5)    # no draw is below a half: every change is passed over
    assert torch.allclose(still[0], image, atol=1e-5) and torch.allclose(still[1], mask, atol=1e-5)


def test_single_changes_of_ada_by_hand():
    image, mask = pair()
    mirrored = adaptive(image, mask, draws(0.999, _0=0.1, _1=0.7), 0.5)
    assert torch.allclose(mirrored[0], image.flip(3), atol=1e-4)
    turned = adaptive(image, mask, draws(0.999, _2=0.1, _3=0.3), 0.5)
    assert torch.allclose(turned[0], image.rot90(1, (2, 3)), atol=1e-4) or torch.allclose(
        turned[0], image.rot90(-1, (2, 3)), atol=1e-4)
    grey = image.mean(dim=1, keepdim=True).expand_as(image)
    hue = adaptive(grey, mask, draws(0.999, _29=0.1, _30=0.7), 0.5)
    assert torch.allclose(hue[0], grey, atol=1e-4)              # greys have no hue
    flipped = adaptive(grey, mask, draws(0.999, _28=0.1), 0.5)
    assert torch.allclose(flipped[0], -grey, atol=1e-4)


def test_single_changes_of_diffaugment_by_hand():
    image, mask = pair(r=16)
    centred = draws(0.5, _5=9.0, _6=9.0)                         # no colour, no shift, the cutout out of the picture
    assert torch.allclose(diffaugment(image, mask, centred)[0], image, atol=1e-6)
    moved = diffaugment(image, mask, draws(0.5, _3=1.0, _5=9.0, _6=9.0))
    assert torch.equal(moved[1][..., 2:, :], mask[..., :-2, :]) and (moved[1][..., :2, :] == 0).all()
    cut = diffaugment(image, mask, draws(0.5))[0]
    assert (cut == 0).all(dim=1).float().mean().item() == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize("kind", ["diffaugment", "ada"])
def test_gradients_pass(kind):
    change = Augment(kind)
    change.p = 0.8
    image, mask = (x.double() for x in pair(2, 6))
    image.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: change(x, mask, SEEDS[:2], 0)[0], [image])


def test_the_strength_follows_the_discriminator():
    change = Augment("ada", target=0.6, kimg=1.0)
    for _ in range(4):
        change.watch(torch.ones(8, 1))
    change.adjust(lambda x: x, 100)
    assert change.p == pytest.approx(0.1)
    change.watch(-torch.ones(8, 1))
    change.adjust(lambda x: x, 40)
    assert change.p == pytest.approx(0.06)
    change.watch(-torch.ones(8, 1))
    change.adjust(lambda x: x, 4000)
    assert change.p == 0.0 and np.isfinite(change.p)
