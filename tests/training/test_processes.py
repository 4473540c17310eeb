"""Two processes of accelerate (gloo) train as one does with the same batch."""
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import itertools, json, sys
import numpy as np
from comod_core.networks import CoModConfig
from comod_core.training.loop import train
from comod_core.training.place import Place
from comod_core.training.recipes import CompletionConfig

config = CompletionConfig(
    network=CoModConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, mapping_fmaps=8, fmap_base=64, fmap_max=16),
    batch=8, r1_interval=2, l1_weight=2.0, noise_mode="const", augment="ada", ada_kimg=0.1, brush_width=(1.0, 3.0),
    snapshot_minutes=0.0, total_kimg=0.064)
images = np.random.default_rng(0).integers(0, 255, (24, 16, 16, 3), dtype=np.uint8)
place = Place()
found = [progress.losses for progress in train(config, images, sys.argv[1], place=place)]
if place.main:
    print(json.dumps({"world": place.world, "losses": found}))
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(world, out):
    port = str(free_port())
    processes = []
    for rank in range(world):
        env = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        if world > 1:
            env |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": port}
        processes.append(subprocess.Popen([sys.executable, "-c", PROGRAM, str(out)], cwd=ROOT, env=env, text=True,
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    answers = [process.communicate(timeout=300) for process in processes]
    assert all(process.returncode == 0 for process in processes), answers
    found = json.loads(answers[0][0].strip().splitlines()[-1])
    assert found["world"] == world
    return found["losses"]


def test_two_processes_give_the_losses_of_one(tmp_path):
    one, two = run(1, tmp_path / "one"), run(2, tmp_path / "two")
    assert len(one) == len(two) == 8 and {"D", "G", "L1", "R1"} == set(one[0])
    for a, b in zip(one, two, strict=True):
        assert b == pytest.approx(a, rel=1e-3, abs=1e-5)
    assert one[0] == pytest.approx(two[0], rel=1e-5) and one[0] != one[1]
    assert (tmp_path / "two" / "snapshot.pt").exists()
