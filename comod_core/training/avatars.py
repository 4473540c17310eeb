"""Avatar portraits as training pictures: rendered by datasets/avatars (Node.js), read as memory-mapped arrays.

The drawings are DiceBear's; datasets/avatars/CREDITS.md names their authors and licences.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..errors import CoModError

GENERATOR = Path(__file__).resolve().parents[2] / "datasets" / "avatars"
OLDEST_NODE = 18


def render_avatars(out: str | os.PathLike, split: str = "train", count: int = 1000, size: int = 64,
                   styles: Sequence[str] = ("toon-head",), workers: int = 1, *, parts: bool = False,
                   edits: bool = False, family: int = 1,
                   progress: Callable[[int, int], None] | None = None) -> Path:
    """Render `count` avatars of size x size pixels into the folder `out` and return it; `load_avatars` reads it.

    split: "train" or "heldout"; no drawing is in both. styles: interleaved in this order, names as in
    datasets/avatars/README.md. workers: threads. parts: also render part labels for `load_labels`;
    edits: and, with parts, each picture with a part of an earlier one for `load_edits`. family: so many pictures in a
    row of a style share all their colours. progress(done, total) is called as pictures are done; an exception that it
    raises stops the work. The same arguments give the same pictures, and a larger set begins with the smaller one. The
    first call installs the generator's packages with `npm ci`, which needs the network.
    Raises CoModError when Node.js is missing or older than 18, when the packages cannot be installed, and with the
    generator's own text when it refuses an argument.
    """
    node = _node()
    _install()
    out = Path(out).resolve()
    command = [node, "render.mjs", "--out", str(out), "--split", split, "--count", str(count), "--size", str(size),
               "--styles", ",".join(styles), "--workers", str(workers), "--family", str(family),
               *(["--parts"] if parts else []), *(["--edits"] if edits else [])]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        with subprocess.Popen(command, cwd=GENERATOR, stdout=subprocess.PIPE, stderr=errors, text=True,
                              encoding="utf-8") as process:
            try:
                for line in process.stdout:
                    done, slash, total = line.strip().partition("/")
                    if progress and slash and done.isdigit() and total.isdigit():
                        progress(int(done), int(total))
            except BaseException:
                process.terminate()
                raise
        if process.returncode != 0:
            errors.seek(0)
            raise CoModError("The avatars were not rendered. " + _tail(errors.read()))
    return out


def load_avatars(folder: str | os.PathLike) -> tuple[np.ndarray, list[dict]]:
    """Images of a rendered set, memory-mapped uint8 [N,S,S,3] (RGB), and one dict of drawn attributes an image.

    The dict holds `style`, `seed` and what was drawn: parts by name ("hair": "bun"; an absent part has no entry) and
    colours ("skinColor": "#f1c3a5"). Raises CoModError when a file is missing, damaged or does not fit the others.
    """
    folder = Path(folder)
    images = _array(folder, "images.npy")
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise CoModError(f"{folder / 'images.npy'}: expected pictures [N,S,S,3], got {list(images.shape)}. "
                         "Render the set again.")
    attributes = _attributes(folder / "attributes.jsonl")
    if len(attributes) != len(images):
        raise CoModError(f"{folder}: {len(images)} pictures in images.npy, but {len(attributes)} lines in "
                         "attributes.jsonl. Render the set again.")
    return images, attributes


def load_labels(folder: str | os.PathLike) -> tuple[np.ndarray, list[str]]:
    """Part labels of a set rendered with `parts`, memory-mapped uint8 [N,S,S], and the names that they index.

    Raises CoModError when the set has none or a file is damaged.
    """
    folder = Path(folder)
    labels = _array(folder, "labels.npy")
    try:
        classes = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["classes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoModError(f"{folder / 'meta.json'}: cannot read the names of the labels ({error}). "
                         "Render the set again with parts.") from error
    if labels.ndim != 3:
        raise CoModError(f"{folder / 'labels.npy'}: expected labels [N,S,S], got {list(labels.shape)}.")
    return labels, classes


def load_edits(folder: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Of a set rendered with `edits`: int32 [N,2], the row of the picture that gives a part and that part's label, and
    the pictures with it, memory-mapped uint8 [N,S,S,3]. Raises CoModError when the set has none or a file is damaged.
    """
    folder = Path(folder)
    edits, edited = _array(folder, "edits.npy", np.int32), _array(folder, "edited.npy")
    if edits.shape != (len(edited), 2) or edited.ndim != 4:
        raise CoModError(f"{folder}: edits.npy {list(edits.shape)} and edited.npy {list(edited.shape)} do not fit "
                         "together. Render the set again.")
    return edits, edited


EDITS = "parts=True, edits=True, "
NEEDED = {"labels.npy": "parts=True, ", "edits.npy": EDITS, "edited.npy": EDITS}


def _array(folder: Path, name: str, dtype: type = np.uint8) -> np.ndarray:
    path = folder / name
    if not path.is_file():
        raise CoModError(f"{path}: no such file. Render the set with render_avatars({str(folder)!r}, ...), "
                         f"{NEEDED.get(name, '')}or name the folder that holds it.")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CoModError(f"{path}: not a whole NumPy array ({error}). Render the set again.") from error
    if array.dtype != dtype or array.size == 0:
        raise CoModError(f"{path}: expected {np.dtype(dtype)} values, got {array.dtype} {list(array.shape)}. "
                         "Render the set again.")
    return array


def _attributes(path: Path) -> list[dict]:
    if not path.is_file():
        raise CoModError(f"{path}: no such file. Render the set again, or copy the whole folder.")
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise CoModError(f"{path}, line {number}: not JSON ({error}). Render the set again.") from error
    return rows


def _node() -> str:
    """Path of a `node` that is new enough, in a checkout that has the generator."""
    if not (GENERATOR / "render.mjs").is_file():
        raise CoModError(f"{GENERATOR}: the avatar generator is not there. It is part of the repository, not of the "
                         "installed package: clone the repository and run from it.")
    node = shutil.which("node")
    if node is None:
        raise CoModError(f"Node.js is missing: the avatar generator needs `node` {OLDEST_NODE} or newer and `npm`. "
                         "Install it from nodejs.org or with the system's packages (Debian: apt install nodejs npm).")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = version.removeprefix("v").split(".")[0]
    if not major.isdigit() or int(major) < OLDEST_NODE:
        raise CoModError(f"{node}: Node.js {version or 'of an unknown version'} is too old for the avatar generator. "
                         f"Install Node.js {OLDEST_NODE} or newer.")
    return node


def _installed() -> bool:
    """Whether each package is there in the version that package.json pins."""
    def manifest(folder: Path) -> dict:
        return json.loads((folder / "package.json").read_text(encoding="utf-8"))

    modules = GENERATOR / "node_modules"
    try:
        return (modules / ".package-lock.json").is_file() and all(
            manifest(modules / name)["version"] == pin for name, pin in manifest(GENERATOR)["dependencies"].items())
    except (OSError, ValueError, KeyError):
        return False


def _install() -> None:
    """`npm ci` in the generator's folder, unless its packages are there."""
    if _installed():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise CoModError("npm is missing: it installs the packages of the avatar generator. Install it with Node.js "
                         f"(Debian: apt install npm), or run `npm ci` in {GENERATOR} elsewhere and copy node_modules.")
    done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=GENERATOR, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise CoModError(f"`npm ci` failed in {GENERATOR}: {_tail(done.stderr or done.stdout)} Check the network and "
                         "the npm registry, then try again.")


def _tail(text: str, lines: int = 8) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
