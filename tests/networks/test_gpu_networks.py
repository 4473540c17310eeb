"""Whole networks on a GPU: the published goldens, mixed precision, CUDA graphs, torch.compile."""
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from comod_core import graphs
from comod_core.checkpoints import import_checkpoint
from comod_core.latents import truncate
from comod_core.loading import load_model
from comod_core.networks import CoModConfig, CoModGenerator
from comod_core.ops import kernels
from comod_core.precision import use_half

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU")]
DATA = Path(__file__).parent.parent / "data"
TOLERANCE = 1e-3  # of the reference's standard deviation, with TF32 off


@pytest.fixture(autouse=True)
def all_by_kernels():
    """Tensors of every size go through the kernels."""
    with kernels.always():
        yield


@pytest.fixture(autouse=True, scope="module")
def exact():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@cache
def golden(name: str) -> dict[str, torch.Tensor]:
    with np.load(DATA / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(array).cuda() for key, array in arrays.items()}


@cache
def network(name: str):
    return import_checkpoint(DATA / name).generator.eval().requires_grad_(False).cuda()


def error(found, expected) -> float:
    assert found.shape == expected.shape and found.is_cuda
    return ((found - expected).abs().max() / expected.std()).item()


def complete(net, arrays, psi=1, cutoff=None, noise_mode="const"):
    w = truncate(net.map(arrays["z"]), net.w_avg, psi, cutoff)
    if not net.pix2pix:
        return net.decode(net.encode(arrays["image"], 1 - arrays["mask"], dropout=False), w, noise_mode)
    condition = arrays["image"][:, net.image_channels:]
    return torch.cat([net.decode(net.encode(condition, None, dropout=False), w, noise_mode), condition], dim=1)


@pytest.mark.parametrize("name", ["comod_tf_64", "comod_tf_32_pix2pix"])
@pytest.mark.parametrize(("case", "how"), [
    ("image_psi_None", (1, None, "const")), ("image_psi_0.5", (0.5, None, "const")),
    ("image_psi_0.7_cut_4", (0.7, 4, "const")), ("image_noise_none", (1, None, "none"))])
def test_comodgan(name, case, how):
    net, arrays = network(f"{name}.pkl"), golden(name)
    assert error(complete(net, arrays, *how), arrays[case]) < TOLERANCE


@pytest.mark.parametrize(("case", "run"), [
    ("stylemap_z", lambda net, g: net.map(g["z"])), ("random", lambda net, g: net.decode(net.map(g["z"]))),
    ("stylemap_e", lambda net, g: net.encode(g["image"]))])
def test_stylemapgan(case, run):
    arrays = golden("stylemap_32_8x8")
    assert error(run(network("stylemap_32_8x8.pt"), arrays), arrays[case]) < TOLERANCE


def test_stylegan2():
    net, arrays = network("icgan_stylegan2_64.pkl"), golden("icgan_stylegan2_64")
    assert error(net.map(arrays["z"], None, arrays["feats"]), arrays["w"]) < TOLERANCE
    assert error(net.generate(arrays["z"], arrays["feats"]), arrays["image_psi_1"]) < TOLERANCE


def test_biggan(tmp_path):
    for part in ("G_ema_best0.pth", "state_dict_best0.pth"):
        shutil.copy(DATA / f"icgan_biggan_64_{part}", tmp_path / part)
    net, arrays = import_checkpoint(tmp_path).generator.cuda(), golden("icgan_biggan_64")
    assert error(net.generate(arrays["z"], arrays["feats"]), arrays["image"]) < TOLERANCE


def test_the_kernels_are_what_ran():
    assert kernels.usable(golden("comod_tf_64")["z"])


def test_training_gradients_with_kernels_are_those_without(monkeypatch):
    def gradients():
        net = import_checkpoint(DATA / "comod_tf_64.pkl").generator.cuda().requires_grad_(True)
        complete(net, golden("comod_tf_64")).square().mean().backward()
        return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}

    found = gradients()
    monkeypatch.setattr(kernels, "_ready", {0: False})
    expected = gradients()
    assert found.keys() == expected.keys() and len(found) > 50
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-3 * gradient.norm() + 1e-9, name


@pytest.mark.parametrize("name", ["comod_tf_64.pkl", "icgan_stylegan2_64.pkl", "stylemap_32_8x8.pt"])
def test_half_precision_of_the_high_resolutions_stays_close(name):
    net, arrays = network(name), golden(name.split(".")[0])
    run = {"comod": lambda: complete(net, arrays), "icgan": lambda: net.generate(arrays["z"], arrays["feats"]),
           "style": lambda: net.decode(net.map(arrays["z"]))}[name[:5]]
    full = run()
    use_half(net, 3)
    try:
        mixed = run()
    finally:
        use_half(net, 0)
    assert mixed.dtype in (torch.float32, torch.float16) and mixed.isfinite().all()
    noise = (mixed.float() - full).square().mean()
    assert 10 * torch.log10(4 / noise) > 40  # PSNR in dB of pictures in [-1, 1]
    assert noise > 0
    assert error(run(), full) < 1e-4  # not bit for bit: cuDNN may choose another way


def big(resolution=256):
    torch.manual_seed(0)
    net = CoModGenerator(CoModConfig(resolution=resolution)).eval().requires_grad_(False).cuda()
    image = torch.rand(1, 3, resolution, resolution, device="cuda") * 2 - 1
    mask = torch.zeros(1, 1, resolution, resolution, device="cuda")
    mask[..., 20:-30, 40:-20] = 1
    return net, image, mask


def test_all_of_the_network_in_bfloat16_and_float16():
    net, image, mask = big(128)
    w = net.map(torch.randn(1, 512, device="cuda"))
    full = net.decode(net.encode(image, mask, dropout=False), w)
    for dtype in (torch.bfloat16, torch.float16):
        low = net.to(dtype).decode(net.encode(image, mask, dropout=False), w.to(dtype))
        assert low.dtype == dtype and low.isfinite().all()
        assert (low.float() - full).square().mean() < 0.01 * full.square().mean()


def test_cuda_graphs_give_the_same_pictures():
    net, image, mask = big()
    encoding = net.encode(image, mask, dropout=False)
    ws = [net.map(torch.randn(count, 512, device="cuda")) for count in (1, 1, 2)]
    with torch.inference_mode():
        expected = [net.decode(encoding, w) for w in ws]
        drawn = net.decode(encoding, ws[0], "random", [torch.Generator().manual_seed(3)])
        graphs.use_cuda_graphs(net)
        for _ in range(2):
            for w, picture in zip(ws, expected, strict=True):
                torch.testing.assert_close(net.decode(encoding, w), picture, atol=1e-4, rtol=1e-4)
        again = net.decode(encoding, ws[0], "random", generators=[torch.Generator().manual_seed(3)])
    torch.testing.assert_close(again, drawn, atol=1e-4, rtol=1e-4)
    assert len(net.decode.recordings) == 2


def test_torch_compile_takes_a_whole_network():
    net = load_model("avatars-64", "cuda")
    image, mask = torch.rand(1, 3, 64, 64, device="cuda") * 2 - 1, torch.ones(1, 1, 64, 64, device="cuda")
    w = net.map(torch.randn(1, net.z_dim, device="cuda"))
    encoding = net.encode(image, mask, dropout=False)
    expected = net.decode(encoding, w)
    compiled = torch.compile(net.synthesis, fullgraph=True)
    from comod_core.networks.layers import NoiseSource

    found = compiled(encoding, w, NoiseSource("const", 1, None))
    torch.testing.assert_close(found * encoding.mask + encoding.image, expected, atol=1e-3, rtol=1e-3)
