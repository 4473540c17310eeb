"""Masks: shapes, edges, polarity, sizes, checks. The free-form sampler: test_mask_sampler.py."""
import math

import numpy as np
import pytest
import torch

from comod_core import masks
from comod_core.errors import CoModError


def spots(height, width, *places, value=1.0):
    """A mask with single hole pixels."""
    mask = torch.zeros(1, 1, height, width)
    for row, column in places:
        mask[..., row, column] = value
    return mask


def brute_distance(hole):
    """Distance to the nearest True by looking at all pairs: bool [H,W] -> float64."""
    where = hole.nonzero().double()
    everywhere = torch.ones_like(hole).nonzero().double()
    return torch.cdist(everywhere, where).amin(1).reshape(hole.shape)


# Shapes

def test_box_lies_where_it_should_and_is_cut_at_the_border():
    mask = masks.box((6, 8), 1, 2, 3, 4)
    expected = torch.zeros(1, 1, 6, 8)
    expected[..., 1:4, 2:6] = 1
    assert torch.equal(mask, expected)
    assert torch.equal(masks.box((6, 8), -2, 6, 3, 9), spots(6, 8, (0, 6), (0, 7)))


@pytest.mark.parametrize("place", [(0, 0, 0, 3), (6, 0, 2, 2), (0, -3, 2, 3), (0, 0, -1, 4), (0, 0, 1.5, 2)])
def test_box_refuses_to_cover_nothing(place):
    with pytest.raises(CoModError, match="give"):
        masks.box((6, 8), *place)


def test_random_box_is_one_box_inside_of_the_picture():
    seen = set()
    for seed in range(200):
        mask = masks.random_box((20, 40), seed, (0.25, 0.5))
        (top, bottom), (left, right) = (mask[0, 0].amax(dim=axis).nonzero()[[0, -1], 0].tolist() for axis in (1, 0))
        height, width = bottom + 1 - top, right + 1 - left
        assert mask.sum() == height * width and 5 <= height <= 10 and 10 <= width <= 20
        seen.add((top, left, height, width))
    assert len(seen) > 150 and {height for _, _, height, _ in seen} == set(range(5, 11))
    assert min(top for top, *_ in seen) == 0 and max(top + height for top, _, height, _ in seen) == 20
    assert torch.equal(masks.random_box(64, 7), masks.random_box(64, 7))
    assert masks.random_box(5, 0, (0, 0)).sum() == 1 and masks.random_box(5, 0, (1, 1)).sum() == 25
    with pytest.raises(CoModError, match="side_range"):
        masks.random_box(64, 0, (0.5, 1.2))


def test_opposite_halves_fill_the_picture_once():
    assert torch.equal(masks.half((2, 4), "left"), torch.tensor([[[[1.0, 1, 0, 0], [1, 1, 0, 0]]]]))
    for a, b in (("left", "right"), ("top", "bottom")):
        assert torch.equal(masks.half((5, 7), a) + masks.half((5, 7), b), torch.ones(1, 1, 5, 7))
    assert masks.half((4, 2), "top")[0, 0, 0].tolist() == [1, 1] and masks.half((4, 2), "top")[0, 0, 2].sum() == 0
    with pytest.raises(CoModError, match="left, right, top, bottom"):
        masks.half(4, "middle")


def test_outpaint_extends_picture_and_mask_by_the_same_frame():
    image, inside = torch.rand(2, 3, 4, 5) * 2 - 1, spots(4, 5, (1, 1), value=0.7)
    extended, mask = masks.outpaint(image, inside, left=1, top=2, right=0, bottom=3)
    assert extended.shape == (2, 3, 9, 6) and mask.shape == (1, 1, 9, 6)
    assert torch.equal(extended[..., 2:6, 1:], image) and torch.equal(mask[..., 2:6, 1:], inside)
    frame = masks.outpaint_frame((4, 5), 1, 2, 0, 3)
    assert torch.equal(masks.outpaint(image, None, 1, 2, 0, 3)[1], frame)
    assert frame.sum() == 9 * 6 - 4 * 5 and torch.equal(mask[frame == 1], torch.ones(34))
    same, none = masks.outpaint(image, None, 0, 0, 0, 0)
    assert torch.equal(same, image) and none.sum() == 0
    rgba = masks.outpaint(torch.ones(1, 4, 4, 5), None, 1, 0, 0, 0)[0]
    assert rgba[0, :, 0, 0].tolist() == [0, 0, 0, -1] and rgba[0, :, 0, 1].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("call", [
    lambda image: masks.outpaint(image, None, -1, 0, 0, 0), lambda image: masks.outpaint(image, None, 0.5, 0, 0, 0),
    lambda image: masks.outpaint(image[0], None, 1, 0, 0, 0), lambda image: masks.outpaint_frame((4, 4), 0, 0, 0, -2),
    lambda image: masks.outpaint(image, torch.zeros(3, 4), 1, 0, 0, 0),
])
def test_outpaint_refuses_bad_arguments(call):
    with pytest.raises(CoModError, match="give|bring"):
        call(torch.zeros(1, 3, 4, 4))


# Edges

@pytest.mark.parametrize("pixels", [1, 1.5, 3, 5.39, 40])
def test_grow_and_shrink_of_a_binary_mask_are_discs_exactly(pixels):
    hole = masks.free_form((40, 56), 4, (0.1, 0.4), brush_width=(3, 6))
    distance = brute_distance(hole[0, 0] == 1)
    assert torch.equal(masks.grow(hole, pixels)[0, 0], (distance**2 <= pixels**2 + 1e-9).float())
    depth = brute_distance(hole[0, 0] == 0)
    assert torch.equal(masks.shrink(hole, pixels)[0, 0], (depth**2 > pixels**2 + 1e-9).float())


def test_grow_reaches_exactly_the_pixels_within():
    dot = spots(11, 11, (5, 5))
    assert masks.grow(dot, 5).sum() == 81  # lattice points in a disc of radius 5
    assert masks.grow(dot, 1).sum() == 5 and masks.grow(dot, 0.9).sum() == 1
    assert torch.equal(masks.grow(dot, 0), dot) and torch.equal(masks.shrink(dot, 0), dot)
    assert masks.shrink(dot, 1).sum() == 0


def test_growing_a_soft_mask_moves_its_edge_and_agrees_with_its_level_sets():
    soft = torch.rand(1, 1, 24, 31, generator=torch.Generator().manual_seed(0)) ** 8
    for pixels in (1, 2.3, 6):
        grown = masks.grow(soft, pixels)
        for level in (0.05, 0.3, 0.8):
            assert torch.equal(masks.binarise(grown, level), masks.grow(masks.binarise(soft, level), pixels))
        shrunk = masks.shrink(1 - soft, pixels)
        torch.testing.assert_close(shrunk, 1 - grown)
    assert torch.equal(masks.grow(soft, 200), torch.full_like(soft, soft.max()))
    assert torch.equal(masks.shrink(soft, 0), soft)


def test_the_pictures_border_takes_nothing_from_a_hole():
    hole = masks.half((10, 12), "left")
    assert torch.equal(masks.shrink(hole, 2), masks.box((10, 12), 0, 0, 10, 4))
    full = torch.ones(1, 1, 7, 9)
    assert torch.equal(masks.shrink(full, 3), full) and torch.equal(masks.grow(full, 3), full)
    empty = torch.zeros(1, 1, 7, 9)
    assert torch.equal(masks.grow(empty, 3), empty) and torch.equal(masks.shrink(empty, 3), empty)


@pytest.mark.parametrize("pixels", [0, 1, 2.5, 6])
def test_feather_is_one_in_the_hole_and_zero_beyond_its_reach(pixels):
    hole = masks.free_form((40, 48), 11, (0.05, 0.2), brush_width=(3, 6))
    alpha, distance = masks.feather(hole, pixels), brute_distance(hole[0, 0] == 1)
    assert torch.equal(alpha[hole == 1], torch.ones(int(hole.sum())))
    beyond = distance > pixels + 1e-9
    assert beyond.any() and torch.equal(alpha[0, 0][beyond], torch.zeros(int(beyond.sum())))
    expected = torch.where(beyond, 0.0, (1 + torch.cos(math.pi * distance / (pixels + 1))) / 2).float()
    torch.testing.assert_close(alpha[0, 0], expected, rtol=0, atol=1e-6)
    assert torch.equal(masks.binarise(alpha, 0), masks.grow(hole, pixels))


def test_feather_falls_by_rows_along_a_straight_edge():
    alpha = masks.feather(masks.half((6, 12), "left"), 3)
    torch.testing.assert_close(alpha[0, 0, 2, 5:10], torch.tensor([1, 0.853553, 0.5, 0.146447, 0]), rtol=0, atol=1e-6)


def test_feather_keeps_a_soft_brush_where_it_reaches_further():
    soft = torch.tensor([[1, 0.9, 0.6, 0.4, 0.3, 0.1, 0, 0]])
    expected = torch.tensor([1, 1, 1, 0.5, 0.3, 0.1, 0, 0])
    torch.testing.assert_close(masks.feather(soft, 1)[0, 0, 0], expected, rtol=0, atol=1e-6)


def test_edges_of_empty_full_and_single_pixel_masks():
    for pixels in (0, 4):
        assert masks.feather(torch.zeros(5, 6), pixels).sum() == 0
        assert torch.equal(masks.feather(torch.ones(5, 6), pixels), torch.ones(1, 1, 5, 6))
    assert masks.feather(torch.ones(1, 1), 2).item() == 1 and masks.grow(torch.zeros(1, 1), 2).item() == 0
    assert masks.grow(torch.full((1, 1), 0.3), 2).item() == pytest.approx(0.3)


@pytest.mark.parametrize("change", [masks.grow, masks.shrink, masks.feather])
def test_edges_work_on_each_mask_of_a_batch_and_refuse_bad_widths(change):
    batch = torch.cat([masks.box((9, 13), 2, 2, 4, 4), masks.half((9, 13), "right"), torch.zeros(1, 1, 9, 13)])
    together = change(batch, 2)
    assert together.shape == batch.shape and together.dtype == torch.float32
    for one, alone in zip(together, batch, strict=True):
        assert torch.equal(one[None], change(alone, 2))
    for bad in (-1, float("nan"), float("inf"), "3px"):
        with pytest.raises(CoModError, match="pixels is"):
            change(batch, bad)


def test_fill_holes_turns_outlines_into_areas():
    outline = masks.box(12, 2, 3, 7, 6) - masks.box(12, 3, 4, 5, 4)
    assert torch.equal(masks.fill_holes(outline), masks.box(12, 2, 3, 7, 6))
    diamond = spots(5, 5, (0, 2), (1, 1), (1, 3), (2, 0), (2, 4), (3, 1), (3, 3), (4, 2))
    assert masks.fill_holes(diamond).sum() == 13  # closed over corners
    opened = outline.clone()
    opened[..., 2, 5] = 0
    assert torch.equal(masks.fill_holes(opened), opened)
    bay = masks.box(12, 0, 3, 7, 6) - masks.box(12, 0, 4, 5, 4)
    assert torch.equal(masks.fill_holes(bay), bay)  # the picture's border does not enclose
    soft = outline * 0.8 + masks.box(12, 10, 10, 2, 2) * 0.3
    filled = masks.fill_holes(soft)
    assert filled[0, 0, 5, 5] == 1 and torch.equal(filled[..., 10:, 10:], soft[..., 10:, 10:])
    for flat in (torch.zeros(1, 1, 3, 4), torch.ones(1, 1, 3, 4)):
        assert torch.equal(masks.fill_holes(flat), flat)


# Values, polarity, size

def test_polarity_is_converted_both_ways():
    known = torch.tensor([[1, 1, 0.25], [0, 1, 1]])
    mask = masks.from_known(known)
    assert mask.tolist() == [[[[0, 0, 0.75], [1, 0, 0]]]]
    assert torch.equal(masks.to_known(mask)[0, 0], known) and torch.equal(masks.invert(masks.invert(mask)), mask)


def test_binarise_is_strictly_above_and_the_ratio_counts_softly():
    soft = torch.tensor([[0, 0.2, 0.5, 0.6]])
    assert masks.binarise(soft).flatten().tolist() == [0, 0, 0, 1]
    assert masks.binarise(soft, 0).flatten().tolist() == [0, 1, 1, 1]
    assert masks.hole_ratio(torch.stack([soft, torch.ones(1, 4)])).tolist() == pytest.approx([0.325, 1])
    for bad in (1, -0.1, float("nan")):
        with pytest.raises(CoModError, match="threshold"):
            masks.binarise(soft, bad)


@pytest.mark.parametrize("size", [(5, 7), (64, 64), (63, 130), (200, 3), (1, 1)])
def test_to_size_loses_no_hole_pixel(size):
    for row, column in ((0, 0), (63, 63), (31, 40), (17, 5)):
        resized = masks.to_size(spots(64, 64, (row, column), value=0.75), size)
        assert tuple(resized.shape) == (1, 1, *size) and set(resized.unique().tolist()) <= {0.0, 0.75}
        # The new pixel that holds the old one's middle is hole, and nothing far away is.
        new_row, new_column = int((row + 0.5) * size[0] / 64), int((column + 0.5) * size[1] / 64)
        assert resized[0, 0, new_row, new_column] == 0.75
        for axis, (scale, place) in enumerate(((size[0] / 64, row), (size[1] / 64, column))):
            touched = (resized[0, 0] > 0).any(1 - axis).nonzero()
            assert touched.min() >= math.floor(place * scale) and touched.max() <= math.ceil((place + 1) * scale) - 1


def test_to_size_covers_a_hole_twice_as_large_exactly():
    assert torch.equal(masks.to_size(masks.box((6, 8), 1, 2, 3, 4), (12, 16)), masks.box((12, 16), 2, 4, 6, 8))
    mask = masks.free_form(64, 1)
    assert torch.equal(masks.to_size(mask, 64), mask)


@pytest.mark.parametrize("mask", [
    torch.ones(4, 6), torch.ones(1, 4, 6), torch.ones(1, 1, 4, 6), torch.ones(4, 6, dtype=torch.float16),
    torch.ones(4, 6, dtype=torch.bool), torch.ones(4, 6, dtype=torch.uint8), np.ones((4, 6)), np.ones((4, 6), bool),
    torch.ones(4, 6) + 5e-6,
])
def test_as_mask_takes_every_usual_form(mask):
    checked = masks.as_mask(mask)
    assert checked.dtype == torch.float32 and torch.equal(checked, torch.ones(1, 1, 4, 6))


@pytest.mark.parametrize(("mask", "message"), [
    (torch.zeros(3), r"shape \[3\]"), (torch.zeros(1, 3, 4, 4), r"shape \[1, 3, 4, 4\].*one channel"),
    (torch.zeros(1, 1, 1, 4, 4), "shape"), (torch.zeros(0, 4, 4), "no pixels"), (torch.zeros(4, 0), "no pixels"),
    (torch.full((4, 4), float("nan")), "NaN"), (torch.tensor([[0, float("inf")]]), "outside"),
    (torch.tensor([[0, 255]], dtype=torch.uint8), "divide it by 255"),
    (torch.tensor([[-1.0, 1.0]]), r"\(mask \+ 1\) / 2"),
    (torch.zeros(2, 2, dtype=torch.complex64), "complex"), ([[0, 1]], "list"), (None, "NoneType"),
])
def test_as_mask_says_what_is_wrong(mask, message):
    with pytest.raises(CoModError, match=message):
        masks.as_mask(mask)


def test_no_function_writes_into_its_mask():
    mask = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    kept = mask.clone()
    for call in (masks.as_mask, masks.invert, masks.binarise, masks.fill_holes, masks.hole_ratio,
                 lambda m: masks.grow(m, 2), lambda m: masks.shrink(m, 2), lambda m: masks.feather(m, 2),
                 lambda m: masks.to_size(m, 5), lambda m: masks.outpaint(torch.zeros(1, 3, 12, 12), m, 1, 1, 1, 1)):
        call(mask)
        assert torch.equal(mask, kept)
