"""Where pictures for training come from: a folder, WebDataset shards (local or URL), a Hugging Face dataset."""
from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import CoModError
from ..files import PICTURE_SUFFIXES
from ..images import Picture, open_picture

HUB = "hf:"
log = logging.getLogger("comod")


@dataclasses.dataclass(frozen=True)
class Item:
    """One picture before it is decoded: its name in the source, and `open`, which raises CoModError when it is bad."""

    name: str
    open: Callable[[], Picture]


def pictures_of(source: str) -> Iterator[Item]:
    """All pictures of a source, in its own order and one at a time.

    source: a folder (searched through, hidden files left out); WebDataset shards, as a path or URL that ends in .tar,
    braces and asterisks allowed (`shots-{000..012}.tar`); or a Hugging Face dataset, `hf:NAME` or `hf:NAME:SPLIT`,
    where NAME may be a folder. Raises CoModError when there is no such source or a package for it is missing.
    """
    if source.startswith(HUB):
        return _of_hub(source[len(HUB):])
    if source.partition("?")[0].endswith(".tar") or (".tar" in source and "::" in source):
        return _of_shards(source)
    folder = Path(source)
    if not folder.is_dir():
        raise CoModError(f"{source}: not a folder, nor shards (….tar), nor a Hugging Face dataset ({HUB}NAME).")
    return _of_folder(folder)


def _of_folder(folder: Path) -> Iterator[Item]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix.lower() in PICTURE_SUFFIXES and not hidden and path.is_file():
            yield Item(inside.as_posix(), lambda path=path: open_picture(path))


def _of_shards(source: str) -> Iterator[Item]:
    try:
        import webdataset
    except ImportError as error:
        raise CoModError("Shards need webdataset: pip install 'comod-gan[train]'.") from error
    local = sorted(str(path) for path in Path().glob(source)) if "*" in source and "://" not in source else None
    if local == [] or (local is None and "://" not in source and "{" not in source and not Path(source).is_file()):
        raise CoModError(f"{source}: no such shard.")
    problems, some = [], False

    def broken(problem: Exception) -> bool:
        problems.append(getattr(problem, "strerror", None) or str(problem.args[0] if problem.args else problem))
        log.warning("%s: a shard cannot be read (%s); what follows in it is left out.", source, problems[-1])
        return True

    for sample in webdataset.WebDataset(local or source, shardshuffle=False, handler=broken, empty_check=False):
        for kind, content in sample.items():
            if f".{kind.rpartition('.')[2].lower()}" in PICTURE_SUFFIXES and isinstance(content, bytes):
                some = True
                yield Item(f"{sample['__key__']}.{kind}", lambda content=content, kind=kind: _decode(content, kind))
    if problems and not some:
        hint = " An address is read by the program curl: is it there, and does the address answer?"
        raise CoModError(f"{source}: no shard could be read ({problems[0]}).{hint if '://' in source else ''}")


def _of_hub(name: str) -> Iterator[Item]:
    try:
        import datasets
    except ImportError as error:
        raise CoModError("Hugging Face datasets need a package: pip install 'comod-gan[train]'.") from error
    name, _, split = name.partition(":")
    try:
        rows = datasets.load_dataset(name, split=split or "train", streaming=True)
    except Exception as error:      # the library raises many kinds, for a wrong name, no network, no such split
        raise CoModError(f"{HUB}{name}: this dataset cannot be opened ({error}). Give the name it has on the hub or a "
                         "local folder, and its split after a colon.") from error
    columns = [key for key, kind in (rows.features or {}).items() if isinstance(kind, datasets.Image)]
    if not columns:
        raise CoModError(f"{HUB}{name}: no column of this dataset holds pictures.")
    rows = rows.cast_column(columns[0], datasets.Image(decode=False))
    for number, row in enumerate(rows):
        content = row[columns[0]]
        if content.get("bytes"):
            yield Item(f"{number:08d}", lambda content=content: _decode(content["bytes"], "picture"))
        else:
            yield Item(content["path"], lambda content=content: open_picture(content["path"]))


def _decode(content: bytes, kind: str) -> Picture:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture.{kind.rpartition('.')[2]}"
        path.write_bytes(content)
        return open_picture(path)
