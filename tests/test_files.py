"""Files are whole or absent, and a full disk is called one, whoever wrote and however it failed."""
import errno
import os
import shutil
import types

import numpy as np
import pytest
import torch

from comod_core.cli.report import explain
from comod_core.errors import CoModError, DiskFullError
from comod_core.files import atomic_write


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def room(monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=free))


def test_a_full_disk_is_named_and_the_file_before_stays(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "net.bin"
    with atomic_write(path) as file:
        file.write(b"before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=r"net\.bin: the disk is full\. Make room") as found:
        with atomic_write(path) as file:
            file.write(b"after")
    assert isinstance(found.value, (CoModError, OSError)) and found.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"before" and [one.name for one in path.parent.iterdir()] == ["net.bin"]
    assert explain(found.value) == str(found.value) and "Error" not in str(found.value)


def test_a_folder_that_cannot_be_made_for_want_of_room(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(DiskFullError, match="disk is full"), atomic_write(tmp_path / "new" / "x"):
        pass


@pytest.mark.parametrize("problem", [
    OSError("4096 requested and 0 written"),                                    # NumPy's tofile
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 128 vs 16")])     # torch.save
def test_libraries_that_do_not_say_why(problem, tmp_path, monkeypatch):
    room(monkeypatch, 4096)
    with pytest.raises(DiskFullError), atomic_write(tmp_path / "x"):
        raise problem
    room(monkeypatch, 1 << 30)
    with pytest.raises(type(problem), match=str(problem)[:20].replace("[", r"\[")) as found:
        with atomic_write(tmp_path / "x"):
            raise problem
    assert not isinstance(found.value, CoModError) and list(tmp_path.iterdir()) == []


def test_other_errors_stay_what_they_are(tmp_path, monkeypatch):
    room(monkeypatch, 0)
    for problem in (PermissionError(errno.EACCES, "no"), KeyboardInterrupt(), CoModError("bad")):
        with pytest.raises(type(problem)) as found, atomic_write(tmp_path / "x"):
            raise problem
        assert found.value is problem


def test_files_that_are_written_otherwise(tmp_path):
    told = explain(OSError(errno.ENOSPC, "No space left", "a.log"))
    assert told == "a.log: the disk is full. Make room and do it again."
    assert explain(OSError(errno.EDQUOT, "Quota")).startswith("the disk is full")
    assert explain(ValueError("x")) == "ValueError: x"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a file that is always full")
@pytest.mark.parametrize("write", [lambda file: torch.save({"x": torch.zeros(100_000)}, file),
                                   lambda file: np.save(file, np.zeros(100_000))], ids=["torch", "numpy"])
def test_what_libraries_raise_on_a_disk_that_is_really_full(write, tmp_path, monkeypatch):
    """The temporary file is /dev/full itself."""
    import tempfile

    def opened(**_):
        (tmp_path / "temporary").touch()
        return os.open("/dev/full", os.O_WRONLY), str(tmp_path / "temporary")

    monkeypatch.setattr(tempfile, "mkstemp", opened)
    room(monkeypatch, 0)
    with pytest.raises(DiskFullError), atomic_write(tmp_path / "x") as file:
        write(file)
    assert list(tmp_path.iterdir()) == []
