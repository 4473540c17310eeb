"""Exports: the files give what PyTorch gives for any number of samples, and one that does not is not written."""
import json

import numpy as np
import pytest
import torch

from comod_core import exporting
from comod_core.cli import main
from comod_core.errors import CoModError
from comod_core.exporting import check, export_onnx, export_torch, graphs_of
from comod_core.networks import (
    BigGANConfig,
    BigGANGenerator,
    CoModConfig,
    CoModDiscriminator,
    CoModGenerator,
    StyleGAN2Config,
    StyleGAN2Generator,
    StyleMapConfig,
    StyleMapGAN,
)

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

COMOD = CoModConfig(resolution=8, z_dim=6, w_dim=6, mapping_layers=1, mapping_fmaps=6, fmap_base=32, fmap_max=6)
STYLE = StyleMapConfig(resolution=8, style_size=4, style_channels=4, mapping_layers=1, channels=(4, 4))
NETWORKS = {
    "comodgan": lambda: CoModGenerator(COMOD),
    "labels": lambda: CoModGenerator(CoModConfig(**{**COMOD.__dict__, "label_size": 3})),
    "pix2pix": lambda: CoModGenerator(CoModConfig(**{**COMOD.__dict__, "pix2pix": True})),
    "stylemapgan": lambda: StyleMapGAN(STYLE),
    "stylegan2": lambda: StyleGAN2Generator(StyleGAN2Config(resolution=8, channels=(4, 4), z_dim=4, w_dim=4,
                                                            mapping_layers=1, feature_size=5)),
    "biggan": lambda: BigGANGenerator(BigGANConfig(resolution=32, channels=2, z_dim=8, feature_size=5, feature_dim=4)),
}


def network(name: str):
    torch.manual_seed(0)
    return NETWORKS[name]().eval().requires_grad_(False)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("pixels", [False, True])
def test_graphs_run_and_say_what_they_take(name, pixels):
    for graph in graphs_of(network(name), pixels):
        values = graph.example(3)
        found = graph(*values)
        assert len(found) == len(graph.outputs) and all(len(part) == 3 for part in found)
        check(graph, lambda values, graph=graph: list(graph(*values)), "PyTorch itself")
    assert graph.outputs == ["picture"]
    assert found[0].dtype == (torch.uint8 if pixels else torch.float32)
    assert found[0].shape[1:] == ((8, 8, 3) if pixels else (3, 8, 8)) or name == "biggan"


def test_encode_and_decode_together_are_the_networks_own():
    net = network("comodgan")
    encode, decode = graphs_of(net)
    image, mask = encode.example(2)
    z = torch.randn(2, net.z_dim)
    found = decode(z, torch.tensor(1.0), *encode(image, mask))[0]
    expected = net.decode(net.encode(image, mask, dropout=False), net.map(z))
    torch.testing.assert_close(found, expected)


def test_bytes_go_in_and_out():
    net = network("comodgan")
    encode, decode = graphs_of(net, pixels=True)
    image, mask = torch.full((1, 8, 8, 3), 255, dtype=torch.uint8), torch.zeros(1, 8, 8, dtype=torch.uint8)
    picture = decode(torch.randn(1, net.z_dim), torch.tensor(1.0), *encode(image, mask))[0]
    assert picture.shape == (1, 8, 8, 3) and picture.eq(255).all(), "known pixels are the picture's own"


def test_onnx_files(tmp_path):
    net = network("comodgan")
    paths = export_onnx(net, tmp_path / "net", pixels=True)
    assert [path.name for path in paths] == ["net.encode.onnx", "net.decode.onnx"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.decode.onnx", "net.encode.onnx"]
    encode, decode = (onnxruntime.InferenceSession(str(path)) for path in paths)
    facts = {entry.key: entry.value for entry in onnx.load(paths[0]).metadata_props}
    assert facts["graph"] == "encode" and json.loads(facts["config"])["resolution"] == 8
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    mask = np.zeros((5, 8, 8), np.uint8)
    mask[:, 2:6] = 255
    code, *parts = encode.run(None, {"image": image, "mask": mask})
    given = dict(zip([one.name for one in decode.get_inputs()][2:], [code, *parts], strict=True))
    z = rng.normal(size=(5, 6)).astype(np.float32)
    picture = decode.run(["picture"], {"z": z, "psi": np.array(1, np.float32), **given})[0]
    np.testing.assert_array_equal(picture[:, :2], image[:, :2])
    tensors = torch.from_numpy(image).permute(0, 3, 1, 2) / 127.5 - 1, torch.from_numpy(mask)[:, None] / 255
    expected = net.decode(net.encode(*tensors, dropout=False), net.map(torch.from_numpy(z)))
    expected = ((expected.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    assert np.abs(picture - expected).max() < 0.51
    with pytest.raises(CoModError, match="exists"):
        export_onnx(net, tmp_path / "net")


def test_torch_files(tmp_path):
    net = network("stylemapgan")
    encode, decode = (torch.export.load(path).module() for path in export_torch(net, tmp_path / "net"))
    image = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(decode(encode(image)[0])[0], net.decode(net.encode(image)), atol=1e-5, rtol=1e-5)


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    net, other, real = network("stylemapgan"), network("stylemapgan"), exporting.traced
    other.encoder.final.bias.add_(0.1)
    monkeypatch.setattr(exporting, "traced", lambda graph: real(graphs_of(other)[0]))
    with pytest.raises(CoModError, match=r"encode: .* differs from PyTorch by .* in style_map, with 1 sample"):
        export_torch(net, tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(CoModError, match="CoModDiscriminator cannot be exported"):
        graphs_of(CoModDiscriminator(COMOD))
    with pytest.raises(CoModError, match="float32 on the CPU"):
        export_torch(network("comodgan").half(), tmp_path / "net")


def test_the_command_wants_a_kind_of_file(capsys, tmp_path):
    assert main(["export", "avatars-64", "--out", str(tmp_path)]) == 1
    assert "--onnx, --torch, or both" in capsys.readouterr().err


def test_the_command_writes_files(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("comod_core.loading.load_model", lambda name, dtype: described(network("biggan"), name))
    assert main(["export", "small", "--torch", "--out", str(tmp_path / "made")]) == 0
    assert "small.generate.pt2" in capsys.readouterr().out
    assert (tmp_path / "made" / "small.generate.pt2").is_file()


def described(net, name: str):
    from comod_core.loading import ModelInfo

    net.info = ModelInfo(name, "biggan", 32, 3, "CC0", "here", "0" * 64)
    return net
