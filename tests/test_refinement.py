"""Refinement of style maps: better with every step it keeps, stoppable, the same every time."""
from __future__ import annotations

import pytest
import torch

from comod_core.errors import CoModError
from comod_core.networks import StyleMapConfig, StyleMapGAN
from comod_core.refinement import refine


def network(seed=0):
    torch.manual_seed(seed)
    return StyleMapGAN(StyleMapConfig(32, 8, 6, 3, channels=(12, 12, 10, 8))).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def net():
    return network()


@pytest.fixture(scope="module")
def image(net):
    """Pictures that the network can draw, so that there is something to find."""
    return net.decode(net.map(torch.randn(2, 6, generator=torch.Generator().manual_seed(2)))).detach()


def error(net, maps, image):
    return (net.decode(maps) - image).square().mean(dim=(1, 2, 3))


def test_it_ends_nearer_to_the_photo(net, image):
    states = list(refine(net, image, steps=40))
    assert [state.step for state in states] == list(range(41)) and states[-1].done and not states[-2].done
    assert torch.equal(states[0].style_map, net.encode(image))
    assert (error(net, states[-1].style_map, image) < 0.5 * error(net, states[0].style_map, image)).all()
    for before, after in zip(states[:-1], states[1:], strict=True):
        assert all(b >= a for b, a in zip(before.loss, after.loss, strict=True))


def test_the_best_so_far_is_kept_even_if_it_gets_worse(net, image):
    start = refine(net, image, steps=10, stay=0)
    first = next(start)
    wild = list(refine(net, image, first.style_map, steps=5, rate=1e4, stay=0))
    assert torch.equal(wild[-1].style_map, first.style_map) and wild[-1].loss == wild[0].loss


def test_it_can_be_left_at_any_step(net, image):
    seen = []
    for state in refine(net, image, steps=1000, progress=lambda *step: seen.append(step)):
        if state.step == 3:
            break
    assert seen == [(1, 1000, None), (2, 1000, None), (3, 1000, None)]

    def stop(done, total, picture):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(refine(net, image, steps=10, progress=stop))


def test_the_same_in_inference_mode_and_in_any_batch(net, image):
    plain = list(refine(net, image, steps=8))[-1].style_map
    with torch.inference_mode():
        copied = image.clone()
        inside = list(refine(net, copied, net.encode(copied), steps=8))[-1].style_map
        assert torch.is_inference_mode_enabled()
    assert torch.equal(inside, plain)
    assert torch.is_grad_enabled() and not inside.requires_grad
    alone = list(refine(net, image[1:], steps=8))[-1].style_map
    torch.testing.assert_close(alone, plain[1:], rtol=1e-3, atol=1e-4)


def test_staying_near_holds_it_back(net, image):
    start = net.encode(image)
    way = [(list(refine(net, image, start, steps=20, stay=stay))[-1].style_map - start).square().mean()
           for stay in (0, 100)]
    assert way[1] < 0.5 * way[0]


def test_what_has_no_weight_does_not_count(net, image):
    weight = torch.zeros(1, 1, 32, 32)
    weight[..., :16] = 1
    other = image.clone()
    other[..., 16:] = 0
    found = [list(refine(net, picture, net.encode(image), steps=5, weight=weight))[-1].style_map
             for picture in (image, other)]
    assert torch.equal(*found)
    assert not torch.equal(found[0], list(refine(net, image, steps=5))[-1].style_map)


def test_a_distance_of_ones_own_counts(net, image):
    calls = []

    def distance(decoded, target):
        calls.append(decoded.shape)
        return decoded.square().flatten(1).mean(dim=1) * 1000

    found = list(refine(net, image, steps=20, distance=distance))[-1].style_map
    assert len(calls) == 21
    assert (net.decode(found).square().mean() < net.decode(net.encode(image)).square().mean())


def test_half_precision_networks(image):
    net = network().to(torch.bfloat16)
    states = list(refine(net, image, steps=15))
    assert states[-1].style_map.dtype == torch.float32 and sum(states[-1].loss) < sum(states[0].loss)


@pytest.mark.parametrize(("values", "words"), [
    ({"steps": 0}, "steps"), ({"steps": 1.5}, "steps"), ({"rate": -1}, "rate"), ({"stay": float("nan")}, "stay"),
    ({"weight": torch.ones(1, 1, 8, 8)}, "weight"), ({"style_map": torch.zeros(1, 6, 8, 8)}, "as many of both")])
def test_what_does_not_fit_is_refused_at_the_call(net, image, values, words):
    with pytest.raises(CoModError, match=words):
        refine(net, image, **values)


def test_other_shapes_and_networks_are_refused(net, image):
    with pytest.raises(CoModError, match="32,32"):
        refine(net, image[..., :16])
    with pytest.raises(CoModError, match="model's size"):
        refine(net, image[..., :16], net.encode(image))
    with torch.inference_mode():
        made_here = network()
    with pytest.raises(CoModError, match="load_model"):
        refine(made_here, image)
