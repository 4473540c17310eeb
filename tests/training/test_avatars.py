"""The avatar data set: rendered alike for the same seed, held out by drawing, labelled, and read with clear errors."""
import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import ImageColor

from comod_core import CoModError
from comod_core.training import avatars
from comod_core.training.avatars import load_avatars, load_edits, load_labels, render_avatars

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
def test_open_mouths_are_drawn(rendered):
    """toon-head cuts them by alpha masks of a dark colour, which would hide them if they were read as luminance."""
    images, attributes = load_avatars(rendered)
    labels, classes = load_labels(rendered)
    contrasts = []
    for image, label, row in zip(images, labels, attributes, strict=True):
        if row.get("mouth") in ("laugh", "angry", "agape") and row["style"] == "toon-head":
            mouth = image[label == classes.index("mouth")]
            assert len(mouth), row["seed"]
            contrasts.append(np.abs(mouth - np.int16(ImageColor.getrgb(row["skinColor"]))).max())
    assert len(contrasts) >= 3 and np.median(contrasts) > 50, contrasts


@needs_node
def test_same_seed_gives_the_same_picture_in_any_set(rendered, tmp_path):
    images, attributes = load_avatars(rendered)
    again, _ = load_avatars(render_avatars(tmp_path, count=6, size=32, styles=["toon-head"]))
    assert np.array_equal(again, images[:12:2])


DRAW_FROM_FEW = """
import { draw } from './drawing.mjs';
import { loadStyles, styleOf } from './styles.mjs';
await loadStyles(['big-smile']);
const { choices } = styleOf('big-smile');
for (const [name, list] of Object.entries(choices)) {
  if (Array.isArray(list) && name !== 'hair') choices[name] = [list[0]];
}
choices.accessoriesProbability = 0;
choices.backgroundColor = Array.from({ length: 20 }, (_, i) => `${10 + i}0000`);
for (const split of ['train', 'heldout']) {
  for (let i = 0; i < 300; i++) {
    const seed = `${split}-${i}`;
    console.log(split, JSON.stringify(draw(split, 'big-smile', { seed, colours: seed }).attributes));
  }
}
"""


@needs_node
def test_heldout_shares_no_drawing_with_train(rendered):
    """Each split draws 300 times from 260 possible drawings: neither draws what the other does."""
    script = subprocess.run(["node", "--input-type=module", "-e", DRAW_FROM_FEW], cwd=avatars.GENERATOR,
                            capture_output=True, text=True, check=True)
    drawn = {"train": set(), "heldout": set()}
    for line in script.stdout.splitlines():
        split, attributes = line.split(" ", 1)
        drawn[split].add(attributes)
    assert len(drawn["train"]) > 120 and 10 < len(drawn["heldout"]) < 80
    assert not drawn["train"] & drawn["heldout"]


@needs_node
def test_heldout_set_has_seeds_of_its_own(tmp_path):
    images, rows = load_avatars(render_avatars(tmp_path, "heldout", count=4, size=16))
    assert [row["seed"] for row in rows] == [f"heldout-toon-head-{i}" for i in range(4)] and len(images) == 4
    assert json.loads((tmp_path / "meta.json").read_text())["split"] == "heldout"


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
            pixels = near(image, colour)
            alike = sum(bool(near(np.int16(ImageColor.getrgb(other)), colour)) for other in colours.values())
            if pixels.sum() >= 20 and alike == 1:
                checked += 1
                assert (label[pixels] == classes.index(name)).mean() > 0.85, (row["seed"], name)
    assert checked >= 50


@needs_node
def test_an_edit_has_the_reference_part_and_else_its_own(tmp_path):
    render_avatars(tmp_path, count=16, size=32, parts=True, edits=True)
    images, _ = load_avatars(tmp_path)
    labels, classes = load_labels(tmp_path)
    edits, edited = load_edits(tmp_path)
    assert edits.shape == (16, 2) and edited.shape == images.shape and not list(tmp_path.glob("*.tmp"))
    assert (edits[:, 0] <= np.arange(16)).all() and len({*edits[:, 1]}) > 2 and (edits[:, 0] < np.arange(16)).sum() > 8
    for i, (row, part) in enumerate(edits.tolist()):
        assert classes[part] in ("hair", "eyes", "mouth", "clothes")
        mine, its = labels[i] == part, labels[row] == part
        near = np.pad(mine | its, 2)
        near = np.logical_or.reduce([near[y:y + 32, x:x + 32] for y in range(5) for x in range(5)])
        assert (np.abs(edited[i].astype(int) - images[i])[~near] > 8).mean() < 0.01, i      # hair may show what it hid
        gap = np.abs(edited[i].astype(int) - images[row])[its].max(axis=-1)
        if classes[part] in ("hair", "clothes"):        # thin lines of eyes and mouth are mixed with skin
            assert (gap <= 8).mean() > 0.6, i
        assert gap.mean() <= np.abs(images[i].astype(int) - images[row])[its].max(axis=-1).mean(), i


@needs_node
def test_a_family_shares_its_colours_and_nothing_else(tmp_path):
    images, rows = load_avatars(render_avatars(tmp_path, count=16, size=16, styles=("toon-head", "micah"), family=4))
    assert [row["seed"] for row in rows[:4]] == ["train-toon-head-family4-0", "train-micah-family4-0",
                                                 "train-toon-head-family4-1", "train-micah-family4-1"]
    palettes = [tuple(row[f"{name}Color"] for name in ("background", "skin", "hair", "clothes")) for row in rows[::2]]
    assert len(set(palettes[:4])) == len(set(palettes[4:])) == 1 and palettes[0] != palettes[4]
    assert len({image.tobytes() for image in images}) == 16
    assert json.loads((tmp_path / "meta.json").read_text())["family"] == 4
    assert np.load(tmp_path / "groups.npy").tolist() == [0, 1] * 4 + [2, 3] * 4


@needs_node
def test_edits_need_parts(tmp_path):
    with pytest.raises(CoModError, match="--edits needs --parts"):
        render_avatars(tmp_path, count=1, edits=True)
    render_avatars(tmp_path, count=1, size=16, parts=True)
    with pytest.raises(CoModError, match="edits.npy: no such file.*edits=True"):
        load_edits(tmp_path)


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
