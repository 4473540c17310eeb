"""Completion: what is under the hole, what masks can be, seeds, doors, progress, surroundings."""
import copy
import itertools
import logging

import pytest
import torch
from fake_network import FakeNetwork, flat, gradient, hole, one, small_network

from comod_core import latents, masks
from comod_core.completion import Completion, blend, complete, decode, encode, prepare
from comod_core.errors import CoModError


@pytest.fixture(scope="module")
def real():
    return small_network()


# What is under the hole, and what masks can be.

@pytest.mark.parametrize("options", [{}, {"feather": 0}, {"grow": 3}, {"size_strategy": "whole"},
                                     {"color_match": False}, {"size_strategy": "original"}])
@pytest.mark.parametrize("size", [(16, 16), (45, 61)])
def test_pixels_under_the_hole_cannot_influence_the_result(real, size, options):
    if options.get("size_strategy") == "original" and size != (16, 16):
        size = (16, 16)
    mask = masks.free_form(size, 11, (0.1, 0.5), brush_width=(2, 5))
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    results = []
    for under in (image, torch.rand_like(image), torch.full_like(image, 1e30), torch.full_like(image, torch.nan)):
        results.append(one(real, torch.where(mask > 0, under, image), mask, [3], **options))
    assert torch.isfinite(results[0]).all() and not torch.equal(results[0], image)
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_soft_mask_is_the_users_feather():
    """Above 0.5 hole; 0.1 to 0.5 blended; below nothing. What is above 0.5 cannot be seen through."""
    image, mask = torch.zeros(1, 3, 64, 64), hole(64, 64, (20, 20, 40, 40))
    mask[..., 30, 40:46] = torch.tensor([0.9, 0.51, 0.4, 0.3, 0.2, 0.08])
    net = FakeNetwork(flat(1.0), 64)
    result = one(net, image, mask, feather=0, color_match=False)
    assert result[0, 0, 30, 39:47].tolist() == pytest.approx([1, 1, 1, 0.75, 0.5, 0.25, 0, 0], abs=1e-6)
    other = one(net, torch.where(mask > 0.5, 0.9, image), mask, feather=0, color_match=False)
    assert torch.equal(result, other)


def test_mask_of_another_size_is_resized_with_a_warning(caplog):
    image, mask = torch.zeros(1, 3, 60, 90), hole(20, 30, (5, 10, 10, 20))
    with caplog.at_level(logging.WARNING, "comod"):
        completion = next(complete(FakeNetwork(flat(1.0)), image, mask, [1], feather=0, color_match=False))
    changed = (completion.image != 0).any(dim=1)[0]
    assert torch.equal(changed, hole(60, 90, (15, 30, 30, 60))[0, 0] > 0)
    assert "30x20" in completion.warnings[0] and "30x20" in caplog.text


def test_empty_mask_gives_the_picture_back_with_a_warning(caplog):
    image, net = gradient(40, 50), FakeNetwork()
    with caplog.at_level(logging.WARNING, "comod"):
        results = list(complete(net, image, torch.zeros(1, 1, 64, 64), [1, 2]))
    assert [c.seed for c in results] == [1, 2] and all(torch.equal(c.image, image) for c in results)
    assert any("empty" in warning for warning in results[0].warnings) and "empty" in caplog.text
    assert results[0].image is not image and net.encoded == 0
    faint = next(complete(net, image, torch.full((1, 1, 40, 50), 0.4), [1]))
    assert torch.equal(faint.image, image) and "empty" in faint.warnings[0]


def test_no_warning_without_reason(caplog):
    assert next(complete(FakeNetwork(), gradient(40, 50), hole(40, 50, (9, 9, 20, 20)), [1])).warnings == ()
    assert not caplog.records


@pytest.mark.parametrize("size", [(16, 16), (50, 70)])
def test_full_mask(real, size):
    a, b = (c.image for c in complete(real, torch.rand(1, 3, *size), torch.ones(1, 1, *size), [1, 2]))
    assert a.shape == (1, 3, *size) and torch.isfinite(a).all() and not torch.equal(a, b)
    assert torch.equal(a, one(real, torch.zeros(1, 3, *size), torch.ones(1, 1, *size)))


def test_rgba_hole_becomes_opaque_and_other_alpha_stays():
    image = gradient(64, 64, 4)
    image[:, 3, :, 20:44] = -1
    mask = hole(64, 64, (16, 16, 48, 48))
    result = one(FakeNetwork(resolution=64), image, mask, feather=6)
    assert (result[0, 3, 16:48, 16:48] == 1).all()
    assert torch.equal(result[0, 3][mask[0, 0] == 0], image[0, 3][mask[0, 0] == 0])
    assert torch.equal(result[:, :3], one(FakeNetwork(resolution=64), image[:, :3], mask, feather=6))


def test_grey_stays_grey():
    image, mask = gradient(80, 64, 1), hole(80, 64, (20, 20, 50, 40))
    result = one(FakeNetwork(), image * (1 - mask), mask)
    assert result.shape == image.shape and (result - image).abs().max() < 0.02
    colored = one(FakeNetwork(lambda i, m: torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1).expand_as(i)),
                  torch.zeros(1, 1, 32, 32), hole(32, 32, (8, 8, 24, 24)), color_match=False)
    assert colored[0, 0, 16, 16] == pytest.approx(0.299, abs=1e-5)


def test_batches_of_pictures_and_masks(real):
    images = torch.cat([gradient(30, 40), -gradient(30, 40), torch.rand(1, 3, 30, 40)])
    holes = torch.cat([hole(30, 40, (5, 5, 20, 20)), hole(30, 40, (10, 10, 25, 35)), torch.zeros(1, 1, 30, 40)])
    single = [[one(real, image[None], mask[None], [4]) for mask in holes] for image in images]
    cases = {
        (3, 3): (images, holes, [single[i][i] for i in range(3)]),
        (3, 1): (images, holes[:1], [single[i][0] for i in range(3)]),
        (1, 3): (images[:1], holes, single[0]),
    }
    for pictures, mask, expected in cases.values():
        completion = next(complete(real, pictures, mask, [4]))
        assert torch.equal(completion.image, torch.cat(expected))
        assert any("mask 3 of 3" in warning for warning in completion.warnings) == (len(mask) == 3)
    with pytest.raises(CoModError, match="3 pictures but 2 masks"):
        complete(real, images, holes[:2], [1])


# Seeds, doors, progress.

def test_same_seed_same_bits_in_any_batch_and_order(real):
    image, mask = gradient(40, 56), hole(40, 56, (4, 4, 16, 16), (26, 40, 38, 54))
    options = {"noise_mode": "random", "psi": 0.7, "cutoff": 3, "feather": 2}
    together = {c.seed: c.image for c in complete(real, image, mask, [5, 2**64 - 1, 0, 9], **options)}
    backwards = {c.seed: c.image for c in complete(real, image, mask, [9, 0, 2**64 - 1, 5], **options)}
    batch = {c.seed: c.image[1:] for c in complete(real, torch.cat([-image, image]), mask, [0, 5], **options)}
    assert list(together) == [5, 2**64 - 1, 0, 9]
    for seed, expected in together.items():
        assert torch.equal(backwards[seed], expected)
        assert torch.equal(one(real, image, mask, [seed], **options), expected)
        assert seed not in batch or torch.equal(batch[seed], expected)
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(together.values(), 2))


def test_every_option_of_the_sampling_reaches_the_network(real):
    image, mask = gradient(16, 16), hole(16, 16, (4, 4, 12, 12))
    variants = [{}, {"psi": 0.3}, {"psi": 0.3, "cutoff": 2}, {"noise_mode": "none"}, {"noise_mode": "random"},
                {"dropout": False}]
    for layer in real.modules():  # noise is off in a fresh network
        if hasattr(layer, "noise_strength"):
            layer.noise_strength.data.fill_(0.5)
    results = [one(real, image, mask, [3], **options) for options in variants]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(results, 2))


@pytest.mark.parametrize("noise_mode, dropout", [("const", True), ("random", True), ("random", False)])
def test_doors_give_the_bits_of_complete(real, noise_mode, dropout):
    """Encode, Sample, Truncate, Co-Modulate as separate steps over all seeds at once."""
    image, mask, seeds = torch.cat([gradient(40, 56), -gradient(40, 56)]), hole(40, 56, (4, 4, 26, 30)), [3, 1, 2]
    w = latents.truncate(latents.sample(real, seeds), real.w_avg, 0.6, 4)
    prepared = prepare(real, image, mask, context=0.3, grow=1)
    encodings = encode(real, prepared)
    stepwise = [blend(prepared, tiles) for tiles in
                decode(real, prepared, encodings, w, seeds, noise_mode=noise_mode, dropout=dropout)]
    whole = list(complete(real, image, mask, seeds, psi=0.6, cutoff=4, noise_mode=noise_mode, dropout=dropout,
                          context=0.3, grow=1))
    assert len(stepwise) == 3 and all(torch.equal(a, b.image) for a, b in zip(stepwise, whole, strict=True))


def test_pictures_are_encoded_once_for_all_seeds():
    net, mask = FakeNetwork(latent_gain=0.1), hole(300, 400, (10, 10, 40, 40), (250, 350, 280, 380))
    results = list(complete(net, gradient(300, 400), mask, range(5)))
    assert (net.encoded, net.decoded) == (2, 10) and [c.seed for c in results] == [0, 1, 2, 3, 4]
    assert all(isinstance(c, Completion) for c in results)


def test_progress_counts_every_step_and_shows_each_picture():
    mask, steps = hole(300, 400, (10, 10, 40, 40), (250, 350, 280, 380)), []
    results = list(complete(FakeNetwork(), gradient(300, 400), mask, [1, 2], progress=lambda *step: steps.append(step)))
    assert [step[:2] for step in steps] == [(i, 8) for i in range(1, 9)]
    shown = [step[2] for step in steps if step[2] is not None]
    assert [steps[i][2] is not None for i in (4, 7)] == [True, True]
    assert len(shown) == 2 and torch.equal(shown[0], results[0].image) and torch.equal(shown[1], results[1].image)


def test_progress_can_stop_the_work():
    class Stop(Exception):
        pass

    def stop(done, total, image):
        if done == 3:
            raise Stop

    net = FakeNetwork()
    with pytest.raises(Stop):
        list(complete(net, gradient(40, 40), hole(40, 40, (9, 9, 20, 20)), range(9), progress=stop))
    assert net.decoded == 1


def test_work_is_done_as_results_are_asked_for():
    net = FakeNetwork()
    results = complete(net, gradient(40, 40), hole(40, 40, (9, 9, 20, 20)), range(9))
    assert (net.encoded, net.decoded) == (0, 0)
    next(results)
    assert (net.encoded, net.decoded) == (1, 1)


# Surroundings: modes, devices, numbers.

def test_inside_the_callers_own_modes(real):
    image, mask = gradient(30, 40), hole(30, 40, (9, 9, 20, 20))
    expected = one(real, image, mask)
    for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad):
        with mode():
            assert torch.equal(one(real, image, mask), expected)
    for completion in complete(real, image, mask, [1, 2]):
        assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()
        assert not completion.image.is_inference() and not completion.image.requires_grad
        completion.image.mul_(2)  # the caller's own from here on
    leaf = image.clone().requires_grad_()
    assert torch.equal(one(real, leaf, mask), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_network_of_another_number_type(real, dtype):
    net = copy.deepcopy(real).to(dtype)
    image, mask = gradient(30, 40), hole(30, 40, (9, 9, 20, 20))
    result, expected = one(net, image, mask, feather=0), one(real, image, mask, feather=0)
    assert result.dtype == torch.float32
    assert (result - expected).abs().max() < (1e-3 if dtype == torch.float64 else 0.3)
    assert torch.equal(result[:, :, mask[0, 0] == 0], image[:, :, mask[0, 0] == 0])


def test_input_is_left_alone(real):
    image, mask = gradient(30, 40).half(), hole(30, 40, (9, 9, 20, 20)).bool()
    copies = image.clone(), mask.clone()
    result = one(real, image, mask, feather=0)
    assert torch.equal(image, copies[0]) and torch.equal(mask, copies[1])
    assert torch.equal(result[:, :, ~mask[0, 0]], image[:, :, ~mask[0, 0]].float())


BAD = [
    ({"image": torch.zeros(3, 8, 8)}, "N,C,H,W"), ({"image": torch.zeros(1, 2, 8, 8)}, "2 channels"),
    ({"image": torch.zeros(1, 3, 8, 8, dtype=torch.uint8)}, "uint8"), ({"image": torch.zeros(1, 3, 0, 8)}, "no pixels"),
    ({"image": torch.full((1, 3, 40, 40), 200.0)}, "200"), ({"image": torch.full((1, 3, 40, 40), torch.nan)}, "nan"),
    ({"image": None}, "NoneType"), ({"mask": torch.zeros(1, 3, 8, 8)}, "one channel"),
    ({"mask": torch.full((1, 1, 8, 8), 255.0)}, "255"), ({"seeds": []}, "no seeds"), ({"seeds": [-1]}, "seed -1"),
    ({"seeds": [2**64]}, "18446744073709551616"), ({"seeds": [1.5]}, "1.5"), ({"seeds": ["7"]}, "seed '7'"),
    ({"seeds": "7"}, "text"), ({"seeds": [True]}, "True"), ({"psi": float("nan")}, "psi"), ({"psi": "1"}, "psi"),
    ({"cutoff": -1}, "cutoff"), ({"cutoff": 1.5}, "cutoff"), ({"noise_mode": "loud"}, "noise_mode 'loud'"),
    ({"size_strategy": "squash"}, "size_strategy 'squash'"), ({"context": -1}, "context"), ({"feather": -2}, "feather"),
    ({"feather": float("inf")}, "feather"), ({"grow": -1}, "grow"), ({"size_strategy": "original"}, "32x32"),
]


@pytest.mark.parametrize("change, words", BAD, ids=[words for _, words in BAD])
def test_bad_arguments_are_named_at_the_call(change, words):
    good = {"image": torch.zeros(1, 3, 40, 40), "mask": hole(40, 40, (9, 9, 20, 20)), "seeds": [1]}
    with pytest.raises(CoModError, match=words):
        complete(FakeNetwork(), **{**good, **change})


def test_one_seed_may_come_alone():
    completion, = complete(FakeNetwork(), gradient(40, 40), hole(40, 40, (9, 9, 20, 20)), 7)
    assert completion.seed == 7


def test_networks_that_cannot_complete():
    net = FakeNetwork()
    net.pix2pix = True
    with pytest.raises(CoModError, match="image to image"):
        complete(net, gradient(40, 40), hole(40, 40, (9, 9, 20, 20)), [1])
    net = FakeNetwork()
    net.image_channels = 1
    with pytest.raises(CoModError, match="1 image channels"):
        prepare(net, gradient(40, 40), hole(40, 40, (9, 9, 20, 20)))


def test_steps_that_do_not_belong_together():
    net, mask = FakeNetwork(), hole(40, 40, (9, 9, 20, 20))
    prepared = prepare(net, gradient(40, 40), mask)
    encodings, w = encode(net, prepared), torch.zeros(2, 4, 8)
    with pytest.raises(CoModError, match="2 latents but 1 seeds"):
        decode(net, prepared, encodings, w, [1])
    with pytest.raises(CoModError, match="0 encodings for 1 crops"):
        decode(net, prepared, [], w, [1, 2])
    with pytest.raises(CoModError, match="noise_mode"):
        decode(net, prepared, encodings, w, [1, 2], noise_mode="loud")
    with pytest.raises(CoModError, match="0 tiles for 1 crops"):
        blend(prepared, [])
    with pytest.raises(CoModError, match="model of 32 pixels, this one has 64"):
        encode(FakeNetwork(resolution=64), prepared)
