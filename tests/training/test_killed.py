"""`comod train` of every recipe, killed by the system twice and gone on with: the losses of a run that was not."""
import dataclasses
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import test_instance_recipe as instance
import test_loop
import test_stylemap_recipe as stylemap
import test_translation_recipe as translation
import torch

from comod_core.training.config import RECIPE_NAMES
from comod_core.training.loop import train
from comod_core.training.prepare import load_beside
from comod_core.training.recipes import recipe_of

ROOT = Path(__file__).resolve().parents[2]
COMPLETION = dataclasses.replace(test_loop.CONFIG, augment="ada", ada_kimg=0.05, samples_per_hole=2, l1_only_kimg=0.01)
SETTINGS = {
    "completion": (COMPLETION, test_loop.pictures(), {}),
    "stylemap": (stylemap.CONFIG, stylemap.pictures(), {"labels": stylemap.labels()}),
    "instance": (dataclasses.replace(instance.STYLE, augment="diffaugment"), instance.pictures(), instance.beside()),
    "instance-biggan": (instance.BIG, instance.pictures(32), instance.beside()),
    "edges": (translation.config(recipe="edges"), translation.pairs()[0], {}),
    "labels": (translation.config(), translation.pairs()[0], {"labels": translation.pairs()[1]}),
}


def killed(command: list[str], snapshot: Path, wait: float) -> None:
    """Start the command, and kill it a while after it wrote a snapshot anew."""
    def written() -> int:
        return snapshot.stat().st_mtime_ns if snapshot.exists() else 0

    before, deadline = written(), time.monotonic() + 90
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env=os.environ | {"OMP_NUM_THREADS": "1"})
    while written() == before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    errors = process.communicate()[1]
    assert process.returncode == -signal.SIGKILL, errors.decode()[-2000:]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("recipe", SETTINGS)
def test_a_run_of_every_recipe(recipe, tmp_path):
    config, images, beside = SETTINGS[recipe]
    config = dataclasses.replace(config, total_kimg=50.0, snapshot_minutes=0.0)
    for name, array in {"images": images, **beside}.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "config.json").write_text(config.to_json())
    run, snapshot = tmp_path / "run", tmp_path / "run" / "snapshot.pt"
    command = [sys.executable, "-m", "comod_core", "train", "--data", str(tmp_path), "--out", str(run), "--config",
               str(tmp_path / "config.json")]
    for wait in (0.0, 0.037):           # one of them most likely while a snapshot is written
        killed(command, snapshot, wait)
    step = torch.load(snapshot, weights_only=True)["step"]
    beside = load_beside(tmp_path, recipe_of(config).beside)
    rare = dataclasses.replace(config, snapshot_minutes=99.0)
    gone_on = list(itertools.islice(train(rare, images, run, beside=beside), 3))
    straight = list(itertools.islice(train(rare, images, tmp_path / "straight", beside=beside), step + 3))[-3:]
    assert [found.step for found in gone_on] == [step + 1, step + 2, step + 3]
    assert [found.losses for found in gone_on] == [found.losses for found in straight]


def test_no_recipe_is_left_out():
    assert set(SETTINGS) == set(RECIPE_NAMES)
