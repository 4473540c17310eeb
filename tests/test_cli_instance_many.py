"""`comod instance ivf`, `neighbours --approximate` and `representatives`: what Python gives."""
import numpy as np
import pytest
import torch
from test_cli_instance import indexed, photos  # noqa: F401

from comod_core.cli import main
from comod_core.instances import neighbours
from comod_core.instances.stored import Instances, open_instances, save_instances


@pytest.fixture
def many(tmp_path):
    """Six groups of twenty, in a file of their own."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(6, 1280)).repeat(20, 0) + 0.3 * random.normal(size=(120, 1280))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    instances = Instances(rows.astype(np.float32), [f"{i}.jpg" for i in range(120)], extractor="lite0")
    return save_instances(tmp_path / "groups.safetensors", instances)


def test_the_inverted_file_is_built_once_and_searched(photos, indexed, tmp_path, capsys):  # noqa: F811
    command = ["instance", "neighbours", str(photos / "c.png"), str(indexed), "-k", "3", "--device", "cpu"]
    assert main([*command, "--approximate"]) == 1 and "comod instance ivf" in capsys.readouterr().err
    assert main(["instance", "ivf", str(indexed)]) == 0
    assert f"{indexed.with_suffix('.faiss')}: 4 instances" in capsys.readouterr().out
    assert main(command) == 0
    exact = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert main([*command, "--approximate"]) == 0
    found = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[1:] for row in found] == [row[1:] for row in exact] and len(found) == 3
    assert [float(row[0]) for row in found] == pytest.approx([float(row[0]) for row in exact], abs=0.02)
    assert main(["instance", "ivf", str(indexed)]) == 1 and "--overwrite" in capsys.readouterr().err
    assert main(["instance", "index", str(photos / "a.png"), str(indexed), "--device", "cpu", "--overwrite"]) == 0
    assert main([*command, "--approximate"]) == 1                                     # of what was there before
    assert "holds 4 instances" in capsys.readouterr().err


def test_representatives_of_a_file(many, tmp_path, capsys):
    few = tmp_path / "few.safetensors"
    assert main(["instance", "representatives", str(many), str(few), "-k", "6"]) == 0
    found, stored = open_instances(few), open_instances(many)
    kept = neighbours.representatives(stored, 6)
    assert f"{len(kept)} of 120" in capsys.readouterr().out and found.extractor == "lite0"
    assert list(found.names) == [stored.names[i] for i in kept] and len({i // 20 for i in kept}) >= 5
    torch.testing.assert_close(found.feature(0), stored.feature(kept[0]))
    assert main(["instance", "representatives", str(many), str(few)]) == 1 and "--overwrite" in capsys.readouterr().err
