"""The avatar data set: rendered alike for the same seed, held out by drawing, labelled, and read with clear errors."""
import json
import shutil

import numpy as np
import pytest
from PIL import ImageColor

from comod_core import CoModError
from comod_core.training import avatars
from comod_core.training.avatars import load_avatars, load_labels, render_avatars

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """20 pictures of two styles with labels."""
    steps = []
    folder = render_avatars(tmp_path_factory.mktemp("avatars") / "set", count=20, size=32, parts=True,
                            styles=("toon-head", "micah"), progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (20, 20)
    return folder


@needs_node
def test_rendered_set_is_whole(rendered):
    images, attributes = load_avatars(rendered)
    assert isinstance(images, np.memmap) and images.shape == (20, 32, 32, 3) and images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 20
    assert [row["seed"] for row in attributes[:3]] == ["train-toon-head-0", "train-micah-0", "train-toon-head-1"]
    for image, row in zip(images, attributes, strict=True):
        assert tuple(image[1, 0]) == ImageColor.getrgb(row["backgroundColor"])
    meta = json.loads((rendered / "meta.json").read_text())
    assert [credit["creator"] for credit in meta["credits"]] == ["Johan Melin", "Micah Lanier"]
    assert not list(rendered.glob("*.tmp"))


@needs_node
def test_same_seed_gives_the_same_picture_in_any_set(rendered, tmp_path):
    images, attributes = load_avatars(rendered)
    again, _ = load_avatars(render_avatars(tmp_path, count=6, size=32, styles=["toon-head"]))
    assert np.array_equal(again, images[:12:2])


@needs_node
def test_heldout_shares_no_drawing_with_train(rendered, tmp_path):
    images, attributes = load_avatars(rendered)
    heldout, rows = load_avatars(render_avatars(tmp_path, "heldout", count=10, size=32, styles=["toon-head"]))
    assert rows[0]["seed"] == "heldout-toon-head-0"
    assert not {image.tobytes() for image in heldout} & {image.tobytes() for image in images}


def near(image, colour):
    return np.abs(image - np.int16(ImageColor.getrgb(colour))).max(-1) <= 2


@needs_node
def test_labels_agree_with_the_pictures(rendered):
    """What has the colour drawn for a part carries that part's label (eyebrows and shadows may take a few pixels)."""
    images, attributes = load_avatars(rendered)
    labels, classes = load_labels(rendered)
    assert classes == ["background", "skin", "hair", "eyes", "mouth", "clothes", "other"]
    assert labels.shape == (20, 32, 32) and labels.max() < len(classes)
    checked = 0
    for image, label, row in zip(images, labels, attributes, strict=True):
        colours = {"background": row["backgroundColor"], "skin": row.get("skinColor") or row["baseColor"],
                   "clothes": row.get("clothesColor") or row["shirtColor"], "hair": row["hairColor"]}
        for name, colour in colours.items():
            pixels, alike = near(image, colour), [near(np.int16(ImageColor.getrgb(c)), colour) for c in colours.values()]
            if pixels.sum() >= 20 and sum(alike) == 1:
                checked += 1
                assert (label[pixels] == classes.index(name)).mean() > 0.85, (row["seed"], name)
    assert checked >= 50


@needs_node
def test_a_style_that_cannot_be_labelled_is_refused(tmp_path):
    with pytest.raises(CoModError, match="open-peeps cannot be labelled"):
        render_avatars(tmp_path, count=1, styles=["open-peeps"], parts=True)
    with pytest.raises(CoModError, match="no style 'avataaars'; there are toon-head"):
        render_avatars(tmp_path, count=1, styles=["avataaars"])
    assert not list(tmp_path.iterdir())


@needs_node
def test_an_interrupted_rendering_leaves_no_set(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_avatars(tmp_path, count=2000, size=16, progress=stop)
    assert not (tmp_path / "images.npy").exists()
    with pytest.raises(CoModError, match="images.npy: no such file"):
        load_avatars(tmp_path)


def test_missing_node_and_npm_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(CoModError, match="Node.js is missing.*apt install nodejs npm"):
        render_avatars(tmp_path)
    with pytest.raises(CoModError, match="not part of|clone the repository"):
        monkeypatch.setattr(avatars, "GENERATOR", tmp_path)
        render_avatars(tmp_path)
    (tmp_path / "package.json").write_text('{"dependencies": {"@dicebear/core": "9.4.3"}}')
    with pytest.raises(CoModError, match="npm is missing"):
        avatars._install()


def write_set(folder, images, rows):
    np.save(folder / "images.npy", images)
    (folder / "attributes.jsonl").write_text("".join(row + "\n" for row in rows))


def test_loader_names_what_is_wrong(tmp_path):
    images = np.zeros((2, 16, 16, 3), np.uint8)
    with pytest.raises(CoModError, match="no such file. Render the set"):
        load_avatars(tmp_path)
    write_set(tmp_path, images, ['{"style": "micah"}'])
    with pytest.raises(CoModError, match="2 pictures in images.npy, but 1 lines"):
        load_avatars(tmp_path)
    write_set(tmp_path, images, ["{}", "{broken"])
    with pytest.raises(CoModError, match="line 2: not JSON"):
        load_avatars(tmp_path)
    write_set(tmp_path, images[..., 0], ["{}", "{}"])
    with pytest.raises(CoModError, match=r"expected pictures \[N,S,S,3\], got \[2, 16, 16\]"):
        load_avatars(tmp_path)
    write_set(tmp_path, images.astype(np.float32), ["{}", "{}"])
    with pytest.raises(CoModError, match="expected uint8 values, got float32"):
        load_avatars(tmp_path)
    write_set(tmp_path, images, ["{}", "{}"])
    whole = (tmp_path / "images.npy").read_bytes()
    for cut in (0, 5, 100, len(whole) - 1):
        (tmp_path / "images.npy").write_bytes(whole[:cut])
        with pytest.raises(CoModError, match="not a whole NumPy array"):
            load_avatars(tmp_path)
    (tmp_path / "images.npy").write_bytes(whole)
    assert load_avatars(tmp_path)[0].shape == images.shape
    with pytest.raises(CoModError, match="labels.npy: no such file.*parts=True"):
        load_labels(tmp_path)


def test_pickled_arrays_are_refused(tmp_path):
    np.save(tmp_path / "images.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CoModError, match="not a whole NumPy array"):
        load_avatars(tmp_path)
