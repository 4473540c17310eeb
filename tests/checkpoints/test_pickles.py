"""The reader of foreign files gives what Python's, numpy's and torch's own readers give."""
from __future__ import annotations

import argparse
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from comod_core.checkpoints.pickles import Record, is_torch, read_npy, read_pickle, read_torch

DATA = Path(__file__).parent.parent / "data"


def assert_same(found, expected):
    """Equal in value, type, dtype and layout; a Namespace is read as a Record."""
    if isinstance(expected, argparse.Namespace):
        assert (found.module, found.name, found.state) == ("argparse", "Namespace", vars(expected))
        return
    assert type(found) is type(expected) or isinstance(expected, torch.nn.Parameter)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype and found.stride() == expected.stride()
        assert torch.equal(found, expected)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@pytest.mark.parametrize("protocol", range(2, 6))
def test_plain_values_and_arrays(protocol):
    values = {"none": None, "bools": [True, False], "numbers": (1, -70000, 2 ** 80, 0.5), 5: "integer key",
              "text": "Gr\u00f6\u00dfe \u7a74", "bytes": b"\xff", "empty": [b"", "", (), [], {}], "set": {1, 2},
              "ordered": OrderedDict(a=1), "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
              "turned": np.asfortranarray(np.eye(3, 2)), "half": np.float16([1, 2]), "bool array": np.array([True]),
              "names": np.array(["a", "bcd"]), "no rows": np.zeros((0, 4), np.int64), "point": np.array(3.5)}
    assert_same(read_pickle(pickle.dumps(values, protocol)), values)


def test_scalars_and_foreign_byte_order():
    found = read_pickle(pickle.dumps([np.float32(0.5), np.int64(7), np.bool_(True), np.array([1, 2], ">i4")], 4))
    assert found[:3] == [0.5, 7, True]
    np.testing.assert_array_equal(found[3], [1, 2])


def test_shared_objects_stay_shared():
    inner = [1]
    found = read_pickle(pickle.dumps([inner, inner], 4))
    assert found[0] is found[1]


def state_dict() -> dict:
    torch.manual_seed(0)
    base = torch.randn(4, 5)
    return {"base": base, "rows": base[1:3], "turned": base.t(), "point": torch.tensor(2.5), "none": torch.empty(0, 3),
            "half": torch.randn(3).half(), "brain": torch.randn(3).bfloat16(), "double": torch.randn(2).double(),
            "long": torch.arange(5), "bool": torch.tensor([True, False]),
            "parameter": torch.nn.Parameter(torch.randn(2)),
            "train_args": argparse.Namespace(size=256, normalize_mode="LayerNorm", small_generator=False)}


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files(zipped, tmp_path):
    values = state_dict()
    linear = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(linear.parameters())
    linear(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    values.update(optimizer=optimizer.state_dict(), ordered=linear.state_dict())
    torch.save(values, tmp_path / "file.pt", _use_new_zipfile_serialization=zipped)
    assert is_torch(tmp_path / "file.pt")
    found = read_torch(tmp_path / "file.pt")
    assert_same(found, values)
    found["base"][1, 0] = 7  # tensors that shared memory still do
    assert found["rows"][0, 0] == 7 and found["turned"][0, 1] == 7


def test_reading_leaves_the_file_alone(tmp_path):
    torch.save(state_dict(), tmp_path / "file.pt")
    before = (tmp_path / "file.pt").read_bytes()
    read_torch(tmp_path / "file.pt")["base"].zero_()
    assert (tmp_path / "file.pt").read_bytes() == before


@pytest.mark.parametrize("name", ["stylemap_32_8x8.pt", "icgan_biggan_64_G_ema_best0.pth",
                                  "icgan_biggan_64_state_dict_best0.pth"])
def test_published_torch_formats(name):
    expected = torch.load(DATA / name, weights_only=True) if name.startswith("icgan") else None
    found = read_torch(DATA / name)
    if expected is not None:
        assert_same(found, expected)
    else:
        with torch.serialization.safe_globals([argparse.Namespace]):
            assert_same(found, torch.load(DATA / name, weights_only=True))
        assert found["train_args"].get("latent_spatial_size") == 8


def test_network_pickle_of_tensorflow():
    networks = read_pickle(DATA / "comod_tf_64.pkl")
    assert [network.get("name") for network in networks] == ["G", "D", "Gs"]
    assert all(isinstance(network, Record) and network.name == "Network" for network in networks)
    synthesis = networks[2].get("components")["synthesis"]
    assert dict(synthesis.get("variables"))["E_64x64/FromRGB/weight"].shape == (1, 1, 4, 16)


def test_persistent_objects_keep_their_state_and_lose_their_source():
    network = read_pickle(DATA / "icgan_stylegan2_64.pkl")["G_ema"]
    assert (network.module, network.name) == ("torch_utils.persistence", "Generator")
    assert "module_src" not in network.state
    layer = network.get("_modules")["synthesis"].get("_modules")["b4"].get("_modules")["conv1"]
    weight = layer.get("_parameters")["weight"]
    assert isinstance(weight, torch.Tensor) and weight.shape[2:] == (3, 3) and weight.std() > 0


def test_numpy_files(tmp_path):
    features = {"instance_features": np.arange(6.0).reshape(2, 3), "labels": [1, 2], "image_path": np.array(["a", "b"])}
    np.save(tmp_path / "dict.npy", features, allow_pickle=True)
    assert_same(read_npy(tmp_path / "dict.npy"), features)
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(3, 2)), np.array(["x"]), np.zeros((0, 2))):
        np.save(tmp_path / "plain.npy", array)
        assert_same(read_npy(tmp_path / "plain.npy"), array)
