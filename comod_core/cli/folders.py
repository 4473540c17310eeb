"""Which pictures a command reads, which mask belongs to each, and what each result is called."""
from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

from ..errors import CoModError
from ..files import PICTURE_SUFFIXES

MASK_ENDS = ("_mask", "-mask")


@dataclasses.dataclass(frozen=True)
class Source:
    """One picture to read. `name` is its path below the folder, without the suffix: what results are called.

    Where two pictures of a folder differ in the suffix alone, the name keeps it.
    """

    path: Path
    name: str


def pictures(source: Path, leave_out: tuple[Path, ...] = ()) -> list[Source]:
    """The picture at `source`, or all pictures in that folder and the folders in it, sorted by name.

    Folders in `leave_out` (results, masks) and hidden ones are passed over. Raises CoModError when nothing is found.
    """
    if not source.exists():
        raise CoModError(f"{source}: there is no such file or folder.")
    if not source.is_dir():
        return [Source(source, source.stem)]
    left_out = {folder.resolve() for folder in leave_out} - {source.resolve()}
    found = [path for path in _walk(source, left_out) if path.suffix.lower() in PICTURE_SUFFIXES]
    if not found:
        raise CoModError(f"{source}: no pictures in this folder ({', '.join(sorted(PICTURE_SUFFIXES))}).")
    names = {path: path.relative_to(source).with_suffix("").as_posix() for path in found}
    count = Counter(names.values())
    sources = [Source(path, name if count[name] == 1 else path.relative_to(source).as_posix())
               for path, name in names.items()]
    return sorted(sources, key=lambda item: item.name)


def _walk(folder: Path, left_out: set[Path]):
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.resolve() not in left_out:
                yield from _walk(path, left_out)
        else:
            yield path


class MaskFolder:
    """Masks by stem: for `a.jpg` the file `a.*`, `a_mask.*` or `a-mask.*`, in the same subfolder first, then above.

    kind and ends: what the files are and how their names may end, for other things than masks.
    """

    def __init__(self, folder: Path, kind: str = "mask", ends: tuple[str, ...] = MASK_ENDS):
        self.folder, self.kind, self.ends = folder, kind, ends
        self._files: dict[str, list[Path]] = {}
        for path in _walk(folder, set()):
            if path.suffix.lower() in PICTURE_SUFFIXES:
                self._files.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)

    def of(self, source: Source) -> Path:
        """The mask (or what the folder holds) of a picture. Raises CoModError when there is none, or more than one."""
        stem = source.path.stem
        below = source.name.rpartition("/")[0]
        places = [f"{below}/{stem}", stem] if below else [stem]
        for place in [name for plain in places for name in (plain, *(plain + end for end in self.ends))]:
            found = [path for path in self._files.get(place, ()) if not path.samefile(source.path)]
            if len(found) > 1:
                names = ", ".join(path.name for path in found)
                raise CoModError(f"{source.path}: more than one {self.kind} fits: {names}. Keep one of them in "
                                 f"{self.folder}.")
            if found:
                return found[0]
        names = " or ".join(f"{stem}{end}.png" for end in ("", *self.ends))
        raise CoModError(f"{source.path}: no {self.kind} for it in {self.folder}. It would be called {names}.")

    def pictures_among(self, sources: list[Source]) -> list[Source]:
        """The sources without those that are the mask of another one by their name, for masks kept beside pictures."""
        names = {source.name for source in sources}
        masks = {path.resolve() for files in self._files.values() for path in files}
        return [source for source in sources if not (
            source.path.resolve() in masks and source.name.endswith(MASK_ENDS) and source.name[:-5] in names)]


class Companions:
    """What goes with each picture: one file for all of them, or a folder with one of the picture's name for each.

    Raises CoModError, naming the option, when there is neither.
    """

    def __init__(self, option: str, path: Path, kind: str, ends: tuple[str, ...] = ()):
        if not path.exists():
            raise CoModError(f"{option} {path}: there is no such file or folder.")
        self.path = path
        self.folder = MaskFolder(path, kind, ends) if path.is_dir() else None

    def of(self, source: Source) -> Path:
        """The file for this picture. Raises CoModError when the folder has none, or more than one."""
        return self.folder.of(source) if self.folder else self.path
