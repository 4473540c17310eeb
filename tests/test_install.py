"""install.py against a stand-in for the virtual environment's Python, and the package's description of itself."""
from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import comod_core
from comod_core.cli import main

ROOT = Path(__file__).resolve().parent.parent
# Modules of a distribution whose name they do not have, and modules that only the surroundings can bring.
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "sklearn": "scikit-learn", "gradio_client": "gradio",
                 "faiss": "faiss-cpu", "open_clip": "open-clip-torch"}
COMFYUI = {"comfy", "comfy_api", "folder_paths"}
STAND_IN = """#!/bin/sh
case "$*" in
    "-c import pip"*) echo 3 11 4 ;;
    "-c import importlib.metadata"*) [ -n "$TORCH" ] && echo "$TORCH" || exit 1 ;;
    *) echo "$*" >> "$CALLS"
       case "$*" in *"pip install"*) echo "no matching distribution"; exit "${PIP_EXIT:-0}" ;; esac ;;
esac
"""


def load_install(path: Path):
    spec = importlib.util.spec_from_file_location("comod_install", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path):
    """A copy of the set-up files with a .venv whose Python writes down what it is asked to do."""
    for name in ("install.py", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STAND_IN)
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def run(folder: Path, *arguments: str, **environment: str):
    calls = folder / "calls"
    calls.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, str(folder / "install.py"), *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, env={**os.environ, "CALLS": str(calls), **environment})
    return done, calls.read_text().splitlines() if calls.exists() else []


posix = pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")


@posix
def test_test_installs_once_and_passes_its_arguments_on(checkout):
    done, calls = run(checkout, "test", "-k", "cli", "--", "-x", TORCH="2.9.1+cpu")
    assert done.returncode == 0, done.stderr
    assert "pip install" in calls[0] and calls[0].endswith("-e .[dev]")
    assert calls[1] == "-m pytest -k cli -- -x"
    assert "torch==2.9.1+cpu\n" in (checkout / ".venv" / "comod-constraints.txt").read_text()

    assert run(checkout, "test")[1] == ["-m pytest"]
    assert run(checkout, "demo")[1] == [str(checkout / "ui" / "app.py")], "the app comes with the test tools"

    (checkout / "pyproject.toml").write_text((checkout / "pyproject.toml").read_text() + "\n")
    assert "pip install" in run(checkout, "test", TORCH="2.9.1")[1][0]


@posix
def test_a_second_extra_is_added_to_the_first(checkout):
    run(checkout, "demo", "--port", "7000", TORCH="2.9.1")
    done, calls = run(checkout, "test", TORCH="2.9.1")
    assert calls[0].endswith("-e .[dev,ui]")
    assert run(checkout, "demo", "--port", "7000")[1] == [f"{checkout / 'ui' / 'app.py'} --port 7000"]


@posix
def test_a_failure_of_pip_shows_why_and_is_tried_again(checkout):
    done, calls = run(checkout, "test", TORCH="2.9.1", PIP_EXIT="3")
    assert done.returncode == 1 and len(calls) == 1
    assert "no matching distribution" in done.stderr and "comod-install.log" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(run(checkout, "test", TORCH="2.9.1")[1]) == 2


@posix
def test_smoke_completes_the_examples(checkout):
    done, calls = run(checkout, "demo", "--smoke", TORCH="2.9.1")
    assert done.returncode == 0, done.stderr
    examples = checkout / "example_pictures"
    assert calls[1].startswith(f"-m comod_core complete {examples} --mask {examples} ")
    assert calls[1].endswith(f"--out {checkout / 'out'}") and "--sheet" in calls[1]
    drawings = checkout / "example_conditions" / "drawings"
    assert calls[2].startswith(f"-m comod_core translate {drawings} ") and len(calls) == 3


def test_every_shipped_example_can_be_used(tmp_path):
    """What `demo --smoke` runs, with one seed: each picture has its hole, each drawing is translated."""
    examples, conditions = ROOT / "example_pictures", ROOT / "example_conditions"
    assert main(["complete", str(examples), "--mask", str(examples), "--out", str(tmp_path / "out")]) == 0
    assert main(["translate", str(conditions / "drawings"), "--out", str(tmp_path / "drawn")]) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
    assert len(list((tmp_path / "drawn").glob("*.png"))) == len(list((conditions / "drawings").glob("*.png"))) > 0


def test_no_argument_installs_nothing(tmp_path):
    (tmp_path / "install.py").write_bytes((ROOT / "install.py").read_bytes())
    here = subprocess.run([sys.executable, str(tmp_path / "install.py")], capture_output=True, text=True)
    assert here.returncode == 0 and "everything that the nodes need is here" in here.stdout
    bare = subprocess.run([sys.executable, "-I", "-S", str(tmp_path / "install.py")], capture_output=True, text=True)
    assert bare.returncode == 0 and "torch" in bare.stdout and "lacks" in bare.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["install.py"]


def test_clear_words_for_an_old_python_and_a_full_disk():
    install = load_install(ROOT / "install.py")
    with pytest.raises(install.InstallError, match=r"3\.10 or newer; python3 is 3\.9\.18"):
        install.check_python((3, 9, 18), "python3")
    install.check_python((3, 10, 0), "python3")
    with pytest.raises(install.InstallError, match="1.0 GiB are free"):
        install.check_disk(None, 1 << 30)
    install.check_disk("2.9.1", 1 << 30)


def test_an_unknown_command_is_refused():
    done = subprocess.run([sys.executable, str(ROOT / "install.py"), "dmo"], capture_output=True, text=True)
    assert done.returncode == 2 and "invalid choice" in done.stderr


def description() -> dict:
    """pyproject.toml's [project], as pip sees it once installed: requirement lines by extra ('' for none)."""
    text = (ROOT / "pyproject.toml").read_text()
    found = {"": re.search(r"(?ms)^dependencies = \[(.*?)^\]", text)[1]}
    extras = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    found |= dict(re.findall(r"(?m)^(\w+) = \[(.*)\]$", extras))
    return {extra: re.findall(r'"([^"]+)"', lines) for extra, lines in found.items()}


def name_of(requirement: str) -> str:
    return re.match(r"[\w-]+", requirement)[0].lower()


def test_one_version():
    version = re.search(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text())[1]
    assert comod_core.__version__ == version


def test_everything_imported_is_declared_and_the_reverse():
    declared = {name_of(requirement) for lines in description().values() for requirement in lines}
    files = sources()
    used = {DISTRIBUTIONS.get(name, name) for path in files for name in imported(path)}
    own = {path.stem for path in files} | {path.name for path in ROOT.iterdir() if path.is_dir()} - {"datasets"}
    foreign = {name.lower().replace("_", "-") for name in used - set(sys.stdlib_module_names) - own - COMFYUI}
    assert foreign - declared == set(), "imported but not in pyproject.toml"
    assert declared - foreign - {"comod-gan", "ruff", "xformers"} == set(), "in pyproject.toml but nowhere imported"


def sources() -> list[Path]:
    """The Python files of the checkout, without those that were installed into it."""
    return [path for path in ROOT.rglob("*.py") if not {".venv", "node_modules"} & set(path.relative_to(ROOT).parts)]


def imported(path: Path) -> set[str]:
    """Top-level names of the absolute imports of a file, those of pytest.importorskip included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "importorskip":
            names.add(node.args[0].value.split(".")[0])
    return names


def test_comfyui_is_asked_for_nothing_that_it_has():
    install = load_install(ROOT / "install.py")
    library = {name_of(line): line for line in description()[""]}
    assert set(install.NODE_MODULES.values()) == set(library) - {"typer", "rich"}
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    for line in lines:
        assert line == library[name_of(line)], "requirements.txt and pyproject.toml differ"
    assert not {"torch", "torchvision", "numpy"} & {name_of(line) for line in lines}


def test_constraints_are_plain_pins_of_all_that_is_asked_for():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z0-9-]+==[\w.]+( ; python_version >= "3\.\d+")?', line) for line in lines)
    pinned = {line.split("==")[0] for line in lines}
    wanted = {name_of(line) for extra in ("", "ui", "dev", "metrics") for line in description()[extra]} - {"comod-gan"}
    assert wanted <= pinned


def test_another_torch_keeps_its_own_torchvision_and_triton():
    install = load_install(ROOT / "install.py")
    pins = "timm==1.0\ntorch==2.13.0\ntorchvision==0.28.0\ntriton==3.7.1\n"
    assert install.keep_torch(pins, None) == pins
    assert install.keep_torch(pins, "2.13.0+cpu") == pins.replace("torch==2.13.0", "torch==2.13.0+cpu")
    assert install.keep_torch(pins, "2.14.1") == "timm==1.0\ntorch==2.14.1\n"


def test_ci_script_is_executable_and_names_no_host():
    script = ROOT / ".ci" / "run"
    assert os.name == "nt" or script.stat().st_mode & stat.S_IXUSR
    for path in (script, ROOT / "constraints.txt", ROOT / "pyproject.toml", ROOT / "requirements.txt"):
        assert "://" not in path.read_text(), path


def test_ruff_finds_nothing():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--output-format", "concise", str(ROOT)],
                          capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_stamp_is_one_folders_own(checkout, tmp_path_factory):
    other = tmp_path_factory.mktemp("moved")
    for name in ("install.py", "pyproject.toml", "constraints.txt"):
        (other / name).write_bytes((checkout / name).read_bytes())
    first, second = load_install(checkout / "install.py"), load_install(other / "install.py")
    first.STAMP.write_text(json.dumps({"digest": first.wanted_stamp(), "extras": ["dev"]}))
    assert first.installed_extras() == {"dev"}
    second.STAMP.parent.mkdir()
    second.STAMP.write_bytes(first.STAMP.read_bytes())
    assert second.installed_extras() == set()
