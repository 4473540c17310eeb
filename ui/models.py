"""The models that the app offers, and the one that is loaded."""
from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from ..comod_core.errors import CoModError
from ..comod_core.loading import load_model
from ..nodes.host import host
from ..nodes.models import PRECISIONS, LoadModel, model_names


class Models:
    """The loader's names, and a file that was named at the start. Keeps the last network, for it is asked for often.

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
        self.default = path.name if self._file else first or (names[0] if names else None)
        self._lock = threading.Lock()
        self._key, self._model = None, None

    def names(self) -> list[str]:
        """What can be chosen now; files that were put into the model folder meanwhile are there."""
        names = model_names()
        return [self._file.name, *(name for name in names if name != self._file.name)] if self._file else names

    def get(self, name: str | None, precision: str = "fp32") -> Any:
        """The model of a name, as the nodes take it. Raises CoModError when there is none or it cannot be read."""
        if name is None:
            raise CoModError(f"There is no model. Put one into {host.model_folders()[0]} and load this page again.")
        with self._lock:
            key = (name, self._stamp(name, precision))
            if key != self._key:
                self._key, self._model = None, None
                self._model = self._load(name, precision)
                self._key = key
            return self._model

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
