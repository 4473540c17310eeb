"""Every kernel compiled ahead for the GPUs of the last years: what they take is written down, and none spills."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = json.loads((ROOT / "benchmarks" / "kernel_resources.json").read_text())
ARCHITECTURES = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90"]


def compiled(*arguments: str) -> dict:
    """What the script reports; in a process of its own, where the kernels are not interpreted."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks" / "kernel_resources.py"), *arguments],
                          capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_kernel_spills_registers_or_takes_more_than_a_block_has():
    assert len(TABLE["rows"]) >= 10
    for case, row in TABLE["rows"].items():
        assert list(row) == ARCHITECTURES, case
        for architecture, taken in row.items():
            assert taken["spilled"] == 0, (case, architecture)
            assert taken["registers"] * taken["threads"] <= 65536 and taken["registers"] <= 255
            assert taken["shared"] <= 48 * 1024


@pytest.mark.parametrize(("case", "architecture"), [
    ("bias_act, float32", "75"), ("up FIR with all, clamp, float16", "90")])
def test_the_table_is_what_compiling_gives(case, architecture):
    triton = pytest.importorskip("triton", reason="triton is not installed")
    found = compiled("--only", case, "--arch", architecture)[f"sm_{architecture}"]
    assert found["spilled"] == 0
    if triton.__version__ == TABLE["triton"]:
        assert found == TABLE["rows"][case][f"sm_{architecture}"]


@pytest.mark.slow
def test_the_whole_table_is_what_compiling_gives():
    triton = pytest.importorskip("triton", reason="triton is not installed")
    for case, row in TABLE["rows"].items():
        found = compiled("--only", case)
        assert found == row or triton.__version__ != TABLE["triton"], case


def test_the_page_on_gpus_has_the_tables_that_were_counted_and_measured(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import make_gpu

    text = make_gpu.PAGE.read_text(encoding="utf-8")
    assert make_gpu.filled(text) == text, "run python docs/make_gpu.py"
