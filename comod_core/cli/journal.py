"""What makes a long run safe to stop: a journal of finished outputs, and a list of failures."""
from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

from ..errors import CoModError

JOURNAL = "comod.jsonl"
FAILURES = "failures.csv"


def file_mark(path: Path) -> dict:
    """Name, size and time of change of a file: enough to notice that it was replaced."""
    status = path.stat()
    return {"file": path.name, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


class Journal:
    """Outputs of a folder with the settings that made each: `comod.jsonl`, one JSON object a line.

    A line is added after its output was renamed into place, so a listed output is whole. A line that a kill cut short
    is passed over, and its output made again.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / JOURNAL
        self._settings: dict[str, str] = {}
        text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else ""
        self._cut_short = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            self._read(line)

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
            output = entry.pop("output")
            self._settings[output] = _digest(entry)
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def finished(self, output: str, settings: dict) -> bool:
        """Whether this output lies there, made with exactly these settings."""
        return self._settings.get(output) == _digest(settings) and (self.folder / output).is_file()

    def check_free(self, output: str) -> None:
        """Raise CoModError when the output would replace a file that is not in the journal."""
        if output not in self._settings and (self.folder / output).exists():
            raise CoModError(f"{self.folder / output} exists and was not made by this command. Choose another --out, "
                             f"or replace it with --overwrite.")

    def add(self, output: str, settings: dict) -> None:
        """Note a finished output."""
        line = json.dumps({"output": output, **settings}) + "\n"
        with open(self.path, "a", encoding="utf-8", newline="\n") as file:
            file.write("\n" + line if self._cut_short else line)
        self._cut_short = False
        self._settings[output] = _digest(settings)


def _digest(settings: dict) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


class Failures:
    """Files that could not be done: `failures.csv` (file, error), begun anew by each run, absent when all went well."""

    def __init__(self, folder: Path):
        self.path = folder / FAILURES
        self.count = 0
        self.path.unlink(missing_ok=True)

    def add(self, file: Path, error: str) -> None:
        """Note one failure; it is on the disk when this returns."""
        with open(self.path, "a", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            if not self.count:
                writer.writerow(["file", "error"])
            writer.writerow([str(file), error])
        self.count += 1
