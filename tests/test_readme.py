"""The README against what it describes."""
from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from comod_core.checkpoints.store import read_header
from comod_core.cli import main
from comod_core.models.table import MODELS

ROOT = Path(__file__).resolve().parent.parent
GROUPS = ("bias", "edit", "instance")       # commands that hold commands
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("make_readme", ROOT / "docs" / "make_readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_up_to_date(tables, nodes):
    blocks = {"nodes": tables.node_table(nodes.values()), "models": tables.model_table(MODELS),
              "credits": tables.credits(map(read_header, tables.BUILT_IN)), "speed": tables.read_speed()}
    assert tables.filled(TEXT, blocks) == TEXT, "run: python docs/make_readme.py"


def test_a_missing_block_is_noticed(tables):
    with pytest.raises(KeyError, match="nodes"):
        tables.filled("no blocks here", {"nodes": ""})


def test_every_picture_and_file_it_points_to_is_there():
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", TEXT) if not target.startswith(("http", "#"))]
    assert len(targets) > 10
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert not missing


def test_every_heading_it_points_to_is_there():
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-")
                for line in re.findall(r"(?m)^#+ (.+)$", TEXT)}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings


def test_the_python_examples_run(tmp_path):
    examples = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len(examples) == 2
    (tmp_path / "example_pictures").symlink_to(ROOT / "example_pictures")
    (tmp_path / "example.py").write_text("\n".join([*examples, "print(seed, tuple(image.shape))"]))
    done = subprocess.run([sys.executable, "example.py"], capture_output=True, text=True, cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("7 (1, 3, ")
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


def test_the_command_lines_are_understood(capsys):
    lines = [line for block in re.findall(r"```\n(.*?)```", TEXT, re.S) for line in block.splitlines()
             if line.startswith("comod ")]
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line)[1:]
        assert main(words[:2 if words[0] in GROUPS else 1] + ["--help"]) == 0
        text = capsys.readouterr().out
        assert all(option in text for option in re.findall(r"--[a-z-]+", line)), line
