"""Files of instances: the round trip, IC-GAN's .npy, and what damaged ones say."""
from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open

from comod_core.errors import CoModError
from comod_core.instances.stored import Instances, built_in, open_instances, save_instances, write_instances


def rows(count=9, width=5, seed=0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def some(count=9) -> Instances:
    return Instances(rows(count), [f"Bild {i} ä.jpg" for i in range(count)], list(range(count)), "lite0", "ab" * 32)


def test_round_trip(tmp_path):
    path = save_instances(tmp_path / "many.safetensors", some())
    found = open_instances(path)
    assert isinstance(found.features, np.memmap) and len(found) == 9
    np.testing.assert_allclose(found.features, some().features, atol=1e-7)
    assert (list(found.names), found.labels, found.extractor, found.digest) == (
        some().names, some().labels, "lite0", "ab" * 32)
    with safe_open(path, "pt") as file:  # other programs read it too
        assert torch.equal(file.get_tensor("features"), torch.from_numpy(np.array(found.features)))
    torch.testing.assert_close(found.feature(3).norm(), torch.tensor(1.0))
    blocks = list(found.blocks(4))
    assert [start for start, _ in blocks] == [0, 4, 8] and np.array_equal(np.concatenate([b for _, b in blocks]),
                                                                          found.features)


def test_those_that_come_with_the_package():
    for name, path in built_in().items():
        found = open_instances(name)
        assert len(found) > 10 and found.extractor == "lite0-colours" and found.feature(0).shape == (1472,)
        assert {file.stem for file in path.with_suffix("").glob("*.png")} == set(found.names)


def test_equal_content_gives_equal_bytes_and_replaces_the_old(tmp_path):
    paths = [save_instances(tmp_path / f"{name}.safetensors", some()) for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].with_suffix(".json").read_bytes() == paths[1].with_suffix(".json").read_bytes()
    save_instances(paths[0], some(4))
    assert len(open_instances(paths[0])) == 4 and len(list(tmp_path.iterdir())) == 4


def test_blocks_are_written_as_they_come_and_made_of_unit_length(tmp_path):
    whole, held = rows(50) * 7, []

    def blocks():
        for start in range(0, 50, 8):
            held.append(start)
            yield whole[start:start + 8]

    path = write_instances(tmp_path / "x.safetensors", blocks(), 5, [str(i) for i in range(50)], dtype="float16")
    found = open_instances(path)
    assert found.features.dtype == np.float16 and found.labels is None and len(held) == 7
    np.testing.assert_allclose(np.array(found.features, np.float32), rows(50), atol=1e-3)


def test_a_subset_keeps_what_belongs_together(tmp_path):
    part = open_instances(save_instances(tmp_path / "x.safetensors", some())).subset([7, 2])
    assert part.names == ["Bild 7 ä.jpg", "Bild 2 ä.jpg"] and part.labels == [7, 2] and part.extractor == "lite0"
    np.testing.assert_allclose(part.features, some().features[[7, 2]], atol=1e-7)


@pytest.mark.parametrize("names", [np.array(["a", "b", "c"]), ["a", "b", "c"], np.array(["a", "b", "c"], object), None,
                                   np.array([b"a", b"b", b"c"])])
@pytest.mark.parametrize("labels", [np.array([3, 4, 5]), [3, 4, 5], None])
def test_stored_instances_of_icgan(names, labels, tmp_path):
    content = {"instance_features": rows(3, 2048) * 4, "labels": labels, "image_path": names}
    np.save(tmp_path / "f.npy", {key: value for key, value in content.items() if value is not None})
    found = open_instances(tmp_path / "f.npy")
    np.testing.assert_allclose(found.features, rows(3, 2048), atol=1e-6)
    assert list(found.names) == (["0", "1", "2"] if names is None else ["a", "b", "c"])
    assert found.labels == (None if labels is None else [3, 4, 5])
    again = open_instances(save_instances(tmp_path / "own.safetensors", found))
    assert np.array_equal(again.features, found.features) or np.abs(again.features - found.features).max() < 1e-7


class Evil:
    def __reduce__(self):
        return print, ("code of the file was run",)


BAD_NPY = {
    "code": (np.array({"instance_features": Evil()}, object), "not on the list"),
    "no features": ({"labels": [1]}, "instance_features"),
    "flat features": ({"instance_features": np.ones(3)}, "instance_features"),
    "features of text": ({"instance_features": np.array([["a"]])}, "instance_features"),
    "too few names": ({"instance_features": rows(3), "image_path": ["a"]}, "1 names or classes for 3"),
    "classes of text": ({"instance_features": rows(3), "labels": ["a", "b", "c"]}, "stored instances"),
    "a row of zeros": ({"instance_features": np.zeros((2, 3))}, "zero or not finite"),
    "a list": ([1, 2], "instance_features"),
}


@pytest.mark.parametrize("name", BAD_NPY)
def test_other_npy_files(name, tmp_path, capsys):
    content, words = BAD_NPY[name]
    np.save(tmp_path / "f.npy", np.array(content, object) if isinstance(content, dict) else content, allow_pickle=True)
    with pytest.raises(CoModError, match=words):
        open_instances(tmp_path / "f.npy")
    assert "was run" not in capsys.readouterr().out


def test_damage_is_named(tmp_path):
    path = save_instances(tmp_path / "x.safetensors", some())
    index = path.with_suffix(".json")
    good, features = index.read_bytes(), path.read_bytes()
    changed = json.dumps(json.loads(good) | {"names": ["other"] * 9}).encode()
    for text, words in ((changed, "belongs to other features"), (b"{", "cannot be read"), (b"", "cannot be read")):
        index.write_bytes(text)
        with pytest.raises(CoModError, match=words):
            open_instances(path)
    index.unlink()
    with pytest.raises(CoModError, match="cannot be read.*beside"):
        open_instances(path)
    index.write_bytes(good)
    for content in (features[:-4], b"", b"text", pickle.dumps(some())):
        path.write_bytes(content)
        with pytest.raises(CoModError, match="neither a file of instances|no such|none of instances"):
            open_instances(path)
    with pytest.raises(CoModError, match="no such file"):
        open_instances(tmp_path / "absent.safetensors")


def test_another_safetensors_file(tmp_path):
    from safetensors.numpy import save_file

    save_file({"features": rows()}, tmp_path / "x.safetensors")
    with pytest.raises(CoModError, match="none of instances"):
        open_instances(tmp_path / "x.safetensors")


@pytest.mark.parametrize(("blocks", "values", "words"), [
    ([rows(2)], {}, "2 features for 3 names"), ([rows(4)], {}, "expected 3 rows of 5"),
    ([rows(3, 4)], {}, "expected 3 rows of 5"), ([rows(3) * 0], {}, "zero or not finite"),
    ([rows(3)], {"labels": [1]}, "1 classes for 3"), ([rows(3)], {"dtype": "int8"}, "float32 or float16")])
def test_what_does_not_match_leaves_nothing_behind(blocks, values, words, tmp_path):
    with pytest.raises(CoModError, match=words):
        write_instances(tmp_path / "x.safetensors", blocks, 5, ["a", "b", "c"], **values)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("index", [-1, 9, True, 1.0])
def test_no_such_instance(index):
    with pytest.raises(CoModError, match="from 0 to 8"):
        some().feature(index)
