"""Fixtures that load the checkout as ComfyUI does: as a package under a name of its own."""
from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from whole_torchvision import import_torchvision

ROOT = Path(__file__).resolve().parent.parent
PACK = "comod_pack_under_test"


def load_pack() -> ModuleType:
    """The repository root as the package `PACK`; loaded once in a process."""
    if PACK not in sys.modules:
        spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py",
                                                      submodule_search_locations=[str(ROOT)])
        sys.modules[PACK] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[PACK])
    return sys.modules[PACK]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`pytest -m gpu` looks only into files with such tests, so that it runs without what other tests need."""
    if config.option.markexpr != "gpu":
        return None
    files = [collection_path] if collection_path.suffix == ".py" else collection_path.rglob("test_*.py")
    return None if any("mark.gpu" in path.read_text(encoding="utf-8") for path in files) else True


@pytest.fixture(scope="session")
def pack():
    """`pack("nodes.layout")` is that module of the pack, with the pack's own copy of the core."""
    load_pack()
    return lambda name: importlib.import_module(f"{PACK}.{name}")


@pytest.fixture
def torchvision():
    """torchvision itself, also where its compiled operators do not fit a CPU's torch."""
    return import_torchvision()


@pytest.fixture(scope="session")
def nodes(pack) -> dict:
    """Node id -> node class."""
    return {node.GET_SCHEMA().node_id: node for node in pack("nodes").NODES}


@pytest.fixture(autouse=True)
def one_number_format_in_training(monkeypatch):
    """As on a CPU without AMX: accelerate takes one number format a process, and tests of fp32 share it."""
    monkeypatch.setattr("comod_core.training.place.good_at_bfloat16", lambda: False)
