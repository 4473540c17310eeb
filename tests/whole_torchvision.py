"""torchvision for tests on CPUs: PyPI's build wants CUDA's libraries for operators that nothing here uses."""
from __future__ import annotations

import importlib
import sys

import pytest
import torch

OPERATORS = ("nms", "qnms")         # those that torchvision registers a second form of when it is imported
_KEPT: list[torch.library.Library] = []


def import_torchvision():
    """The package, its missing operators declared without code. Skips the test where it is not installed."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:            # "operator torchvision::nms does not exist"
        pass
    except ImportError as problem:
        pytest.skip(str(problem))
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    if not _KEPT:
        _KEPT.append(torch.library.Library("torchvision", "DEF"))
        for name in OPERATORS:
            _KEPT[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("torchvision")
