"""The free-form sampler: the paper's distribution, the hole range, the bits of a seed."""
import hashlib
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from comod_core import masks
from comod_core.errors import CoModError

REFERENCE = json.loads((Path(__file__).parent / "data" / "official_mask_distribution.json").read_text())


def digest(mask):
    return hashlib.sha256(mask.to(torch.uint8).numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(("name", "count"), [("256_0_1", 800), ("256_0.0_0.2", 300), ("256_0.4_0.6", 120),
                                             ("256_0.8_1.0", 250), ("512_0_1", 250)])
def test_free_form_has_the_papers_distribution(name, count):
    size, low, high = name.split("_")
    size, reference, quarter = int(size), REFERENCE[name], int(size) // 4
    ratio, centre, border = np.empty((3, count))
    for seed in range(count):
        hole = masks.free_form(size, seed, (float(low), float(high))).numpy()[0, 0] > 0.5
        ratio[seed], border[seed] = hole.mean(), hole[:8].mean()
        centre[seed] = hole[quarter:-quarter, quarter:-quarter].mean()
    # Three standard errors of the difference of two samples; seeds are fixed, so this does not flicker.
    spread = math.sqrt(1 / count + 1 / reference["n"])
    for ours, theirs in ((ratio, reference["mean"]), (centre, reference["coverage_centre"]),
                         (border, reference["coverage_border"])):
        assert abs(ours.mean() - theirs) < 3 * ours.std() * spread
    kurtosis = ((ratio - ratio.mean()) ** 4).mean() / ratio.var() ** 2
    assert abs(ratio.std() - reference["std"]) < 3 * ratio.std() * math.sqrt((kurtosis - 1) / 4) * spread
    # Kolmogorov-Smirnov at 1 %, at the quantiles that are known.
    below = np.searchsorted(np.sort(ratio), reference["quantiles"]) / count
    assert np.abs(below - np.linspace(0, 1, 21)).max() < 1.63 * spread


def test_a_scaled_brush_gives_a_small_picture_the_ratios_of_a_large_one():
    ratios = masks.hole_ratio(masks.free_form_batch(64, range(400), brush_width=masks.scaled_brush(64)))
    spread = math.sqrt(1 / 400 + 1 / REFERENCE["256_0_1"]["n"])
    assert abs(ratios.mean() - REFERENCE["256_0_1"]["mean"]) < 3 * ratios.std() * spread
    coarse = masks.hole_ratio(masks.free_form_batch(64, range(100)))
    assert coarse.mean() > ratios.mean() + 0.08


def test_scaled_brush_is_the_papers_from_256_to_512_and_in_proportion_beyond():
    assert masks.scaled_brush(64) == (3.0, 12.0)
    assert masks.scaled_brush(256) == masks.scaled_brush(512) == (12.0, 48.0)
    assert masks.scaled_brush((4096, 1024)) == (24.0, 96.0)


@pytest.mark.parametrize("hole_range", [(0, 0.03), (0.1, 0.2), (0.45, 0.5), (0.9, 1)])
@pytest.mark.parametrize("size", [64, (96, 160)])
def test_free_form_keeps_to_the_hole_range(size, hole_range):
    batch = masks.free_form_batch(size, range(10), hole_range, brush_width=masks.scaled_brush(size))
    assert batch.shape == (10, 1, *((64, 64) if size == 64 else size)) and batch.dtype == torch.float32
    assert set(batch.unique().tolist()) == {0.0, 1.0}
    ratio = masks.hole_ratio(batch)
    assert ratio.min() > hole_range[0] and ratio.max() < hole_range[1]
    assert len({digest(mask) for mask in batch}) == 10


def test_free_form_never_changes_for_a_seed():
    # Whoever finds this failing has changed every seeded hole that people have: results, training runs, benchmarks.
    assert digest(masks.free_form(256, 0)) == "7d11968f359ebb8c"
    assert digest(masks.free_form((48, 80), 2**64 - 1, (0.2, 0.5), brush_width=(3, 12))) == "d169fc76b5e87f89"


def test_free_form_does_not_depend_on_the_batch_and_leaves_global_randomness_alone():
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    batch = masks.free_form_batch(64, [3, 9, 3])
    assert torch.equal(torch.get_rng_state(), before[0]) and np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]
    assert torch.equal(batch[0], batch[2]) and not torch.equal(batch[0], batch[1])
    assert torch.equal(batch[1:2], masks.free_form(64, 9))


def test_an_impossible_hole_range_ends_with_advice():
    with pytest.raises(CoModError, match=r"64x64 .* between 1e-05 and 2e-05 in 1000 tries.*Widen hole_range"):
        masks.free_form(64, 0, (0.00001, 0.00002))


@pytest.mark.parametrize("call", [
    lambda: masks.free_form(0, 0), lambda: masks.free_form(64.0, 0), lambda: masks.free_form((64, 64, 3), 0),
    lambda: masks.free_form(64, -1), lambda: masks.free_form(64, 2**64), lambda: masks.free_form(64, 1.5),
    lambda: masks.free_form(64, 0, (0.5, 0.5)), lambda: masks.free_form(64, 0, (0.5, 1.5)),
    lambda: masks.free_form(64, 0, 0.5), lambda: masks.free_form(64, 0, (float("nan"), 1)),
    lambda: masks.free_form(64, 0, brush_width=(0, 5)), lambda: masks.free_form(64, 0, brush_width=12),
    lambda: masks.free_form(64, 0, brush_width=(9, 5)), lambda: masks.free_form_batch(64, []),
])
def test_free_form_refuses_bad_arguments(call):
    with pytest.raises(CoModError, match="give"):
        call()


@pytest.mark.parametrize("size", [1, 2, (1, 40)])
def test_free_form_of_a_tiny_picture_is_a_mask_or_a_clear_error(size):
    try:
        mask = masks.free_form(size, 0, brush_width=(1, 2))
        assert 0 < masks.hole_ratio(mask) < 1
    except CoModError as error:
        assert "tries" in str(error)
