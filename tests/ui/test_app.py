"""The entry: how it loads the repository, and what it says when it cannot start."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

APP = Path(__file__).resolve().parent.parent.parent / "ui" / "app.py"
LOADS = """
import importlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("entry", sys.argv[1])
entry = importlib.util.module_from_spec(spec)
spec.loader.exec_module(entry)
path, heavy = list(sys.path), {"torch", "gradio"} & set(sys.modules)
assert not heavy, heavy
entry.prepare_surroundings()
entry.load_pack()
importlib.import_module(entry.PACK + ".ui.page")
assert sys.path == path
ours = {name.partition(".")[0] for name, module in sys.modules.items()
        if str(getattr(module, "__file__", "") or "").startswith(str(entry.ROOT / "comod_core"))}
assert ours == {entry.PACK}, ours
"""


def run(*command, folder) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "GRADIO_TEMP_DIR": str(folder / "files")})


def test_core_is_loaded_once_under_the_pack_s_name(tmp_path):
    result = run("-c", LOADS, APP, folder=tmp_path)
    assert result.returncode == 0, result.stderr


def test_unknown_model_is_said_in_one_line(tmp_path):
    result = run(APP, "--no-browser", "--model", "nobody's", folder=tmp_path)
    assert result.returncode == 1
    assert "--model nobody's: neither a file nor one of avatars-64" in result.stderr
    assert "Traceback" not in result.stderr
