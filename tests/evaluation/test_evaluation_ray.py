"""An evaluation through Ray Data on a local Ray with two workers: the numbers of this process."""
import numpy as np
import pytest
from small_evaluation import PROTOCOL, pictures, save_array

from comod_core import CoModError
from comod_core.evaluation import engines, run
from comod_core.evaluation.pictures import ArrayPictures
from comod_core.evaluation.run import evaluate


def few_at_a_time(monkeypatch):
    chunks = run.chunks
    monkeypatch.setattr(run, "chunks", lambda *a: chunks(*a, rows=4))


def test_two_workers_measure_what_one_process_does(network, features, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    few_at_a_time(monkeypatch)
    monkeypatch.setattr(engines, "AHEAD", 1)        # so that there are two windows
    dataset, seen = ArrayPictures(save_array(tmp_path / "set", pictures(16))), []
    here = evaluate(network, features, dataset, PROTOCOL, tmp_path / "here")
    away = evaluate(network, features, dataset, PROTOCOL, tmp_path / "away", lambda *at: seen.append(at),
                    engine=engines.Ray(2))
    assert len(here["features"]) == 4 and away["features"] == here["features"]
    assert away["protocol"] == here["protocol"] and seen[-1] == (28, 28)
    for mine, theirs in zip(here["rows"], away["rows"], strict=True):
        assert mine["scores"].keys() == theirs["scores"].keys()
        for name, value in mine["scores"].items():
            np.testing.assert_allclose(theirs["scores"][name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_ray_that_is_not_installed_is_explained(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    monkeypatch.setitem(__import__("sys").modules, "ray.data", None)
    with pytest.raises(CoModError, match="comod-gan\\[scale\\]"):
        engines.Ray()
