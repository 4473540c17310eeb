"""Measuring: what is counted, the baseline's numbers, the table, the command."""
from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from untrained import filled

from comod_core import speed
from comod_core.cli import main
from comod_core.errors import CoModError
from comod_core.networks import (
    BigGANConfig,
    BigGANGenerator,
    CoModConfig,
    CoModGenerator,
    StyleGAN2Config,
    StyleGAN2Generator,
    StyleMapConfig,
    StyleMapGAN,
)
from comod_core.operations import Operations
from comod_core.speed import Case

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def baseline():
    spec = importlib.util.spec_from_file_location("baseline", ROOT / "benchmarks" / "baseline.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def close(found, wanted):
    assert ((found - wanted).abs().max() / wanted.std()).item() < 1e-4


@torch.inference_mode()
def test_the_baseline_has_the_networks_numbers(baseline):
    torch.manual_seed(1)
    image, mask, z = torch.rand(2, 3, 32, 32) * 2 - 1, torch.zeros(2, 1, 32, 32), torch.randn(2, 100)
    mask[..., 4:20, 6:28] = 1
    with torch.inference_mode(False):
        comod = filled(CoModGenerator(CoModConfig(32, z_dim=100, fmap_base=256, fmap_max=24, mapping_layers=2)))
        sg2 = filled(StyleGAN2Generator(StyleGAN2Config(32, (24, 24, 16, 16), z_dim=100, w_dim=32, clamp=2.0)))
        maps = filled(StyleMapGAN(StyleMapConfig(32, style_channels=16, channels=(24, 24, 24, 16))))
        big = filled(BigGANGenerator(BigGANConfig(resolution=32, channels=8, z_dim=100, feature_size=9,
                                                  attention=(16,))))
    w, port = comod.map(z), baseline.PortCoModGAN(comod)
    close(port.decode(port.encode(image, mask), w), comod.decode(comod.encode(image, mask, dropout=False), w))
    close(baseline.PortStyleGAN2(sg2).decode(sg2.map(z)), sg2.generate(z))
    style = baseline.PortStyleMapGAN(maps).encode(image)
    close(style, maps.encode(image))
    close(baseline.PortStyleMapGAN(maps).decode(style), maps.decode(style))
    feature = torch.randn(2, 9)
    close(baseline.PortBigGAN(big).generate(z, feature), big.generate(z, feature))


def test_operations_are_counted_forward_and_backward():
    x, weight = torch.randn(2, 3, 8, 8, requires_grad=True), torch.randn(5, 3, 3, 3, requires_grad=True)
    once = 2 * 2 * 5 * 3 * 9 * 64
    with Operations() as counter:
        F.conv2d(x, weight, padding=1).sum().backward()
    assert counter.total == 3 * once
    with Operations() as counter:
        torch.randn(4, 6) @ torch.randn(6, 7)
    assert counter.total == 2 * 4 * 6 * 7


def test_published_networks_have_the_published_operations():
    # GFLOP of the public networks, the FIR filters left out there and counted here
    for network, size, wanted in (("comodgan", 512, 239), ("stylegan2", 256, 30), ("biggan", 256, 147)):
        assert speed.operations(Case(network, size)) / 1e9 == pytest.approx(wanted, rel=0.06)
    one, nine = (speed.operations(Case("comodgan", 256, n)) for n in (1, 9))
    assert one < nine < 9 * one     # the encoder works once


def test_a_case_is_measured():
    case = Case("comodgan", 8, 2, hole=0.25)
    row = speed.measure(case, runs=2, rate=1e9)
    assert row["seconds"] > 0 and row["GFLOP"] == speed.operations(case) / 1e9
    assert row["share of the peak"] == pytest.approx(row["GFLOP/s"]) and "peak memory (GB)" not in row
    _, mask, _ = speed.inputs(speed.random_network("comodgan", 8), case)
    assert mask.mean() == 0.25
    with pytest.raises(CoModError, match="no network"):
        Case("vqgan")
    with pytest.raises(CoModError, match="hole"):
        Case(hole=0.0)


def test_the_table():
    text = speed.table([{"a": 1, "b": 0.123456}, {"a": 2, "c": 12345.6}])
    assert text.splitlines() == ["| a | b | c |", "| --- | --- | --- |", "| 1 | 0.123 |  |", "| 2 |  | 12346 |"]
    assert speed.table([]) == ""


def test_peak_memory_is_that_of_a_process_of_its_own(tmp_path):
    case = Case("comodgan", 8)
    ballast = torch.ones(80 << 20, dtype=torch.float64)      # 0.67 GB here must not count there
    peak = speed.peak_memory(case, speed.write_network(case, tmp_path))
    assert 0.2 < peak < 0.67 < speed.own_peak() and ballast[0] == 1


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(speed, "peak_memory", lambda case, file: 0.5)
    monkeypatch.setattr(speed, "convolution_rate", lambda device, dtype: 1e11)
    words = ["bench", "--size", "8", "--batch", "1,2", "--hole", "0.5,1", "--dtype", "float32", "--runs", "1"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("| comodgan | 8 |") == 4
    record = json.loads((tmp_path / "bench.json").read_text())
    assert [(row["batch"], row["hole"]) for row in record["rows"]] == [(1, 0.5), (1, 1.0), (2, 0.5), (2, 1.0)]
    assert (tmp_path / "bench.md").read_text().count("\n| ") == 6


@pytest.mark.parametrize("words,told", [(["--size", "many"], "--size"), (["--size", "48"], "power of two"),
                                        (["--device", "mps"], "--device"), (["--hole", "2"], "hole"),
                                        (["--dtype", "int8"], "int8")])
def test_bad_options_are_refused(words, told, capsys):
    assert main(["bench", *words]) == 1
    assert told in capsys.readouterr().err
