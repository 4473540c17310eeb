"""Neighbours: exact against brute force, the inverted file against exact, representatives, bounded memory."""
from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from comod_core.errors import CoModError
from comod_core.instances.neighbours import NeighbourIndex, exact, representatives
from comod_core.instances.stored import Instances, open_instances, save_instances

faiss = pytest.importorskip("faiss")


@pytest.fixture(autouse=True)
def one_thread():
    faiss.omp_set_num_threads(1)


def groups(count=2000, width=16, centres=20, seed=0) -> Instances:
    """Instances in tight groups around random directions; the class of each is its group."""
    random = np.random.default_rng(seed)
    middle = random.normal(size=(centres, width))
    labels = random.integers(0, centres, count)
    features = middle[labels] + 0.15 * random.normal(size=(count, width))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return Instances(features.astype(np.float32), [str(i) for i in range(count)], labels.tolist())


@pytest.mark.parametrize("rows", [7, 64, 5000])
def test_exact_is_brute_force_in_blocks_of_any_size(rows):
    instances = groups(300)
    queries = torch.randn(4, 16, generator=torch.Generator().manual_seed(1)) * 5
    found, at = exact(instances, queries, 6, rows=rows)
    unit = queries.numpy() / np.linalg.norm(queries.numpy(), axis=1, keepdims=True)
    cosines = unit @ instances.features.T
    assert np.array_equal(at, np.argsort(-cosines, axis=1, kind="stable")[:, :6])
    np.testing.assert_allclose(found, -np.sort(-cosines, axis=1)[:, :6], atol=1e-6)


def test_an_instance_finds_itself_first_and_equals_keep_their_order():
    instances = groups(100)
    assert exact(instances, torch.from_numpy(instances.features), 1)[1][:, 0].tolist() == list(range(100))
    same = Instances(np.repeat(instances.features[:1], 5, axis=0), list("abcde"))
    assert exact(same, torch.from_numpy(same.features[0]), 5, rows=2)[1].tolist() == [[0, 1, 2, 3, 4]]
    assert exact(same, torch.from_numpy(same.features[0]), 50)[1].shape == (1, 5)


def test_files_of_half_precision_are_searched_where_they_lie(tmp_path):
    instances = groups(500)
    stored = open_instances(save_instances(tmp_path / "x.safetensors", instances, "float16"))
    _, at = exact(stored, torch.from_numpy(instances.features[:20]), 1, rows=33)
    assert at[:, 0].tolist() == list(range(20))


def test_the_inverted_file_finds_nearly_what_exact_finds(tmp_path):
    instances, calls = groups(), []
    queries = torch.from_numpy(instances.features[:100])
    cosines, expected = exact(instances, queries, 10)
    index = NeighbourIndex.build(instances, rows=300, progress=lambda *args: calls.append(args[:2]))
    assert len(index) == 2000 and calls[-1] == (2000, 2000) and len(calls) == 7

    def recall(found):
        return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, expected, strict=True)])

    few, many = (recall(index.search(queries, 10, probes)[1]) for probes in (1, 50))
    assert many > 0.9 and few <= many  # 8 bits a value confuse neighbours that are all but equal
    found, at = index.search(queries, 10, 50)
    true = np.einsum("qd,qkd->qk", queries.numpy(), instances.features[at])
    assert np.abs(np.sort(true) - np.sort(cosines)).max() < 0.01 and np.abs(found - true).max() < 0.01
    path = index.save(tmp_path / "index.faiss")
    again = NeighbourIndex.load(path)
    assert np.array_equal(again.search(queries, 10)[1], index.search(queries, 10)[1])
    assert path.stat().st_size < instances.features.nbytes / 2 and [path] == list(tmp_path.iterdir())


def test_an_index_is_the_same_for_the_same_seed():
    first, second = (NeighbourIndex.build(groups(500), seed=3) for _ in range(2))
    queries = torch.randn(5, 16)
    assert np.array_equal(first.search(queries)[1], second.search(queries)[1])


def test_representatives_stand_for_every_group():
    instances = groups(400, centres=8)
    chosen = representatives(instances, 20, seed=1)
    assert len(chosen) <= 20 and chosen == sorted(set(chosen)) == representatives(instances, 20, seed=1)
    assert {instances.labels[i] for i in chosen} == set(range(8))
    _, nearest = exact(instances.subset(chosen), torch.from_numpy(instances.features), 1)
    means = np.mean([np.dot(instances.features[i], instances.features[chosen[j]])
                     for i, j in enumerate(nearest[:, 0])])
    random = groups(400, centres=8).subset(list(range(len(chosen))))
    _, other = exact(random, torch.from_numpy(instances.features), 1)
    assert means > np.mean([instances.features[i] @ random.features[j] for i, j in enumerate(other[:, 0])])
    assert representatives(instances.subset(range(3)), 10) == [0, 1, 2]


def test_exact_asks_for_no_more_rows_than_it_may():
    """Whatever the number of instances, no more than `rows` of them are read at once."""
    asked = []

    class Watched:
        shape, dtype = (1000, 16), np.dtype(np.float32)

        def __len__(self):
            return 1000

        def __getitem__(self, part):
            asked.append(part.stop - part.start)
            return groups(1000).features[part]

    exact(Instances(Watched(), [""] * 1000), torch.randn(1, 16), 3, rows=100)
    assert asked == [100] * 10


def test_progress_can_stop_it():
    def stop(done, total, image):
        raise InterruptedError

    for work in (lambda: exact(groups(50), torch.ones(16), progress=stop),
                 lambda: NeighbourIndex.build(groups(50), progress=stop)):
        with pytest.raises(InterruptedError):
            work()


BAD = {
    "another width": (lambda: exact(groups(9), torch.ones(5)), "same extractor"),
    "another width in an index": (lambda: NeighbourIndex.build(groups(90)).search(torch.ones(5)), "same extractor"),
    "no neighbours": (lambda: exact(groups(9), torch.ones(16), 0), "k is 0"),
    "no cells": (lambda: NeighbourIndex.build(groups(9), 0), "lists is 0"),
    "no representatives": (lambda: representatives(groups(9), True), "count is True"),
    "no instances": (lambda: exact(Instances(np.zeros((0, 16), np.float32), []), torch.ones(16)), "no instances"),
    "a zero query": (lambda: exact(groups(9), torch.zeros(16)), "zero or not finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    call, words = BAD[name]
    with pytest.raises(CoModError, match=words):
        call()


def test_files_that_are_no_index(tmp_path):
    (tmp_path / "x").write_bytes(b"text, and more of it")
    with pytest.raises(CoModError, match="not an index"):
        NeighbourIndex.load(tmp_path / "x")
    faiss.write_index(faiss.IndexFlatIP(4), str(tmp_path / "flat"))
    with pytest.raises(CoModError, match="another kind"):
        NeighbourIndex.load(tmp_path / "flat")
    with pytest.raises(CoModError, match="no such file"):
        NeighbourIndex.load(tmp_path / "absent")


def test_without_faiss(monkeypatch):
    queries = torch.randn(3, 16)
    expected = exact(groups(200), queries, 7, rows=64)
    monkeypatch.setitem(sys.modules, "faiss", None)
    found = exact(groups(200), queries, 7, rows=64)
    assert np.array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)
    for work in (lambda: NeighbourIndex.build(groups(90)), lambda: representatives(groups(90), 3)):
        with pytest.raises(CoModError, match="pip install faiss-cpu"):
            work()
