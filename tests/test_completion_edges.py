"""Which bits stay at the edges of a hole, and which colours meet there."""
import pytest
import torch
from fake_network import FakeNetwork, flat, gradient, hole, one, plane

from comod_core.blending import match_color


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


def test_color_match_is_bounded_where_common_and_local_part_add_up():
    hidden, band = torch.zeros(64, 64, dtype=torch.bool), torch.zeros(64, 64, dtype=torch.bool)
    hidden[16:48, 16:48] = True
    band[16:48, 16:48] = True
    band[18:46, 18:46] = False
    reference = torch.full((3, 64, 64), 0.28)
    reference[..., 32:] = 0.45
    moved = match_color(torch.zeros(3, 64, 64), reference, hidden, band)
    assert moved.abs().max() == pytest.approx(0.3) and not moved[:, ~hidden].any()
    assert (moved[:, 16:48, 16:32] > 0.2).all()
