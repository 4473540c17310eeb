"""Steps as CUDA graphs, on an NVIDIA GPU: pytest -m gpu tests/training"""
import dataclasses
import math

import pytest
import torch
from recordable_runs import CHANGES, trainer_of

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU")]


@pytest.fixture(autouse=True, scope="module")
def exact():
    """Convolutions in full float32, so that both ways differ by rounding alone."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", CHANGES)
def test_recorded_steps_have_the_losses_of_others(name, precision):
    plain, recorded = (trainer_of(name, cuda_graphs=graphs, precision=precision) for graphs in (False, True))
    for step in range(12):
        expected, found = plain.run_step(), recorded.run_step()
        # rounding differs (kernels, order of sums), and steps add up
        for key, value in expected.items():
            close = {"rel_tol": 0.02 if precision == "fp32" else 0.15, "abs_tol": 0.02}
            assert math.isclose(found[key], value, **close), (step, key, value, found[key])
    assert len(recorded._take_step.graphs) == 1
    for a, b in zip(plain.generator.parameters(), recorded.generator.parameters(), strict=True):
        assert (a - b).norm() < 0.1 * a.norm() + 1e-3


def test_rates_and_snapshots_of_a_recorded_run(tmp_path):
    trainer = trainer_of("instance", cuda_graphs=True, total_kimg=0.04, decay_kimg=0.04)
    for _ in range(6):
        trainer.run_step()
    assert 0 < trainer.g_optimizer.param_groups[0]["lr"].item() < trainer.config.learning_rate
    trainer.save(tmp_path / "snapshot.pt")
    again = trainer_of("instance", cuda_graphs=True, total_kimg=0.04, decay_kimg=0.04)
    again.restore(tmp_path / "snapshot.pt")
    ahead = [trainer.run_step() for _ in range(4)][-1]
    other = [again.run_step() for _ in range(4)][-1]
    assert all(math.isclose(ahead[key], other[key], rel_tol=0.05, abs_tol=0.01) for key in ahead)
    plain = trainer_of("instance", total_kimg=0.04, decay_kimg=0.04)
    plain.restore(tmp_path / "snapshot.pt")
    assert all(math.isfinite(value) for value in plain.run_step().values())


def test_the_published_discriminator_with_its_lazy_penalty_is_recorded_twice():
    trainer = trainer_of("completion", critic="pictures", r1_gamma=1.0, r1_interval=2, cuda_graphs=True)
    found = [trainer.run_step() for _ in range(12)]
    assert len(trainer._take_step.graphs) == 2
    assert ["R1" in losses for losses in found] == [True, False] * 6
    assert all(math.isfinite(value) for losses in found for value in losses.values())
    assert torch.cuda.memory_allocated() > 0 and dataclasses.asdict(trainer.config)["cuda_graphs"]
