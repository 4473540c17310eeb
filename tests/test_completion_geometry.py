"""Where boxes lie, and that nothing shifts, bleeds or gets lost on the way to the model's size and back.

A fitted plane is the exact completion of a gradient, so every shift, stretch or seam shows as an error.
"""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fake_network import FakeNetwork, flat, gradient, hole, one, small_network

from comod_core import latents, masks
from comod_core.completion import complete, prepare
from comod_core.errors import CoModError


@pytest.fixture(scope="module")
def real():
    return small_network()


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


def test_feather_of_one_hole_leaves_its_neighbour_alone():
    """Two large holes close together have boxes of their own; neither writes into the other's hole."""
    mask = hole(500, 900, (100, 100, 300, 300), (100, 310, 300, 510))
    crops = prepare(FakeNetwork(), gradient(500, 900), mask, feather=30).crops
    assert len(crops) == 2
    written = torch.zeros(500, 900)
    for crop in crops:
        written[crop.region.rect.slices] += crop.region.alpha
    assert (written[mask[0, 0] > 0] == 1).all() and (written[100:300, 300:310] > 1).any()


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
    with torch.no_grad():       # what gradients are asked of is computed by the plain networks, which round differently
        encoding = real.encode(image, mask, generators=latents.generators([7], "dropout"))
        direct = real.decode(encoding, latents.sample(real, [7])).clamp(-1, 1)
    assert torch.equal(result, direct)
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


def test_large_picture_takes_little_memory():
    """3000x2000: the result and all that it takes to make it stay below five times the picture."""
    code = """if True:
        import resource, torch
        from fake_network import FakeNetwork, hole, one
        image, mask = torch.zeros(1, 3, 2000, 3000), hole(2000, 3000, (300, 200, 1700, 2500))
        one(FakeNetwork(), torch.zeros(1, 3, 64, 64), hole(64, 64, (20, 20, 40, 40)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        one(FakeNetwork(resolution=256), image, mask)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / (image.numel() * 4))
    """
    paths = os.pathsep.join(str(path) for path in (Path(__file__).parent, Path(__file__).parent.parent))
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, text=True,
                         capture_output=True)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 5
