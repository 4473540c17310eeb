"""Edits of photos of any size: what the model sees, where an edit lands, what stays untouched."""
from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
from fake_style_network import FakeStyleNetwork, box, flat, photo

from comod_core import editing, photos, stylemaps
from comod_core.blending import settle
from comod_core.completion import complete
from comod_core.directions import Direction
from comod_core.editing import Reference
from comod_core.errors import CoModError
from comod_core.geometry import Box
from comod_core.latents import sample
from comod_core.loading import load_model
from comod_core.networks import CoModConfig, CoModGenerator
from comod_core.photos import Options, prepare

DATA = Path(__file__).parent / "data"
SHARP = Options(feather=0, color_match=False, seamless=False)


@pytest.fixture(scope="module")
def net():
    return load_model(DATA / "stylemap_32_8x8.pt")


@pytest.fixture
def fake():
    return FakeStyleNetwork()


# What stays untouched.

def test_grey_and_transparent_photos(fake):
    grey = prepare(fake, photo(channels=1)).inputs
    assert torch.equal(grey[:, 0], grey[:, 1]) and grey.shape == (1, 3, 32, 32)
    four = photo(channels=4)
    assert torch.equal(prepare(fake, four).inputs, prepare(fake, four[:, :3]).inputs)
    mask = box(10, 10, 30, 30)
    edit = editing.blend(fake, four, photo(seed=1), mask)
    assert torch.equal(edit.image[:, 3], four[:, 3]) and not torch.equal(edit.image[:, :3], four[:, :3])
    assert editing.blend(fake, photo(channels=1), photo(seed=1), mask).image.shape == (1, 1, 50, 40)


@pytest.mark.parametrize("options", [
    Options(), Options("square"), Options("crop"), Options(box=Box(2, 1, 30)), Options(feather=0), Options(feather=7.5),
    Options(color_match=False), Options(seamless=False)], ids=repr)
@pytest.mark.parametrize("size", [(50, 40), (40, 97), (200, 150), (20, 24)])
def test_outside_of_the_feather_every_bit_stays(net, options, size):
    image, mask = photo(*size), box(8, 6, 16, 18, *size)
    edit = editing.blend(net, image, photo(*size, seed=1), mask, options=options)
    feather = prepare(net, image, mask, options).feather
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])[None]
    down = (8 - rows).clamp_min(0) + (rows - 15).clamp_min(0)
    across = (6 - columns).clamp_min(0) + (columns - 17).clamp_min(0)
    far = (down ** 2 + across ** 2).sqrt() > feather
    seen = prepare(net, image, mask, options).seen
    hidden = torch.ones(size, dtype=torch.bool)
    hidden[seen.slices] = False
    assert torch.equal(edit.image[..., far], image[..., far])
    changed = (edit.image != image).any(dim=1)[0]
    assert not changed[hidden].any() and bool(edit.warnings) == bool(hidden[8:16, 6:18].any())
    assert (changed | hidden)[8:16, 6:18].float().mean() > 0.9
    assert edit.image.abs().max() <= 1


def test_an_empty_mask_leaves_the_photo_and_says_so(net):
    image = photo()
    edit = editing.blend(net, image, photo(seed=1), torch.full((1, 1, 50, 40), 0.4))
    assert torch.equal(edit.image, image) and "empty" in edit.warnings[0]
    assert not editing.blend(net, image, photo(seed=1), box(5, 5, 9, 9)).warnings


def test_colours_meet_around_the_mask():
    net, image = FakeStyleNetwork(error=0.1), flat(0.2, 64, 64)
    mask = box(16, 16, 48, 48, 64, 64)
    plain = editing.reconstruct(net, image, mask=mask, options=Options(color_match=False)).image
    matched = editing.reconstruct(net, image, mask=mask).image
    assert plain[..., 32, 32] == pytest.approx(torch.full((1, 3), 0.3))
    assert (matched - image).abs().max() < 0.01


def eyes(skin, eye):
    """64x64 of one colour with a square of another in the middle."""
    image = torch.tensor(skin).reshape(1, 3, 1, 1).repeat(1, 1, 64, 64)
    image[..., 28:36, 28:36] = torch.tensor(eye).reshape(1, 3, 1, 1)
    return image


LIGHT, DARK, BLUE, GREEN = (0.8, 0.5, 0.3), (-0.5, -0.6, -0.7), (-0.5, 0.0, 0.9), (0.0, 0.6, -0.6)
SKIN, EYE = (..., slice(22, 26), slice(22, 42)), (..., slice(30, 34), slice(30, 34))


@pytest.mark.parametrize(("skin", "other"), [(LIGHT, DARK), (DARK, LIGHT)])
def test_a_part_comes_without_the_skin_around_it(skin, other):
    net, mask = FakeStyleNetwork(64, 32), box(22, 22, 42, 42, 64, 64)
    image, reference = eyes(skin, BLUE), eyes(other, GREEN)
    edits = [editing.blend(net, image, reference, mask, options=Options(seamless=on, feather=0)).image
             for on in (True, False)]
    wanted = torch.tensor(skin).reshape(3, 1, 1)
    assert (edits[0][0][SKIN] - wanted).abs().max() < 0.03
    assert (edits[1][0][SKIN] - wanted).abs().max() > 0.9
    for edit in edits:
        assert (edit[0][EYE] - torch.tensor(GREEN).reshape(3, 1, 1)).abs().max() < 0.1


def test_a_transplanted_part_comes_without_its_surroundings():
    net, image = FakeStyleNetwork(64, 32), flat(0.2, 64, 64)
    reference = Reference(eyes(DARK, GREEN), box(24, 24, 40, 40, 64, 64), (-16, 8), Options(feather=0))
    edit = editing.transplant(net, image, [reference], options=Options(feather=0)).image
    assert (edit[..., 32:36, 8:24] - 0.2).abs().max() < 0.03        # a rim of the reference's skin
    assert (edit[..., 38:42, 14:18] - torch.tensor(GREEN).reshape(1, 3, 1, 1)).abs().max() < 0.1


def test_a_brow_as_dark_as_the_donors_skin_stays_where_the_network_left_none_of_that_skin():
    light, dark = torch.full((3, 32, 32), 0.6), torch.full((3, 32, 32), -0.6)
    hole, brow = torch.zeros(2, 32, 32, dtype=torch.bool)
    hole[8:24, 8:24] = brow[10:13, 10:22] = True
    clean = torch.where(brow, dark, light)
    kept = settle(clean, light, dark, hole, hole, ~hole)
    assert (kept - clean).abs().max() < 0.1
    copied = settle(torch.where(hole, dark, light), light, dark, hole, hole, ~hole)
    assert (copied - light).abs().max() < 0.1


def test_every_frame_of_a_growing_edit_is_seamless():
    net, mask = FakeStyleNetwork(64, 32), box(22, 22, 42, 42, 64, 64)
    image = eyes(LIGHT, BLUE)
    frames = list(editing.interpolate(net, image, eyes(DARK, GREEN), 3, mask=mask, options=Options(feather=0)))
    for frame in frames:
        assert (frame[SKIN] - torch.tensor(LIGHT).reshape(3, 1, 1)).abs().max() < 0.03
    assert (frames[1] - frames[0]).abs().max() > 0.1 and (frames[2] - frames[1]).abs().max() > 0.1


# What the operations do.

def test_blend_takes_the_reference_under_the_mask(fake):
    image, reference, mask = flat(-0.5), flat(0.5), box(8, 8, 24, 24, 32, 32)
    for space in ("w", "w+"):
        edit = editing.blend(fake, image, reference, mask, space=space, options=SHARP)
        assert torch.equal(edit.image, torch.where(mask > 0, reference, image))
        half = editing.blend(fake, image, reference, mask, space=space, strength=0.5, options=SHARP).image
        torch.testing.assert_close(half, torch.where(mask > 0, torch.zeros_like(image), image))


def test_blend_is_what_the_style_maps_give(net):
    image, reference, mask = photo(32, 32), photo(32, 32, seed=1), box(4, 4, 20, 24, 32, 32)
    edit = editing.blend(net, image, reference, mask, options=SHARP)
    style = stylemaps.blend(net, net.encode(image), net.encode(reference), mask)
    assert torch.equal(edit.tiles, stylemaps.decode(net, style))
    assert torch.equal(edit.image, torch.where(mask > 0, edit.tiles.clamp(-1, 1), image))


def test_references_share_the_photos_frame(fake):
    image, mask = photo(60, 60), box(10, 10, 20, 20, 60, 60)
    editing.blend(fake, image, photo(60, 60, seed=1), mask, options=Options("crop"))
    assert torch.equal(fake.seen[1], prepare(fake, photo(60, 60, seed=1), None, Options(box=Box(0, 0, 32))).inputs)
    editing.blend(fake, image, photo(90, 30, seed=1), mask)
    assert torch.equal(fake.seen[3], prepare(fake, photo(90, 30, seed=1)).inputs)
    own = Options(box=Box(40, 0, 30))
    editing.blend(fake, image, photo(90, 30, seed=1), mask, reference_options=own)
    assert torch.equal(fake.seen[5], prepare(fake, photo(90, 30, seed=1), None, own).inputs)
    with pytest.raises(CoModError, match="another size"):
        editing.blend(fake, image, photo(90, 30), mask, options=Options("crop"))


def test_transplanted_parts_land_where_they_are_moved(fake):
    """Photo of 64 (scale 1/2), references of 32 and 128; the shift is in the photo's pixels."""
    image = flat(-1, 64, 64)
    first, second = flat(0.5), flat(1, 128, 128)
    edit = editing.transplant(fake, image, [
        Reference(first, box(0, 0, 8, 8, 32, 32), (16, 32)), Reference(second, box(64, 64, 96, 96, 128, 128))],
        options=SHARP)
    expected = image.clone()
    expected[..., 32:48, 16:32] = 0.5  # (0 + 32, 0 + 16), 8 pixels of 32 are 16 of 64
    expected[..., 32:48, 32:48] = 1    # in its own place: 64 of 128 is 32 of 64
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[38:42, 22:26] = inside[38:42, 38:42] = True
    inside[:30] = inside[50:] = inside[:, :14] = inside[:, 50:] = True
    torch.testing.assert_close(edit.image[..., inside], expected[..., inside], rtol=0, atol=0.01)
    assert not edit.warnings
    half = editing.transplant(fake, image, [Reference(first, box(0, 0, 8, 8, 32, 32), (16, 32))], strength=0.5,
                              options=SHARP)
    assert half.image[0, 0, 40, 24] == pytest.approx(-0.25)


def test_a_part_that_leaves_the_photo_is_named(fake):
    references = [Reference(photo(seed=1), box(0, 0, 20, 20)), Reference(photo(seed=2), box(0, 0, 20, 20), (0, 500))]
    edit = editing.transplant(fake, photo(), references, options=SHARP)
    assert len(edit.warnings) == 1 and "reference 2" in edit.warnings[0]
    gone = editing.transplant(fake, photo(), references[1:], options=SHARP)
    assert torch.equal(gone.image, photo())
    with pytest.raises(CoModError, match="no references"):
        editing.transplant(fake, photo(), [])


def test_mix_takes_the_part_that_was_asked_for(net):
    image, reference = photo(32, 32), photo(32, 32, seed=1)
    a, b = net.expand(net.encode(image)), net.expand(net.encode(reference))
    fine = editing.mix(net, image, reference, part="fine")
    assert torch.equal(fine.tiles, stylemaps.decode(net, a[:2] + b[2:]))
    coarse = editing.mix(net, image, reference, part="coarse", count=3)
    assert torch.equal(coarse.tiles, stylemaps.decode(net, b[:3] + a[3:]))
    assert torch.equal(coarse.image, coarse.tiles.clamp(-1, 1))


def test_directions_from_pictures(fake):
    """Positives are brighter on the left."""
    bright, dark = ([photo(40, 40, seed=seed) / 4 for seed in seeds] for seeds in (range(6), range(6, 12)))
    for image in bright:
        image[..., :20] += 0.5
    seen = []
    direction = editing.learn_direction(fake, bright, dark, progress=lambda *step: seen.append(step[:2]))
    assert seen == [(i, 12) for i in range(1, 13)] and isinstance(direction, Direction)
    image, mask = flat(0, 64, 64), box(0, 0, 32, 64, 64, 64)
    moved = editing.move(fake, image, direction, 1, options=SHARP).image.mean(dim=1)[0]
    assert moved[:, :32].mean() > moved[:, 32:].mean() + 0.3
    part = editing.move(fake, image, direction, 1, mask=mask, options=SHARP).image
    assert torch.equal(part[..., 32:, :], image[..., 32:, :]) and part[..., :32, :32].mean() > 0.2
    with pytest.raises(CoModError, match="two groups"):
        editing.learn_direction(fake, bright, [])


def test_interpolation_between_photos(fake):
    frames = list(editing.interpolate(fake, flat(-0.5, 64, 48), flat(0.5, 30, 80), 3, options=SHARP))
    assert [tuple(frame.shape) for frame in frames] == [(1, 3, 64, 48)] * 3
    for frame, value in zip(frames, (-0.5, 0, 0.5), strict=True):
        torch.testing.assert_close(frame, torch.full_like(frame, value))


@pytest.mark.parametrize("space", ["w", "w+"])
def test_interpolation_under_a_mask_leads_to_the_blend(net, space):
    image, reference, mask = photo(), photo(seed=1), box(10, 10, 30, 30)
    frames = list(editing.interpolate(net, image, reference, 3, mask=mask, space=space, options=Options("crop")))
    edit = editing.blend(net, image, reference, mask, space=space, options=Options("crop"))
    torch.testing.assert_close(frames[-1], edit.image, rtol=0, atol=1e-5)
    torch.testing.assert_close(frames[0], editing.reconstruct(net, image, mask=mask, options=Options("crop")).image,
                               rtol=0, atol=1e-5)
    assert not torch.equal(frames[1], frames[0]) and torch.equal(frames[1][..., 45:, :], image[..., 45:, :])


def test_an_edit_grows(net):
    image, mask = photo(), box(10, 10, 30, 30)
    found = prepare(net, image, mask)
    edit = editing.blend(net, image, photo(seed=1), mask)
    start = editing.encode(net, found)
    frames = list(editing.animate(net, found, start, edit.style, 4, mask=mask))
    assert torch.equal(frames[-1], edit.image)
    torch.testing.assert_close(frames[0], editing.reconstruct(net, image, mask=mask).image)
    assert all(torch.equal(frame[..., 45:, :], image[..., 45:, :]) for frame in frames)


def test_random_pictures(net):
    seen = []
    pictures = list(editing.generate(net, [3, 4], progress=lambda *step: seen.append(step[:2])))
    assert seen == [(1, 2), (2, 2)] and pictures[0].shape == (1, 3, 32, 32) and pictures[0].abs().max() <= 1
    assert torch.equal(next(editing.generate(net, 4)), pictures[1])
    assert torch.equal(next(editing.generate(net, 4, psi=0)), next(editing.generate(net, 5, psi=0)))
    with pytest.raises(CoModError, match="seed"):
        editing.generate(net, [-1])


def test_refined_encodings_are_nearer(net):
    image = next(editing.generate(net, 1))
    plain, refined = (editing.reconstruct(net, image, options=Options(refine=steps)).tiles for steps in (0, 15))
    assert (refined - image).square().mean() < (plain - image).square().mean()


# Batches, progress, repeatability.

def test_batches_change_no_bit(net):
    images, references = photo(n=3), photo(n=3, seed=1)
    masks = torch.cat([box(5 * i, 5, 5 * i + 20, 25) for i in range(3)])
    together = editing.blend(net, images, references, masks)
    for i in range(3):
        alone = editing.blend(net, images[i:i + 1], references[i:i + 1], masks[i:i + 1])
        assert torch.equal(alone.image, together.image[i:i + 1])
    one = editing.blend(net, images[:1], references, masks[:1])
    assert one.image.shape == (3, 3, 50, 40)
    assert torch.equal(one.image[:1], together.image[:1])
    many = editing.blend(net, images, references[:1], masks[:1])
    assert many.image.shape == (3, 3, 50, 40) and torch.equal(many.image[:1], together.image[:1])


def test_the_same_call_gives_the_same_bits_in_inference_mode_too(net):
    image, mask = photo(), box(10, 10, 30, 30)
    options = Options(refine=3)
    first = editing.blend(net, image, photo(seed=1), mask, options=options)
    with torch.inference_mode():
        second = editing.blend(net, image.clone(), photo(seed=1), mask, options=options)
    assert torch.equal(first.image, second.image)


@pytest.mark.parametrize("refine", [0, 4])
def test_progress_counts_every_run_and_can_stop(net, refine):
    seen, options = [], Options(refine=refine)
    call = {"blend": lambda progress: editing.blend(net, photo(n=2), photo(), box(5, 5, 20, 20), options=options,
                                                    progress=progress),
            "transplant": lambda progress: editing.transplant(net, photo(), [
                Reference(photo(), box(5, 5, 20, 20), options=options)] * 2, options=options, progress=progress),
            "move": lambda progress: editing.move(net, photo(), Direction(torch.zeros(12, 8, 8), 1.0), 1,
                                                  mask=torch.cat([box(5, 5, 20, 20)] * 3), options=options,
                                                  progress=progress)}
    for name, runs in (("blend", 3 * (1 + refine) + 2), ("transplant", 3 * (1 + refine) + 1), ("move", 4 + refine)):
        seen.clear()
        call[name](lambda *step: seen.append(step))
        assert seen == [(i + 1, runs, None) for i in range(runs)], name
    counter = itertools.count()

    def stop(*_):
        if next(counter) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call["blend"](stop)


# What does not fit.

@pytest.mark.parametrize(("call", "words"), [
    (lambda net: prepare(net, photo()[0]), "give a tensor"), (lambda net: prepare(net, photo() * 5), "reach"),
    (lambda net: prepare(net, photo().fill_(float("nan"))), "nan"),
    (lambda net: prepare(net, photo(), None, Options("crop")), "needs a mask"),
    (lambda net: prepare(net, photo(), None, Options("original")), "32x32, this one is 40x50"),
    (lambda net: prepare(net, photo(), None, Options("fit")), "not one of whole"),
    (lambda net: prepare(net, photo(), None, Options(box=Box(60, 0, 9))), "outside"),
    (lambda net: prepare(net, photo(), None, Options(box=Box(0, -9, 9))), "outside"),
    (lambda net: prepare(net, photo(), None, Options(box=Box(0, 0, 0))), "outside"),
    (lambda net: prepare(net, photo(), None, Options(feather=-1)), "feather"),
    (lambda net: prepare(net, photo(), None, Options(refine=-1)), "refine"),
    (lambda net: editing.blend(net, photo(), photo(), box(0, 0, 9, 9) * 255), "divide it by 255"),
    (lambda net: editing.blend(net, photo(n=2), photo(n=3), box(0, 0, 9, 9)), "do not go together"),
    (lambda net: editing.mix(net, photo(), photo(), part="all"), "not one of coarse"),
    (lambda net: editing.interpolate(net, photo(), photo(), 0), "frames"),
    (lambda net: photos.blend_back(prepare(net, photo(n=2)), torch.zeros(3, 3, 32, 32)), "2 photos, 3 edits"),
    (lambda net: photos.blend_back(prepare(net, photo()), torch.zeros(1, 3, 64, 64)), "prepared for 32")])
def test_what_does_not_fit_is_refused_in_words(fake, call, words):
    with pytest.raises(CoModError, match=words):
        call(fake)


def test_each_kind_of_network_is_refused_where_the_other_belongs(net):
    other = CoModGenerator(CoModConfig(resolution=32, fmap_base=128, fmap_max=8, z_dim=8, w_dim=8, mapping_fmaps=8))
    for call in (lambda: prepare(other, photo()), lambda: editing.generate(other, 0),
                 lambda: editing.blend(other, photo(), photo(), box(0, 0, 9, 9)),
                 lambda: editing.learn_direction(other, [], [])):
        with pytest.raises(CoModError, match="needs a StyleMapGAN"):
            call()
    with pytest.raises(CoModError, match="completes no holes"):
        complete(net, photo(), box(0, 0, 9, 9), 0)
    with pytest.raises(CoModError, match="style maps"):
        sample(net, [0])


def test_values_are_not_changed(fake):
    image, mask = photo(), box(10, 10, 30, 30)
    kept = image.clone(), mask.clone()
    edit = editing.blend(fake, image, photo(seed=1), mask)
    assert torch.equal(image, kept[0]) and torch.equal(mask, kept[1]) and not torch.equal(edit.image, image)
    with pytest.raises(dataclasses.FrozenInstanceError):
        edit.image = image
