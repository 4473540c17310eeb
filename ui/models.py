"""The models that the app offers, and those that are loaded."""
from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from ..comod_core.checkpoints.store import is_safetensors, read_header
from ..comod_core.errors import CoModError
from ..comod_core.loading import installed_file, load_model
from ..comod_core.models.table import MODELS
from ..nodes.host import host
from ..nodes.models import PRECISIONS, LoadModel, model_names

TRANSLATION = "translation"
TRANSLATORS = ("pix2pix", "spade")          # architectures that do nothing else; a comodgan may


class Models:
    """The loader's names, and a file that was named at the start. Keeps the last network of each architecture.

    first: a name from the list or the path of a file, which then leads the list. Raises CoModError for neither.
    """

    def __init__(self, first: str | None = None):
        names = model_names()
        self._file = None
        if first is not None and first not in names:
            path = Path(first)
            if not path.is_file():
                raise CoModError(f"--model {first}: neither a file nor one of {', '.join(names)}.")
            self._file = path
        self._first = path.name if self._file else first
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[tuple, Any]] = {}

    def names(self, *architectures: str) -> list[str]:
        """What can be chosen now; files that were put into the model folder meanwhile are there.

        architectures: only models of these, and then foreign files, which say it only when they are read. Networks
        that translate drawings and label maps count as TRANSLATION, whatever their architecture.
        """
        names = model_names()
        if self._file:
            names = [self._file.name, *(name for name in names if name != self._file.name)]
        if not architectures:
            return names
        kinds = {name: self._kind_of(name) for name in names}
        return [name for name in names if kinds[name] in architectures] + [n for n in names if kinds[n] is None]

    def default(self, *architectures: str) -> str | None:
        """The name to begin with: the one that was named at the start where it is of these architectures."""
        names = self.names(*architectures)
        return self._first if self._first in names else next(iter(names), None)

    def get(self, name: str | None, precision: str = "fp32") -> Any:
        """The model of a name, as the nodes take it. Raises CoModError when there is none or it cannot be read."""
        if name is None:
            raise CoModError(f"There is no model. Put one into {host.model_folders()[0]} and load this page again.")
        with self._lock:
            key = (name, self._stamp(name, precision))
            found = next((model for kept, model in self._kept.values() if kept == key), None)
            if found is None:
                found = self._load(name, precision)
                net = found.model
                self._kept[TRANSLATION if getattr(net, "pix2pix", False) else net.info.architecture] = key, found
            return found

    def _kind_of(self, name: str) -> str | None:
        """What a listed model is for, as far as its file tells without being loaded: "" not at all, None perhaps."""
        entry = next((entry for entry in MODELS if entry.built_in and entry.name == name), None)
        path = installed_file(entry) if entry else self._file if self._is_file(name) else host.model_path(name)
        try:
            return None if path is None or not is_safetensors(path) else _kind(read_header(path))
        except (CoModError, OSError):
            return ""

    def _is_file(self, name: str) -> bool:
        return self._file is not None and name == self._file.name

    def _stamp(self, name: str, precision: str) -> str:
        if self._is_file(name):
            return f"{precision} {self._file.stat().st_mtime_ns}"
        return LoadModel.fingerprint_inputs(name, precision)

    def _load(self, name: str, precision: str) -> Any:
        if self._is_file(name):
            return host.wrap(load_model(self._file, device="cpu", dtype=PRECISIONS[precision]))
        return LoadModel.execute(name, precision)[0]


def _kind(header: dict[str, Any]) -> str:
    """What a network is for, by its file's metadata: its architecture, or TRANSLATION."""
    architecture = header.get("architecture", "")
    return TRANSLATION if architecture in TRANSLATORS or header["config"].get("pix2pix") else architecture
