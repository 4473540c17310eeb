"""Photos and the square that the model sees: boxes, fitting, masks there and back, fading at edges."""
from __future__ import annotations

import pytest
import torch
from fake_style_network import FakeStyleNetwork, box, flat, photo

from comod_core import CoModError, photos
from comod_core.geometry import Box
from comod_core.photos import Options, prepare


@pytest.fixture
def fake():
    return FakeStyleNetwork()


@pytest.mark.parametrize(("options", "expected"), [
    (Options(), Box(0, -5, 50)), (Options("square"), Box(5, 0, 40)), (Options(box=Box(3, 4, 20)), Box(3, 4, 20)),
    (Options("crop"), Box(0, 0, 32)), (Options("crop", context=2), Box(0, -5, 50)),
    (Options("square", box=Box(-9, 30, 20)), Box(-9, 30, 20))])
def test_boxes(fake, options, expected):
    assert prepare(fake, photo(), box(5, 5, 15, 15), options).box == expected


def test_a_box_that_shows_next_to_nothing_of_the_photo_is_refused(fake):
    assert prepare(fake, photo(), None, Options(box=Box(-5, -5, 200))).box.side == 200
    with pytest.raises(CoModError, match="at most 200 pixels"):
        prepare(fake, photo(), None, Options(box=Box(0, 0, 201)))


def test_a_photo_of_the_models_size_is_seen_as_it_is(fake):
    image = photo(32, 32)
    for strategy in ("whole", "square", "original"):
        assert torch.equal(prepare(fake, image, None, Options(strategy)).inputs, image)


def test_the_photo_is_fitted_and_its_edge_repeated(fake):
    image = flat(-1, 40, 20)
    image[..., 10:] = 1
    seen = prepare(fake, image).inputs
    assert seen.shape == (1, 3, 32, 32) and (seen[..., :14] == -1).all() and (seen[..., 18:] == 1).all()


def test_masks_go_to_the_model_and_come_back(fake):
    seen = prepare(fake, photo(64, 64), None, Options(box=Box(16, -32, 64)))  # half of the photo's width
    mask = box(20, 5, 21, 6, 64, 64)
    small = photos.to_model(seen, mask)
    assert small.sum() == 1 and small[0, 0, 2, 18] == 1  # ((20 - 16) / 2, (5 + 32) / 2)
    assert not photos.to_model(seen, box(0, 0, 16, 64, 64, 64)).any()
    back = photos.to_photo(seen, photos.to_model(seen, box(16, 0, 64, 32, 64, 64)))
    assert back.shape == (1, 1, 64, 64) and (back[..., 16:64, :32] > 0.9).all() and not back[..., :16, :].any()
    assert not back[..., 32:].any()


def test_the_box_has_no_hard_edge_inside_of_the_photo(fake):
    image = flat(-1, 100, 100)
    found = prepare(fake, image, None, Options(box=Box(30, 0, 40), feather=6))
    result = photos.blend_back(found, flat(1))[0, 0]
    assert (result[:30] == -1).all() and (result[70:] == -1).all() and (result[:, 40:] == -1).all()
    assert (result[36:64, :34] > 0.9999).all()  # nothing fades at the photo's own left edge
    for line in (result[30:37, 5], result[63:70, 5].flip(0), result[50, 33:40].flip(0)):
        assert (line.diff() > 0).all() and line[0] > -1


def test_soft_masks_fade_as_drawn(fake):
    image, mask = flat(-1), torch.zeros(1, 1, 32, 32)
    mask[..., 8:16, 8:16], mask[..., 8:16, 20:24] = 1, 0.3
    result = photos.blend_back(prepare(fake, image, None, Options(feather=0, color_match=False)), flat(1), mask)[0, 0]
    assert (result[8:16, 8:16] == 1).all() and (result[:8] == -1).all()
    torch.testing.assert_close(result[8:16, 20:24], torch.zeros(8, 4))  # (0.3 - 0.1) / 0.4 is half
