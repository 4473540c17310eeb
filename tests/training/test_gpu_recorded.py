"""Steps as CUDA graphs, on an NVIDIA GPU: pytest -m gpu tests/training"""
import math

import pytest
import torch
from accelerate.state import AcceleratorState
from recordable_runs import CHANGES, trainer_of

from comod_core.training.recorded import EAGER, RecordedSteps

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU")]


@pytest.fixture(autouse=True, scope="module")
def exact():
    """Convolutions in full float32, and the same ones every time, so that both ways differ by rounding alone."""
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.deterministic
    cudnn.allow_tf32, cudnn.deterministic = False, True
    yield
    cudnn.allow_tf32, cudnn.deterministic = before


@pytest.fixture(autouse=True)
def any_precision():
    """accelerate lets a process have one precision, unless it forgets which."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def carry(source, target, folder) -> None:
    """Bring a trainer to the state of another."""
    source.save(folder / "snapshot.pt")
    target.restore(folder / "snapshot.pt")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", CHANGES)
def test_recorded_steps_have_the_losses_of_others(name, precision, tmp_path):
    """The others run the same kernels, one after another; those of PyTorch round otherwise, which a GAN amplifies."""
    others, recorded = (trainer_of(name, cuda_graphs=True, precision=precision) for _ in range(2))
    others._take_step = RecordedSteps(eager=10 ** 9)
    torch.backends.cudnn.benchmark = False
    for step in range(EAGER + 5):
        carry(recorded, others, tmp_path)       # Adam without momentum makes steps of the signs of roundings
        expected, found = others.run_step(), recorded.run_step()
        for key, value in expected.items():
            close = {"rel_tol": 0.01 if precision == "fp32" else 0.05, "abs_tol": 0.01 if precision == "fp32" else 0.1}
            assert math.isclose(found[key], value, **close), (step, key, value, found[key])
        for a, b in zip(others.generator.parameters(), recorded.generator.parameters(), strict=True):
            assert (a - b).abs().mean() <= 2 * recorded.config.learning_rate
    assert len(recorded._take_step.graphs) == 1 and not others._take_step.graphs


def test_rates_and_snapshots_of_a_recorded_run(tmp_path):
    changes = {"total_kimg": 0.06, "decay_kimg": 0.06}
    trainer, again, plain = (trainer_of("instance", cuda_graphs=graphs, **changes) for graphs in (True, True, False))
    for _ in range(EAGER + 3):
        trainer.run_step()
    assert 0 < trainer.g_optimizer.param_groups[0]["lr"].item() < trainer.config.learning_rate
    for other in (again, plain):
        carry(trainer, other, tmp_path)
    losses = [each.run_step() for each in (trainer, again, plain)]
    assert all(math.isclose(value, other[key], rel_tol=0.01, abs_tol=0.01)
               for other in losses[1:] for key, value in losses[0].items())
    for _ in range(EAGER + 1):
        again.run_step()
    assert again._take_step.graphs and again.g_optimizer.param_groups[0]["lr"].device.type == "cuda"


def test_the_published_discriminator_with_its_lazy_penalty_is_recorded_twice():
    trainer = trainer_of("completion", critic="pictures", r1_gamma=1.0, r1_interval=2, cuda_graphs=True)
    found = [trainer.run_step() for _ in range(12)]
    assert len(trainer._take_step.graphs) == 2
    assert ["R1" in losses for losses in found] == [True, False] * 6
    assert all(math.isfinite(value) for losses in found for value in losses.values())
