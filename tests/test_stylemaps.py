"""Operations on style maps: where they act, how they combine, what they refuse. Parity: tests/checkpoints."""
from __future__ import annotations

import pytest
import torch

from comod_core import stylemaps
from comod_core.errors import CoModError
from comod_core.networks import StyleMapConfig, StyleMapGAN
from comod_core.stylemaps import (
    Patch,
    blend,
    decode,
    expand,
    interpolate,
    lerp,
    mix,
    moved,
    sample,
    transplant,
    truncate,
)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = StyleMapGAN(StyleMapConfig(32, 8, 6, 3, channels=(12, 12, 10, 8))).eval().requires_grad_(False)
    net.w_avg.copy_(stylemaps.average(net, 500))
    return net


@pytest.fixture(scope="module")
def maps(net):
    return net.map(torch.randn(3, 6, generator=torch.Generator().manual_seed(5)))


def box(top, left, bottom, right, size=32):
    mask = torch.zeros(1, 1, size, size)
    mask[..., top:bottom, left:right] = 1
    return mask


def test_samples_depend_on_their_seed_alone(net):
    together = sample(net, [3, 1, 2 ** 64 - 1])
    assert torch.equal(together[1:2], sample(net, [1])) and torch.equal(together[2:], sample(net, [2 ** 64 - 1]))
    assert not torch.equal(together[0], together[1])
    with pytest.raises(CoModError, match="no seeds"):
        sample(net, [])
    with pytest.raises(CoModError, match="seed -1"):
        sample(net, [-1])


def test_truncation(net, maps):
    mean = net.w_avg.reshape(1, 6, 8, 8)
    assert torch.equal(truncate(maps, net.w_avg, 1), maps)
    assert torch.equal(truncate(maps, net.w_avg, 0), mean.expand(3, -1, -1, -1))
    torch.testing.assert_close(truncate(maps, net.w_avg, 0.4), mean + 0.4 * (maps - mean))
    torch.testing.assert_close(sample(net, [4], 0.25), truncate(sample(net, [4], 1), net.w_avg, 0.25))
    with pytest.raises(CoModError, match="psi"):
        truncate(maps, net.w_avg, float("nan"))


def test_the_average_is_that_of_many_maps_and_always_the_same(net):
    mean = stylemaps.average(net, 3000)
    assert mean.shape == net.w_avg.shape and torch.equal(mean, stylemaps.average(net, 3000))
    assert not torch.equal(mean, stylemaps.average(net, 3000, seed=7))
    other = net.map(torch.randn(3000, 6, generator=torch.Generator().manual_seed(11))).flatten(1)
    assert ((other.mean(dim=0) - mean).abs() < 6 * other.std(dim=0) * (2 / 3000) ** 0.5 + 1e-6).all()


def test_blending_maps_chooses_cells(net, maps):
    a, b = maps[:1], maps[1:2]
    out = blend(net, a, b, box(9, 4, 10, 8), space="w")  # row 2, column 1 of the 8 x 8 cells, one row of pixels of it
    assert torch.equal(out[..., 2, 1], b[..., 2, 1])
    out[..., 2, 1] = a[..., 2, 1]
    assert torch.equal(out, a)
    assert torch.equal(blend(net, a, b, torch.zeros(1, 1, 32, 32), space="w"), a)
    assert torch.equal(blend(net, a, b, torch.ones(1, 1, 32, 32), space="w"), b)


def test_blending_levels_follows_the_mask_at_every_scale(net, maps):
    a, b = maps[:1], maps[1:2]
    out, mask = blend(net, a, b, box(9, 4, 10, 8)), box(9, 4, 10, 8)
    for level, x, y in zip(out, net.expand(a), net.expand(b), strict=True):
        size = level.shape[-1]
        cells = torch.nn.functional.max_pool2d(mask, 32 // size) > 0
        assert 0 < cells.sum() == max(1, size // 32 * 4, size // 8 * max(1, size // 32))
        assert torch.equal(level, torch.where(cells, y, x))


def test_soft_masks_and_strength_mix(net, maps):
    a, b = maps[:1], maps[1:2]
    half = blend(net, a, b, torch.full((1, 1, 32, 32), 0.5), space="w")
    torch.testing.assert_close(half, (a + b) / 2)
    torch.testing.assert_close(blend(net, a, b, torch.ones(1, 1, 32, 32), space="w", strength=0.5), half)
    levels = blend(net, a, b, torch.full((1, 1, 32, 32), 0.25))
    for level, x, y in zip(levels, net.expand(a), net.expand(b), strict=True):
        torch.testing.assert_close(level, 0.75 * x + 0.25 * y)


def test_blending_levels_again_keeps_the_first_blend(net, maps):
    once = blend(net, maps[:1], maps[1:2], box(0, 0, 16, 16))
    twice = blend(net, once, maps[2:], box(16, 16, 32, 32))
    for level, first, third in zip(twice, once, net.expand(maps[2:]), strict=True):
        half = level.shape[-1] // 2
        assert torch.equal(level[..., :half, :half], first[..., :half, :half])
        assert torch.equal(level[..., half:, half:], third[..., half:, half:])


def test_one_serves_many(net, maps):
    mask = box(8, 8, 24, 24)
    many = blend(net, maps[:1], maps[1:], mask, space="w")
    assert torch.equal(many[1:], blend(net, maps[:1], maps[2:], mask, space="w"))
    masks = torch.cat([mask, torch.zeros_like(mask)])
    assert torch.equal(blend(net, maps[:1], maps[1:2], masks, space="w")[1:], maps[:1])
    assert len(blend(net, maps, maps[1:2], mask)[0]) == 3


@pytest.mark.parametrize("shift", [(0, 0), (8, 0), (-12, 4), (0, -8), (100, 0), (4.9, -4.9), (-1, -3)])
def test_transplanted_cells_move_and_do_not_wrap(net, maps, shift):
    original, source, mask = maps[:1], maps[1:2], box(8, 8, 16, 20)
    out = transplant(net, original, [Patch(source, mask, shift)])
    for level, x, y in zip(out, net.expand(original), net.expand(source), strict=True):
        size, expected = level.shape[-1], x.clone()
        ratio = 32 // size
        dx, dy = int(shift[0] / ratio), int(shift[1] / ratio)
        for row in range(8 // ratio, 16 // ratio):
            for column in range(8 // ratio, 20 // ratio):
                if 0 <= row + dy < size and 0 <= column + dx < size:
                    expected[..., row + dy, column + dx] = y[..., row, column]
        assert torch.equal(level, expected)


def test_a_cell_is_transplanted_when_half_of_it_is_covered(net, maps):
    out = transplant(net, maps[:1], [Patch(maps[1:2], box(0, 0, 2, 4))])[0]  # half of the first cell of 4 x 4 pixels
    assert torch.equal(out[..., 0, 0], net.expand(maps[1:2])[0][..., 0, 0])
    less = transplant(net, maps[:1], [Patch(maps[1:2], box(0, 0, 2, 3))])
    assert torch.equal(less[0], net.expand(maps[:1])[0])
    assert not torch.equal(less[-1], net.expand(maps[:1])[-1])


def test_later_patches_cover_earlier_ones_and_strength_is_the_way_there(net, maps):
    first, second = Patch(maps[1:2], box(0, 0, 16, 16)), Patch(maps[2:], box(8, 8, 24, 24))
    full = transplant(net, maps[:1], [first, second])
    assert torch.equal(full[-1][..., 8:16, 8:16], net.expand(maps[2:])[-1][..., 8:16, 8:16])
    assert torch.equal(full[-1][..., :8, :8], net.expand(maps[1:2])[-1][..., :8, :8])
    partly = transplant(net, maps[:1], [first, second], 0.3)
    for level, x, y in zip(partly, net.expand(maps[:1]), full, strict=True):
        torch.testing.assert_close(level, 0.7 * x + 0.3 * y)
    for level, x in zip(transplant(net, maps[:1], [first], 0), net.expand(maps[:1]), strict=True):
        assert torch.equal(level, x)


def test_moved():
    plane = torch.arange(1.0, 17).reshape(1, 1, 4, 4)
    assert moved(plane, (1, 0))[0, 0, 0].tolist() == [0, 1, 2, 3]
    assert moved(plane, (0, -3))[0, 0].tolist() == [[13, 14, 15, 16], [0] * 4, [0] * 4, [0] * 4]
    assert torch.equal(moved(plane, (-0.9, 0.9)), plane)
    assert not moved(plane, (4, 0)).any() and not moved(plane, (0, -100)).any()


def test_style_mixing(net, maps):
    a, b = net.expand(maps[:1]), net.expand(maps[1:2])
    assert all(torch.equal(x, y) for x, y in zip(mix(net, maps[:1], maps[1:2]), a[:2] + b[2:], strict=True))
    assert all(torch.equal(x, y) for x, y in zip(mix(net, maps[:1], maps[1:2], 5), a[:5] + b[5:], strict=True))
    assert len(mix(net, maps[:1], maps)[0]) == 3


def test_interpolation_goes_from_one_end_to_the_other(net, maps):
    seen = []
    frames = list(interpolate(net, maps[:1], maps[1:2], 5, progress=lambda *step: seen.append(step[:2])))
    assert seen == [(i, 5) for i in range(1, 6)]
    assert torch.equal(frames[0], decode(net, maps[:1])) and torch.equal(frames[-1], decode(net, maps[1:2]))
    assert torch.equal(frames[2], decode(net, lerp(maps[:1], maps[1:2], 0.5)))
    edited = blend(net, maps[:1], maps[1:2], box(8, 8, 24, 24))
    frames = list(interpolate(net, maps[:1], edited, 3))
    assert torch.equal(frames[2], decode(net, edited))
    torch.testing.assert_close(frames[0], decode(net, maps[:1]))


def test_interpolation_stops_where_progress_says_so(net, maps):
    def stop(done, total, picture):
        assert picture.shape == (1, 3, 32, 32)
        if done == 2:
            raise KeyboardInterrupt

    frames = interpolate(net, maps[:1], maps[1:2], 100, progress=stop)
    next(frames)
    with pytest.raises(KeyboardInterrupt):
        next(frames)


def test_the_batch_changes_no_bit(net, maps):
    levels = net.expand(maps)
    assert torch.equal(decode(net, maps)[1:2], decode(net, maps[1:2]))
    assert torch.equal(decode(net, levels)[2:], decode(net, [level[2:] for level in levels]))
    assert decode(net, maps).dtype == torch.float32


@pytest.mark.parametrize(("call", "words"), [
    (lambda net, a: blend(net, a, a, torch.ones(1, 1, 32, 32), space="z"), "space 'z'"),
    (lambda net, a: blend(net, a, net.expand(a), torch.ones(1, 1, 32, 32), space="w"), "use space w"),
    (lambda net, a: blend(net, a, a, torch.ones(1, 1, 32, 32), strength=2), "strength is 2"),
    (lambda net, a: blend(net, a, a, -torch.ones(1, 1, 32, 32)), "mask holds values"),
    (lambda net, a: blend(net, a[:2], a, torch.ones(1, 1, 32, 32)), "do not go together"),
    (lambda net, a: blend(net, a, a, torch.ones(2, 1, 32, 32)), "2 masks for 3"),
    (lambda net, a: blend(net, a, a[..., :4], torch.ones(1, 1, 32, 32), space="w"), "do not go together"),
    (lambda net, a: transplant(net, a, []), "no references"),
    (lambda net, a: transplant(net, a, [Patch(a, torch.ones(2, 1, 32, 32))]), "2 masks for 3"),
    (lambda net, a: transplant(net, a, [Patch(a, torch.ones(1, 1, 32, 32), (float("nan"), 0))]), "shift is"),
    (lambda net, a: transplant(net, a, [Patch(a, torch.ones(1, 1, 32, 32), (1,))]), "shift is"),
    (lambda net, a: transplant(net, a, [Patch(a, torch.ones(1, 1, 32, 32))], -1), "strength is -1"),
    (lambda net, a: mix(net, a, a, 7), "count is 7"), (lambda net, a: mix(net, a, a, 1.0), "count is 1.0"),
    (lambda net, a: mix(net, a, net.expand(a)[:3]), "6 and 3 levels"),
    (lambda net, a: lerp(a, net.expand(a), 0.5), "not one of each"),
    (lambda net, a: interpolate(net, a, a[:2], 4), "do not go together"),
    (lambda net, a: interpolate(net, a, a, 1), "1 frames"),
    (lambda net, a: expand(net, a[:, :5]), "expected")])
def test_what_does_not_fit_is_refused_at_the_call(net, maps, call, words):
    with pytest.raises(CoModError, match=words):
        call(net, maps)
