"""The Triton kernels on a GPU: numerics in every dtype against float64, gradients, torch.compile, autocast, the log."""
import logging
import os
import subprocess
import sys
from contextvars import ContextVar

import pytest
import torch
from kernel_cases import (
    FILTERS,
    FINISHES,
    LAYOUTS,
    OPERANDS,
    SHAPES,
    agree,
    check_fir,
    check_gradients,
    check_pointwise,
)

from comod_core.ops import bias_act, kernels, modulated_conv2d, setup_filter, upfirdn2d, upsample2d

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU")]
ALL = ("scale", "noise", "bias")


@pytest.fixture(autouse=True)
def all_by_kernels():
    """Tensors of every size go through the kernels."""
    with kernels.always():
        yield


@pytest.fixture(autouse=True, scope="module")
def exact():
    """Convolutions in full float32, so that only the kernels' own errors count."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_the_kernels_are_used_here():
    assert kernels.prepare("cuda"), "see the log for the reason"
    assert kernels.usable(torch.ones(1, device="cuda"))
    assert not kernels.usable(torch.ones(1)) and not kernels.usable(torch.ones(1, device="cuda", dtype=torch.int32))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(layout):
    check_pointwise("cuda", torch.float32, layout, (2, 3, 5, 7), ALL, "lrelu")
    check_fir("cuda", torch.float32, layout, (2, 3, 5, 7), FILTERS[1], ALL, "clamped")


@pytest.mark.parametrize("layout", ["plain", "channels_last"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pointwise_of_every_shape(shape, layout):
    check_pointwise("cuda", torch.float32, layout, shape, ALL, "lrelu", rows=1)


@pytest.mark.parametrize(("wanted", "act"), [*((wanted, "lrelu") for wanted in OPERANDS),
                                             *(((), act) for act in FINISHES)])
def test_pointwise_with_every_operand(wanted, act):
    check_pointwise("cuda", torch.float32, "plain", (2, 3, 5, 7), wanted, act)


@pytest.mark.parametrize("filtered", FILTERS, ids=str)
def test_fir_is_upfirdn2d(filtered):
    check_fir("cuda", torch.float32, "plain", (2, 3, 7, 6), filtered)


@pytest.mark.parametrize("layout", ["plain", "channels_last"])
@pytest.mark.parametrize("shape", [(1, 70, 9, 37), (1, 2, 33, 140), (0, 3, 4, 4), (2, 512, 5, 5)], ids=str)
def test_fir_of_several_tiles(shape, layout):
    check_fir("cuda", torch.float32, layout, shape, FILTERS[1], ALL, "lrelu")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("layout", ["plain", "channels_last"])
def test_other_dtypes(dtype, layout):
    check_pointwise("cuda", dtype, layout, (2, 40, 33, 7), ALL, "clamped")
    check_fir("cuda", dtype, layout, (2, 40, 33, 7), FILTERS[1], ALL, "clamped")
    check_fir("cuda", dtype, layout, (2, 40, 33, 7), FILTERS[5], ALL, "lrelu")


def test_a_sample_of_more_than_two_to_the_31_values():
    x = torch.zeros(1, 2, 32768, 32800, device="cuda", dtype=torch.float16)
    x[0, 1, -1] = 3
    y = bias_act(x, torch.tensor([1.0, -1.0], device="cuda"), "lrelu", gain=1.0)
    assert y[0, 0, 0, 0] == 1 and y[0, 1, -1].eq(2).all() and (y[0, 1, 0] + 0.2).abs().max() < 1e-3


@pytest.mark.parametrize(("op", "act", "layout"), [
    ("pointwise", "lrelu", "plain"), ("pointwise", "clamped", "channels_last"), ("blur", "clamped", "plain"),
    ("up", "lrelu", "channels_last"), ("down", "linear", "plain")])
def test_first_and_second_gradients(op, act, layout):
    check_gradients("cuda", op, act, layout, rows=1 if act == "lrelu" else 2)


def block(x, weight, style, noise, bias, taps):
    y = modulated_conv2d(x, weight, style, up=True, fir=taps, noise=noise, bias=bias, act="lrelu")
    y = upfirdn2d(y, taps, down=2, padding=(1, 1, 1, 1), bias=bias, act="lrelu", clamp=8.0)
    y = modulated_conv2d(y, weight, style, noise=noise[..., ::2, ::2], bias=bias, act="lrelu")
    return upsample2d(y, taps)


def inputs(device="cuda", dtype=torch.float32, channels=32):
    generator = torch.Generator().manual_seed(0)
    sizes = [(2, channels, 12, 10), (channels, channels, 3, 3), (2, channels), (1, 1, 24, 20), (channels,)]
    x, *rest = (torch.randn(size, generator=generator).to(device) for size in sizes)
    return [x.to(dtype).contiguous(memory_format=torch.channels_last), *rest, setup_filter().to(device)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_the_ops_are_those_of_the_cpu(dtype):
    expected = block(*(part.double() for part in inputs("cpu")))
    found = block(*inputs("cuda", dtype))
    assert found.dtype == dtype
    if dtype != torch.float64:  # cuDNN convolves float64 in planes
        assert found.is_contiguous(memory_format=torch.channels_last)
    error = (found.cpu().double() - expected).abs().max() / expected.abs().max()
    assert error < {torch.float16: 5e-3, torch.bfloat16: 4e-2}.get(dtype, 2e-6 if dtype == torch.float32 else 1e-6)


def test_gradients_of_all_inputs_are_those_of_the_cpu():
    def gradients(device, dtype):
        *leaves, taps = (part.to(dtype) for part in inputs(device, channels=4))
        leaves = [part.requires_grad_() for part in leaves]
        first = torch.autograd.grad(block(*leaves, taps).square().mean(), leaves, create_graph=True)
        second = torch.autograd.grad(sum(part.square().sum() for part in first), leaves)
        return [*first, *second]

    for found, expected in zip(gradients("cuda", torch.float32), gradients("cpu", torch.float64), strict=True):
        assert (found.cpu().double() - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_bias_act_along_any_axis(dim):
    x, bias = torch.randn(33, 4, 5, device="cuda"), torch.randn([33, 4, 5][dim], device="cuda")
    expected = torch.nn.functional.leaky_relu(x.movedim(dim, -1) + bias, 0.2).movedim(-1, dim) * 2 ** 0.5
    torch.testing.assert_close(bias_act(x, bias, "lrelu", dim=dim), expected)


def test_torch_compile_sees_through():
    kernels.prepare("cuda")
    compiled = torch.compile(block, fullgraph=True)
    torch.testing.assert_close(compiled(*inputs()), block(*inputs()), atol=1e-4, rtol=1e-4)
    *leaves, taps = inputs()
    leaves = [part.requires_grad_() for part in leaves]
    found, expected = (torch.autograd.grad(run(*leaves, taps).square().mean(), leaves) for run in (compiled, block))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_autocast(dtype):
    with torch.autocast("cuda", dtype):
        low = block(*inputs())
    assert low.dtype == dtype
    full = block(*inputs())
    assert (low.float() - full).abs().max() < 0.05 * full.abs().max()


def test_cuda_graphs_record_the_kernels():
    arguments = inputs()
    expected = block(*arguments)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        found = block(*arguments)
    arguments[0].mul_(-1)
    graph.replay()
    agree(found, block(*arguments).double())
    assert not torch.allclose(found, expected)


def test_float16_survives_styles_that_would_overflow():
    x, weight, style, _, bias, _ = inputs("cuda", torch.float16, channels=64)
    y = modulated_conv2d(x * 100, weight, style * 1000, bias=bias, act="lrelu", clamp=256.0)
    expected = modulated_conv2d(x.float() * 100, weight, style * 1000, bias=bias, act="lrelu", clamp=256.0)
    assert y.isfinite().all()
    assert (y.float() - expected).abs().max() < 1e-2 * expected.abs().max()


def test_small_tensors_stay_with_pytorch(monkeypatch):
    monkeypatch.setattr(kernels, "_always", ContextVar("unset", default=False))
    small, large = torch.ones(2 ** 10, device="cuda"), torch.ones(2 ** 22, device="cuda")
    assert kernels.usable(large, kernels.POINTWISE_LEAST) and not kernels.usable(small, kernels.FIR_LEAST)
    assert kernels.usable(small)
    torch.testing.assert_close(block(*inputs()).cpu(), block(*inputs("cpu")), atol=1e-4, rtol=1e-4)


def test_the_log_names_the_gpu_once(caplog, monkeypatch):
    monkeypatch.setattr(kernels, "_ready", {})
    with caplog.at_level(logging.INFO, "comod"):
        assert kernels.usable(torch.ones(1, device="cuda")) and kernels.usable(torch.ones(1, device="cuda"))
    assert [record.getMessage() for record in caplog.records] == [
        f"ops: Triton kernels on {torch.cuda.get_device_name()}"]


def test_without_triton_plain_pytorch_gives_the_same(tmp_path):
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "__init__.py").write_text("raise ImportError('hidden for a test')")
    code = ("import logging, torch; logging.basicConfig(level='INFO'); from comod_core.ops import bias_act\n"
            "x = torch.tensor([[-1.0, 2.0]], device='cuda').repeat(2 ** 21, 1)    # small ones are PyTorch's anyway\n"
            "print(bias_act(x, act='lrelu', gain=1.0)[:1].tolist())")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.getcwd()}"})
    assert done.returncode == 0, done.stderr
    assert "[[-0.2" in done.stdout and "2.0]]" in done.stdout
    assert done.stderr.count("ops: plain PyTorch") == 1 and "hidden for a test" in done.stderr
