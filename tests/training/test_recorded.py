"""Steps that can be recorded as CUDA graphs: what is checked without a GPU; test_gpu_recorded.py is with one."""
import dataclasses
import time

import pytest
import torch
from recordable_runs import CHANGES, settings, trainer_of
from torch.utils._python_dispatch import TorchDispatchMode

from comod_core.errors import CoModError
from comod_core.graphs import rebuild, tensors
from comod_core.metrics.lite0 import Lite0
from comod_core.training.perceptual import PerceptualDistance
from comod_core.training.place import moved
from comod_core.training.projected import ProjectedDiscriminator, judged
from comod_core.training.recipes import RECIPES, recipe_of
from comod_core.training.recorded import Ahead, check_recordable


class Questions(TorchDispatchMode):
    """Operations by which a step would ask something of the host, or take something from it."""

    asked = ("_local_scalar_dense", "nonzero", "lift_fresh", "randn", "rand.", "randint", "bernoulli")

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found += [str(func)] if any(name in str(func) for name in self.asked) else []
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("name", CHANGES)
def test_a_step_asks_nothing_of_the_host(name):
    trainer = trainer_of(name)
    assert trainer.recipe.recordable
    parts, stage = trainer.drawn(), trainer.recipe.stage(0)
    with Questions() as questions:
        losses = trainer.recipe.update(trainer, parts, *stage)
    assert questions.found == [] and all(value.ndim == 0 for value in losses.values())
    with Questions() as questions:
        torch.tensor(1.0).item()
    assert questions.found


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_drawn_is_a_function_of_the_step(name):
    trainer = trainer_of(name)
    first, again, later = (tensors(trainer._draw(step)) for step in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, later, strict=True))


def test_inputs_are_copied_in_the_order_in_which_they_are_found():
    parts, copies = trainer_of("completion").drawn(), []
    own = rebuild(parts, copies, torch.device("cpu"))
    given = tensors(parts)
    assert len(copies) == len(given) == 6
    assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in zip(copies, given, strict=True))
    assert own[0].z is copies[4] and own[0].real.is_contiguous(memory_format=torch.channels_last)
    assert moved(parts[0], torch.device("cpu")).real is parts[0].real


def test_where_a_step_cannot_be_recorded_is_said():
    recipe = recipe_of(settings("completion"))
    cuda = torch.device("cuda", 0)
    check_recordable(recipe.config, recipe, cuda, 1)
    with pytest.raises(CoModError, match="no NVIDIA GPU"):
        check_recordable(recipe.config, recipe, torch.device("cpu"), 1)
    with pytest.raises(CoModError, match="no NVIDIA GPU"):
        trainer_of("completion", cuda_graphs=True)
    for changes, message in (({"accumulate": 2}, "accumulate=1"), ({"precision": "fp16"}, "fp16"),
                             ({"augment": "ada"}, "augment=none")):
        with pytest.raises(CoModError, match=message):
            check_recordable(dataclasses.replace(recipe.config, **changes), recipe, cuda, 1)
    edges = recipe_of(RECIPES["edges"].preset(64, 30_000))
    with pytest.raises(CoModError, match="recipe edges"):
        check_recordable(edges.config, edges, cuda, 1)


def test_the_next_step_is_drawn_in_a_thread():
    asked = []
    ahead = Ahead(lambda step: asked.append(step) or time.sleep(0.01) or step * 10)
    assert ahead(0) == 0
    ahead.begin(1)
    assert ahead(1) == 10 and asked == [0, 1]
    ahead.begin(2)
    assert ahead(7) == 70               # another one is drawn anew
    assert ahead(7) == 70 and sorted(asked) == [0, 1, 2, 7, 7]


def test_scores_of_two_batches_in_one_pass_are_theirs():
    critic = ProjectedDiscriminator(64).eval()
    images, masks = torch.rand(6, 3, 64, 64), torch.rand(6, 1, 64, 64).round()
    a, b = judged(critic, (images[:2], masks[:2]), (images[2:], masks[2:]))
    torch.testing.assert_close(torch.cat([a, b]), critic(images, masks), rtol=1e-4, atol=1e-4)
    assert len(a) == 2 and len(b) == 4


def test_folded_normalisations_leave_what_the_network_sees():
    net, x = Lite0().net, torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        seen, wanted = PerceptualDistance().maps(x), net._swish(net._bn0(net._conv_stem(x * (127.5 / 128))))
        for index, block in enumerate(net._blocks[:8]):
            wanted = block(wanted)
            if index in (0, 2, 4, 7):
                torch.testing.assert_close(seen.pop(0), wanted, rtol=1e-4, atol=2e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in PerceptualDistance().modules())
