"""From picture to completed picture, with a fake network that paints known functions, and with the real one."""
import itertools
import logging

import pytest
import torch
from fake_network import FakeNetwork, flat, plane

from comod_core import latents, masks
from comod_core.completion import Completion, blend, complete, decode, encode, prepare
from comod_core.errors import CoModError
from comod_core.networks.comodgan import CoModConfig, CoModGenerator


def gradient(height, width, channels=3):
    """A plane in each channel, within [-0.9, 0.9]."""
    y = (torch.arange(height) + 0.5) / max(height, width)
    x = (torch.arange(width) + 0.5) / max(height, width)
    y, x = torch.meshgrid(y, x, indexing="ij")
    planes = [1.6 * x - 0.8, 0.9 - 1.7 * y, 0.8 * x + 0.9 * y - 0.85, torch.full_like(x, 0.3)]
    return torch.stack(planes[:channels])[None]


def hole(height, width, *rects):
    mask = torch.zeros(1, 1, height, width)
    for top, left, bottom, right in rects:
        mask[..., top:bottom, left:right] = 1
    return mask


def one(net, image, mask, seeds=(1,), **options):
    return next(complete(net, image, mask, list(seeds), **options)).image


@pytest.fixture(scope="module")
def real():
    torch.manual_seed(0)
    return CoModGenerator(CoModConfig(resolution=16, fmap_base=128, fmap_max=16, z_dim=16, w_dim=16,
                                      mapping_fmaps=16)).eval()


# Geometry: a fitted plane is the exact completion of a gradient, so every shift, stretch or seam shows as an error.

SIZES = [(32, 32), (64, 64), (100, 70), (33, 200), (20, 24), (10, 90), (257, 129)]


@pytest.mark.parametrize("strategy", ["crop", "whole"])
@pytest.mark.parametrize("height, width", SIZES)
def test_gradient_is_completed_exactly(height, width, strategy):
    image = gradient(height, width)
    mask = hole(height, width, (height // 3, width // 4, height // 3 * 2, width // 2))
    result = one(FakeNetwork(), image * (1 - mask), mask, size_strategy=strategy, context=1.0)
    assert result.shape == image.shape
    assert (result - image).abs().max() < 0.02


@pytest.mark.parametrize("place", [(0, 0), (0, 80), (60, 0), (60, 80), (30, 45)])
def test_box_is_shifted_into_the_picture(place):
    top, left = place
    mask = hole(90, 120, (top, left, top + 30, left + 40))
    image, net = gradient(90, 120), FakeNetwork()
    box = prepare(net, image, mask, feather=0).crops[0].region.box
    assert box.pads(90, 120) == (0, 0, 0, 0) and box.side == 80
    assert box.top <= top and box.top + 80 >= top + 30 and box.left <= left and box.left + 80 >= left + 40
    assert (one(net, image * (1 - mask), mask) - image).abs().max() < 0.01


def test_outside_of_the_picture_is_hole_to_the_network():
    """A box larger than the picture: what lies outside is hidden, not invented."""
    mask = hole(40, 200, (10, 60, 30, 140))
    crop, = prepare(FakeNetwork(), gradient(40, 200), mask, feather=0, color_match=False).crops
    left, right, top, bottom = crop.region.box.pads(40, 200)
    side = crop.region.box.side
    assert (left, right) == (0, 0) and side == 160 and top == bottom == 60
    cell = side / 32
    rows = crop.mask[0, 0].mean(dim=1)
    outside = [i for i in range(32) if (i + 1) * cell <= top or i * cell >= side - bottom]
    assert len(outside) == 24 and all(rows[i] == 1 for i in outside)
    assert all(rows[i] < 1 for i in range(32) if i not in outside)


@pytest.mark.parametrize("height, width", [(1, 300), (300, 1), (1, 1), (2, 40), (1, 20)])
@pytest.mark.parametrize("strategy", ["crop", "whole"])
def test_thin_pictures(height, width, strategy):
    image, mask = gradient(height, width), torch.zeros(1, 1, height, width)
    mask[..., height // 3:height // 3 + max(1, height // 4), width // 3:width // 3 + max(1, width // 4)] = 1
    result = one(FakeNetwork(), image, mask, size_strategy=strategy, feather=0)
    assert result.shape == image.shape and torch.isfinite(result).all()
    assert torch.equal(result[:, :, mask[0, 0] == 0], image[:, :, mask[0, 0] == 0])


def test_thin_picture_is_seen_by_the_network():
    crop, = prepare(FakeNetwork(), gradient(1, 640), hole(1, 640, (0, 300, 1, 340)), size_strategy="whole").crops
    known = crop.mask[0, 0] == 0
    assert int(known.sum()) >= 24 and int(known.any(dim=1).sum()) <= 2


def test_box_is_never_enlarged_without_need():
    """A small hole in a large picture: the model's own scale, and no resampling at all."""
    image, mask = torch.rand(1, 3, 200, 300) * 2 - 1, hole(200, 300, (90, 100, 94, 106))
    crop, = prepare(FakeNetwork(), image, mask).crops
    box = crop.region.box
    assert box.side == 32
    seen = image[0, :, box.top:box.top + 32, box.left:box.left + 32]
    known = crop.mask[0, 0] == 0
    assert torch.equal(crop.image[0][:, known], seen[:, known]) and not crop.image[0][:, ~known].any()


def test_no_hole_pixel_is_lost():
    """One pixel in a large picture still reaches the network, and is written."""
    image, mask = torch.zeros(1, 3, 500, 700), hole(500, 700, (333, 444, 334, 445))
    net = FakeNetwork(flat(0.7))
    crop, = prepare(net, image, mask, size_strategy="whole", feather=0, color_match=False).crops
    assert crop.mask[..., 4:28, :].sum() == 1
    result = one(net, image, mask, size_strategy="whole", feather=0, color_match=False)
    assert result[0, 0, 333, 444] > 0.4 and int((result != 0).sum()) == 3


@pytest.mark.parametrize("size, strategy", [((300, 300), "whole"), ((300, 200), "crop"), ((20, 20), "crop")])
def test_hole_neither_bleeds_nor_darkens(size, strategy):
    image = torch.full((1, 3, *size), 0.8)
    mask = masks.free_form(size, 3, (0.1, 0.6))
    image = torch.where(mask > 0, -1.0, image)
    for crop in prepare(FakeNetwork(), image, mask, size_strategy=strategy, feather=0, color_match=False).crops:
        known = crop.mask[0, 0] == 0
        assert known.any() and (crop.image[0][:, known] - 0.8).abs().max() < 1e-5


def test_separate_holes_have_boxes_of_their_own():
    image, mask = gradient(400, 600), hole(400, 600, (20, 20, 60, 60), (340, 540, 380, 580))
    net = FakeNetwork()
    sides = [crop.region.box.side for crop in prepare(net, image, mask).crops]
    assert len(sides) == 2 and max(sides) <= 100
    assert (one(net, image * (1 - mask), mask) - image).abs().max() < 0.01
    near = hole(400, 600, (20, 20, 60, 60), (20, 64, 60, 66))
    assert len(prepare(net, image, near).crops) == 1
    small = hole(400, 600, (20, 20, 24, 24), (30, 30, 34, 34))  # fit one box of the model's own size
    assert [crop.region.box.side for crop in prepare(net, image, small, context=0.25).crops] == [32]


def test_other_holes_in_a_box_are_hidden_but_left_alone():
    """A small hole at the edge of a large one's box: each box writes its own hole alone, and sees neither."""
    mask = hole(900, 900, (100, 100, 300, 300), (380, 380, 384, 384))
    image = torch.where(mask > 0, 1.0, gradient(900, 900))
    crops = prepare(FakeNetwork(resolution=16), image, mask, context=0.5, feather=0).crops
    assert len(crops) == 2
    large, small = sorted(crops, key=lambda crop: -crop.region.box.side)
    written = torch.zeros(900, 900)
    for crop in crops:
        written[crop.region.rect.slices] += crop.region.alpha
    assert torch.equal(written, mask[0, 0])
    inside = large.region.box
    assert inside.top <= 380 and inside.top + inside.side >= 384 and large.region.hole.sum() == 200 * 200 + 16


def test_many_specks_share_few_boxes():
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand(1, 1, 600, 800, generator=generator) > 0.995).float()
    image = gradient(600, 800)
    prepared = prepare(FakeNetwork(), image, mask, feather=0)
    assert 1 <= len(prepared.crops) <= 8
    written = torch.zeros(600, 800)
    for crop in prepared.crops:
        written[crop.region.rect.slices] += crop.region.alpha
    assert torch.equal(written, mask[0, 0])


def test_original_is_the_networks_own_output(real):
    image, mask = gradient(16, 16), masks.free_form(16, 5, (0.2, 0.6), brush_width=(2, 4))
    result = one(real, image, mask, [7], size_strategy="original", feather=0, color_match=False)
    encoding = real.encode(image, mask, generators=latents.generators([7], "dropout"))
    direct = real.decode(encoding, latents.sample(real, [7])).clamp(-1, 1)
    assert torch.equal(result, direct.detach())
    with pytest.raises(CoModError, match="16x16, this one is 20x16"):
        complete(real, gradient(16, 20), hole(16, 20, (2, 2, 6, 6)), [1], size_strategy="original")


def test_large_hole_is_smooth():
    """A chequered completion at model scale, 24 times enlarged, rises over many pixels: no blocks."""
    def checks(image, mask):
        i = torch.arange(32)
        return ((i[:, None] // 2 + i[None] // 2) % 2 * 1.2 - 0.6).expand(1, 3, 32, 32)

    image, mask = torch.zeros(1, 3, 768, 768), hole(768, 768, (100, 100, 668, 668))
    result = one(FakeNetwork(checks), image, mask, size_strategy="whole", color_match=False)[..., 150:600, 150:600]
    assert result.max() > 0.55 and result.min() < -0.55
    assert result.diff(dim=-1).abs().max() < 2 * 1.2 / 24 and result.diff(dim=-2).abs().max() < 2 * 1.2 / 24
    assert (result.diff(dim=-1) == 0).float().mean() < 0.1


# Edges: which bits stay, which colours meet.

@pytest.mark.parametrize("strategy", ["crop", "whole"])
@pytest.mark.parametrize("feather", [0, 1, 5.5, 12])
@pytest.mark.parametrize("color_match", [True, False])
def test_known_pixels_keep_their_bits_outside_of_the_feather(strategy, feather, color_match):
    from scipy.ndimage import distance_transform_edt

    image = torch.rand(1, 3, 150, 130) * 2 - 1
    mask = hole(150, 130, (40, 50, 90, 80), (95, 20, 99, 24))
    result = one(FakeNetwork(flat(-1.0)), image, mask, size_strategy=strategy, feather=feather, color_match=color_match)
    distance = torch.from_numpy(distance_transform_edt(mask[0, 0] == 0))
    changed = (result != image).any(dim=1)[0]
    assert not changed[distance > feather].any()
    assert changed[distance <= feather].float().mean() > 0.99


def test_default_feather_is_modest_and_follows_the_scale():
    for size, expected in ((32, 2), (320, 20), (16, 1)):
        mask = hole(size, size, (size // 2, size // 2, size // 2 + 2, size // 2 + 2))
        image = torch.zeros(1, 3, size, size)
        result = one(FakeNetwork(flat(1.0)), image, mask, size_strategy="whole", color_match=False)
        row = result[0, 0, size // 2, size // 2 + 2:]
        assert int((row > 0).sum()) == min(expected, len(row)) and (row.diff() <= 0).all()


def test_feather_cross_fades_what_the_network_drew():
    """The band is the network's own drawing, not the known pixels that it was shown."""
    image, mask = torch.zeros(1, 3, 64, 64), hole(64, 64, (20, 20, 40, 40))
    result = one(FakeNetwork(flat(1.0), 64), image, mask, size_strategy="original", feather=7, color_match=False)
    row = result[0, 0, 30, 40:48]
    expected = 0.5 + 0.5 * torch.cos(torch.pi * torch.arange(1, 9) / 8)
    assert torch.allclose(row, expected, atol=1e-6) and row[-1] == 0


def test_grow_enlarges_the_hole():
    image, mask = torch.zeros(1, 3, 64, 64), hole(64, 64, (20, 20, 40, 40))
    result = one(FakeNetwork(flat(1.0), 64), image, mask, grow=5, feather=0, color_match=False)
    assert int((result[0, 0, 30] == 1).sum()) == 30 and int((result[0, 0, 30] == 0).sum()) == 34


def tinted(tint, texture=0.0):
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * texture
    return lambda image, mask: plane(image, mask) + torch.tensor(tint).reshape(1, 3, 1, 1) + noise


@pytest.mark.parametrize("feather", [None, 0])
@pytest.mark.parametrize("size", [(64, 64), (200, 300)])
def test_color_match_removes_a_tint(feather, size):
    image = gradient(*size) * 0.8
    mask = hole(*size, (size[0] // 4, size[1] // 4, size[0] // 4 * 3, size[1] // 2))
    net, inside = FakeNetwork(tinted([0.15, -0.1, 0.05]), 64), mask[0, 0] > 0
    matched, plain = (one(net, image, mask, feather=feather, color_match=on) for on in (True, False))
    assert (matched - image).abs().max() < 0.01
    error = (plain - image)[0][:, inside].mean(dim=1)
    assert torch.allclose(error, torch.tensor([0.15, -0.1, 0.05]), atol=0.01)


def test_color_match_changes_nothing_where_nothing_is_wrong():
    image, mask = gradient(64, 64), hole(64, 64, (16, 16, 50, 40))
    net = FakeNetwork(resolution=64)
    assert (one(net, image, mask) - one(net, image, mask, color_match=False)).abs().max() < 1e-3


def test_color_match_keeps_contrast_and_bounds():
    """Texture keeps its spread; content unlike the picture moves by the limit at most, and evenly."""
    image, mask = gradient(64, 64) * 0.5, hole(64, 64, (10, 10, 54, 54))
    inside = mask[0, 0] > 0

    def spread(painter, **options):
        result = one(FakeNetwork(painter, 64), image, mask, feather=0, **options)
        return (result - image)[0][:, inside]

    on, off = (spread(tinted([0.1, 0.1, 0.1], 0.1), color_match=flag) for flag in (True, False))
    assert abs(on.mean()) < 0.015 < off.mean() and 0.97 < on.std() / off.std() < 1.03
    on, off = (spread(flat(-0.9), color_match=flag) for flag in (True, False))
    assert (on - off).abs().max() <= 0.3 + 1e-6 and (on - off).std() < 0.05


def test_color_match_follows_the_border_locally():
    """Half of the completion is too bright, half too dark: both borders are met, the inner edge stays."""
    def halves(image, mask):
        drawn = plane(image, mask)
        drawn[..., :32] -= 0.15
        drawn[..., 32:] += 0.15
        return drawn

    image, mask = gradient(64, 64) * 0.7, hole(64, 64, (12, 12, 52, 52))
    error = (one(FakeNetwork(halves, 64), image, mask, feather=0) - image)[0, 0]
    assert error[32, 12:14].abs().max() < 0.03 and error[32, 50:52].abs().max() < 0.03
    assert error[32, 32] - error[32, 31] > 0.2


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
    import copy

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


@pytest.mark.parametrize("sides", [(10, 0, 0, 0), (0, 5, 7, 30), (100, 100, 100, 100), (0, 300, 0, 0)])
def test_outpainting(sides):
    """The canvas of any margins is completed, and the picture in it keeps its bits."""
    left, top, right, bottom = sides
    large = gradient(40 + top + bottom, 60 + left + right)
    image = large[..., top:top + 40, left:left + 60]
    canvas, mask = masks.outpaint(image, None, left, top, right, bottom)
    result = one(FakeNetwork(resolution=128), canvas, mask, feather=0)
    assert torch.equal(result[..., top:top + 40, left:left + 60], image)
    assert (result - large).abs().max() < 0.03


def test_auto_strategy_follows_the_networks_layout():
    net, image, mask = FakeNetwork(), gradient(100, 100), hole(100, 100, (20, 20, 30, 30))
    assert prepare(net, image, mask).crops[0].region.box.side == 32
    net.info = type("Info", (), {"layout": "aligned"})()
    assert prepare(net, image, mask).crops[0].region.box.side == 100
