"""Pictures of any kind to a set for training: cropped, resized, filtered, without doubles, split by content.

A prepared set is a folder: images.npy (uint8 [N,S,S,3], RGB), index.jsonl (one line a picture), the same two under
heldout/, skipped.csv (what was left out and why), contact-sheet.png and dataset.json (settings and counts).
"""
from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import CoModError
from ..files import atomic_write
from ..images import to_integers
from .sources import Item, pictures_of

HEADER = 128        # bytes of a .npy header of such an array; checked when it is written
CROPS = ("center", "top")
SHEET = 10          # pictures a side


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """size: side of the squares, a power of two from 8. crop: which square of a longer picture, "center" or "top" (for
    portraits). min_size: shortest side that is taken, None for `size`. heldout: share that is kept apart, chosen by
    the pixels, so that a picture stays on its side when the set grows. near: pictures are doubles when their 64-bit
    difference hashes differ in at most so many bits; None: only when their pixels are equal. flat: least standard
    deviation of the pixels, of 255. background: grey level under transparent parts, 0 to 255. limit: most pictures.
    """

    size: int = 64
    crop: str = "center"
    min_size: int | None = None
    heldout: float = 0.05
    near: int | None = None
    flat: float = 2.0
    background: int = 255
    limit: int | None = None

    def __post_init__(self):
        if self.size < 8 or self.size & (self.size - 1):
            raise CoModError(f"Data set: size {self.size} is not a power of two from 8.")
        if self.crop not in CROPS:
            raise CoModError(f"Data set: crop {self.crop!r} is not one of {', '.join(CROPS)}.")
        if not 0 <= self.heldout < 1:
            raise CoModError(f"Data set: heldout {self.heldout} must lie in [0,1).")


@dataclasses.dataclass
class Prepared:
    """What `prepare` did: pictures for training and held out, and how many were skipped for which reason."""

    training: int = 0
    heldout: int = 0
    skipped: dict[str, int] = dataclasses.field(default_factory=dict)


class _Skip(Exception):
    pass


def prepare(source: str, out: str | Path, config: PrepareConfig | None = None, workers: int = 2,
            progress: Callable[[int, Prepared], None] | None = None, items: Iterable[Item] | None = None) -> Prepared:
    """Make a set for training of the pictures of a source (see `sources.pictures_of`) in the folder `out`.

    items: pictures in place of the source's own. A picture that cannot be read is skipped and listed. The set appears
    whole or not at all. progress(seen, so far) is called as pictures are done. Raises CoModError when the source cannot
    be read or no picture is left, OSError when the disk is full.
    """
    config, out = config or PrepareConfig(), Path(out)
    done, doubles = Prepared(), Doubles(config.near)
    with _Writer(out) as training, _Writer(out / "heldout") as heldout, \
            atomic_write(out / "skipped.csv", "w") as file, ThreadPoolExecutor(workers) as pool:
        skipped = csv.writer(file)
        skipped.writerow(["picture", "reason"])
        for seen, (name, outcome) in enumerate(
                _in_order(pool, iter(items or pictures_of(source)), config, workers * 4), 1):
            try:
                square, shape = outcome.result()
                doubles.check(square, name)
                target = heldout if _is_heldout(square, config.heldout) else training
                target.add(square, {"name": name, "width": shape[1], "height": shape[0]})
            except (_Skip, CoModError) as reason:
                kind = str(reason) if isinstance(reason, _Skip) else "cannot be read"
                kind = kind.partition(":")[0]
                done.skipped[kind] = done.skipped.get(kind, 0) + 1
                skipped.writerow([name, str(reason)])
            done.training, done.heldout = training.count, heldout.count
            if progress is not None:
                progress(seen, done)
            if config.limit is not None and done.training + done.heldout >= config.limit:
                break
        if not training.count:
            raise CoModError(f"{source}: no picture of it can be used for training. " + _why(done))
    _describe(out, source, config, done)
    return done


def load_prepared(folder: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Training and held-out pictures of a prepared set, memory-mapped uint8 [N,S,S,3]; None where none are held out.

    Raises CoModError when the folder is not a prepared set.
    """
    folder = Path(folder)
    try:
        images = np.load(folder / "images.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        raise CoModError(f"{folder}: not a prepared set ({error}). Make one: comod dataset PICTURES --out DIR."
                         ) from error
    heldout = folder / "heldout" / "images.npy"
    return images, np.load(heldout, mmap_mode="r") if heldout.exists() else None


def load_beside(folder: str | Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The arrays of these names next to the pictures of a prepared set, memory-mapped; those that exist."""
    paths = {name: Path(folder) / f"{name}.npy" for name in names}
    return {name: np.load(path, mmap_mode="r") for name, path in paths.items() if path.exists()}


class Doubles:
    """Pictures seen so far, by their pixels or by their difference hashes."""

    def __init__(self, near: int | None):
        self.near, self.names = near, {}
        self.hashes = np.zeros(1024, np.uint64)

    def check(self, square: np.ndarray, name: str) -> None:
        digest = hashlib.sha256(square.tobytes()).digest()
        if digest in self.names:
            raise _Skip(f"double: the same pixels as {self.names[digest]}")
        if self.near is not None:
            self._check_near(difference_hash(square))
        self.names[digest] = name

    def _check_near(self, value: np.uint64) -> None:
        count = len(self.names)
        other = np.unpackbits((self.hashes[:count] ^ value).view(np.uint8)).reshape(count, 64)
        found = np.flatnonzero(other.sum(axis=1) <= self.near)
        if len(found):
            raise _Skip(f"near double: looks like {list(self.names.values())[found[0]]}")
        if count == len(self.hashes):
            self.hashes = np.concatenate([self.hashes, np.zeros_like(self.hashes)])
        self.hashes[count] = value


def difference_hash(square: np.ndarray) -> np.uint64:
    """64 bits: whether each of 8x8 grey cells is brighter than its right neighbour (the usual "dHash")."""
    cells = np.asarray(Image.fromarray(square).convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).view(np.uint64)[0]


def square_of(item: Item, config: PrepareConfig) -> tuple[np.ndarray, tuple[int, int]]:
    """One picture as uint8 [S,S,3] and the (height, width) that it had."""
    values = to_integers(item.open().image)
    height, width, channels = values.shape
    short = min(height, width)
    if short < (config.min_size or config.size):
        raise _Skip(f"too small: {width}x{height}")
    if channels == 4:
        alpha = values[..., 3:].astype(np.float32) / 255
        values = (values[..., :3] * alpha + config.background * (1 - alpha)).round().astype(np.uint8)
    top = 0 if config.crop == "top" else (height - short) // 2
    left = (width - short) // 2
    cut = np.ascontiguousarray(values[top:top + short, left:left + short, :3])
    picture = Image.fromarray(cut[..., 0] if channels == 1 else cut).convert("RGB")
    square = np.asarray(picture.resize((config.size, config.size), Image.Resampling.LANCZOS))
    if square.std(axis=(0, 1)).max() < config.flat:
        raise _Skip("one flat colour")
    return square, (height, width)


def _in_order(pool: ThreadPoolExecutor, items: Iterator[Item], config: PrepareConfig,
              ahead: int) -> Iterator[tuple[str, Future]]:
    """Decode `ahead` pictures in advance and yield them in the source's order."""
    waiting: list[tuple[str, Future]] = []
    for item in items:
        waiting.append((item.name, pool.submit(square_of, item, config)))
        if len(waiting) > ahead:
            yield waiting.pop(0)
    yield from waiting


def _is_heldout(square: np.ndarray, share: float) -> bool:
    return int.from_bytes(hashlib.sha256(square.tobytes()).digest()[:8], "big") < share * 2 ** 64


class _Writer:
    """images.npy and index.jsonl of one side, of a length that is not known before; nothing stays when it fails."""

    def __init__(self, folder: Path):
        self.folder, self.count, self.shape = folder, 0, None

    def __enter__(self) -> _Writer:
        self._files = [atomic_write(self.folder / "images.npy"), atomic_write(self.folder / "index.jsonl", "w")]
        self.images, self.index = (file.__enter__() for file in self._files)
        self.images.write(b"\0" * HEADER)
        return self

    def add(self, square: np.ndarray, facts: dict) -> None:
        self.shape = square.shape
        self.images.write(square.tobytes())
        self.index.write(json.dumps(facts, ensure_ascii=False) + "\n")
        self.count += 1

    def __exit__(self, kind, error, trace) -> None:
        if kind is None and self.count:
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False,
                                                          "shape": (self.count, *self.shape)})
            assert len(header.getvalue()) == HEADER
            self.images.seek(0)
            self.images.write(header.getvalue())
        if kind is None and not self.count:          # an empty side leaves no files, also none of a set before
            self._give_up(RuntimeError("no pictures"))
            for name in ("images.npy", "index.jsonl"):
                (self.folder / name).unlink(missing_ok=True)
            return
        for file in self._files:
            file.__exit__(kind, error, trace)

    def _give_up(self, error: Exception) -> None:
        for file in self._files:
            try:
                file.__exit__(type(error), error, None)
            except RuntimeError as again:
                if again is not error:
                    raise


def _why(done: Prepared) -> str:
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(done.skipped.items()))
    return f"Skipped: {counts}." if counts else "There are no pictures in it."


def _describe(out: Path, source: str, config: PrepareConfig, done: Prepared) -> None:
    images, _ = load_prepared(out)
    with atomic_write(out / "contact-sheet.png") as file:
        contact_sheet(images).save(file, "PNG")
    with atomic_write(out / "dataset.json", "w") as file:
        json.dump({"source": source, "settings": dataclasses.asdict(config), "result": dataclasses.asdict(done)}, file,
                  indent=1)


def contact_sheet(images: np.ndarray, side: int = SHEET) -> Image.Image:
    """side x side pictures, spread evenly over the set."""
    chosen = np.linspace(0, len(images) - 1, min(side * side, len(images))).astype(int)
    tile = images.shape[1]
    columns = min(side, len(chosen))
    sheet = Image.new("RGB", (columns * tile, -(-len(chosen) // columns) * tile), "white")
    for place, index in enumerate(chosen):
        sheet.paste(Image.fromarray(np.array(images[index])), (place % columns * tile, place // columns * tile))
    return sheet
