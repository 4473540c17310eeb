"""Evaluations: what is measured, that it repeats exactly, and that a stopped one goes on."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_evaluation import PROTOCOL, SIZE, pictures, save_array

from comod_core import CoModError, metrics
from comod_core.completion import complete
from comod_core.evaluation import run
from comod_core.evaluation.completers import Filler, Network
from comod_core.evaluation.pictures import ArrayPictures
from comod_core.evaluation.protocol import Protocol, completion_seeds, hole
from comod_core.evaluation.report import command, headline
from comod_core.evaluation.run import evaluate, read_features
from comod_core.evaluation.shards import column
from comod_core.images import to_float, to_integers


class Counted:
    """A completer that counts its holes, and stops after `most` of them."""

    def __init__(self, completer, most=None):
        self.completer, self.holes, self.most = completer, 0, most

    def __getattr__(self, name):
        return getattr(self.completer, name)

    def __call__(self, *arguments):
        if self.holes == self.most:
            raise KeyboardInterrupt
        self.holes += 1
        return self.completer(*arguments)


def shards(folder: Path, result: dict) -> list[Path]:
    return [folder / "features" / name for name in result["features"]]


def test_completions_are_those_of_every_door(network, dataset):
    image, mask = torch.from_numpy(dataset.load(0)).permute(2, 0, 1), hole("x", SIZE, (0.2, 0.6), 0)
    made = network(image, mask, [4, 9], (1.0, 0.5))
    assert made.shape == (2, 2, 3, SIZE, SIZE) and made.dtype == torch.uint8
    for p, psi in enumerate((1.0, 0.5)):
        for s, result in enumerate(complete(network.net, to_float(dataset.load(0)), mask, [4, 9], psi=psi,
                                            size_strategy="original")):
            assert np.array_equal(made[p, s].permute(1, 2, 0), to_integers(result.image))
    raw = Network(network.net, raw=True)(image, mask, [4], (1.0,))[0, 0]
    known = (mask[0, 0] == 0).expand(3, -1, -1)
    assert torch.equal(raw[known], image[known]) and not torch.equal(made[0, 0][known], image[known])


def test_the_numbers_are_the_metrics_of_what_was_completed(evaluation, network, features, dataset):
    folder, result = evaluation
    names = [f"{i:06d}" for i in range(16)]
    order = json.loads(open_settings(shards(folder, result)[0]))["names"]
    real = np.stack([dataset.load(names.index(name)) for name in order]).transpose(0, 3, 1, 2)
    bin, fake, other, holes = (0, 0.4), [], [], []
    for image, name in zip(real, order, strict=True):
        holes.append(hole(name, SIZE, bin, 3))
        made = network(torch.from_numpy(image), holes[-1], completion_seeds(name, bin, 3), (0.5,))[0].numpy()
        fake.append(made[0])
        other.append(made[1])
    fake, other, holes = np.stack(fake), np.stack(other[:6]), torch.cat(holes).numpy()
    row, = [row for row in result["rows"] if row["psi"] == 0.5 and row["holes"] == [0, 0.4]]
    a, b = features(torch.from_numpy(real)), features(torch.from_numpy(fake))
    scores = {"FD-statistics": metrics.frechet_distance(a, b), "KID-statistics": metrics.kernel_distance(a, b)[0],
              "P-IDS-statistics": metrics.pids(a, b), "U-IDS-statistics": metrics.uids(a, b),
              "recall-statistics": metrics.precision_recall(a, b, 5)[1],
              "density-statistics": metrics.density_coverage(a, b, 5)[0],
              "L1 in the hole": metrics.l1(real, fake, holes).mean(), "PSNR": metrics.psnr(real, fake).mean(),
              "SSIM": metrics.ssim(real, fake).mean(),
              "pixel diversity in the hole": metrics.l1(fake[:6], other, holes[:6]).mean(),
              "diversity-statistics": metrics.perceptual_distance(
                  [b[:6, :, None, None]], [features(torch.from_numpy(other))[:, :, None, None]]).mean()}
    assert {key: row["scores"][key] for key in scores} == pytest.approx(scores, abs=1e-9)
    assert row["count"] == 14 and row["hole_ratio"] == pytest.approx(holes.mean(), abs=1e-6)


def open_settings(path: Path) -> str:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return file.metadata()["settings"]


def test_mixed_holes_take_the_bins_in_turn(evaluation):
    folder, result = evaluation
    paths = shards(folder, result)
    error = [column(paths, "l1_hole", 0, b) for b in (0, 1)]
    expected = np.mean([error[i % 2][i] for i in range(14)])
    row = next(row for row in result["rows"] if row["mixed"])
    assert row["scores"]["L1 in the hole"] == pytest.approx(expected) and row["holes"] == [0, 1]


def test_features_can_be_loaded_and_compared_later(evaluation, tmp_path):
    folder, result = evaluation
    real, fake = read_features(folder, 0.5, (0, 0.4))
    assert real.shape == fake.shape == (14, 12)
    row, = [row for row in result["rows"] if row["psi"] == 0.5 and row["holes"] == [0, 0.4]]
    assert metrics.frechet_distance(real, fake) == row["scores"]["FD-statistics"]
    with pytest.raises(CoModError, match="not psi 0.7"):
        read_features(folder, 0.7, (0, 0.4))
    with pytest.raises(CoModError, match="no finished evaluation"):
        read_features(tmp_path, 1, (0, 0.4))


def test_examples_are_best_median_and_worst(evaluation, dataset):
    folder, result = evaluation
    error = column(shards(folder, result), "l1_hole", 0, 1)
    found = {case["which"]: case for case in result["examples"] if case["holes"] == [0.4, 1]}
    assert found["best"]["L1 in the hole"] == error.min() and found["worst"]["L1 in the hole"] == error.max()
    assert found["median"]["L1 in the hole"] == np.sort(error)[6]
    assert all(dataset.names[case["at"]] == case["picture"] for case in result["examples"])


def test_two_runs_give_the_same_file(evaluation, network, features, dataset, tmp_path):
    folder, _ = evaluation
    evaluate(network, features, dataset, PROTOCOL, tmp_path)
    assert (tmp_path / "result.json").read_bytes() == (folder / "result.json").read_bytes()
    other = evaluate(network, features, dataset, Protocol(**{**vars(PROTOCOL), "seed": 4}), tmp_path / "other")
    assert other["rows"] != json.loads((tmp_path / "result.json").read_text())["rows"]


def test_a_stopped_run_goes_on_and_ends_the_same(evaluation, network, features, dataset, tmp_path, monkeypatch):
    read = run.chunks
    monkeypatch.setattr(run, "chunks", lambda *rest: read(*rest, 6))
    with pytest.raises(KeyboardInterrupt):
        evaluate(Counted(network, most=26), features, dataset, PROTOCOL, tmp_path)
    assert len(list((tmp_path / "features").iterdir())) == 2 and not (tmp_path / "result.json").exists()
    damaged = sorted((tmp_path / "features").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    rest, steps = Counted(network), []
    result = evaluate(rest, features, dataset, PROTOCOL, tmp_path, lambda *step: steps.append(step))
    assert rest.holes == 28 - 12, "two chunks of 6 pictures and 2 bins were whole, one of them was damaged since"
    assert result["rows"] == evaluation[1]["rows"] and steps[-1] == (28, 28)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    again = Counted(network)
    evaluate(again, features, dataset, PROTOCOL, tmp_path)
    assert again.holes == 0
    evaluate(again, features, dataset, PROTOCOL, tmp_path, fresh=True)
    assert again.holes == 28


def test_changed_pictures_are_measured_anew(evaluation, network, features, files, tmp_path):
    images = pictures(16)
    images[:, 0, 0] ^= 1
    counted = Counted(network)
    evaluate(counted, features, ArrayPictures(save_array(tmp_path / "set", images)), PROTOCOL, evaluation[0])
    assert counted.holes == 28
    evaluate(network, features, ArrayPictures(files / "set"), PROTOCOL, evaluation[0])


def test_the_protocol_says_how_and_the_warnings_say_how_far(evaluation, network, features):
    _, result = evaluation
    protocol = result["protocol"]
    assert protocol["model"]["sha256"] == network.net.info.sha256 and protocol["features"]["sha256"] == features.digest
    assert protocol["data"] | {"sha256": ""} == {"name": "set", "count": 14, "of": 16, "sha256": ""}
    assert protocol["masks"]["holes"] == [0, 0.4, 1] and protocol["seed"] == 3
    assert protocol["sampling"] == {"psi": [1, 0.5], "noise_mode": "const", "dropout": True, "feather": None,
                                    "size_strategy": "original", "color_match": True}
    assert "torch" in protocol["versions"] and len(protocol["data"]["sha256"]) == 64
    assert len(result["warnings"]) == 1 and "10,000" in result["warnings"][0]
    assert str(Path.cwd()) not in json.dumps(result)


def test_fillers_are_measured_alike(features, dataset, tmp_path):
    bright = np.full((3, SIZE, SIZE), 90, np.uint8)
    mask = hole("x", SIZE, (0.2, 0.6), 0)
    for name in ("mean-colour", "telea", "navier-stokes"):
        made = Filler(name, SIZE)(torch.from_numpy(bright), mask, [1, 2], (1.0, 0.5))
        assert made.shape == (2, 2, 3, SIZE, SIZE) and (made.int() - 90).abs().max() <= 4
    result = evaluate(Filler("mean-colour", SIZE), features, dataset, Protocol(holes=(0, 0.5), count=8), tmp_path)
    assert len(result["rows"]) == 1 and "diversity-statistics" not in result["rows"][0]["scores"]
    with pytest.raises(CoModError, match="telea"):
        Filler("patch", SIZE)


def test_too_few_pictures(network, features, tmp_path):
    with pytest.raises(CoModError, match="at least 2"):
        evaluate(network, features, ArrayPictures(save_array(tmp_path / "set", pictures(1))), PROTOCOL, tmp_path)


class Gap:
    """In place of LPIPS: the mean difference of two pictures."""

    name, digest = "gap", "0" * 64

    def __call__(self, a, b):
        return (a.float() - b.float()).abs().mean(dim=(1, 2, 3)).double().numpy()


def test_lpips_beside_the_network_s_own_diversity(evaluation, network, features, dataset, tmp_path, monkeypatch):
    _, plain = evaluation
    monkeypatch.setattr(features, "lpips", Gap())
    found = evaluate(network, features, dataset, PROTOCOL, tmp_path / "out")
    assert found["protocol"]["lpips"] == {"name": "gap", "sha256": "0" * 64} and "lpips" not in plain["protocol"]
    for row, before in zip(found["rows"], plain["rows"], strict=True):
        own = {key: value for key, value in row["scores"].items() if "LPIPS" not in key}
        assert own == before["scores"] and set(row["scores"]) - set(own) == {"LPIPS diversity",
                                                                             "LPIPS diversity deviation"}
        ratio = row["scores"]["LPIPS diversity"] / row["scores"]["pixel diversity in the hole"]
        assert 0 < ratio <= 1                                    # over the whole picture, so less than in the hole
    assert found["features"] != plain["features"]                # measured anew, not read from what has none
    assert "LPIPS diversity" in dict((name, value) for name, value, _ in headline(found))
    assert command(found).endswith("--lpips") and "--lpips" not in command(plain)
