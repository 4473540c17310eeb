"""Two processes of accelerate (gloo) train as one does with the same batch."""
import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import test_instance_recipe as instance
import test_stylemap_recipe as stylemap
import test_translation_recipe as translation

from comod_core.networks import CoModConfig
from comod_core.training.recipes import CompletionConfig

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, sys
from pathlib import Path
from comod_core.training.loop import train
from comod_core.training.place import Place
from comod_core.training.prepare import load_beside, load_prepared
from comod_core.training.recipes import config_from_json, recipe_of

place, found = Place(), {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    config = config_from_json((folder / "config.json").read_text())
    beside = load_beside(folder, recipe_of(config).beside)
    steps = train(config, load_prepared(folder)[0], Path(sys.argv[2]) / folder.name, place=place, beside=beside)
    found[folder.name] = [progress.losses for progress in steps]
if place.main:
    print(json.dumps({"world": place.world, "losses": found}))
"""
COMPLETION = CompletionConfig(
    network=CoModConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, mapping_fmaps=8, fmap_base=64, fmap_max=16),
    batch=8, r1_interval=2, l1_weight=2.0, noise_mode="const", augment="ada", ada_kimg=0.1, brush_width=(1.0, 3.0),
    snapshot_minutes=0.0, total_kimg=0.064)
# without what looks at the neighbours in a process's own part of the batch (docs/training.md)
SETTINGS = {
    "completion": (COMPLETION, np.random.default_rng(0).integers(0, 255, (24, 16, 16, 3), dtype=np.uint8), {}),
    "instance": (dataclasses.replace(instance.STYLE, augment="diffaugment", noise_mode="const"), instance.pictures(),
                 instance.beside()),
    "labels": (translation.config(batch=8, total_kimg=0.064, noise_mode="const"), translation.pairs()[0],
               {"labels": translation.pairs()[1]}),
    "stylemap": (dataclasses.replace(stylemap.CONFIG, batch=8, total_kimg=0.064, blend_weight=0.0, balance=0.5),
                 stylemap.pictures(), {"labels": stylemap.labels()}),
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(world, sets, out):
    port = str(free_port())
    processes = []
    for rank in range(world):
        env = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        if world > 1:
            env |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": port}
        processes.append(subprocess.Popen([sys.executable, "-c", PROGRAM, str(sets), str(out)], cwd=ROOT, env=env,
                                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    answers = [process.communicate(timeout=300) for process in processes]
    assert all(process.returncode == 0 for process in processes), answers
    found = json.loads(answers[0][0].strip().splitlines()[-1])
    assert found["world"] == world
    return found["losses"]


def test_two_processes_give_the_losses_of_one(tmp_path):
    for name, (config, images, beside) in SETTINGS.items():
        (tmp_path / "sets" / name).mkdir(parents=True)
        (tmp_path / "sets" / name / "config.json").write_text(config.to_json())
        for array, values in {"images": images, **beside}.items():
            np.save(tmp_path / "sets" / name / f"{array}.npy", values)
    one, two = (run(world, tmp_path / "sets", tmp_path / str(world)) for world in (1, 2))
    assert set(one) == set(two) == set(SETTINGS) and {"D", "G", "L1", "R1"} == set(one["completion"][0])
    for name in SETTINGS:
        assert len(one[name]) == len(two[name]) == 8
        for a, b in zip(one[name], two[name], strict=True):
            assert b == pytest.approx(a, rel=1e-3, abs=1e-5), name
        assert one[name][0] == pytest.approx(two[name][0], rel=1e-5) and one[name][0] != one[name][1]
        assert (tmp_path / "2" / name / "snapshot.pt").exists()
