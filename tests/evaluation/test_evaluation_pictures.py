"""Real pictures on their way in: order, size, colour, and those that cannot be read."""
import numpy as np
import pytest
import torch
from PIL import Image
from small_evaluation import SIZE, pictures, save_array, save_folder

from comod_core import CoModError, masks
from comod_core.evaluation.pictures import ArrayPictures, FilePictures, chunks, resized
from comod_core.evaluation.protocol import Protocol, completion_seeds, hole


def files(folder):
    return FilePictures([(path.stem, path) for path in sorted(folder.iterdir())], folder.name)


def read(pictures, **options):
    skipped = {}
    found = list(chunks(pictures, SIZE, options.get("seed", 0), options.get("count"), skipped, options.get("rows", 64)))
    return [name for chunk in found for name in chunk.names], torch.cat([chunk.images for chunk in found]), skipped


def test_files_and_array_give_the_same_pictures(tmp_path):
    images = pictures(9)
    names, from_array, _ = read(ArrayPictures(save_array(tmp_path / "array", images)))
    assert names == read(files(save_folder(tmp_path / "files", images)))[0]
    assert torch.equal(from_array, read(files(tmp_path / "files"))[1])
    assert sorted(names) != names, "in an order of the seed"
    assert np.array_equal(from_array.permute(0, 2, 3, 1), images[[int(name) for name in names]])


def test_the_seed_decides_which_and_the_chunks_do_not(tmp_path):
    dataset = ArrayPictures(save_array(tmp_path, pictures(30)))
    names, images, _ = read(dataset, count=11)
    again, parts, _ = read(dataset, count=11, rows=4)
    assert names == again and torch.equal(images, parts) and len(names) == 11
    assert set(read(dataset, count=11, seed=1)[0]) != set(names)
    assert read(dataset, count=5)[0] == names[:5], "more pictures begin with the fewer"


def test_what_cannot_be_read_is_replaced(tmp_path, caplog):
    folder = save_folder(tmp_path / "files", pictures(8))
    whole = read(files(folder), count=5)[0]
    (folder / f"{whole[1]}.png").write_bytes((folder / f"{whole[1]}.png").read_bytes()[:60])
    (folder / f"{whole[3]}.png").write_bytes(b"no picture")
    names, images, skipped = read(files(folder), count=5)
    assert names[:3] == [whole[0], whole[2], whole[4]] and len(names) == len(images) == 5
    assert set(skipped) == {whole[1], whole[3]} and "damaged" in skipped[whole[1]]
    assert caplog.text.count("skipped") == 2


def test_any_picture_becomes_a_square_of_rgb(tmp_path):
    Image.new("RGBA", (40, 20), (200, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("L", (16, 16), 77).save(tmp_path / "grey.png")
    Image.fromarray(np.full((20, 20), 77 * 257, np.uint16)).save(tmp_path / "deep.png")
    dataset = files(tmp_path)
    clear, deep, grey = (resized(dataset.load(i), SIZE) for i in range(3))
    assert (clear == 255).all() and (grey == 77).all() and (deep == 77).all()
    assert {tuple(x.shape) for x in (clear, deep, grey)} == {(3, SIZE, SIZE)}
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert (resized(wide, SIZE) > 200).all(), "the centre is kept"


@pytest.mark.parametrize("content, words", [
    (np.zeros((2, 4, 4), np.uint8), "N,H,W,3"), (np.zeros((2, 4, 4, 3), np.float32), "float32"), (None, "not a whole")])
def test_arrays_of_something_else(tmp_path, content, words):
    if content is None:
        (tmp_path / "images.npy").write_bytes(b"\x93NUMPY")
    else:
        save_array(tmp_path, content)
    with pytest.raises(CoModError, match=words):
        ArrayPictures(tmp_path)


def test_holes_depend_on_name_bin_and_seed_alone():
    for bin in Protocol().bins:
        first = hole("a", 64, bin, 0)
        assert bin[0] < float(masks.hole_ratio(first)) < bin[1]
        assert torch.equal(first, hole("a", 64, bin, 0))
        assert not torch.equal(first, hole("b", 64, bin, 0)) and not torch.equal(first, hole("a", 64, bin, 1))
    seeds = {x for bin in Protocol().bins for name in "ab" for x in completion_seeds(name, bin, 0)}
    assert len(seeds) == 20


@pytest.mark.parametrize("options, words", [
    ({"holes": (0.4,)}, "rising"), ({"holes": (0.4, 0.2)}, "rising"), ({"holes": (0.5, 1.2)}, "0 to 1"),
    ({"psis": ()}, "psi"), ({"psis": (1.0, 1.0)}, "different"), ({"psis": (float("nan"),)}, "psi"),
    ({"count": 1}, "at least 2"), ({"seed": -1}, "at least 0")])
def test_protocols_that_make_no_sense(options, words):
    with pytest.raises(CoModError, match=words):
        Protocol(**options)
